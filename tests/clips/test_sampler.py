"""Sampling is arithmetic: repeatable, focused, inside its bounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.clips.sampler import ClipSampler, ClipSpec, JointSampler, LabelledVideo
from e2espot.clips.targets import clip_targets
from e2espot.core.errors import ConfigurationError

VIDEOS = (
    LabelledVideo(num_frames=3000, event_frames=(100, 900, 2500), event_targets=(1, 2, 1)),
    LabelledVideo(num_frames=1000, event_frames=(10,), event_targets=(1,)),
)


def sampler(**changes) -> ClipSampler:
    return ClipSampler(**{"videos": VIDEOS, "clip_len": 50, "num_clips": 2000, **changes})


def holds_event(clip: ClipSpec) -> bool:
    return any(clip.start <= frame < clip.start + clip.length for frame in VIDEOS[clip.video].event_frames)


def test_clip_depends_on_seed_epoch_and_index_only() -> None:
    first = [sampler(seed=3).clip(2, i) for i in range(50)]
    assert [sampler(seed=3).clip(2, i) for i in reversed(range(50))] == first[::-1]
    assert [sampler(seed=4).clip(2, i) for i in range(50)] != first
    assert [sampler(seed=3).clip(1, i) for i in range(50)] != first


def test_event_fraction_of_clips_holds_an_event() -> None:
    all_event = [sampler(event_fraction=1.0).clip(0, i) for i in range(500)]
    assert all(holds_event(clip) for clip in all_event)
    by_chance = np.mean([holds_event(sampler(event_fraction=0.0).clip(0, i)) for i in range(2000)])
    half = np.mean([holds_event(sampler(event_fraction=0.5).clip(0, i)) for i in range(2000)])
    assert by_chance < 0.08
    assert abs(half - (0.5 + 0.5 * by_chance)) < 0.04


def test_class_shares_select_the_classes_of_event_clips() -> None:
    picky = sampler(event_fraction=1.0, class_shares=(0.0, 1.0))
    assert all(
        clip.video == 0 and clip.start <= 900 < clip.start + 50 for clip in (picky.clip(0, i) for i in range(99))
    )


def test_hard_negatives_are_sampled_by_fraction_and_weight() -> None:
    with_some = (replace(VIDEOS[0], negative_frames=(2000, 300), negative_weights=(0.9, 0.1)), VIDEOS[1])
    clips = [sampler(videos=with_some, event_fraction=0.3, negative_fraction=0.4).clip(0, i) for i in range(2000)]
    around = [[clip.video == 0 and clip.start <= frame < clip.start + 50 for clip in clips] for frame in (2000, 300)]
    assert abs(np.mean(around[0]) - 0.36) < 0.05
    assert abs(np.mean(around[1]) - 0.04) < 0.03
    assert [sampler().clip(0, i) for i in range(50)] == [sampler(negative_fraction=0.3).clip(0, i) for i in range(50)]


def test_joint_sampler_mixes_two_datasets_by_fraction() -> None:
    joint = JointSampler(first=sampler(), second=sampler(videos=VIDEOS[:1]), second_fraction=0.25)
    clips = [joint.clip(0, i) for i in range(2000)]
    assert abs(np.mean([clip.video == 2 for clip in clips]) - 0.25) < 0.04
    assert {clip.video for clip in clips} == {0, 1, 2}
    assert clips == [joint.clip(0, i) for i in range(2000)]


def test_event_may_be_any_frame_of_its_clip() -> None:
    only = ClipSampler(
        videos=(LabelledVideo(num_frames=3000, event_frames=(1500,), event_targets=(1,)),),
        clip_len=50,
        num_clips=10,
        event_fraction=1.0,
    )
    positions = {1500 - only.clip(0, i).start for i in range(1000)}
    assert positions == set(range(50))


def test_sampler_refuses_fractions_above_one_and_no_videos() -> None:
    with pytest.raises(ConfigurationError, match="event_fraction"):
        sampler(event_fraction=1.5)
    with pytest.raises(ConfigurationError, match="0 videos"):
        sampler(videos=())


@given(st.integers(1, 400), st.integers(1, 200), st.integers(0, 10**6), st.integers(0, 10**4))
def test_clip_overlaps_its_video(num_frames: int, clip_len: int, seed: int, index: int) -> None:
    video = LabelledVideo(num_frames=num_frames, event_frames=(num_frames // 2,), event_targets=(1,))
    clip = ClipSampler(videos=(video,), clip_len=clip_len, num_clips=1, seed=seed).clip(0, index)
    valid = clip_targets(clip, video, label_radius=0).valid_T
    assert clip.start >= -5
    assert valid.any() or clip_len <= 5


@given(st.lists(st.integers(0, 99), max_size=6, unique=True), st.integers(0, 5), st.integers(-20, 80))
def test_clip_targets_label_frames_by_the_nearest_event(frames: list[int], label_radius: int, start: int) -> None:
    video = LabelledVideo(
        num_frames=100, event_frames=tuple(frames), event_targets=tuple(1 + i % 2 for i in range(len(frames)))
    )
    targets = clip_targets(ClipSpec(video=0, start=start, length=40), video, label_radius=label_radius)
    for t in range(40):
        frame = start + t
        near = sorted((abs(frame - e), e, c) for e, c in zip(frames, video.event_targets, strict=True))
        expected = near[0][2] if near and near[0][0] <= label_radius and 0 <= frame < 100 else 0
        assert targets.class_T[t] == expected
        assert targets.valid_T[t] == (0 <= frame < 100)

"""Frames that were not annotated: clips are sampled elsewhere, and they teach nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from e2espot.clips.sampler import ClipSampler, ClipSpec, LabelledVideo
from e2espot.clips.targets import TargetBatch, clip_targets
from e2espot.core.errors import ConfigurationError

VIDEO = LabelledVideo(
    num_frames=3000, annotated=(range(100, 200), range(1000, 1100)), event_frames=(150,), event_targets=(1,)
)


def test_clips_hold_an_annotated_frame_and_both_stretches_are_sampled() -> None:
    sampler = ClipSampler(videos=(VIDEO,), clip_len=50, num_clips=500, event_fraction=0.0)
    clips = [sampler.clip(0, index) for index in range(500)]
    assert all(any(VIDEO.is_annotated(frame) for frame in range(clip.start, clip.start + 50)) for clip in clips)
    in_first = np.mean([clip.start < 500 for clip in clips])
    assert 0.4 < in_first < 0.6


def test_videos_are_sampled_by_their_annotated_length() -> None:
    whole = LabelledVideo(num_frames=800, event_frames=(), event_targets=())
    nothing = replace(whole, annotated=())
    sampler = ClipSampler(videos=(VIDEO, whole, nothing), clip_len=50, num_clips=1000, event_fraction=0.0)
    videos = [sampler.clip(0, index).video for index in range(1000)]
    assert 0.15 < np.mean([video == 0 for video in videos]) < 0.25
    assert 2 not in videos


def test_nothing_annotated_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing was annotated") as caught:
        ClipSampler(videos=(replace(VIDEO, annotated=(), event_frames=(), event_targets=()),), clip_len=5, num_clips=1)
    assert caught.value.option == "annotated"


def test_frames_outside_are_seen_but_teach_nothing() -> None:
    clip = ClipSpec(video=0, start=80, length=100)
    targets = clip_targets(clip, replace(VIDEO, event_frames=(100,)), label_radius=2)
    assert targets.valid_T.all()  # they are decoded: context of the others
    np.testing.assert_array_equal(targets.annotated_T, np.arange(80, 180) >= 100)
    batch = TargetBatch.stack([targets])
    np.testing.assert_array_equal(batch.teaches()[0].numpy(), np.arange(80, 180) >= 100)
    offset_T = batch.without_invalid().offset_BT[0]
    assert torch.isnan(offset_T[18:20]).all()  # frames 98 and 99 belong to the event, but were not annotated
    assert offset_T[20:23].tolist() == [0, 1, 2]


def test_background_of_unsure_frames_teaches_nothing_and_labels_there_do() -> None:
    video = replace(VIDEO, annotated=None, unsure=(range(90, 110), range(145, 160)))
    targets = clip_targets(ClipSpec(video=0, start=80, length=100), video, label_radius=2)
    frame_T = np.arange(80, 180)
    labelled_T = np.abs(frame_T - 150) <= 2
    unsure_T = ((frame_T >= 90) & (frame_T < 110)) | ((frame_T >= 145) & (frame_T < 160))
    np.testing.assert_array_equal(targets.class_T, labelled_T)
    np.testing.assert_array_equal(targets.annotated_T, labelled_T | ~unsure_T)


def test_unsure_labels_outside_of_what_was_annotated_teach_nothing() -> None:
    video = replace(VIDEO, event_frames=(100,), unsure=(range(95, 105),))
    targets = clip_targets(ClipSpec(video=0, start=90, length=20), video, label_radius=2)
    assert np.flatnonzero(targets.annotated_T).tolist() == [10, 11, 12, 15, 16, 17, 18, 19]

"""A spotter is adapted to a video by a first look at it."""

import copy
import dataclasses
import io
import json
import tempfile
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.cli.main import main
from e2espot.core.adaptation import FULL_DISTANCE, share_of_second_set
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.inference import adapt
from e2espot.inference.adapt import SHARE, adapt_to_video, resize
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import ball_maps_of_video, spot_video
from e2espot.inference.sampled_clips import SampledClips, SampleOptions, interleave, sample_clips, spread_clips
from e2espot.models import Spotter, load_spotter
from e2espot.models.norm_statistics import batch_norms, measure_statistics, mix_statistics
from e2espot.models.unfamiliar import between_sets
from e2espot.video.index import frames_of_file, pictures_of_grid
from e2espot.video.parts import indexes_of
from tests.support.numbered_video import constant, numbers_in, write
from tests.support.tiny_dataset import TOY_SPEC, write_game, write_spotter

FPS = Fraction(25, 2)
SIZE = (96, 64)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("game") / "game"
    write_game(folder, seed=0, num_frames=150)
    return folder / "224p.mp4"


@pytest.fixture(scope="module")
def spotter(tmp_path_factory: pytest.TempPathFactory) -> Spotter:
    torch.manual_seed(0)
    return load_spotter(write_spotter(tmp_path_factory.mktemp("run") / "best.safetensors"))


def clips_of(path: Path, look: SampleOptions, size: tuple[int, int] = SIZE) -> list[range]:
    return spread_clips(indexes_of(path), FPS, size, look)


def test_spread_clips_begin_at_keyframes_all_over_the_video(tmp_path: Path) -> None:
    path = write(tmp_path / "long", constant(Fraction(25), 1000, options={"g": "40", "sc_threshold": "0"}))
    (index,) = indexes_of(path)
    clips = clips_of(path, SampleOptions(num_clips=5, clip_len=8))
    starts = np.searchsorted(pictures_of_grid(index, FPS), index.start_picture_S)
    assert [len(clip) for clip in clips] == [8] * 5
    assert {clip.start for clip in clips[:-1]} <= set(starts.tolist())
    assert clips[0].start == 0 and clips[-1].stop > 480
    assert all(after.start - before.start > 90 for before, after in pairwise(clips))


def test_spread_clips_cover_a_short_video_once(video: Path) -> None:
    clips = clips_of(video, SampleOptions())
    frames = [frame for clip in clips for frame in clip]
    assert len(frames) == len(set(frames)) >= 60
    assert max(frames) < frames_of_file(indexes_of(video)[0], FPS).stop
    assert len(clips_of(video, SampleOptions(), size=(3840, 2160))[0]) == 4


def test_spread_clips_stay_within_the_files_of_a_match(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, constant(Fraction(25), 90))
    match = Path(f"{tmp_path}/a.mp4+{tmp_path}/b.mp4")
    parts = [frames_of_file(index, FPS) for index in indexes_of(match)]
    clips = clips_of(match, SampleOptions(num_clips=5, clip_len=12))
    assert all(any(clip.start in part and clip.stop - 1 in part for part in parts) for clip in clips)
    assert {next(i for i, part in enumerate(parts) if clip.start in part) for clip in clips} == {0, 1}
    sampled = sample_clips(match, FPS, (160, 96), InferenceOptions(), SampleOptions(num_clips=5, clip_len=12))
    batches = list(sampled)
    assert all(np.array_equal(*pair) for pair in zip(batches, sampled, strict=True))  # as often as wanted
    shown = sorted(number for batch in batches for clip_THWC in batch for number in numbers_in(clip_THWC))
    # Frame k at 12.5 fps shows picture 2 k + 1 of the match; the second file counts its own pictures from 0.
    expected = [picture for clip in clips for frame in clip for picture in [2 * frame + 1]]
    assert shown == sorted(picture if picture < 90 else picture - 90 for picture in expected)


def test_interleave_spreads_each_batch() -> None:
    clips = [range(number, number + 1) for number in range(5)]
    assert interleave(clips, 4) == [clips[0::2], clips[1::2]]


def test_adapt_to_video_is_the_same_again_and_for_every_reader(spotter: Spotter, video: Path) -> None:
    before = {name: value.clone() for name, value in spotter.state_dict().items()}
    first, adaptation = adapt_to_video(spotter, video, InferenceOptions())
    again, second = adapt_to_video(spotter, video, InferenceOptions(reader="decord"))
    assert adaptation is not None and adaptation == second
    assert adaptation.share == SHARE and adaptation.num_frames >= 60 and adaptation.distance > 0
    states = first.state_dict(), again.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in before)
    changed = [name for name in before if not torch.equal(before[name], states[0][name])]
    assert changed and all("running_" in name for name in changed)
    assert all(torch.equal(value, before[name]) for name, value in spotter.state_dict().items())


def test_adapt_to_video_takes_a_small_share_of_a_video_like_those_of_training(spotter: Spotter, video: Path) -> None:
    options = InferenceOptions(adapt="statistics")
    near = copy.deepcopy(spotter)
    looks = sample_clips(video, FPS, SIZE, options)
    mix_statistics(near.backbone, measure_statistics(near.backbone, map(torch.from_numpy, looks)), share=0.95)
    _, automatic = adapt_to_video(near, video, InferenceOptions())
    _, always = adapt_to_video(near, video, options)
    assert automatic is not None and always is not None
    assert automatic.distance < FULL_DISTANCE
    assert automatic.share == pytest.approx(SHARE * automatic.distance / FULL_DISTANCE)
    assert always.share == SHARE


@pytest.mark.parametrize(("distance", "share"), [(0.004, 0.0), (0.007, 0.4), (0.05, 1.0)])
def test_adapt_to_video_takes_weights_between_both_sets(
    spotter: Spotter, video: Path, distance: float, share: float
) -> None:
    options = InferenceOptions()
    both = copy.deepcopy(spotter)
    looks = [torch.from_numpy(batch) for batch in sample_clips(video, FPS, SIZE, options)]
    mix_statistics(both.backbone, measure_statistics(both.backbone, looks), 1.0)
    for layer in batch_norms(both.backbone):
        assert layer.running_mean is not None and layer.running_var is not None
        layer.running_mean += distance**0.5 * (layer.running_var + layer.eps).sqrt()
    torch.manual_seed(1)
    both.unfamiliar = Spotter(TOY_SPEC).eval()
    adapted, adaptation = adapt_to_video(both, video, options)
    assert adaptation is not None and adapted.unfamiliar is None and both.unfamiliar is not None
    assert adaptation.distance == pytest.approx(distance, rel=1e-3)
    assert share_of_second_set(adaptation.distance) == pytest.approx(share, abs=1e-3)
    share = share_of_second_set(adaptation.distance)
    for name in ("backbone.stem.0.weight", "head._gru.weight_ih_l0"):
        first, second = both.state_dict()[name], both.unfamiliar.state_dict()[name]
        torch.testing.assert_close(adapted.state_dict()[name], (1 - share) * first + share * second)
    # The statistics are measured with the weights that the video gets.
    expected = between_sets(both, share)
    mix_statistics(expected.backbone, measure_statistics(expected.backbone, looks), adaptation.share)
    assert all(torch.equal(value, adapted.state_dict()[name]) for name, value in expected.state_dict().items())


@pytest.mark.parametrize(
    ("size", "second", "expected"),
    [
        ("auto", (80, 56), (80, 56)),
        ("auto", (128, 96), SIZE),  # the video is smaller
        ("trained", (80, 56), SIZE),
        ("64x48", (80, 56), (64, 48)),
    ],
)
def test_adapt_to_video_gives_unlike_footage_the_size_and_the_smoothing_of_the_second_set(
    spotter: Spotter, video: Path, size: str, second: tuple[int, int], expected: tuple[int, int]
) -> None:
    both = copy.deepcopy(spotter)
    both.spec = dataclasses.replace(both.spec, unfamiliar_size=second)
    torch.manual_seed(1)
    both.unfamiliar = Spotter(dataclasses.replace(TOY_SPEC, smooth_ball=True)).eval()
    options = InferenceOptions(size=size)
    adapted, adaptation = adapt_to_video(both, video, options)
    assert adaptation is not None and share_of_second_set(adaptation.distance) == 1
    assert (adapted.spec.width, adapted.spec.height, adapted.spec.smooth_ball) == (*expected, True)
    assert adaptation.to_json().get("size") == ("80x56" if expected == second else None)
    # The statistics are those of frames of the size that the network then sees.
    by_hand = resize(between_sets(both, 1.0), expected)
    looks = [torch.from_numpy(batch) for batch in sample_clips(video, FPS, expected, options)]
    mix_statistics(by_hand.backbone, measure_statistics(by_hand.backbone, looks), adaptation.share)
    assert all(torch.equal(value, adapted.state_dict()[name]) for name, value in by_hand.state_dict().items())
    # A video like those of training keeps the first set, at its size.
    mix_statistics(
        both.backbone,
        measure_statistics(both.backbone, map(torch.from_numpy, sample_clips(video, FPS, SIZE, options))),
        1.0,
    )
    familiar, _ = adapt_to_video(both, video, InferenceOptions())
    assert (familiar.spec.width, familiar.spec.height, familiar.spec.smooth_ball) == (*SIZE, False)


def test_spot_video_applies_the_adaptation_unless_it_is_switched_off(spotter: Spotter, video: Path) -> None:
    plain = spot_video(spotter, video, InferenceOptions(precision="fp32", adapt="none"))
    adapted_spotter, _ = adapt_to_video(spotter, video, InferenceOptions())
    expected = spot_video(adapted_spotter, video, InferenceOptions(precision="fp32", adapt="none"))
    scores = spot_video(spotter, video, InferenceOptions(precision="fp32"))
    assert plain.adaptations == () and len(scores.adaptations) == 1
    np.testing.assert_array_equal(scores.scores_TK, expected.scores_TK)
    assert np.abs(scores.scores_TK - plain.scores_TK).max() > 1e-4


def test_adapt_to_video_leaves_a_spotter_without_batch_norms_alone(spotter: Spotter, video: Path) -> None:
    bare = load_spotter_without_norms(spotter)
    assert adapt_to_video(bare, video, InferenceOptions()) == (bare, None)


def load_spotter_without_norms(spotter: Spotter) -> Spotter:
    bare = Spotter(dataclasses.replace(TOY_SPEC, feature_arch="small")).eval()
    for layer in bare.backbone.modules():
        for name, child in list(layer.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(layer, name, torch.nn.Identity())
    return bare


def test_sampled_clips_leave_out_what_does_not_decode(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", constant(Fraction(25), 300, options={"g": "25", "bf": "0"}))
    data = bytearray(whole.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(data))
    look = SampleOptions(num_clips=10, clip_len=8)
    counts = [
        sum(len(batch) for batch in sample_clips(path, FPS, (160, 96), InferenceOptions(allow_truncated=True), look))
        for path in (whole, broken)
    ]
    assert counts[0] == 10
    assert 0 < counts[1] < 10


def no_file(buffering: int) -> io.FileIO:
    raise FileNotFoundError("no usable temporary folder")


def full_disk(buffering: int) -> io.FileIO:
    return io.FileIO("/dev/full", "r+")


@pytest.mark.parametrize("temporary_file", [no_file, full_disk])
def test_sampled_clips_stay_in_memory_where_no_file_takes_them(
    temporary_file: Callable[[int], io.FileIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    clips_THWC = [np.full((2, 4, 4, 3), number, np.uint8) for number in range(5)]
    expected = [batch_BTHWC.tolist() for batch_BTHWC in SampledClips(clips_THWC, 2)]
    assert [len(batch) for batch in expected] == [2, 2, 1]
    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    batches = SampledClips(clips_THWC, 2)
    for _ in range(2):
        assert [batch_BTHWC.tolist() for batch_BTHWC in batches] == expected


def test_adapt_to_video_does_nothing_where_sampling_fails(
    spotter: Spotter, video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise VideoError("no picture")

    monkeypatch.setattr(adapt, "sample_clips", fail)
    assert adapt_to_video(spotter, video, InferenceOptions()) == (spotter, None)
    assert "not adapted" in caplog.text and "no picture" in caplog.text


def test_spot_video_shows_the_network_frames_of_the_requested_size(spotter: Spotter, video: Path) -> None:
    options = InferenceOptions(precision="fp32", adapt="none", size="64x48")
    resized = copy.deepcopy(spotter)
    resized.spec = dataclasses.replace(spotter.spec, width=64, height=48)
    expected = spot_video(resized, video, InferenceOptions(precision="fp32", adapt="none"))
    np.testing.assert_array_equal(spot_video(spotter, video, options).scores_TK, expected.scores_TK)
    assert (spotter.spec.width, spotter.spec.height) == SIZE
    map_THW = next(ball_maps_of_video(spotter, video, options))
    assert map_THW.shape[1:] == (6, 8)


def test_size_is_refused_for_a_cropping_spotter_and_if_it_is_none(spotter: Spotter, video: Path) -> None:
    cropping = copy.copy(spotter)
    cropping.spec = dataclasses.replace(spotter.spec, crop_dim=48)
    with pytest.raises(ConfigurationError, match="sees the centre 48 pixels"):
        spot_video(cropping, video, InferenceOptions(size="128x96"))
    with pytest.raises(ConfigurationError, match="size is 'large'"):
        spot_video(spotter, video, InferenceOptions(size="large"))


def test_infer_states_the_adaptation_in_its_results(video: Path, tmp_path: Path) -> None:
    run = write_spotter(tmp_path / "best.safetensors")
    arguments = ["infer", str(run), str(video), "--device", "cpu", "--table", "0"]
    main([*arguments, "-o", str(tmp_path / "auto")])
    main([*arguments, "-o", str(tmp_path / "none"), "--adapt", "none"])
    auto, none = (
        json.loads((tmp_path / name / "224p" / "results_spotting.json").read_text()) for name in ("auto", "none")
    )
    assert "adapted" not in none
    (row,) = auto["adapted"]
    assert row["half"] == "1" and row["share"] == SHARE and row["num_frames"] >= 60

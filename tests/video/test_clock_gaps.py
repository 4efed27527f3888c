"""Stretches without pictures, where the clock of a file leaps forward, are held, said, and counted as not seen."""

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models.weights.checkpoint import load_spotter
from e2espot.video import index_of, open_reader
from e2espot.video.clock_gaps import log_gaps, pictures_before_gaps, seen_frames
from tests.support.numbered_video import HEIGHT, WIDTH, Video, numbers_in, write
from tests.support.tiny_dataset import write_spotter

TICK = Fraction(1, 25)


def write_leap(path: Path, leap: int, suffix: str = ".mp4") -> Path:
    """Pictures 0 to 49 at 25 a second, then 50 to 99 after the clock has leapt by ``leap`` ticks."""
    stamps = (*range(50), *(50 + leap + k for k in range(50)))
    return write(path, Video(stamps=stamps, time_base=TICK, suffix=suffix))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_seen_frames_leaves_out_a_leap_of_the_clock(suffix: str, tmp_path: Path) -> None:
    index = index_of(write_leap(tmp_path / "leap", 75, suffix))
    assert pictures_before_gaps(index).tolist() == [49]
    assert np.flatnonzero(~seen_frames(index, Fraction(25))).tolist() == list(range(50, 125))
    assert np.flatnonzero(~seen_frames(index, Fraction(25, 2))).tolist() == list(range(25, 62))


def test_reader_holds_the_picture_before_a_gap_and_calls_it_unreliable(tmp_path: Path) -> None:
    with open_reader(write_leap(tmp_path / "leap", 75)) as reader:
        frames = [48, 49, 50, 124, 125, 126]
        assert numbers_in(reader.read(frames)) == [48, 49, 49, 49, 50, 51]
        assert reader.is_reliable(frames).tolist() == [True, True, False, False, True, True]


@pytest.mark.parametrize(
    "stamps",
    [
        (*range(0, 250, 25), 250 + 200),  # a slideshow: one picture a second, one of them for nine seconds
        (*range(50), *range(73, 120)),  # 25 a second, one held for less than a second
    ],
)
def test_pictures_that_are_held_for_long_are_no_gaps(stamps: tuple[int, ...], tmp_path: Path) -> None:
    index = index_of(write(tmp_path / "held", Video(stamps=stamps, time_base=TICK, suffix=".mkv")))
    assert not len(pictures_before_gaps(index))
    assert seen_frames(index, Fraction(25)).all()


def test_log_gaps_names_times_and_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = index_of(write_leap(tmp_path / "leap", 75))
    with caplog.at_level(logging.WARNING):
        log_gaps([index])
        log_gaps([index])
    assert caplog.text.count("from 1.96 s to 5.00 s (pictures 49 and 50)") == 1


def test_clips_leave_out_what_was_not_seen(tmp_path: Path) -> None:
    path = write_leap(tmp_path / "leap", 75)
    labelled = LabelledVideo(num_frames=175, event_frames=(55, 120), event_targets=(1, 1))
    sampler = ClipSampler(videos=[labelled], clip_len=16, num_clips=30)
    clips = ClipDataset(
        [TrainingVideo(path=path, labelled=labelled)], sampler, fps=Fraction(25), size=(WIDTH, HEIGHT), label_radius=1
    )
    num_not_seen = 0
    for index in range(30):
        sample, frame_T = clips[0, index], sampler.clip(0, index).start + np.arange(16)
        in_gap_T = (frame_T >= 50) & (frame_T < 125)
        num_not_seen += int(in_gap_T.sum())
        assert sample.targets.valid_T.tolist() == ((frame_T >= 0) & (frame_T < 175) & ~in_gap_T).tolist()
        assert not sample.frames[in_gap_T].any()
    assert num_not_seen > 50


def test_spot_video_scores_nothing_in_a_gap(tmp_path: Path) -> None:
    spotter = load_spotter(write_spotter(tmp_path / "run.safetensors"), "cpu").eval()
    scores = spot_video(spotter, write_leap(tmp_path / "leap", 75), InferenceOptions())
    assert scores.coverage is not None
    borders_ms = np.array(scores.coverage.ranges_ms(scores.fps))
    assert np.abs(borders_ms - [[0, 2000], [5000, 7000]]).max() <= 80  # one frame of the network
    valid_T = scores.coverage.mask(len(scores.scores_TK))
    assert not scores.scores_TK[~valid_T].any()
    assert scores.scores_TK[valid_T].all()

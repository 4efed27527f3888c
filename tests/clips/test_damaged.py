"""Clips leave out frames that a decoder invents after damage."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from tests.support.numbered_video import constant, numbers_in, overwrite_packets, write

SIZE, LOST = (160, 96), 33


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with a key frame every ten pictures, one picture of which is overwritten."""
    options = {"g": "10", "bf": "0", "sc_threshold": "0"}
    path = write(tmp_path_factory.mktemp("damaged") / "video", constant(Fraction(25), 60, options=options))
    return overwrite_packets(path, slice(LOST, LOST + 1), 0xFF)


def test_frames_after_damage_are_invalid_wherever_the_clip_starts(
    damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labelled = LabelledVideo(num_frames=60, event_frames=(35,), event_targets=(1,))
    sampler = ClipSampler(videos=[labelled], clip_len=16, num_clips=40)
    clips = ClipDataset(
        [TrainingVideo(path=damaged, labelled=labelled)], sampler, fps=Fraction(25), size=SIZE, label_radius=1
    )
    num_damaged = 0
    for index in range(40):
        sample, frame_T = clips[0, index], sampler.clip(0, index).start + np.arange(16)
        valid_T = sample.targets.valid_T
        invented_T = (frame_T >= LOST) & (frame_T < 40)
        num_damaged += int(invented_T.any())
        assert valid_T.tolist() == ((frame_T >= 0) & (frame_T < 60) & ~invented_T).tolist()
        assert numbers_in(sample.frames[valid_T]) == frame_T[valid_T].tolist()
        assert not sample.frames[~valid_T].any()
    assert num_damaged > 5
    assert caplog.text.count("parts of it are damaged or missing") == 1

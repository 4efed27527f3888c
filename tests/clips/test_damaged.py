"""Clips leave out what a decoder has made up after damage."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.sampler import ClipSampler, LabelledVideo
from tests.support.numbered_video import constant, numbers_in, write

SIZE, LOST = (160, 96), 33


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pictures every ten, and one picture lost."""
    options = {"g": "10", "bf": "0", "sc_threshold": "0"}
    path = write(tmp_path_factory.mktemp("damaged") / "video", constant(Fraction(25), 60, options=options))
    with av.open(str(path)) as container:
        place, size = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size][LOST]
    data = bytearray(path.read_bytes())
    data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    return path


def test_frames_behind_damage_are_invalid_wherever_a_clip_begins(
    damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labelled = LabelledVideo(num_frames=60, event_frames=(35,), event_targets=(1,))
    sampler = ClipSampler(videos=[labelled], clip_len=16, num_clips=40)
    clips = ClipDataset([TrainingVideo(path=damaged, labelled=labelled)], sampler, fps="25", size=SIZE, dilate_len=1)
    met = 0
    for index in range(40):
        clip, frames_T = clips[0, index], sampler.clip(0, index).start + np.arange(16)
        made_up_T = (frames_T >= LOST) & (frames_T < 40)
        met += int(made_up_T.any())
        assert clip["valid"].tolist() == ((frames_T >= 0) & (frames_T < 60) & ~made_up_T).tolist()
        assert numbers_in(clip["frames"][clip["valid"]]) == frames_T[clip["valid"]].tolist()
        assert not clip["frames"][~clip["valid"]].any()
    assert met > 5
    assert caplog.text.count("damaged in places") == 1

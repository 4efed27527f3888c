"""AVI has no display times: decord counts wrongly with B-frames, FFmpeg before dropped pictures."""

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.video import index_video, open_reader
from e2espot.video.transcode import transcode
from tests.support.numbered_video import Video, constant, number_in, numbers_in, write

DROPPED = (10, 11, 12, 40)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_pictures_before_dropped_ones_are_on_time(codec: str, tmp_path: Path) -> None:
    """Capture programs write an empty chunk for a picture that they dropped: the one before stays on screen."""
    stamps = tuple(k for k in range(60) if k not in DROPPED)
    video = Video(stamps=stamps, time_base=Fraction(1, 25), codec=codec, suffix=".avi", options={"g": "20", "bf": "0"})
    path = write(tmp_path / "capture", video)
    wanted = [max(number for number in range(len(stamps)) if stamps[number] <= frame) for frame in range(60)]
    with open_reader(path) as reader:
        assert numbers_in(reader.read(range(60))) == wanted
        assert [number_in(reader.read([frame])[0]) for frame in (41, 9, 12, 59, 0)] == [
            wanted[frame] for frame in (41, 9, 12, 59, 0)
        ]
    transcode(path, tmp_path / "new.mp4")
    with open_reader(tmp_path / "new.mp4") as reader:
        assert numbers_in(reader.read(range(60))) == wanted


@pytest.mark.parametrize("bf", [0, 2])
def test_decord_clips_at_random_of_h264_in_avi(bf: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "camera", constant(Fraction(25), 200, suffix=".avi", options={"g": "25", "bf": str(bf)}))
    assert index_video(path).identified_by == ("decode_order" if bf else "pts")
    with caplog.at_level(logging.WARNING), open_reader(path, reader="decord") as reader:
        for start in np.random.default_rng(0).integers(0, 190, 40).tolist():
            assert numbers_in(reader.read(range(start, start + 10))) == list(range(start, start + 10))
    assert ("read by PyAV instead of decord" in caplog.text) == bool(bf)

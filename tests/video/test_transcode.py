"""Conversion to plain H.264: times, pixels, errors, and what decode-friendly files are made of."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from e2espot.core.errors import VideoError
from e2espot.video import index_video, open_reader
from e2espot.video.stream_copy import decode_overhead
from e2espot.video.transcode import transcode
from tests.support.numbered_video import Video, constant, expected, numbers_in, write

FULL_709 = (int(Colorspace.ITU709), int(ColorRange.JPEG))


def test_transcode_keeps_the_time_of_every_picture(tmp_path: Path) -> None:
    stamps = tuple(np.cumsum([0, *np.random.default_rng(1).integers(15, 70, 80)]).tolist())
    source = write(tmp_path / "source", Video(stamps=stamps, time_base=Fraction(1, 1000), options={"g": "30"}))
    assert transcode(source, tmp_path / "out" / "new.mp4") == 81
    with open_reader(tmp_path / "out" / "new.mp4", fps=Fraction(25)) as reader:
        shown = numbers_in(reader.read(range(reader.info.num_frames)))
    wanted = expected([Fraction(stamp, 1000) for stamp in stamps], list(range(81)), Fraction(25))
    # Only how long the last picture lasts may differ.
    assert shown[: len(wanted) - 2] == wanted[:-2]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.mp4"]


def pixels(path: Path) -> np.ndarray:
    with open_reader(path, fps=Fraction(25)) as reader:
        return np.asarray(reader.read(range(reader.info.num_frames)))


@pytest.mark.parametrize("more", [{"rotation_degrees": 90}, {"rotation_degrees": 180}, {"colour": FULL_709}])
def test_transcode_keeps_size_rotation_and_colours(more: dict[str, Any], tmp_path: Path) -> None:
    source = write(tmp_path / "source", replace(constant(Fraction(25), 12), **more))
    transcode(source, tmp_path / "new.mp4")
    before, after = pixels(source), pixels(tmp_path / "new.mp4")
    assert before.shape == after.shape
    assert np.abs(before.astype(int) - after).mean() < 1.5


def test_transcode_converts_a_truncated_file_only_if_allowed(tmp_path: Path) -> None:
    source = write(tmp_path / "source", constant(Fraction(25), 200, suffix=".mkv", options={"g": "10"}))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"breaks off after .* of 8.*allow_truncated=True") as caught:
        transcode(source, tmp_path / "new.mp4")
    assert caught.value.option == "allow_truncated"
    assert not (tmp_path / "new.mp4").exists()
    assert 20 < transcode(source, tmp_path / "new.mp4", allow_truncated=True) < 190
    with pytest.raises(VideoError, match="is the source itself"):
        transcode(tmp_path / "new.mp4", tmp_path / "new.mp4")


def test_transcode_keeps_the_old_target_on_errors(tmp_path: Path) -> None:
    target = write(tmp_path / "target", constant(Fraction(25), 10))
    before = target.read_bytes()
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        transcode(tmp_path / "text.mp4", target)
    assert target.read_bytes() == before
    with pytest.raises(VideoError, match=r"\.mp4 or \.mkv"):
        transcode(target, tmp_path / "new.webm")


def test_transcode_decode_friendly_writes_short_closed_gops_in_order(tmp_path: Path) -> None:
    heavy = constant(Fraction(25), 260, size=(398, 224), options={"g": "250", "bf": "3", "x264-params": "scenecut=0"})
    source, target = write(tmp_path / "heavy", heavy), tmp_path / "friendly.mp4"
    assert transcode(source, target, decode_friendly=True) == 260
    before, after = index_video(source), index_video(target)
    assert (after.width, after.height) == (400, 224)
    assert after.start_picture_S.tolist() == list(range(0, 260, 25))
    assert after.is_closed_gop_S.all()
    assert (after.packet_P == np.arange(260)).all()
    assert numbers_in(open_reader(target).read(range(260))) == list(range(260))
    assert decode_overhead(before, 100) > 1.6
    assert decode_overhead(after, 100) < 1.2

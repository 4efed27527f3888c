"""Files with two video streams: the one that players choose is read, and the other one is logged."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from e2espot.video import index_video, open_reader
from e2espot.video.transcode import transcode
from tests.support.numbered_video import constant, numbers_in, picture

COUNT = 60


def write_two(path: Path, *, default: int) -> Path:
    """Stream 0 counts up and stream 1 down; one of them is flagged as the default, as multi-camera recorders do."""
    template = constant(Fraction(25), COUNT)
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for number in range(2):
            stream: Any = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = *template.size, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            stream.disposition = int(number == default)
            streams.append(stream)
        for position in range(COUNT):
            for stream, number in zip(streams, (position, 1000 - position), strict=True):
                image = av.VideoFrame.from_ndarray(picture(number), "rgb24")
                image.pts, image.time_base = position, Fraction(1, 25)
                container.mux(stream.encode(image))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("default", [0, 1])
def test_reader_and_transcode_take_the_stream_that_players_choose(
    default: int, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_two(tmp_path / f"two{suffix}", default=default)
    with av.open(str(path)) as container:
        assert [bool(int(stream.disposition) & 1) for stream in container.streams.video] == [default == 0, default == 1]
    wanted = [1000 - number if default else number for number in range(COUNT)]
    with caplog.at_level(logging.WARNING):
        assert index_video(path).stream_index == default
    assert f"holds 2 video streams; stream {default} is read, not {1 - default}" in caplog.text
    assert numbers_in(open_reader(path).read(range(COUNT))) == wanted
    assert numbers_in(open_reader(path, reader="decord").read([50, 3])) == [wanted[50], wanted[3]]
    assert transcode(path, tmp_path / "new.mp4") == COUNT
    assert numbers_in(open_reader(tmp_path / "new.mp4").read(range(COUNT))) == wanted

"""The table of events that infer prints: its pictures are those of the stream that was read, at the rate given."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from e2espot.cli.event_table import print_events
from e2espot.core.events import Event
from e2espot.core.open_arguments import OpenArguments
from e2espot.formats.game import Game
from e2espot.inference.job import single_video
from tests.support.numbered_video import picture

GRID_FPS = Fraction(25, 2)


def write_two_rates(path: Path) -> Path:
    """Two seconds: stream 0 has 25 pictures a second and is the one that players choose, stream 1 has 50."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for rate in (25, 50):
            stream: Any = container.add_stream("libx264", rate=rate, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            stream.codec_context.time_base = Fraction(1, rate)
            stream.disposition = int(rate == 25)
            streams.append(stream)
        for position in range(100):
            for stream, every in zip(streams, (2, 1), strict=True):
                if position % every == 0:
                    image = av.VideoFrame.from_ndarray(picture(position // every), "rgb24")
                    image.pts, image.time_base = position // every, Fraction(every, 50)
                    container.mux(stream.encode(image))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def write_raw(path: Path) -> Path:
    """100 pictures of H.264, which states no times."""
    with av.open(str(path), "w", format="h264") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(100):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        container.mux(stream.encode(None))
    return path


def printed_picture(path: Path, frame: int, opening: OpenArguments, capsys: pytest.CaptureFixture[str]) -> str:
    """The column ``picture`` of an event."""
    video = single_video(path)
    game = Game(name=video.game, folder=path.parent, videos=(video,), labels_path=None)
    event = Event(frame=frame, label="PASS", confidence=0.9, fps=GRID_FPS)
    print_events(game, [event], GRID_FPS, rows=1, opening=opening)
    header, row = capsys.readouterr().out.splitlines()[2:4]
    return row.split()[header.split().index("picture") + 2]  # the time is three words: 1 - 00:01.00


@pytest.mark.parametrize(("video_stream", "shown"), [(None, "21"), (0, "21"), (1, "42")])
def test_print_events_counts_the_pictures_of_the_stream_that_was_read(
    video_stream: int | None, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frame 10 of the grid shows the picture at 0.84 s, its middle."""
    path = write_two_rates(tmp_path / "two.mkv")
    assert printed_picture(path, 10, {"video_stream": video_stream}, capsys) == shown


@pytest.mark.parametrize(("source_fps", "shown"), [(Fraction(25), "21"), (Fraction(50), "42")])
def test_print_events_counts_the_pictures_of_a_raw_stream(
    source_fps: Fraction, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_raw(tmp_path / "match.h264")
    assert printed_picture(path, 10, {"source_fps": source_fps}, capsys) == shown

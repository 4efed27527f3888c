"""DALI's pictures have the colours of the other readers, for each matrix and range, scaled up, down and not at all."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from dali_pipelines.colour import SourceColours, rgb_from_yuv, swscale_colours
from dali_pipelines.graph import GraphOptions
from dali_pipelines.stream import MatchStream
from e2espot.core.pixels import YUV_RED_BLUE
from e2espot.video import open_reader

SIZE = (160, 96)
TAGS = {"bt709": (1, 1), "bt601": (5, 1), "bt601-full": (5, 2), "bt709-full": (1, 2)}
SOURCES = {"down": (320, 180), "columns": (176, 96), "same": SIZE, "up": (128, 72)}
COUNT = 9


def planes(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Smooth luma and chroma with some noise, as FFmpeg stores yuv420p; none so extreme that RGB is clipped."""
    parts = []
    for width, height, low, high in ((*size, 90, 160), *[(size[0] // 2, size[1] // 2, 98, 158)] * 2):
        coarse = rng.uniform(low, high, (height // 8 + 2, width // 8 + 2))
        rows, columns = np.linspace(0, height // 8, height), np.linspace(0, width // 8, width)
        smooth = np.array([np.interp(columns, range(coarse.shape[1]), row) for row in coarse])
        smooth = np.array([np.interp(rows, range(coarse.shape[0]), column) for column in smooth.T]).T
        parts.append(np.round(smooth + rng.normal(0, 2, smooth.shape)).astype(np.uint8).ravel())
    return np.concatenate(parts)


def frames(size: tuple[int, int], tags: tuple[int, int], count: int) -> list[Any]:
    rng, made = np.random.default_rng(4), []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(planes(size, rng).reshape(-1, size[0]), "yuv420p")
        frame.colorspace, frame.color_range = tags
        frame.pts, frame.time_base = number, Fraction(1, 25)
        made.append(frame)
    return made


def flat_frames(size: tuple[int, int], tags: tuple[int, int], count: int) -> list[Any]:
    """Pictures of squares of one colour each, which together have all codes of Cb and Cr from 88 to 167."""
    rng, made = np.random.default_rng(5), []
    for number in range(count):
        parts = []
        for width, height, low, high in ((*size, 90, 160), *[(size[0] // 2, size[1] // 2, 88, 168)] * 2):
            rows, columns = height // 48, width // 48
            codes = low + (number * rows * columns + rng.permutation(rows * columns)) % (high - low)
            squares = codes.reshape(rows, columns).astype(np.uint8)
            parts.append(np.kron(squares, np.ones((48, 48), np.uint8)).ravel())
        frame = av.VideoFrame.from_ndarray(np.concatenate(parts).reshape(-1, size[0]), "yuv420p")
        frame.colorspace, frame.color_range = tags
        frame.pts, frame.time_base = number, Fraction(1, 25)
        made.append(frame)
    return made


def lossless(path: Path, size: tuple[int, int], tags: tuple[int, int], made: Sequence[Any] = ()) -> Path:
    """A VP9 file whose decoded pictures are exactly those of ``frames``, or the ones ``made``."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"lossless": "1", "deadline": "realtime", "cpu-used": "8"}
        stream.codec_context.colorspace, stream.codec_context.color_range = tags
        for frame in made or frames(size, tags, COUNT):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("source", SOURCES)
def test_match_stream_has_the_colours_of_the_other_readers(
    source: str, tags: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = lossless(tmp_path / "smooth.mkv", SOURCES[source], TAGS[tags])
    options = GraphOptions(device=torch.device("cpu"), batch_size=1, num_threads=1)
    ours = torch.cat(list(MatchStream(path=path, size=SIZE, options=options).chunks())).numpy().astype(int)
    with open_reader(path, size=SIZE) as reader:
        difference = ours - reader.read(range(COUNT))
    assert not caplog.messages, "PyAV has read it"
    # With DALI's own conversion they differ by 1.0 to 3.8 on average, nearly all of it in one direction.
    assert np.abs(difference).mean() < 0.1
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.05
    assert np.percentile(np.abs(difference), 99) <= 1


@pytest.mark.parametrize("tags", TAGS)
def test_flat_colours_are_those_of_the_other_readers_to_the_step(tags: str, tmp_path: Path) -> None:
    # 480x288 scaled to 160x96: of each square of 48 pixels, the middle of 16 is not mixed with its neighbours
    size = 480, 288
    path = lossless(tmp_path / "flat.mkv", size, TAGS[tags], flat_frames(size, TAGS[tags], COUNT))
    options = GraphOptions(device=torch.device("cpu"), batch_size=1, num_threads=1)
    ours = torch.cat(list(MatchStream(path=path, size=SIZE, options=options).chunks())).numpy()
    with open_reader(path, size=SIZE) as reader:
        theirs = reader.read(range(COUNT))
    # Chroma squares are twice as large; a multiple of 16 plus 8 is the middle of both.
    assert np.array_equal(ours[:, 8::16, 8::16], theirs[:, 8::16, 8::16])


@pytest.mark.parametrize("matrix", ["bt709", "bt601", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_swscale_colours_shift_by_what_swscale_loses(source: str, full_range: bool, matrix: str) -> None:
    size, red_blue = SOURCES[source], YUV_RED_BLUE[matrix]
    tags = {"bt709": 1, "bt601": 5, "bt2020": 9}[matrix], 2 if full_range else 1
    lost = []
    for frame in frames(size, tags, 3):
        luma, *chroma = (plane_codes(frame, number).mean() for number in range(3))
        black, luma_span, chroma_span = (0, 255, 255) if full_range else (16, 219, 224)
        yuv = np.array([(luma - black) / luma_span, *((code - 128) / chroma_span for code in chroma)])
        shown = frame.reformat(*SIZE, "rgb24", interpolation="BILINEAR", threads=1).to_ndarray().mean(axis=(0, 1))
        lost.append(shown - rgb_from_yuv(*red_blue) @ yuv * 255)
    expected = swscale_colours(SourceColours(size=size, matrix=matrix, full_range=full_range), SIZE).offset_3
    np.testing.assert_allclose(np.mean(lost, axis=0), expected, atol=0.2)


def plane_codes(frame: Any, number: int) -> np.ndarray:
    plane = frame.planes[number]
    codes: np.ndarray = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    return codes


def test_odd_widths_share_no_chroma_and_lose_nothing() -> None:
    source = SourceColours(size=(320, 180), matrix="bt709", full_range=False)
    assert np.array_equal(swscale_colours(source, (159, 96)).offset_3, np.zeros(3))

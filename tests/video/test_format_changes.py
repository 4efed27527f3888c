"""Files whose picture size or codec header changes half way: read by PyAV where another backend was asked for."""

import dataclasses
import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dali_pipelines.routes import choose_route, dali_index
from e2espot.core.errors import VideoError
from e2espot.video import index_video, open_reader
from tests.support.mp4_boxes import Description, read_box, read_header, read_samples, write_mp4
from tests.support.numbered_video import Video, constant, numbers_in, write

HALF = 60
SMALL, LARGE = (160, 96), (240, 144)
X264 = {"g": "20", "bf": "2", "x264-params": "scenecut=0:b-adapt=0"}
X265 = {"preset": "ultrafast", "x265-params": "keyint=20:bframes=2:log-level=none"}
VPX = {"deadline": "realtime", "cpu-used": "8", "g": "20"}


def halves(folder: Path, sizes: tuple[tuple[int, int], tuple[int, int]], **more: Any) -> list[Path]:
    """Two files with pictures 0 to 59 and 60 to 119."""
    suffix = more.pop("suffix", ".mkv")
    videos = [constant(Fraction(25), HALF, suffix=suffix, size=size, **more) for size in sizes]
    return [write(folder / f"half{i}", video, first=HALF * i) for i, video in enumerate(videos)]


def join(parts: list[Path], target: Path) -> Path:
    """Copy the packets of one file after those of another."""
    with av.open(str(target), "w") as new:
        written: Any = None
        for i, part in enumerate(parts):
            with av.open(str(part)) as old:
                stream = old.streams.video[0]
                written = written or new.add_stream_from_template(stream)
                first = None
                for packet in old.demux(stream):
                    if packet.size:
                        first = packet.dts if first is None else first
                        shift = round(Fraction(i * HALF, 25) / packet.time_base) - first
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, written
                        new.mux(packet)
    return target


def joined(suffix: str, **more: Any) -> Callable[[Path], Path]:
    return lambda folder: join(halves(folder, (SMALL, LARGE), suffix=suffix, **more), folder / f"joined{suffix}")


def described(
    order: tuple[int, ...], sizes: tuple[tuple[int, int], tuple[int, int]], **more: Any
) -> Callable[[Path], Path]:
    """A file with two sample descriptions, and ``order`` of the halves."""

    def make(folder: Path) -> Path:
        is_hevc = more.get("codec") == "libx265"
        names = {"entry_name": "hvc1", "header_name": "hvcC"} if is_hevc else {}
        parts = halves(folder, sizes, suffix=".mp4", **more)
        entries = [Description(header=read_header(p), size=s, **names) for p, s in zip(parts, sizes, strict=True)]
        samples = [read_samples(part, number) for number, part in enumerate(parts, 1)]
        return write_mp4(folder / "described.mp4", [s for number in order for s in samples[number]], entries)

    return make


KINDS = {
    "vp9": joined(".webm", codec="libvpx-vp9", options=VPX),
    "vp8": joined(".webm", codec="libvpx", options=VPX),
    "mjpeg": joined(".mkv", codec="mjpeg", pixel_format="yuvj420p", options={"qscale": "2"}),
    "h264 in a transport stream": joined(".ts", options=X264),
    "hevc in a transport stream": joined(".ts", codec="libx265", options=X265),
    "two descriptions": described((0, 1), (SMALL, LARGE), options=X264),
    "two descriptions in turn": described((0, 1, 0), (SMALL, LARGE), options=X264),
    "two descriptions of hevc": described((0, 1), (SMALL, LARGE), codec="libx265", options=X265),
}
NUMBERS = {"two descriptions in turn": [*range(2 * HALF), *range(HALF)]}


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A file, and the numbers of its pictures."""
    path = KINDS[request.param](tmp_path_factory.mktemp("format"))
    return path, NUMBERS.get(request.param, list(range(2 * HALF)))


@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_reader_shows_every_picture_across_a_change(
    made: tuple[Path, list[int]], reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path, numbers = made
    for fps, step, size in ((Fraction(25), 1, (80, 48)), (Fraction(25, 2), 2, None)):
        wanted = numbers[step - 1 :: step]
        with open_reader(path, fps=fps, size=size, reader=reader) as frames:
            assert frames.info.num_frames == len(wanted)
            for start in np.random.default_rng(0).integers(0, len(wanted) - 8, 16).tolist():
                assert numbers_in(frames.read(range(start, start + 8))) == wanted[start : start + 8]
            assert numbers_in(frames.read(range(len(wanted)))) == wanted
            assert numbers_in(frames.read([2])) == [wanted[2]]
    assert ("the size or coding of its pictures changes after" in caplog.text) == (reader == "decord")


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_choose_route_leaves_a_change_of_format_to_the_host(made: tuple[Path, list[int]], device_type: str) -> None:
    index = dali_index(made[0])
    if device_type == "cpu" and index.codec_name in ("h264", "hevc"):
        return  # refused whatever its format
    route, reason = choose_route(index, device_type)
    assert (route, "the size or coding of its pictures changes after" in reason) == ("host", True)


def test_first_change_is_in_the_index(made: tuple[Path, list[int]]) -> None:
    assert index_video(made[0]).format_change_packet == HALF


@pytest.mark.parametrize(
    "video",
    [
        constant(Fraction(25), 60, suffix=".ts", options=X264),
        constant(Fraction(25), 60, suffix=".mkv", options=X264),
        constant(Fraction(25), 60, suffix=".avi", options={**X264, "bf": "0"}),
        constant(Fraction(25), 60, suffix=".flv", options=X264),
        constant(Fraction(25), 60, suffix=".ts", codec="libx265", options=X265),
        constant(Fraction(25), 60, suffix=".mp4", codec="libx265", options=X265),
        constant(Fraction(25), 60, suffix=".avi", codec="mpeg4", options={"g": "20"}),
        constant(Fraction(25), 60, suffix=".mp4", codec="mpeg4", options={"g": "20"}),
        constant(Fraction(25), 60, suffix=".webm", codec="libvpx", options=VPX),
        constant(Fraction(25), 60, suffix=".webm", codec="libvpx-vp9", options={**VPX, "error-resilient": "1"}),
        constant(
            Fraction(25),
            60,
            suffix=".webm",
            codec="libvpx-vp9",
            options={"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16", "g": "20"},
        ),
        constant(Fraction(25), 60, suffix=".mkv", codec="libvpx-vp9", pixel_format="yuv444p", options=VPX),
        constant(Fraction(25), 60, suffix=".mov", codec="mjpeg", pixel_format="yuvj420p"),
    ],
    ids=lambda video: f"{video.codec}{video.suffix} {video.pixel_format}",
)
def test_files_of_one_format_have_no_change(video: Video, tmp_path: Path) -> None:
    assert index_video(write(tmp_path / "plain", video)).format_change_packet is None


def test_second_description_is_the_header_where_it_is_the_only_one_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = described((1,), (SMALL, LARGE), options=X264)(tmp_path)
    with caplog.at_level(logging.WARNING), open_reader(path, reader="decord") as frames:
        assert numbers_in(frames.read(range(HALF))) == list(range(HALF, 2 * HALF))
    assert not caplog.text


def test_same_description_twice_is_no_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = write(tmp_path / "plain", constant(Fraction(25), HALF, options=X264))
    entry = Description(header=read_header(plain), size=SMALL)
    samples = [dataclasses.replace(s, description=1 + (i >= 40)) for i, s in enumerate(read_samples(plain))]
    path = write_mp4(tmp_path / "twice.mp4", samples, [entry, entry])
    assert index_video(path).format_change_packet is None
    with caplog.at_level(logging.WARNING), open_reader(path, reader="decord") as frames:
        assert numbers_in(frames.read(range(HALF))) == list(range(HALF))
    assert not caplog.text


def test_index_refuses_a_track_in_two_codecs(tmp_path: Path) -> None:
    """FFmpeg reads the first one, and leaves out the pictures in the other."""
    first = write(tmp_path / "first", constant(Fraction(25), HALF, options=X264))
    second = write(tmp_path / "second", constant(Fraction(25), HALF, codec="libx265", options=X265))
    entries = [
        Description(header=read_header(first), size=SMALL),
        Description(header=read_header(second), size=SMALL, entry_name="hvc1", header_name="hvcC"),
    ]
    path = write_mp4(tmp_path / "both.mp4", [*read_samples(first), *read_samples(second, 2)], entries)
    with pytest.raises(VideoError, match=r"its pictures are in several codecs \(avc1, hvc1\)") as caught:
        index_video(path)
    assert "\n" not in str(caught.value)


def test_index_refuses_a_new_header_that_the_decoder_ignores(tmp_path: Path) -> None:
    parts = halves(tmp_path, (SMALL, LARGE), suffix=".mp4", codec="mpeg4", options={"g": "20"})
    entries = [
        Description(header=read_box(part, "esds"), size=size, entry_name="mp4v", header_name="esds")
        for part, size in zip(parts, (SMALL, LARGE), strict=True)
    ]
    path = write_mp4(tmp_path / "both.mp4", [*read_samples(parts[0]), *read_samples(parts[1], 2)], entries)
    with pytest.raises(VideoError, match=f"its codec header changes at picture {HALF}, where FFmpeg goes on decoding"):
        index_video(path)

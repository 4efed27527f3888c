"""What transcode writes shows the same pictures at the same times as its source, in every situation that it accepts."""

import logging
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import open_reader
from e2espot.video.transcode import transcode
from tests.support.numbered_video import Video, constant, numbers_in, overwrite_packets, picture, remux, write

PLAIN = constant(Fraction(25), 100, options={"g": "25", "bf": "2"})
RNG = np.random.default_rng(4)
UNEVEN = Video(stamps=tuple(np.cumsum([0, *RNG.integers(11, 90, 99)]).tolist()), time_base=Fraction(1, 1000))
GAPS = Video(
    stamps=tuple(k * 40 + 3000 * (k >= 30) + 12_340 * (k >= 31) + 500 * (k >= 99) for k in range(100)),
    time_base=Fraction(1, 1000),
)
CASES: dict[str, Video] = {
    "plain": PLAIN,
    "variable rate": UNEVEN,
    "variable rate in matroska": replace(UNEVEN, suffix=".mkv"),
    "29.97": constant(Fraction(30000, 1001), 100, options={"bf": "2"}),
    "59.94": constant(Fraction(60000, 1001), 100),
    "gaps": GAPS,
    "rotated, odd": replace(PLAIN, rotation_degrees=180, size=(161, 97), pixel_format="yuv444p"),
    "odd sizes": replace(PLAIN, size=(161, 97), pixel_format="yuv444p"),
    "4:2:2": replace(PLAIN, pixel_format="yuv422p"),
    "10 bit": replace(PLAIN, pixel_format="yuv420p10le"),
    "10 bit 4:2:2": replace(PLAIN, pixel_format="yuv422p10le"),
    "transport stream": replace(PLAIN, suffix=".ts"),
    "mpeg-4 part 2": replace(PLAIN, codec="mpeg4", options={"g": "12"}),
    "mpeg-2": replace(PLAIN, codec="mpeg2video", suffix=".ts", options={"g": "12", "bf": "2"}),
    "hevc": replace(PLAIN, codec="libx265", options={"x265-params": "log-level=none"}),
    "vp9 in webm": replace(
        PLAIN, codec="libvpx-vp9", suffix=".webm", options={"deadline": "realtime", "cpu-used": "8"}
    ),
    "open groups": replace(PLAIN, options={"g": "10", "bf": "2", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}),
}


def shown(path: Path, fps: Fraction) -> list[int]:
    with open_reader(path, fps=fps) as reader:
        return numbers_in(reader.read(range(reader.info.num_frames)))


def assert_same(source: Path, target: Path, *, pictures: int = 100) -> None:
    assert transcode(source, target) == pictures
    for fps in (Fraction(25), Fraction(25, 2), Fraction(100)):
        before, after = shown(source, fps), shown(target, fps)
        # How long the last picture lasts is the median step on both sides; rounding may move it by a frame.
        assert abs(len(before) - len(after)) <= 1
        assert before[: len(after)] == after[: len(before)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", CASES)
def test_transcode_shows_the_pictures_of_its_source_at_their_times(name: str, suffix: str, tmp_path: Path) -> None:
    assert_same(write(tmp_path / "source", CASES[name]), tmp_path / f"new{suffix}")


@pytest.mark.parametrize("shift", [-5120, 1280])
def test_transcode_follows_the_edit_list(shift: int, tmp_path: Path) -> None:
    source = remux(write(tmp_path / "plain", PLAIN), tmp_path / "shifted.mp4", shift=shift)
    hidden = 10 if shift < 0 else 0
    assert_same(source, tmp_path / "new.mp4", pictures=100 - hidden)
    assert shown(tmp_path / "new.mp4", Fraction(25))[:3] == [hidden, hidden + 1, hidden + 2]


def write_with(path: Path, add: Callable[[Any], Callable[[int], None]]) -> Path:
    """100 numbered pictures, and next to each what the function returned by ``add`` muxes."""
    with av.open(str(path), "w") as container:
        extra = add(container)
        stream: Any = container.add_stream("libx264", rate=25, options={"g": "25"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(100):
            image = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            image.pts, image.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(image))
            extra(number)
        container.mux(stream.encode(None))
        extra(-1)
    return path


def audio(container: Any) -> Callable[[int], None]:
    stream = container.add_stream("aac", rate=32_000)

    def mux(number: int) -> None:
        samples = None
        if number >= 0:
            samples = av.AudioFrame.from_ndarray(np.zeros((2, 1280), dtype=np.float32), "fltp", "stereo")
            samples.sample_rate, samples.pts, samples.time_base = 32_000, number * 1280, Fraction(1, 32_000)
        container.mux(stream.encode(samples))

    return mux


def cover(container: Any) -> Callable[[int], None]:
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    stream.disposition = 1024

    def mux(number: int) -> None:
        if number == 0:
            image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), "rgb24")
            for packet in stream.encode(image.reformat(format="yuvj420p")):
                container.mux(packet)

    return mux


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_transcode_leaves_audio_out(suffix: str, tmp_path: Path) -> None:
    assert_same(write_with(tmp_path / f"source{suffix}", audio), tmp_path / "new.mp4")
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_transcode_leaves_cover_pictures_out(tmp_path: Path) -> None:
    source = write_with(tmp_path / "source.mp4", cover)
    with av.open(str(source)) as container:
        assert [bool(int(stream.disposition) & 1024) for stream in container.streams.video].count(True) == 1
    assert_same(source, tmp_path / "new.mp4")


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_transcode_holds_the_picture_before_packets_that_do_not_decode(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = replace(PLAIN, options={"g": "20", "bf": "0", "x264-params": "scenecut=0"}, suffix=suffix)
    source = overwrite_packets(write(tmp_path / "source", plain), slice(48, 60), keep=8)
    with caplog.at_level(logging.WARNING):
        count = transcode(source, tmp_path / "new.mp4")
    # A decoder may still output something for a packet that it reports as damaged.
    assert 88 <= count < 100
    assert f"{source}: {100 - count} of its packets do not decode; the picture before is held, first at" in caplog.text
    assert shown(tmp_path / "new.mp4", Fraction(25)) == shown(source, Fraction(25))


def test_transcode_refuses_a_long_range_that_does_not_decode_unless_allowed(tmp_path: Path) -> None:
    plain = replace(PLAIN, options={"g": "20", "bf": "0", "x264-params": "scenecut=0"}, suffix=".mkv")
    source, target = overwrite_packets(write(tmp_path / "source", plain), slice(40, 80), keep=8), tmp_path / "new.mp4"
    with pytest.raises(
        VideoError, match=r"cannot be decoded from 0:00:01\.560 \(picture 39\) on.*allow_truncated"
    ) as caught:
        transcode(source, target)
    assert caught.value.option == "allow_truncated"
    assert not target.exists()
    assert transcode(source, target, allow_truncated=True) == 60
    assert shown(target, Fraction(25)) == [*range(40), *[39] * 40, *range(80, 100)]

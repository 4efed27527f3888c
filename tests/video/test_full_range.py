"""Copies tagged as full range: other tags, the same pictures, in every container that is copied."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from e2espot.video import index_of
from e2espot.video.full_range import can_be_tagged
from e2espot.video.stream_copy import cut_pictures

COUNT, FIRST = 20, 7
VPX = {"deadline": "realtime", "cpu-used": "8", "g": "6"}
FILES: dict[str, tuple[str, dict[str, str]]] = {
    "vp9.mkv": ("libvpx-vp9", VPX),
    "vp9.mp4": ("libvpx-vp9", VPX),
    "h264.mkv": ("libx264", {"g": "6"}),
    "h264.mp4": ("libx264", {"g": "6"}),
    "h264.ts": ("libx264", {"g": "6"}),
    "hevc.mp4": ("libx265", {"x265-params": "log-level=error:keyint=6"}),
}


def written(path: Path) -> Path:
    codec, options = FILES[path.name]
    rng = np.random.default_rng(2)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", options
        stream.codec_context.color_range, stream.codec_context.colorspace = 1, 1
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (72, 64)).astype(np.uint8), "yuv420p")
            frame.color_range, frame.colorspace = 1, 1
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pictures(data: bytes) -> tuple[list[np.ndarray], set[int]]:
    """Codes as stored, and the ranges that the pictures declare."""
    with av.open(io.BytesIO(data)) as container:
        decoded = list(container.decode(video=0))
    codes = [np.concatenate([np.frombuffer(plane, np.uint8) for plane in picture.planes]) for picture in decoded]
    return codes, {int(picture.color_range) for picture in decoded}


@pytest.mark.parametrize("name", FILES)
def test_tagged_copies_hold_the_same_codes(name: str, tmp_path: Path) -> None:
    index = index_of(written(tmp_path / name))
    assert can_be_tagged(index)
    plain, plain_ranges = pictures(cut_pictures(index, FIRST, COUNT - 1).data)
    tagged, tagged_ranges = pictures(cut_pictures(index, FIRST, COUNT - 1, tag_full_range=True).data)
    assert (plain_ranges, tagged_ranges) == ({1}, {2})
    assert len(plain) == len(tagged)
    assert all(map(np.array_equal, plain, tagged))

"""Synthetic videos whose every picture shows its own number, and the definition of the grid restated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

WIDTH, HEIGHT = 160, 96
_COLUMNS, _ROWS = 4, 3


@dataclass(frozen=True, kw_only=True)
class Video:
    """What to write."""

    stamps: tuple[int, ...]
    """Ticks; when each picture begins."""
    time_base: Fraction
    """Seconds of one tick."""
    codec: str = "libx264"
    suffix: str = ".mp4"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    rotation_degrees: int = 0
    colour: tuple[int, int] | None = None
    """FFmpeg's numbers of YUV matrix and range, as tagged and as used; None for untagged grey pictures."""
    size: tuple[int, int] = (WIDTH, HEIGHT)


def constant(rate: Fraction, count: int, **more: Any) -> Video:
    """``count`` pictures at ``rate`` per second."""
    base = Fraction(1, rate.numerator)
    return Video(stamps=tuple(k * rate.denominator for k in range(count)), time_base=base, **more)


def picture(number: int, size: tuple[int, int] = (WIDTH, HEIGHT), *, tint: bool = False) -> np.ndarray:
    """RGB picture with the bits of ``number`` as dark and bright blocks, which survive any compression.

    4 x 3 blocks, lowest bit first, row by row: 5 = bright, dark, bright, dark, ...
    """
    width, height = size
    bits = [number >> bit & 1 for bit in range(_COLUMNS * _ROWS)]
    small = np.array(bits, dtype=np.uint8).reshape(_ROWS, _COLUMNS) * 190 + 30
    large = small[np.arange(height) * _ROWS // height][:, np.arange(width) * _COLUMNS // width]
    image = np.repeat(large[..., None], 3, axis=2)
    if tint:
        image[..., 0], image[..., 2] = image[..., 0] // 2, 60
    return image


def number_in(picture_HWC: np.ndarray) -> int:
    """Number shown by a picture of any size."""
    height, width = picture_HWC.shape[:2]
    number = 0
    for bit in range(_COLUMNS * _ROWS):
        row, column = divmod(bit, _COLUMNS)
        y, x = (2 * row + 1) * height // (2 * _ROWS), (2 * column + 1) * width // (2 * _COLUMNS)
        number |= int(picture_HWC[y - 2 : y + 2, x - 2 : x + 2].mean() > 125) << bit
    return number


def numbers_in(frames_THWC: np.ndarray) -> list[int]:
    return [number_in(frame) for frame in frames_THWC]


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Leave the thread with the scheduling that it had.

    SVT-AV1 gives the thread that opens it real-time priority where the system permits that, as it does to root. Every
    process that is started afterwards inherits it, and one that waits in a loop starves the machine.
    """
    before = (os.sched_getscheduler(0), os.sched_getparam(0)) if hasattr(os, "sched_getscheduler") else None
    try:
        yield
    finally:
        if before is not None:
            os.sched_setscheduler(0, *before)


def write(path: Path, video: Video, first: int = 0) -> Path:
    """Write ``video``; picture i shows ``first`` + i and begins at ``stamps[i]``."""
    path = path.with_suffix(video.suffix)
    with ordinary_scheduling(), av.open(str(path), "w", options=video.container_options) as container:
        stream: Any = container.add_stream(video.codec, rate=25)
        stream.width, stream.height = video.size
        stream.pix_fmt = video.pixel_format
        stream.codec_context.time_base = stream.time_base = video.time_base
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", **video.options} if video.codec != "libvpx-vp9" else video.options
        if video.colour is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = video.colour
        if video.rotation_degrees:
            stream.set_display_rotation(video.rotation_degrees)
        for number, stamp in enumerate(video.stamps):
            frame = av.VideoFrame.from_ndarray(
                picture(first + number, video.size, tint=video.colour is not None), "rgb24"
            )
            if video.colour is not None:
                frame = frame.reformat(
                    format=video.pixel_format, dst_colorspace=video.colour[0], dst_color_range=video.colour[1]
                )
            frame.pts, frame.time_base = stamp, video.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remux(source: Path, target: Path, *, shift: int = 0, options: dict[str, str] | None = None) -> Path:
    """Copy the packets of ``source``, their stamps moved by ``shift`` ticks of its time base."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        stream = old.streams.video[0]
        copy: Any = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.size:
                packet.pts += shift
                packet.dts += shift
                packet.stream = copy
                new.mux(packet)
    return target


def turn_by_message(source: Path, target: Path) -> Path:
    """Copy H.264 with a message in front of its first picture that has players turn it by 90 degrees."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        orient = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", stream)
        copy: Any = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            for turned in orient.filter(packet if packet.size else None):
                turned.stream = copy
                new.mux(turned)
    return target


def packet_extents(path: Path) -> list[tuple[int, int]]:
    """(offset, size) of the packets of the video, in file order."""
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]


def overwrite_packets(path: Path, packets: slice, fill: int = 0, *, keep: int = 0) -> Path:
    """Overwrite packets, in file order, but for their first ``keep`` bytes; the container still lists them all."""
    data = bytearray(path.read_bytes())
    for offset, size in packet_extents(path)[packets]:
        data[offset + keep : offset + size] = bytes([fill]) * (size - keep)
    path.write_bytes(data)
    return path


def expected(times_s: list[Fraction], numbers: list[int], fps: Fraction) -> list[int]:
    """Number shown in each grid frame, by the definition: the picture on show at (k + 1/2) / fps."""
    starts_s = [time_s - times_s[0] for time_s in times_s]
    lengths_s = sorted(after - before for before, after in pairwise(starts_s))
    middle = len(lengths_s) // 2
    median_s = lengths_s[middle] if len(lengths_s) % 2 else (lengths_s[middle - 1] + lengths_s[middle]) / 2
    end_s = starts_s[-1] + median_s
    shown = []
    for k in range(math.ceil(end_s * fps) + 2):
        middle_s = (k + Fraction(1, 2)) / fps
        if middle_s < end_s:
            shown.append(max(i for i, start_s in enumerate(starts_s) if start_s <= middle_s))
    return [numbers[i] for i in shown]

"""Pictures with their times to H.264 in a new file, whose clock is exact for all common rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video.restarted_clock import ContinuousClock, Restart
from e2espot.video.timed_pictures import TimedPictures

CLOCK = Fraction(1, 90_000)
"""Time base of the new file, in which all common frame rates are exact."""
_MILLISECOND = 90
"""Ticks of a millisecond, the clock of Matroska."""
_OPTIONS = {"crf": "18", "preset": "veryfast", "g": "50"}
_DECODE_FRIENDLY = {"crf": "18", "preset": "veryfast", "g": "25", "bf": "0", "x264-params": "open-gop=0:scenecut=0"}
_BLOCK = 16
"""Pixels of a macroblock's side."""
_COLOUR_TAGS = ("colorspace", "color_range", "color_primaries", "color_trc")


@dataclass(frozen=True, kw_only=True)
class WrittenPictures:
    """What was written to the new file."""

    ticks: list[int]
    """Time of each picture in ticks of ``CLOCK``, increasing."""
    shown_s: Fraction
    """Seconds from the first picture to the end of the last."""
    restarts: list[Restart]
    """Where the clock of the source was restarted."""


def encode_pictures(
    pictures: TimedPictures,
    stream: Any,
    converted: Any,
    progress: Callable[[int], object] | None,
    decode_friendly: bool,
    rate: Fraction | None,
) -> WrittenPictures:
    """Encode pictures in order; those without a time of their own follow at ``rate`` pictures a second.

    Args:
        pictures: Decoded pictures with their seconds.
        stream: The stream that they are from.
        converted: The open new file, to which a stream is added.
        progress: Called with the number of pictures written since the last call.
        decode_friendly: See ``transcode``.
        rate: Pictures per second of the source; None if it is unknown.
    """
    period_s = 1 / Fraction(rate or DEFAULT_FPS)
    clock = ContinuousClock(period_s)
    output, first_s, end_s = None, Fraction(0), Fraction(0)
    unit = _MILLISECOND if "matroska" in converted.format.name else 1
    ticks: list[int] = []
    for picture, source_s in pictures:
        upright = _rotated(picture)
        if output is None:
            output = _add_output(converted, stream, (upright.width, upright.height), period_s, decode_friendly)
            output.codec_context.sample_aspect_ratio = _aspect_ratio(stream, picture)
        position_s = clock.position(source_s)
        first_s = first_s if ticks else position_s
        first_tick = math.ceil(first_s / (unit * CLOCK))
        ticks.append(unit * (first_tick + math.ceil((position_s - first_s) / (unit * CLOCK))))
        # The last picture may be a still that lasts for seconds. Read here: ``plain`` may be the very same object.
        end_s = position_s + max(period_s, Fraction((getattr(picture, "duration", 0) or 0) * picture.time_base))
        plain = upright.reformat(output.width, output.height, format="yuv420p")
        plain.pts, plain.time_base = ticks[-1], CLOCK
        converted.mux(output.encode(plain))
        if progress is not None:
            progress(1)
    if output is not None:
        converted.mux(output.encode())
    return WrittenPictures(ticks=ticks, shown_s=end_s - first_s, restarts=clock.restarts)


def _aspect_ratio(stream: Any, picture: Any) -> Fraction:
    """Width of a pixel by its height, as the picture is shown; 0 if the source declares none."""
    ratio = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 0)
    is_on_its_side = round(picture.rotation / 90) % 2 == 1
    return 1 / ratio if ratio and is_on_its_side else ratio


def _add_output(converted: Any, stream: Any, size: tuple[int, int], period_s: Fraction, decode_friendly: bool) -> Any:
    """The H.264 stream of the new file."""
    options = _DECODE_FRIENDLY if decode_friendly else _OPTIONS
    output = converted.add_stream("libx264", rate=round(1 / period_s) or 25, options=options)
    output.width, output.height = (_output_side(length, decode_friendly) for length in size)
    output.pix_fmt = "yuv420p"
    output.codec_context.time_base = CLOCK
    for tag in _COLOUR_TAGS:  # YUV values are copied, so their meaning must be declared again
        setattr(output.codec_context, tag, getattr(stream.codec_context, tag))
    return output


def _rotated(picture: Any) -> Any:
    """The picture as it is shown: the new file declares no rotation."""
    quarter_turns = round(picture.rotation / 90) % 4
    if not quarter_turns:
        return picture
    import av

    # 4:4:4, since halved chroma planes of odd sizes cannot be turned.
    planes_3HW = picture.reformat(format="yuv444p").to_ndarray()
    rotated_3HW = np.ascontiguousarray(np.rot90(planes_3HW, quarter_turns, (1, 2)))
    return av.VideoFrame.from_ndarray(rotated_3HW, format="yuv444p")


def _output_side(length: int, decode_friendly: bool) -> int:
    """Width or height of the new pictures: 398 -> 400 if decode-friendly; 399 -> 398 if not."""
    return max(1, round(length / _BLOCK)) * _BLOCK if decode_friendly else length // 2 * 2

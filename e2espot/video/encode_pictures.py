"""Pictures with their times to H.264 in a new file, whose clock is exact for all common rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video.orientation import is_mirrored, rotation_degrees, upright
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
    turn: tuple[int, bool] | None = None,
) -> WrittenPictures:
    """Encode pictures in order; those without a time of their own follow at ``rate`` pictures a second.

    Args:
        pictures: Decoded pictures with their seconds.
        stream: The stream that they are from.
        converted: The open new file, to which a stream is added.
        progress: Called with the number of pictures written since the last call.
        decode_friendly: See ``transcode``.
        rate: Pictures per second of the source; None if it is unknown.
        turn: Rotation in degrees, and whether pictures are mirrored; None for what the first picture states.
    """
    period_s = 1 / Fraction(rate or DEFAULT_FPS)
    clock = ContinuousClock(period_s)
    output, first_s, end_s = None, Fraction(0), Fraction(0)
    unit = _MILLISECOND if "matroska" in converted.format.name else 1
    ticks: list[int] = []
    for picture, source_s in pictures:
        turn = turn or (rotation_degrees(picture), is_mirrored(picture))  # later pictures may lack the message
        shown = _turned(picture, *turn)
        if output is None:
            output = _add_output(converted, stream, (shown.width, shown.height), period_s, decode_friendly)
            output.codec_context.sample_aspect_ratio = _aspect_ratio(stream, turn[0])
        position_s = clock.position(source_s)
        first_s = first_s if ticks else position_s
        first_tick = math.ceil(first_s / (unit * CLOCK))
        ticks.append(unit * (first_tick + math.ceil((position_s - first_s) / (unit * CLOCK))))
        # The last picture may be a still that lasts for seconds. Read here: ``plain`` may be the very same object.
        end_s = position_s + max(period_s, Fraction((getattr(picture, "duration", 0) or 0) * picture.time_base))
        plain = shown.reformat(output.width, output.height, format="yuv420p")
        plain.pts, plain.time_base = ticks[-1], CLOCK
        converted.mux(output.encode(plain))
        if progress is not None:
            progress(1)
    if output is not None:
        converted.mux(output.encode())
    return WrittenPictures(ticks=ticks, shown_s=end_s - first_s, restarts=clock.restarts)


def _aspect_ratio(stream: Any, rotation: int) -> Fraction:
    """Width of a pixel by its height, as the picture is shown; 0 if the source declares none."""
    ratio = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 0)
    return 1 / ratio if ratio and rotation in (90, 270) else ratio


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


def _turned(picture: Any, rotation: int, mirrored: bool) -> Any:
    """The picture as it is shown: the new file declares neither rotation nor mirroring."""
    if not rotation and not mirrored:
        return picture
    import av

    # 4:4:4, since halved chroma planes of odd sizes cannot be turned.
    planes_3HW = picture.reformat(format="yuv444p").to_ndarray()
    upright_HW3 = upright(planes_3HW.transpose(1, 2, 0), rotation, mirrored)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(upright_HW3.transpose(2, 0, 1)), format="yuv444p")


def _output_side(length: int, decode_friendly: bool) -> int:
    """Width or height of the new pictures: 398 -> 400 if decode-friendly; 399 -> 398 if not."""
    return max(1, round(length / _BLOCK)) * _BLOCK if decode_friendly else length // 2 * 2

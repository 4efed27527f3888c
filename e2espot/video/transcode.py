"""Any video FFmpeg can decode, written anew as plain H.264 that every reader takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.video.demux import one_line

_CLOCK = Fraction(1, 90_000)
_OPTIONS = {"crf": "18", "preset": "veryfast", "g": "50"}
_DECODE_FRIENDLY = {"crf": "18", "preset": "veryfast", "g": "25", "bf": "0", "x264-params": "open-gop=0:scenecut=0"}
_BLOCK = 16
_COLOUR_TAGS = ("colorspace", "color_range", "color_primaries", "color_trc")


def transcode(
    source: Path,
    target: Path,
    progress: Callable[[int], object] | None = None,
    *,
    decode_friendly: bool = False,
    allow_truncated: bool = False,
) -> int:
    """Decode every picture in order and encode it at its own time; sound is left out.

    A picture without a time stamp is shown one period of the stream's rate after the one before
    it; one that would go back in time is moved just behind the one before it. Pixels keep their size
    but for an odd last row or column, which H.264's 4:2:0 cannot hold.

    Args:
        source: Any file FFmpeg opens.
        target: ``.mp4`` or ``.mkv``; appears whole or not at all.
        progress: Called with the number of pictures written since the last call.
        decode_friendly: For reading clips at random, over and over: a clean start every 25 pictures, nothing out
            of order, and width and height scaled to the nearest multiples of 16, the blocks that decoders
            think in.
        allow_truncated: Take a file whose pictures end well before its header says, as far as they go.

    Returns:
        Pictures written.

    Raises:
        VideoError: nothing to decode in ``source``, it breaks off, or ``target`` is no such container.
    """
    import av

    if target.suffix not in (".mp4", ".mkv"):
        raise VideoError(f"{target}: give a name that ends in .mp4 or .mkv")
    if not source.is_file():
        raise VideoError(f"{source}: no such file")
    if target.exists() and target.samefile(source):
        raise VideoError(f"{target}: is the source itself; give the new file another name")
    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(source)) as opened, av.open(str(part), "w") as written:
            count, shown_s = _copy(opened, written, progress, decode_friendly)
            promised_s, slack_s = _promised(opened)
        if not count:
            raise VideoError(f"{source}: holds no picture that can be decoded")
        if not allow_truncated and shown_s < promised_s - slack_s:
            raise VideoError(
                f"{source}: breaks off after {float(shown_s):.2f} s of {float(promised_s):.2f}; "
                "add --allow_truncated to convert that much"
            )
        part.replace(target)
    except (av.error.FFmpegError, IndexError) as error:
        raise VideoError(f"{source}: cannot be converted to {target.name} ({one_line(error)})") from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _promised(opened: Any) -> tuple[Fraction, Fraction]:
    """Seconds of pictures that the header promises, 0 where it does not say; and how many may be missing."""
    stream = opened.streams.video[0]
    if stream.duration is not None:
        promised_s = stream.duration * stream.time_base
        return promised_s, max(Fraction(1, 2), promised_s / 100)
    promised_s = Fraction(opened.duration or 0, 1_000_000)
    alone = len(opened.streams) == 1  # else it is the longest stream's, which may be the sound
    return promised_s, max(Fraction(1, 2 if alone else 1), promised_s / (100 if alone else 20))


def _copy(
    opened: Any, written: Any, progress: Callable[[int], object] | None, decode_friendly: bool
) -> tuple[int, Fraction]:
    """Number of pictures, and seconds from the first to the end of the last."""
    stream = opened.streams.video[0]
    first_s = None
    period_s = 1 / Fraction(stream.average_rate or 25)
    out, last_s, count = None, None, 0
    for picture in opened.decode(stream):
        turned = _turned(picture)
        if out is None:
            options = _DECODE_FRIENDLY if decode_friendly else _OPTIONS
            out = written.add_stream("libx264", rate=round(1 / period_s) or 25, options=options)
            out.width, out.height = (_side(length, decode_friendly) for length in (turned.width, turned.height))
            out.pix_fmt = "yuv420p"
            out.codec_context.time_base = _CLOCK
            for tag in _COLOUR_TAGS:  # pixels stay as they are, so what they mean must be said again
                setattr(out.codec_context, tag, getattr(stream.codec_context, tag))
        next_s = Fraction(0) if last_s is None else last_s + period_s
        at_s = next_s if picture.pts is None else picture.pts * picture.time_base
        if last_s is not None and at_s <= last_s:
            at_s = last_s + _CLOCK * 90
        plain = turned.reformat(out.width, out.height, format="yuv420p")
        plain.pts, plain.time_base = round(at_s / _CLOCK), _CLOCK
        written.mux(out.encode(plain))
        first_s = at_s if first_s is None else first_s
        last_s, count = at_s, count + 1
        if progress is not None:
            progress(1)
    if out is not None:
        written.mux(out.encode())
    if first_s is None or last_s is None:
        return 0, Fraction(0)
    return count, last_s + period_s - first_s


def _turned(picture: Any) -> Any:
    """The picture as it is to be shown: the new file turns nothing."""
    turns = round(picture.rotation / 90) % 4
    if not turns:
        return picture
    import av

    planes_3HW = picture.reformat(format="yuv444p").to_ndarray()
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(planes_3HW, turns, (1, 2))), format="yuv444p")


def _side(length: int, decode_friendly: bool) -> int:
    """Width or height of the new pictures."""
    return max(1, round(length / _BLOCK)) * _BLOCK if decode_friendly else length // 2 * 2

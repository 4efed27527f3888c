"""Any video FFmpeg can decode, written anew as plain H.264 that every reader takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.errors import VideoError
from e2espot.video.demux import one_line

_CLOCK = Fraction(1, 90_000)
_OPTIONS = {"crf": "18", "preset": "veryfast", "g": "50"}
_DECODE_FRIENDLY = {"crf": "18", "preset": "veryfast", "g": "25", "bf": "0", "x264-params": "open-gop=0:scenecut=0"}
_BLOCK = 16


def transcode(
    source: Path, target: Path, progress: Callable[[int], object] | None = None, *, decode_friendly: bool = False
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

    Returns:
        Pictures written.

    Raises:
        VideoError: nothing to decode in ``source``, or ``target`` is no such container.
    """
    import av

    if target.suffix not in (".mp4", ".mkv"):
        raise VideoError(f"{target}: give a name that ends in .mp4 or .mkv")
    if not source.is_file():
        raise VideoError(f"{source}: no such file")
    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(source)) as opened, av.open(str(part), "w") as written:
            count = _copy(opened, written, progress, decode_friendly)
        if not count:
            raise VideoError(f"{source}: holds no picture that can be decoded")
        part.replace(target)
    except (av.error.FFmpegError, IndexError) as error:
        raise VideoError(f"{source}: cannot be converted to {target.name} ({one_line(error)})") from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _copy(opened: Any, written: Any, progress: Callable[[int], object] | None, decode_friendly: bool) -> int:
    stream = opened.streams.video[0]
    period_s = 1 / Fraction(stream.average_rate or 25)
    out, last_s, count = None, None, 0
    for picture in opened.decode(stream):
        if out is None:
            options = _DECODE_FRIENDLY if decode_friendly else _OPTIONS
            out = written.add_stream("libx264", rate=round(1 / period_s) or 25, options=options)
            out.width, out.height = (_side(length, decode_friendly) for length in (picture.width, picture.height))
            out.pix_fmt = "yuv420p"
            out.codec_context.time_base = _CLOCK
        next_s = Fraction(0) if last_s is None else last_s + period_s
        at_s = next_s if picture.pts is None else picture.pts * picture.time_base
        if last_s is not None and at_s <= last_s:
            at_s = last_s + _CLOCK * 90
        plain = picture.reformat(out.width, out.height, format="yuv420p")
        plain.pts, plain.time_base = round(at_s / _CLOCK), _CLOCK
        written.mux(out.encode(plain))
        last_s, count = at_s, count + 1
        if progress is not None:
            progress(1)
    if out is not None:
        written.mux(out.encode())
    return count


def _side(length: int, decode_friendly: bool) -> int:
    """Width or height of the new pictures."""
    return max(1, round(length / _BLOCK)) * _BLOCK if decode_friendly else length // 2 * 2

"""VP9 copies of videos, which every reader decodes, DALI's CPU backend among them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av


def vp9_copy(source: Path, target: Path, count: int, size: tuple[int, int] | None = None) -> Path:
    """Encode the first ``count`` pictures of ``source`` as VP9, 25 a second, with its size, matrix and range.

    With ``size``, (width, height), they are scaled to it first.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", format="matroska") as new:
        stream: Any = None
        for number, picture in enumerate(old.decode(old.streams.best("video"))):
            if number == count:
                break
            if stream is None:
                stream = new.add_stream("libvpx-vp9", rate=25)
                width, height = size or (picture.width, picture.height)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = {"deadline": "realtime", "cpu-used": "8", "g": "30", "crf": "20", "b": "0"}
                stream.codec_context.colorspace = picture.colorspace
                stream.codec_context.color_range = picture.color_range
            if picture.format.name not in ("yuv420p", "yuvj420p") or size is not None:
                picture = picture.reformat(stream.width, stream.height, format="yuv420p")
            picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, 25), 0
            new.mux(stream.encode(picture))
        new.mux(stream.encode(None))
    return target

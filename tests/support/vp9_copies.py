"""VP9 copies of videos, which every reader decodes, DALI's CPU backend among them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av


def vp9_copy(source: Path, target: Path, count: int) -> Path:
    """Encode the first ``count`` pictures of ``source`` as VP9, 25 a second, with its size, matrix and range."""
    with av.open(str(source)) as old, av.open(str(target), "w", format="matroska") as new:
        stream: Any = None
        for number, picture in enumerate(old.decode(old.streams.best("video"))):
            if number == count:
                break
            if stream is None:
                stream = new.add_stream("libvpx-vp9", rate=25)
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
                stream.options = {"deadline": "realtime", "cpu-used": "8", "g": "30", "crf": "20", "b": "0"}
                stream.codec_context.colorspace = picture.colorspace
                stream.codec_context.color_range = picture.color_range
            if picture.format.name not in ("yuv420p", "yuvj420p"):
                picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, 25), 0
            new.mux(stream.encode(picture))
        new.mux(stream.encode(None))
    return target

"""Encode pictures as an H.264 file like that of a broadcast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from e2espot.synthetic.look import Look


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    look: Look,
    size: tuple[int, int],
    tick: Callable[[int], object] | None = None,
) -> None:
    """Encode uint8 BGR pictures [H, W, 3] at 25 frames per second with B-frames and a long GOP."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 25)
        stream.bit_rate = int(look.bitrate * (size[1] / 224) ** 1.6)
        stream.gop_size = look.gop
        stream.thread_count = 1
        # No macroblock tree: for widths that are not a multiple of 16, such as 398, x264's reads uninitialised
        # memory, and the same pictures give different bytes each time.
        stream.options = {"preset": "veryfast", "bf": "2", "x264-params": "mbtree=0"}
        for index, picture in enumerate(pictures):
            planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
            if tick is not None and index % 25 == 24:
                tick(25)
        container.mux(stream.encode())

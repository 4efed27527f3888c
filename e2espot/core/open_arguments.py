"""How a video file is opened: arguments that every function which opens one has in common."""

from __future__ import annotations

from fractions import Fraction
from typing import TypedDict


class OpenArguments(TypedDict, total=False):
    """Keyword arguments, each of which may be left out: ``probe(path, allow_truncated=True)``."""

    allow_truncated: bool
    """Accept a file that ends early, as far as it goes. Its end is decoded at once. Of several files, the last one."""
    video_stream: int | None
    """Number of the stream among the video streams of each file, counted from 0; None, as without it, for the one that
    players choose."""
    source_fps: Fraction | None
    """Pictures per second of raw streams (``.h264``, ``.hevc``), which state no times; None, as without it, for files
    that state them."""

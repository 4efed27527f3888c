"""Random access to the pictures of a video by grid frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np

from e2espot.timeline import DEFAULT_FPS
from e2espot.video.presentation import Presentation, index_video, pictures_of_grid

COLOUR_RULE = "matrix and range as the stream is tagged; untagged is BT.601"
"""How YUV becomes RGB."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video is, on the grid."""

    path: Path
    """The file."""
    num_frames: int
    """Frames of the grid."""
    fps: Fraction
    """Rate of the grid."""
    width: int
    """Width as shown, in pixels."""
    height: int
    """Height as shown, in pixels."""
    source_fps: float
    """Mean rate of the pictures in the file."""
    first_picture_s: Fraction
    """The container's time stamp of the first shown picture."""
    codec: str
    """FFmpeg's name of the codec."""
    colour_rule: str = COLOUR_RULE
    """How YUV becomes RGB."""


class FrameReader(Protocol):
    """Gives the picture a player shows at each grid frame, whatever the order it is asked in."""

    info: VideoInfo

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """uint8 RGB ``frames_THWC`` of the given grid frames, in their order; repeats are fine."""

    def close(self) -> None:
        """Let go of decoders."""

    def __enter__(self) -> Self:
        """The reader itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


@lru_cache(maxsize=64)
def _indexed(path: Path, byte_size: int, mtime_ns: int) -> Presentation:
    # Size and time of change are part of the key, so a file that was replaced is read anew.
    return index_video(path)


def presentation_of(path: Path) -> Presentation:
    """Index of a file, read once a process."""
    try:
        status = Path(path).stat()
    except OSError:
        return index_video(path)
    return _indexed(Path(path), status.st_size, status.st_mtime_ns)


def info_of(presentation: Presentation, fps: Fraction) -> VideoInfo:
    """Description of an indexed file on a grid."""
    turned = presentation.rotation in (90, 270)
    return VideoInfo(
        path=presentation.path,
        num_frames=len(pictures_of_grid(presentation.pts, presentation.time_base, fps)),
        fps=fps,
        width=presentation.height if turned else presentation.width,
        height=presentation.width if turned else presentation.height,
        source_fps=presentation.source_fps,
        first_picture_s=presentation.first_picture_s,
        codec=presentation.codec,
    )


def probe(path: Path, fps: Fraction = DEFAULT_FPS) -> VideoInfo:
    """Describe a file without decoding it.

    Raises:
        VideoError: it cannot be read.
    """
    return info_of(presentation_of(Path(path)), fps)


def open_reader(
    path: Path,
    *,
    fps: Fraction = DEFAULT_FPS,
    size: tuple[int, int] | None = None,
    reader: Literal["auto", "decord"] = "auto",
) -> FrameReader:
    """Reader of a file at the grid rate ``fps``, pictures scaled to ``size`` (width, height).

    Raises:
        VideoError: it cannot be read.
    """
    from e2espot.video.decord_reader import DecordReader

    del reader  # both names mean decord until there is another one
    return DecordReader(presentation_of(Path(path)), fps=fps, size=size)

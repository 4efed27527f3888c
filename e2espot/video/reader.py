"""Frames of the grid from one video: the interface the rest of the library reads through.

Shapes: T = frames asked for, H x W = as shown or as asked for, C = red, green, blue.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np

from e2espot.core.errors import DamagedVideoError, VideoError
from e2espot.core.timeline import DEFAULT_FPS, num_frames_of_duration
from e2espot.video.index import COLOUR_RULE, Presentation, pictures_of_grid
from e2espot.video.indexing import index_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

ReaderName = Literal["auto", "decord"]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What is known of a video without decoding it."""

    path: Path
    """The file."""
    num_frames: int
    """Frames of the grid."""
    fps: Fraction
    """Rate of the grid."""
    width: int
    """Width in pixels as shown, after rotation."""
    height: int
    """Height in pixels as shown, after rotation."""
    source_fps: float
    """Average rate of the pictures, for display only."""
    num_pictures: int
    """Pictures a player shows."""
    first_picture_s: Fraction
    """Seconds from the container's zero to the first shown picture, which is the grid's zero."""
    duration_s: Fraction
    """Seconds from the first shown picture to the end of the last."""
    codec: str
    """FFmpeg's name of the codec."""
    pixel_format: str
    """FFmpeg's name of the decoded layout."""
    rotation_degrees: int
    """Counter-clockwise turn already applied: 0, 90, 180 or 270."""
    matrix: str
    """YUV matrix the pictures are converted by: ``bt601``, ``bt709``, ..."""
    colour_rule: str = COLOUR_RULE
    """How that matrix is chosen."""
    truncated: bool = False
    """Whether the file breaks off early and is used up to there."""
    promised_s: Fraction | None = None
    """Seconds from the container's zero to the end it promises, where it breaks off before and says so."""


class FrameReader(Protocol):
    """Random access to the frames of one video."""

    @property
    def info(self) -> VideoInfo:
        """What is being read."""

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """Frames by number, in any order and with repeats.

        Returns:
            uint8 RGB ``frames_THWC``; the same picture for the same frame, whatever was read before.

        Raises:
            IndexError: a frame outside ``[0, info.num_frames)``.
            VideoError: the file cannot be decoded there.
        """

    def sound(self, frames: Sequence[int]) -> np.ndarray:
        """bool; whether each of the frames read just now is certain to be what a player shows.

        After damage a decoder makes up pixels from what it saw last, up to the next place where decoding can begin:
        read in order they are others than read at random.
        """

    def close(self) -> None:
        """Let go of the file and the decoder."""

    def __enter__(self) -> Self:
        """Use as a context manager; closes at the end."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


class Pictures(Protocol):
    """A decoder of shown pictures by their rank."""

    def pictures(self, ranks: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (rank, uint8 RGB ``HWC``, not rotated) for strictly increasing ``ranks``."""

    def sound(self, ranks: Sequence[int]) -> np.ndarray:
        """bool; which of the pictures read just now came without damage on the way, as far as the decoder tells."""

    def close(self) -> None:
        """Let go of the file."""


class GridReader:
    """The ``FrameReader`` over any decoder: frames to pictures, each decoded once, rotation."""

    def __init__(self, info: VideoInfo, pictures_K: np.ndarray, size: tuple[int, int], decoder: Pictures) -> None:
        """Read frames through ``pictures_K`` at ``size`` = (width, height) as shown."""
        self.info = info
        self._pictures_K = pictures_K
        self._size = size
        self._decoder = decoder

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """See ``FrameReader``."""
        wanted_T = np.asarray(frames, dtype=np.int64)
        outside = (wanted_T < 0) | (wanted_T >= self.info.num_frames)
        if outside.any():
            raise IndexError(
                f"{self.info.path}: frame {int(wanted_T[outside][0])} asked for; there are {self.info.num_frames}"
            )
        width, height = self._size
        frames_THWC = np.empty((len(wanted_T), height, width, 3), dtype=np.uint8)
        ranks, place_T = np.unique(self._pictures_K[wanted_T], return_inverse=True)
        turns = self.info.rotation_degrees // 90
        for place, (_, picture_HWC) in enumerate(self._decoder.pictures([int(rank) for rank in ranks])):
            frames_THWC[place_T == place] = np.rot90(picture_HWC, turns)
        return frames_THWC

    def sound(self, frames: Sequence[int]) -> np.ndarray:
        """See ``FrameReader``."""
        return self._decoder.sound([int(self._pictures_K[frame]) for frame in frames])

    def read_readable(self, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Frames as :meth:`read` gives them, zeros where nothing decodes, and ``valid_T`` that says where."""
        try:
            return self.read(frames), np.ones(len(frames), dtype=bool)
        except DamagedVideoError:
            width, height = self._size
        frames_THWC = np.zeros((len(frames), height, width, 3), dtype=np.uint8)
        valid_T = np.zeros(len(frames), dtype=bool)
        for place, frame in enumerate(frames):
            with suppress(DamagedVideoError):
                frames_THWC[place : place + 1] = self.read([frame])
                valid_T[place] = True
        return frames_THWC, valid_T

    def close(self) -> None:
        """See ``FrameReader``."""
        self._decoder.close()

    def __enter__(self) -> Self:
        """See ``FrameReader``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See ``FrameReader``."""
        self.close()


def probe(path: Path | str, fps: Fraction = DEFAULT_FPS, *, allow_truncated: bool = False) -> VideoInfo:
    """What a video holds, counted on a grid of ``fps`` frames per second.

    Raises:
        VideoError: see ``index_video``.
    """
    return video_info(index_of(path, allow_truncated=allow_truncated), fps)


def open_reader(
    path: Path | str,
    *,
    fps: Fraction = DEFAULT_FPS,
    size: tuple[int, int] | None = None,
    reader: ReaderName = "auto",
    allow_truncated: bool = False,
) -> FrameReader:
    """Open a video for reading frames at random.

    Args:
        path: The file.
        fps: Frames per second of the grid.
        size: (width, height) to scale to; None for the size shown.
        reader: ``auto`` decodes in order by PyAV and knows pictures by their time stamps: as fast as
            decord, bounded in memory on any file, and right on damaged ones. ``decord`` decodes
            stream-copied cuts, and refuses files it cannot.
        allow_truncated: Take a file that breaks off as far as it goes.

    Raises:
        VideoError: see ``index_video``.
    """
    return reader_of(index_of(path, allow_truncated=allow_truncated), fps=fps, size=size, reader=reader)


def reader_of(
    presentation: Presentation, *, fps: Fraction, size: tuple[int, int] | None, reader: ReaderName
) -> GridReader:
    """Open the video of an index that is already at hand."""
    shown = size or (presentation.width, presentation.height)
    if min(shown) < 1:
        raise ValueError(f"size is {shown}; width and height must be positive")
    info = video_info(presentation, fps)
    if info.num_frames == 0:
        raise VideoError(f"{info.path}: lasts {float(info.duration_s):.3f} s, too short for one frame at {fps} fps")
    before_turn = shown[::-1] if presentation.rotation_degrees in (90, 270) else shown
    decoder = _decoder(presentation, (before_turn[0], before_turn[1]), reader)
    return GridReader(info, pictures_of_grid(presentation, fps), shown, decoder)


def _decoder(presentation: Presentation, size: tuple[int, int], reader: ReaderName) -> Pictures:
    if reader == "decord":
        from e2espot.video.decord_reader import DecordPictures

        return DecordPictures(presentation, size)
    from e2espot.video.pyav_reader import PyavPictures

    return PyavPictures(presentation, size)


def video_info(presentation: Presentation, fps: Fraction) -> VideoInfo:
    """The index in short."""
    return VideoInfo(
        path=presentation.path,
        num_frames=num_frames_of_duration(presentation.duration_s, fps),
        fps=Fraction(fps),
        width=presentation.width,
        height=presentation.height,
        source_fps=presentation.average_fps,
        num_pictures=presentation.num_pictures,
        first_picture_s=presentation.first_picture_s,
        duration_s=presentation.duration_s,
        codec=presentation.codec_name,
        pixel_format=presentation.pixel_format,
        rotation_degrees=presentation.rotation_degrees,
        matrix=presentation.matrix,
        truncated=presentation.truncated,
        promised_s=_promise_unkept(presentation),
    )


def _promise_unkept(presentation: Presentation) -> Fraction | None:
    promised_s, read_s = presentation.promised_s, presentation.first_picture_s + presentation.duration_s
    return promised_s if presentation.truncated and promised_s is not None and promised_s > read_s else None

"""decord behind our timeline: it decodes clean cuts, we say which picture is which."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np

from e2espot.errors import VideoError
from e2espot.video.cut import Cut, cut_pictures
from e2espot.video.presentation import Presentation, pictures_of_grid
from e2espot.video.reader import info_of

_CUT_PICTURES = 256
"""Pictures a cut reaches beyond what was asked for, so that reading on needs no new cut."""


class DecordReader:
    """Reads grid frames; keeps one cut and its decoder open, so reading forward never restarts.

    Args:
        presentation: Index of the file.
        fps: Rate of the grid.
        size: (width, height) as shown, or None for the file's own.
    """

    def __init__(self, presentation: Presentation, *, fps: Fraction, size: tuple[int, int] | None) -> None:
        self.info = info_of(presentation, fps)
        self._presentation = presentation
        self._pictures = pictures_of_grid(presentation.pts, presentation.time_base, fps)
        self._size = size or (self.info.width, self.info.height)
        self._decoder: _CutDecoder | None = None

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """uint8 RGB ``frames_THWC``, in the order asked for.

        Raises:
            VideoError: pictures that cannot be decoded.
            IndexError: a frame outside the video.
        """
        asked = np.asarray(frames, dtype=np.int64)
        if len(asked) and (asked.min() < 0 or asked.max() >= self.info.num_frames):
            raise IndexError(f"frames {asked.min()} to {asked.max()} of a video with {self.info.num_frames} frames")
        ranks = self._pictures[asked]
        width, height = self._size
        out = np.empty((len(asked), height, width, 3), dtype=np.uint8)
        for stretch in _stretches(np.unique(ranks)):
            pictures = self._decode(stretch)
            here = np.isin(ranks, stretch)
            out[here] = pictures[np.searchsorted(stretch, ranks[here])]
        return out

    def _decode(self, ranks: np.ndarray) -> np.ndarray:
        stamps = self._presentation.pts[ranks]
        if self._decoder is None or not self._decoder.holds(stamps):
            first, last = int(ranks[0]), int(ranks[-1])
            beyond = min(len(self._presentation.pts) - 1, max(last, first + _CUT_PICTURES))
            self.close()
            self._decoder = _CutDecoder(cut_pictures(self._presentation, first, beyond), self._presentation, self._size)
        return self._decoder.read(stamps)

    def close(self) -> None:
        """Let go of the decoder."""
        self._decoder = None

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def _stretches(ranks: np.ndarray) -> list[np.ndarray]:
    """Rising ranks split where far apart, so that what lies between is not decoded and held."""
    return np.split(ranks, np.flatnonzero(np.diff(ranks) > _CUT_PICTURES) + 1) if len(ranks) else []


class _CutDecoder:
    """Decoded pictures of one cut, by decord or, where decord cannot or miscounts, by FFmpeg through PyAV."""

    def __init__(self, cut: Cut, presentation: Presentation, size: tuple[int, int]) -> None:
        self._pts = cut.pts
        self._turns = presentation.rotation // 90
        width, height = size[::-1] if self._turns % 2 else size
        self._source: _Source = _by_decord(cut, width, height) or _ByPyAV(cut, width, height, presentation)

    def holds(self, stamps: np.ndarray) -> bool:
        """Whether all these pictures are in the cut."""
        return bool(np.isin(stamps, self._pts).all())

    def read(self, stamps: np.ndarray) -> np.ndarray:
        """Pictures with these rising time stamps, turned as a player shows them."""
        pictures = self._source.read(np.searchsorted(self._pts, stamps))
        return np.rot90(pictures, self._turns, axes=(1, 2)) if self._turns else pictures


class _Source:
    def read(self, ranks: np.ndarray) -> np.ndarray:
        """Pictures at these places of the cut, ``(n, H, W, 3)``."""
        raise AssertionError("a source must read")


class _ByDecord(_Source):
    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, ranks: np.ndarray) -> np.ndarray:
        return np.asarray(self._reader.get_batch([int(rank) for rank in ranks]).asnumpy())


def _by_decord(cut: Cut, width: int, height: int) -> _ByDecord | None:
    """Decord on the cut, or None where it cannot open it or counts other pictures than there are."""
    import decord

    decord.logging.set_level(decord.logging.FATAL)
    try:
        reader = decord.VideoReader(io.BytesIO(cut.data), width=width, height=height, num_threads=1)
    except (decord.DECORDError, RuntimeError):
        return None
    return _ByDecord(reader) if len(reader) == len(cut.pts) else None


class _ByPyAV(_Source):
    """In-order decoding with restarts; slower, for what decord cannot read."""

    def __init__(self, cut: Cut, width: int, height: int, presentation: Presentation) -> None:
        self._cut, self._width, self._height, self._path = cut, width, height, presentation.path

    def read(self, ranks: np.ndarray) -> np.ndarray:
        import av

        out = np.empty((len(ranks), self._height, self._width, 3), dtype=np.uint8)
        wanted = set(ranks.tolist())
        filled: dict[int, int] = {}
        try:
            with av.open(io.BytesIO(self._cut.data)) as container:
                for rank, frame in enumerate(container.decode(video=0)):
                    if rank in wanted:
                        filled[rank] = len(filled)
                        out[filled[rank]] = frame.to_ndarray(format="rgb24", width=self._width, height=self._height)
                    if rank >= ranks[-1]:
                        break
        except av.FFmpegError as error:
            raise VideoError(f"{self._path}: damaged pictures ({error.strerror or error})") from None
        if len(filled) != len(wanted):
            raise VideoError(f"{self._path}: {len(wanted) - len(filled)} pictures cannot be decoded; convert the file")
        return out

"""Frames of the grid from one video: the interface through which the rest of the library reads.

``FrameReader`` counts frames of the grid; beneath it, a ``FrameDecoder`` counts pictures of the file.

Shapes: T = frames asked for, H x W = size as shown or as asked for, C = red, green, blue.
"""

from __future__ import annotations

import dataclasses
import logging
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, Unpack

import numpy as np

from e2espot.core.errors import DamagedVideoError, VideoError
from e2espot.core.open_arguments import OpenArguments
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video.clock_gaps import seen_frames
from e2espot.video.index import COLOUR_RULE, VideoIndex, frames_of_file, pictures_of_grid
from e2espot.video.indexing import require_readable
from e2espot.video.orientation import upright
from e2espot.video.parts import indexes_of
from e2espot.video.preparation import PLAIN, Preparation, preparation_of, shown_size
from e2espot.video.stream_copy import why_inexact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from e2espot.core.picture_options import PictureOptions
    from e2espot.video.backend import HostBackend

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What is known of a video without decoding it."""

    path: Path
    """The file."""
    num_frames: int
    """Frames of the grid."""
    fps: Fraction
    """Frames per second of the grid."""
    width: int
    """Width in pixels as shown, after rotation and cropping."""
    height: int
    """Height in pixels as shown, after rotation and cropping."""
    source_fps: float
    """Average pictures per second, for display only."""
    num_pictures: int
    """Pictures that a player shows."""
    first_picture_s: Fraction
    """Seconds from the container's time zero to the first shown picture, where the grid begins."""
    duration_s: Fraction
    """Seconds from the first shown picture to the end of the last."""
    codec: str
    """FFmpeg's name of the codec."""
    pixel_format: str
    """FFmpeg's name of the pixel format."""
    rotation_degrees: int
    """Counter-clockwise rotation that is already applied: 0, 90, 180 or 270."""
    matrix: str
    """YUV matrix by which pictures are converted: ``bt601``, ``bt709``, ..."""
    colour_rule: str = COLOUR_RULE
    """How that matrix is chosen."""
    preparation: Preparation = PLAIN
    """What is done to pictures before they are scaled; plain from ``probe``, which decodes nothing."""
    truncated: bool = False
    """Whether the file ends early and is used up to there."""
    declared_duration_s: Fraction | None = None
    """For a truncated file, seconds from the container's time zero to the end it declares; None if it declares no
    more than was read."""


class FrameReader(Protocol):
    """Random access to the frames of one video."""

    @property
    def info(self) -> VideoInfo:
        """The video that is read."""

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """Read frames by number, in any order and with repeats.

        Returns:
            uint8 RGB ``frames_THWC``; the same pixels for the same frame, whatever was read before, except after
            damage (see ``is_reliable``).

        Raises:
            IndexError: a frame outside ``[0, info.num_frames)``.
            VideoError: the file cannot be decoded there.
        """

    def is_reliable(self, frames: Sequence[int]) -> np.ndarray:
        """Which of the frames just read show what was on the pitch then, as a player would; bool ``(T,)``.

        False where the clock of the file leaps and the picture before is held (see ``clock_gaps``), and after damage:
        a decoder invents pixels from what it has decoded before, up to the next keyframe: read in order
        they differ from those read at random.
        """

    def close(self) -> None:
        """Close the file and release the decoder."""

    def __enter__(self) -> Self:
        """Use as a context manager, which closes the reader at the end."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


class FrameDecoder(Protocol):
    """Decodes shown pictures of one file by rank."""

    def decode(self, ranks: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (rank, uint8 RGB ``HWC``, not rotated) for strictly increasing ``ranks``."""

    def is_reliable(self, ranks: Sequence[int]) -> np.ndarray:
        """bool; which of the pictures just read were decoded without damage on the way, as far as the decoder knows."""

    def close(self) -> None:
        """Close the file."""


class GridReader:
    """The ``FrameReader`` over any decoder: maps frames to pictures, decodes each once, applies the rotation."""

    def __init__(
        self,
        index: VideoIndex,
        fps: Fraction,
        size: tuple[int, int],
        decoder: FrameDecoder,
        preparation: Preparation = PLAIN,
        pictures_K: np.ndarray | None = None,
    ) -> None:
        """Read frames of a grid of ``fps`` frames per second, at ``size`` = (width, height) as shown.

        With ``pictures_K`` frame k is the picture of that rank in place of the grid's.
        """
        self.info = video_info(index, fps, preparation)
        self._index = index
        self._pictures_K = pictures_of_grid(index, fps) if pictures_K is None else pictures_K
        self._seen_K = seen_frames(index, fps)
        self._size = size
        self._decoder = decoder

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """See ``FrameReader``."""
        wanted_T = np.asarray(frames, dtype=np.int64)
        outside_T = (wanted_T < 0) | (wanted_T >= len(self._pictures_K))
        if outside_T.any():
            raise IndexError(
                f"{self.info.path}: frame {int(wanted_T[outside_T][0])} asked for; there are {len(self._pictures_K)}"
            )
        width, height = self._size
        frames_THWC = np.empty((len(wanted_T), height, width, 3), dtype=np.uint8)
        # frames [7, 3, 3] -> pictures [14, 6, 6] -> ranks [6, 14], rank_index_T [1, 0, 0]
        ranks, rank_index_T = np.unique(self._pictures_K[wanted_T], return_inverse=True)
        if len(ranks):
            self._index = require_readable(self._index, int(ranks[-1]))
        for i, (_, picture_HWC) in enumerate(self._decoder.decode([int(rank) for rank in ranks])):
            frames_THWC[rank_index_T == i] = upright(picture_HWC, self._index.rotation_degrees, self._index.is_mirrored)
        return frames_THWC

    def is_reliable(self, frames: Sequence[int]) -> np.ndarray:
        """See ``FrameReader``."""
        is_decoded_T = self._decoder.is_reliable([int(self._pictures_K[frame]) for frame in frames])
        is_reliable_T: np.ndarray = is_decoded_T & self._seen_K[np.asarray(frames, dtype=np.int64)]
        return is_reliable_T

    def read_with_gaps(self, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Read frames of a damaged file.

        Returns:
            ``frames_THWC`` as from :meth:`read`, zeros where nothing decodes; and bool ``valid_T``, False there.
        """
        with suppress(DamagedVideoError):
            return self.read(frames), np.ones(len(frames), dtype=bool)
        width, height = self._size
        frames_THWC = np.zeros((len(frames), height, width, 3), dtype=np.uint8)
        valid_T = np.zeros(len(frames), dtype=bool)
        for t, frame in enumerate(frames):
            with suppress(DamagedVideoError):
                frames_THWC[t : t + 1] = self.read([frame])
                valid_T[t] = True
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


class JoinedReader:
    """The ``FrameReader`` of a match in several files; each file is opened when one of its frames is first read."""

    def __init__(
        self, info: VideoInfo, frames_of_part: Sequence[range], open_part: Callable[[int], FrameReader]
    ) -> None:
        """Read frames of the match.

        Args:
            info: The whole match.
            frames_of_part: Frames of the match that each file holds; together they are all frames, in order.
            open_part: Opens the file of that number.
        """
        self.info = info
        self._open_part = open_part
        self._ends = np.array([frames.stop for frames in frames_of_part])
        self._starts = np.array([frames.start for frames in frames_of_part])
        self._readers: dict[int, FrameReader] = {}

    def read(self, frames: Sequence[int]) -> np.ndarray:
        """See ``FrameReader``."""
        wanted_T = np.asarray(frames, dtype=np.int64)
        outside_T = (wanted_T < 0) | (wanted_T >= self.info.num_frames)
        if outside_T.any():
            raise IndexError(
                f"{self.info.path}: frame {int(wanted_T[outside_T][0])} asked for; there are {self.info.num_frames}"
            )
        frames_THWC: np.ndarray | None = None
        for part, t_N in self._by_part(wanted_T):
            frames_NHWC = self._reader(part).read((wanted_T[t_N] - self._starts[part]).tolist())
            if frames_THWC is None:
                frames_THWC = np.empty((len(wanted_T), *frames_NHWC.shape[1:]), dtype=np.uint8)
            frames_THWC[t_N] = frames_NHWC
        return self._reader(0).read([]) if frames_THWC is None else frames_THWC

    def is_reliable(self, frames: Sequence[int]) -> np.ndarray:
        """See ``FrameReader``."""
        wanted_T = np.asarray(frames, dtype=np.int64)
        reliable_T = np.ones(len(wanted_T), dtype=bool)
        for part, t_N in self._by_part(wanted_T):
            reliable_T[t_N] = self._reader(part).is_reliable((wanted_T[t_N] - self._starts[part]).tolist())
        return reliable_T

    def close(self) -> None:
        """See ``FrameReader``."""
        for reader in self._readers.values():
            reader.close()

    def __enter__(self) -> Self:
        """See ``FrameReader``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See ``FrameReader``."""
        self.close()

    def _by_part(self, frames_T: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """(number of the file, positions in ``frames_T`` of its frames) of every file that holds one."""
        # ends [3, 8], frames [2, 5, 3] -> files [0, 1, 1] -> (0, [0]), (1, [1, 2])
        part_T = np.searchsorted(self._ends, frames_T, side="right")
        return [(int(part), np.flatnonzero(part_T == part)) for part in np.unique(part_T)]

    def _reader(self, part: int) -> FrameReader:
        if part not in self._readers:
            self._readers[part] = self._open_part(part)
        return self._readers[part]


def probe(
    path: Path | str,
    fps: Fraction = DEFAULT_FPS,
    **opening: Unpack[OpenArguments],
) -> VideoInfo:
    """Describe a video, or a match in several files (``a.mp4+b.mp4``), on a grid of ``fps`` frames per second.

    Raises:
        VideoError: see ``index_video``.
    """
    indexes = indexes_of(path, **opening)
    return match_info(Path(path), indexes, fps)


def open_reader(
    path: Path | str,
    *,
    fps: Fraction = DEFAULT_FPS,
    size: tuple[int, int] | None = None,
    reader: HostBackend = "auto",
    pictures: PictureOptions | None = None,
    **opening: Unpack[OpenArguments],
) -> FrameReader:
    """Open a video for random access to its frames.

    Args:
        path: The file, or those of one match joined by ``+``: ``a.mp4+b.mp4``.
        fps: Frames per second of the grid.
        size: (width, height) to scale to; None for the size as shown without black bars, of the first file.
        reader: ``auto`` is ``pyav``, which decodes in order and identifies pictures by their time stamps: as fast
            as decord, bounded in memory on any file, and right on damaged ones. ``decord`` decodes stream copies; it
            refuses codecs on which it is not exact, and leaves files whose pictures it would miscount to PyAV, as well
            as the few widths at which it fails.
        pictures: How pictures may be prepared: by default interlaced ones are deinterlaced, HDR is mapped to standard
            range, and black bars are cropped.
        **opening: How each file is opened; see ``OpenArguments``.

    Raises:
        VideoError: see ``index_video``.
    """
    indexes = indexes_of(path, **opening)
    first = preparation_of(indexes[0], pictures)
    if len(indexes) == 1:
        return reader_of(indexes[0], fps=fps, size=size, reader=reader, preparation=first)
    target_size = size or shown_size(indexes[0], first)
    return JoinedReader(
        match_info(Path(path), indexes, fps, first),
        [frames_of_file(index, fps) for index in indexes],
        lambda part: reader_of(
            indexes[part],
            fps=fps,
            size=target_size,
            reader=reader,
            preparation=preparation_of(indexes[part], pictures),
        ),
    )


def reader_of(
    index: VideoIndex,
    *,
    fps: Fraction,
    size: tuple[int, int] | None,
    reader: HostBackend,
    preparation: Preparation,
    pictures_K: np.ndarray | None = None,
) -> GridReader:
    """Open a video whose index and preparation are at hand; see ``open_reader`` and ``GridReader``."""
    target_size = size or shown_size(index, preparation)
    if min(target_size) < 1:
        raise ValueError(f"size is {target_size}; width and height must be positive")
    info = video_info(index, fps, preparation)
    if info.num_frames == 0 and pictures_K is None:
        raise VideoError(f"{info.path}: lasts {float(info.duration_s):.3f} s, too short for one frame at {fps} fps")
    width, height = target_size
    coded_size = (height, width) if index.rotation_degrees in (90, 270) else (width, height)
    wanted = pictures_of_grid(index, fps) if pictures_K is None else pictures_K
    decoder = _open_decoder(index, coded_size, reader, preparation, wanted)
    return GridReader(index, fps, target_size, decoder, preparation, wanted)


def _open_decoder(
    index: VideoIndex, size: tuple[int, int], reader: HostBackend, preparation: Preparation, wanted: np.ndarray
) -> FrameDecoder:
    # Imported when needed: a process that only probes files loads neither library's decoder.
    if reader == "decord":
        from e2espot.video.decord_reader import DecordDecoder, fails_at_width

        inexact = why_inexact(index)
        if inexact is not None:
            _log_fallback(index.path, f"which would show other pictures: {inexact}")
        elif not preparation.is_plain:
            _log_fallback(index.path, f"since its pictures are {preparation.describe()}")
        elif fails_at_width(size[0]):
            _log_fallback(index.path, f"which fails at widths such as {size[0]}")
        else:
            return DecordDecoder(index, size)
    if reader in ("auto", "pyav", "decord"):
        from e2espot.video.pyav_reader import PyavDecoder

        return PyavDecoder(index, size, preparation, wanted)
    raise ValueError(f"reader is {reader!r}; frames are read by 'auto', 'pyav' or 'decord'")


@cache
def _log_fallback(path: Path, reason: str) -> None:
    """Report once for each file that it is not read by the backend that was asked for."""
    _LOG.warning("%s: read by PyAV instead of decord, %s", path, reason)


def video_info(index: VideoIndex, fps: Fraction, preparation: Preparation = PLAIN) -> VideoInfo:
    """Summary of an index, counted on a grid of ``fps`` frames per second."""
    width, height = shown_size(index, preparation)
    return VideoInfo(
        path=index.path,
        num_frames=len(frames_of_file(index, fps)),
        fps=Fraction(fps),
        width=width,
        height=height,
        preparation=preparation,
        source_fps=index.average_fps,
        num_pictures=index.num_pictures,
        first_picture_s=index.first_picture_s,
        duration_s=index.duration_s,
        codec=index.codec_name,
        pixel_format=index.pixel_format,
        rotation_degrees=index.rotation_degrees,
        matrix=index.matrix,
        truncated=index.truncated,
        declared_duration_s=_declared_beyond_read(index),
    )


def match_info(path: Path, indexes: Sequence[VideoIndex], fps: Fraction, preparation: Preparation = PLAIN) -> VideoInfo:
    """Summary of a match in one file or several: size, colours, codec and preparation are those of the first one."""
    first, last = (video_info(index, fps, preparation) for index in (indexes[0], indexes[-1]))
    if len(indexes) == 1:
        return first
    duration_s = sum((index.duration_s for index in indexes), Fraction(0))
    num_pictures = sum(index.num_pictures for index in indexes)
    declared_s = last.declared_duration_s
    return dataclasses.replace(
        first,
        path=path,
        num_frames=sum(len(frames_of_file(index, fps)) for index in indexes),
        source_fps=float(num_pictures / duration_s),
        num_pictures=num_pictures,
        duration_s=duration_s,
        truncated=last.truncated,  # of the others none is
        declared_duration_s=None if declared_s is None else indexes[-1].starts_at_s + declared_s,
    )


def _declared_beyond_read(index: VideoIndex) -> Fraction | None:
    """The declared duration of a truncated file, if it is longer than what was read."""
    declared_s, read_s = index.declared_duration_s, index.first_picture_s + index.duration_s
    return declared_s if index.truncated and declared_s is not None and declared_s > read_s else None

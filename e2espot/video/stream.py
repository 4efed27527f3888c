"""Every frame of a video in order, decoded ahead of the consumer by a process of its own.

    path -> indexes_of -> one request per file -> decode_ahead (``decoder_process``) -> Chunk ...

Shapes: T = frames of a chunk, H x W = size asked for, C = red, green, blue.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from e2espot.core.open_arguments import OpenArguments
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video.decoder_process import DecodeRequest, decode_ahead, split_frames
from e2espot.video.index import VideoIndex, frames_of_file, pictures_of_grid
from e2espot.video.indexing import require_readable
from e2espot.video.parts import indexes_of
from e2espot.video.preparation import known_look, preparation_of, shown_size
from e2espot.video.reader import match_info

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from fractions import Fraction

    import numpy as np

    from e2espot.core.picture_options import PictureOptions
    from e2espot.video.backend import HostBackend


_TIMEOUT_S: Final = 120.0
"""Longest wait for the next frames before the decoder is considered hung."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of the grid."""

    first_frame: int
    """Number of the first one."""
    frames_THWC: np.ndarray
    """uint8 RGB."""


def stream_frames(
    path: Path | str,
    *,
    fps: Fraction = DEFAULT_FPS,
    size: tuple[int, int] | None = None,
    chunk_len: int = 64,
    read_ahead: int = 4,
    start: int = 0,
    stop: int | None = None,
    reader: HostBackend = "auto",
    missing: list[range] | None = None,
    pictures: PictureOptions | None = None,
    timeout_s: float = _TIMEOUT_S,
    in_process: bool = False,
    **opening: Unpack[OpenArguments],
) -> Iterator[Chunk]:
    """Yield every frame of ``[start, stop)`` once, in order.

    Args:
        path: The file, or those of one match joined by ``+``: ``a.mp4+b.mp4``.
        fps: Frames per second of the grid.
        size: (width, height) to scale to; None for the size as shown without black bars, of the first file.
        chunk_len: Frames of a chunk; the last of a file may be shorter.
        read_ahead: Most chunks decoded ahead; fewer if frames are so large that a chunk takes several slots.
        start: First frame.
        stop: End of the frames (exclusive); None for all.
        reader: See ``open_reader``.
        missing: Extended while reading by the frames that do not decode, which are zeros then; None to raise at the
            first of them.
        pictures: How pictures may be prepared; see ``open_reader``.
        timeout_s: Longest wait for the next frames before the decoder is considered hung.
        in_process: Decode in this process and on demand, without a child.
        **opening: How each file is opened; see ``OpenArguments``.

    Raises:
        VideoError: see ``index_video``; or the decoder died or hangs.
    """
    if chunk_len < 1 or read_ahead < 1:
        raise ValueError(f"chunk_len is {chunk_len} and read_ahead {read_ahead}; both must be at least 1")
    indexes = indexes_of(path, **opening)
    info = match_info(Path(path), indexes, fps)
    stop = info.num_frames if stop is None else stop
    if not 0 <= start <= stop <= info.num_frames:
        raise ValueError(f"{path}: frames {start} to {stop} asked for; there are {info.num_frames}")
    decoding = _Decoding(
        fps=fps,
        size=size or _shown_size(indexes, pictures),
        reader=reader,
        pictures=pictures,
        num_slots=read_ahead,
        skip_damaged=missing is not None,
        timeout_s=timeout_s,
        in_process=in_process,
    )

    def chunks_of(part: range) -> list[range]:
        return split_frames(range(max(start, part.start), min(stop, part.stop)), chunk_len)

    yield from _noting_gaps(decoding.match(_readable(indexes, fps, range(start, stop)), chunks_of), missing)


def stream_clips(
    path: Path | str,
    clips: Sequence[range],
    *,
    fps: Fraction = DEFAULT_FPS,
    size: tuple[int, int] | None = None,
    reader: HostBackend = "auto",
    pictures: PictureOptions | None = None,
    **opening: Unpack[OpenArguments],
) -> Iterator[Chunk]:
    """Yield some ranges of frames, each as one chunk; those with frames that do not decode are left out.

    Args:
        path: See :func:`stream_frames`, as all that is not named here.
        clips: Frames of each range, of one length and in ascending order. None goes from one file into the next.
        fps: Frames per second of the grid.
        size: (width, height) to scale to; None for the size as shown.
        reader: See ``open_reader``.
        pictures: How pictures may be prepared; see ``open_reader``.
        **opening: How each file is opened; see ``OpenArguments``.

    Raises:
        VideoError: see ``index_video``; or the decoder died or hangs.
    """
    indexes = indexes_of(path, **opening)
    decoding = _Decoding(
        fps=fps, size=size or _shown_size(indexes, pictures), reader=reader, pictures=pictures, skip_damaged=True
    )

    def chunks_of(part: range) -> list[range]:
        return [clip for clip in clips if clip.start in part]

    with closing(decoding.match(indexes, chunks_of)) as decoded:
        for chunk, lost in decoded:
            if not lost:
                yield chunk


def stream_pictures(
    indexes: Sequence[VideoIndex],
    ranks: Sequence[np.ndarray],
    *,
    rate: Fraction,
    size: tuple[int, int],
    chunk_len: int = 64,
    read_ahead: int = 4,
    reader: HostBackend = "auto",
    missing: list[range] | None = None,
    pictures: PictureOptions | None = None,
) -> Iterator[Chunk]:
    """Yield pictures of a match by their ranks, in chunks that are counted on through its files.

    Args:
        indexes: The files in order.
        ranks: For each file, the ranks of its pictures that are wanted, in ascending order, repeats allowed.
        rate: About how many of them are one second; it names times in errors.
        size: (width, height) to scale to.
        chunk_len: Pictures of a chunk.
        read_ahead: Most chunks decoded ahead.
        reader: See ``open_reader``.
        missing: Extended by the numbers of pictures that do not decode, which are zeros then; None to raise.
        pictures: How pictures may be prepared; see ``open_reader``.

    Raises:
        VideoError: see ``index_video``; or the decoder died or hangs.
    """
    proven = [
        require_readable(index, int(ranks_K[-1])) if len(ranks_K) else index
        for index, ranks_K in zip(indexes, ranks, strict=True)
    ]
    decoding = _Decoding(
        fps=rate,
        size=size,
        reader=reader,
        pictures=pictures,
        num_slots=read_ahead,
        skip_damaged=missing is not None,
    )
    first = 0
    for index, ranks_K in zip(proven, ranks, strict=True):
        if len(ranks_K):
            chunks = split_frames(range(len(ranks_K)), chunk_len)
            yield from _noting_gaps(decoding.file(index, chunks, first, ranks_K), missing)
        first += len(ranks_K)


def _readable(indexes: Sequence[VideoIndex], fps: Fraction, frames: range) -> list[VideoIndex]:
    """The same indexes, proven as far as ``frames`` reach: before the first frame is given, not after an hour."""
    proven = []
    for index in indexes:
        part = frames_of_file(index, fps)
        end = min(frames.stop, part.stop)
        is_wanted = max(frames.start, part.start) < end
        last = int(pictures_of_grid(index, fps)[end - 1 - part.start]) if is_wanted else -1
        proven.append(require_readable(index, last))
    return proven


def _shown_size(indexes: Sequence[VideoIndex], pictures: PictureOptions | None) -> tuple[int, int]:
    """(width, height) of a match where none is asked for: as its first file is shown, without black bars."""
    return shown_size(indexes[0], preparation_of(indexes[0], pictures))


def _noting_gaps(
    decoded: Generator[tuple[Chunk, list[range]], None, None], missing: list[range] | None
) -> Iterator[Chunk]:
    """The chunks alone; ``missing`` is extended by their ranges of frames that do not decode, before each is given."""
    with closing(decoded):
        for chunk, lost in decoded:
            if missing is not None:
                missing += lost
            yield chunk


@dataclass(frozen=True, kw_only=True)
class _Decoding:
    """How the files of a match are decoded: what the requests for all of them have in common."""

    fps: Fraction
    """Frames per second of the grid."""
    size: tuple[int, int]
    """(width, height) to scale to."""
    reader: HostBackend
    """See ``open_reader``."""
    pictures: PictureOptions | None
    """See ``open_reader``."""
    skip_damaged: bool
    """Whether frames that do not decode are zeros, instead of raising."""
    num_slots: int = 4
    """Most chunks decoded ahead."""
    timeout_s: float = _TIMEOUT_S
    """Longest wait for the next frames."""
    in_process: bool = False
    """Decode without a child."""

    def match(
        self, indexes: Sequence[VideoIndex], chunks_of: Callable[[range], list[range]]
    ) -> Generator[tuple[Chunk, list[range]], None, None]:
        """Each chunk of a match in one file or several, and its ranges of frames that do not decode.

        Args:
            indexes: The files in order.
            chunks_of: The frames of a file, counted in the match -> its chunks.
        """
        for index in indexes:
            part = frames_of_file(index, self.fps)
            # A match of 100 and 50 frames: chunk 120..130 of the match is 20..30 of the second file.
            chunks = [range(chunk.start - part.start, chunk.stop - part.start) for chunk in chunks_of(part)]
            if chunks:
                yield from self.file(index, chunks, part.start)

    def file(
        self, index: VideoIndex, chunks: Sequence[range], first: int, pictures_K: np.ndarray | None = None
    ) -> Generator[tuple[Chunk, list[range]], None, None]:
        """Each chunk of one file, and its ranges of frames that do not decode, both counted in the match.

        Args:
            index: The file.
            chunks: Frames of each chunk, counted in the file; at least one chunk.
            first: Number of the file's first frame in the match.
            pictures_K: Ranks of the pictures that are the frames of the file; None for those of the grid.
        """
        request = DecodeRequest(
            index=index,
            fps=self.fps,
            size=self.size,
            reader=self.reader,
            pictures=self.pictures,
            look=known_look(index),
            chunks=tuple(chunks),
            num_slots=self.num_slots,
            skip_damaged=self.skip_damaged,
            pictures_K=pictures_K,
        )
        with closing(decode_ahead(request, self.timeout_s, self.in_process or os.name != "posix")) as decoded:
            for frames, (frames_THWC, lost) in zip(chunks, decoded, strict=True):
                gaps = [range(first + gap.start, first + gap.stop) for gap in lost]
                yield Chunk(first + frames.start, frames_THWC), gaps

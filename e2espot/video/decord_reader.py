"""Pictures by decord, which counts what it decodes: so it is given stream copies, in which counting is right.

decord decodes ahead of its reader without a bound; a copy of a range of the file bounds it. When reading goes on from
the last picture, the copy extends to the end of its segment, and its decoder is kept.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError, first_line
from e2espot.video.losses import are_intact
from e2espot.video.packets import PacketSource
from e2espot.video.stream_copy import Cut, cut_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from e2espot.video.index import VideoIndex

# Tried and found wrong: MPEG-2, MPEG-4 and HEVC with open GOPs, read at random; x264's 4:4:4, whose first packet
# is not part of a copy.
_CODECS = ("h264", "vp8", "vp9")
_PIXEL_FORMATS = ("yuv420p", "yuvj420p", "yuv420p10le")
_MAX_SEGMENT_BYTES = 1 << 30
_MIN_PICTURES_AHEAD = 128
"""Pictures of a copy when reading goes on, so that short segments do not each cost a decoder."""
_MIN_PICTURES = 8
"""From fewer pictures decord cannot determine the rate, and refuses to open the copy."""
_ROW_STEP = 32
"""Pixels to whose multiples decord pads the rows of a scaled picture."""


def fails_at_width(width: int) -> bool:
    """Whether decord raises an error for every picture of a width.

    It leaves out the padding of rows, unless a padded row is a whole number of pixels long, be they of 4 bytes or more:
    that number it takes for the channels. It is so for eleven widths from 1 to 72::

        width 48   64 * 3 bytes = 48 * 4   error
        width 80   96 * 3 bytes = 80 * 3.6
    """
    padded = -(-width // _ROW_STEP) * _ROW_STEP
    return padded != width and padded * 3 % width == 0


class DecordDecoder:
    """Pictures of one file by rank; see ``reader.FrameDecoder``."""

    def __init__(self, index: VideoIndex, size: tuple[int, int]) -> None:
        """Open the file; ``size`` is the (width, height) to scale to, before rotation.

        Raises:
            VideoError: decord is not exact on such pictures, or needs too much memory.
        """
        if index.codec_name not in _CODECS or index.pixel_format not in _PIXEL_FORMATS:
            raise VideoError(
                f"{index.path}: decord is not exact on {index.codec_name} in {index.pixel_format}; "
                "read it with another backend, such as auto",
                option="reader",
            )
        longest = index.longest_segment
        if longest * size[0] * size[1] * 3 > _MAX_SEGMENT_BYTES:
            raise VideoError(
                f"{index.path}: up to {longest} pictures follow one keyframe, "
                f"too many for decord at {size[0]}x{size[1]}; read it with another backend, such as auto, "
                "or at a smaller size",
                option="reader",
            )
        self._index = index
        self._size = size
        self._source = PacketSource(index)
        self._decoder: Any = None
        self._cut: Cut | None = None
        self._cut_range = (0, 0)  # first picture, end (exclusive)
        self._next_rank = -1

    def close(self) -> None:
        """Close the file."""
        self._decoder = None
        self._source.close()

    def decode(self, ranks: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (rank, uint8 RGB ``HWC``) for strictly increasing ``ranks``.

        Raises:
            VideoError: decord does not know the codec, or counts other pictures than there are.
        """
        pending = list(ranks)
        while pending:
            if not self._cut_range[0] <= pending[0] < self._cut_range[1]:
                self._open_cut(pending)
            available = [rank for rank in pending if rank < self._cut_range[1]]
            pending = pending[len(available) :]
            self._next_rank = available[-1] + 1
            yield from zip(available, self._decode_from_cut(available), strict=True)

    def is_reliable(self, ranks: Sequence[int]) -> np.ndarray:
        """bool; False after damage that the container reports. decord itself reports none."""
        return are_intact(self._index, ranks)

    def _open_cut(self, ranks: Sequence[int]) -> None:
        # A grid faster than the pictures asks for the last picture again: 25 fps of a 12.5 fps video.
        sequential = ranks[0] in (self._next_rank - 1, self._next_rank)
        first, end = _range_of_cut(self._index, ranks, sequential=sequential)
        self._decoder = None  # frees its pictures before the next one decodes ahead
        cut = cut_pictures(self._index, first, end - 1, self._source)
        self._decoder = _open(cut, self._size, self._index)
        self._cut, self._cut_range = cut, (first, end)

    def _decode_from_cut(self, ranks: Sequence[int]) -> np.ndarray:
        import decord

        assert self._cut is not None
        try:
            batch: np.ndarray = self._decoder.get_batch(self._cut.positions_of(np.array(ranks))).asnumpy()
        except (decord.DECORDError, RuntimeError) as error:
            raise VideoError(f"{self._index.path}: decord cannot decode it ({first_line(error)})") from None
        return batch


def _range_of_cut(index: VideoIndex, ranks: Sequence[int], *, sequential: bool) -> tuple[int, int]:
    """Pictures to copy, as (first, end): up to the last one wanted, or whole segments if reading goes on.

    ::

        segments [0, 50) [50, 100) [100, 150) [150, 200), pictures 60 to 69 wanted
        at random    -> (50, 70)
        sequential   -> (50, 200): whole segments, until at least 128 pictures are copied
    """
    segment = index.segment_of(ranks[0])
    first, end = index.pictures_of_segment(segment)
    wanted_end = ranks[-1] + 1
    limit = min(first + _MIN_PICTURES_AHEAD, index.num_pictures)
    while end < (limit if sequential else min(wanted_end, limit)):
        segment += 1
        end = index.pictures_of_segment(segment)[1]
    least = min(first + _MIN_PICTURES, index.num_pictures)
    return first, max(end, least) if sequential else max(min(end, wanted_end), least)


def _open(cut: Cut, size: tuple[int, int], index: VideoIndex) -> Any:
    import decord

    decord.logging.set_level(decord.logging.FATAL)
    try:
        decoder = decord.VideoReader(BytesIO(cut.data), width=size[0], height=size[1], num_threads=1)
    except (decord.DECORDError, RuntimeError, AssertionError) as error:
        raise VideoError(
            f"{index.path}: decord cannot open {index.codec_name} in {index.pixel_format} ({first_line(error)}); "
            "read it with another backend, such as auto",
            option="reader",
        ) from None
    if len(decoder) != len(cut.ranks_N):
        raise VideoError(
            f"{index.path}: decord counts {len(decoder)} pictures where there are {len(cut.ranks_N)}; "
            "read it with another backend, such as auto",
            option="reader",
        )
    return decoder

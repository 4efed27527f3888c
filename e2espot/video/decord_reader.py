"""Pictures by decord, which counts what it decodes: so it is given cuts, in which counting is right.

decord decodes ahead of its reader without a bound; a cut bounds it. Where a read goes on
from the last one, the cut reaches to the end of its segment and its decoder is kept.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.video.demux import one_line
from e2espot.video.packets import PacketSource
from e2espot.video.stream_copy import Cut, cut_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from e2espot.video.index import Presentation

_CODECS = ("h264", "vp8", "vp9")
_PIXEL_FORMATS = ("yuv420p", "yuvj420p", "yuv420p10le")
_MOST_BYTES = 1 << 30
_LEAST_AHEAD, _LEAST_CUT = 128, 8


class DecordPictures:
    """Pictures of one file by rank; see ``reader.Pictures``."""

    def __init__(self, presentation: Presentation, size: tuple[int, int]) -> None:
        """Open the file; ``size`` is the (width, height) to scale to, before rotation.

        Raises:
            VideoError: decord is not exact on such pictures, or needs too much memory.
        """
        if presentation.codec_name not in _CODECS or presentation.pixel_format not in _PIXEL_FORMATS:
            # Tried and found wrong: MPEG-2, MPEG-4 and HEVC's open groups read at random; x264's 4:4:4, whose first
            # packet is not cut.
            raise VideoError(
                f"{presentation.path}: decord is not exact on {presentation.codec_name} in "
                f"{presentation.pixel_format}; use --reader auto"
            )
        ends = np.append(presentation.start_picture_S[1:], presentation.num_pictures)
        longest = int((ends - presentation.start_picture_S).max())
        if longest * size[0] * size[1] * 3 > _MOST_BYTES:
            raise VideoError(
                f"{presentation.path}: up to {longest} pictures lie between two places where decoding can begin, "
                f"too many for decord at {size[0]}x{size[1]}; use --reader auto, or a smaller --size"
            )
        self._index = presentation
        self._size = size
        self._source = PacketSource(presentation)
        self._decoder: Any = None
        self._cut: Cut | None = None
        self._cut_range = (0, 0)
        self._next = -1

    def close(self) -> None:
        """Close the file."""
        self._decoder = None
        self._source.close()

    def pictures(self, ranks: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (rank, uint8 RGB ``HWC``) for strictly increasing ``ranks``.

        Raises:
            VideoError: decord does not know the codec, or finds other pictures than there are.
        """
        pending = list(ranks)
        while pending:
            if not self._cut_range[0] <= pending[0] < self._cut_range[1]:
                self._open_cut(pending)
            here = [rank for rank in pending if rank < self._cut_range[1]]
            pending = pending[len(here) :]
            self._next = here[-1] + 1
            yield from zip(here, self._decode(here), strict=True)

    def sound(self, ranks: Sequence[int]) -> np.ndarray:
        """All: decord does not say what it made up."""
        return np.ones(len(ranks), dtype=bool)

    def _open_cut(self, ranks: Sequence[int]) -> None:
        first, end = _range_of_cut(self._index, ranks, goes_on=ranks[0] in (self._next - 1, self._next))
        self._decoder = None
        cut = cut_pictures(self._index, first, end - 1, self._source)
        self._decoder = _open(cut, self._size, self._index)
        self._cut, self._cut_range = cut, (first, end)

    def _decode(self, ranks: Sequence[int]) -> np.ndarray:
        import decord

        assert self._cut is not None
        try:
            batch: np.ndarray = self._decoder.get_batch(self._cut.places(np.array(ranks))).asnumpy()
        except (decord.DECORDError, RuntimeError) as error:
            raise VideoError(f"{self._index.path}: decord cannot decode it ({_first_line(error)})") from None
        return batch


def _range_of_cut(presentation: Presentation, ranks: Sequence[int], *, goes_on: bool) -> tuple[int, int]:
    """Half-open range of pictures to cut: what is asked for, or whole segments when reading goes on."""
    segment = presentation.segment_of(ranks[0])
    first, end = presentation.pictures_of_segment(segment)
    wanted = ranks[-1] + 1
    most = min(first + _LEAST_AHEAD, presentation.num_pictures)
    while end < (most if goes_on else min(wanted, most)):
        segment += 1
        end = presentation.pictures_of_segment(segment)[1]
    # From fewer pictures decord cannot tell the rate, and then refuses to open.
    least = min(first + _LEAST_CUT, presentation.num_pictures)
    return first, max(end, least) if goes_on else max(min(end, wanted), least)


def _open(cut: Cut, size: tuple[int, int], presentation: Presentation) -> Any:
    import decord

    decord.logging.set_level(decord.logging.FATAL)
    try:
        decoder = decord.VideoReader(BytesIO(cut.data), width=size[0], height=size[1], num_threads=1)
    except (decord.DECORDError, RuntimeError, AssertionError) as error:
        raise VideoError(
            f"{presentation.path}: decord cannot open {presentation.codec_name} in {presentation.pixel_format} "
            f"({_first_line(error)}); use --reader auto"
        ) from None
    if len(decoder) != len(cut.ranks_N):
        raise VideoError(
            f"{presentation.path}: decord counts {len(decoder)} pictures where there are {len(cut.ranks_N)}; "
            "use --reader auto"
        )
    return decoder


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(Exception(lines[0])) if lines else type(error).__name__

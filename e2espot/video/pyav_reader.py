"""Pictures by PyAV: decoded in order, known by their time stamps, never more than a few in memory."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import DamagedVideoError, VideoError
from e2espot.video.demux import NO_STAMP
from e2espot.video.packets import PacketSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from e2espot.video.index import Presentation

_LOG = logging.getLogger(__name__)

LONGEST_HOLD_S = 1
"""A picture the decoder does not give is replaced by one so near in time; farther, the file is damaged."""


class PyavPictures:
    """Pictures of one file by rank, the decoder kept running between calls.

    A picture depends on its rank alone, not on what was asked before: in place of one the decoder
    does not give (damaged, or the second field of a pair) the one before it stays, as in a player.
    """

    def __init__(self, presentation: Presentation, size: tuple[int, int]) -> None:
        """Open the file; ``size`` is the (width, height) to scale to, before rotation."""
        self._index = presentation
        self._size = size
        self._source = PacketSource(presentation)
        self._rank_of_pts = {int(pts): rank for rank, pts in enumerate(presentation.pts_P)}
        self._warned = False
        self._last: tuple[int, np.ndarray] | None = None
        self._ready: deque[tuple[int, Any]] = deque()
        self._held: tuple[int, Any] | None = None
        self._damaged: dict[int, int] = {}  # segment -> first packet of it that met damage
        self._segment = self._begun = self._asked = -1
        self._fed = self._counted = 0
        self._newest_pts = NO_STAMP
        self._restart(0)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def pictures(self, ranks: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (rank, uint8 RGB ``HWC``) for strictly increasing ``ranks``.

        Raises:
            VideoError: a stretch of the file cannot be decoded.
        """
        for rank in ranks:
            if self._last is None or self._last[0] != rank:
                self._last = rank, self._convert(self._decoded(rank))
            yield self._last

    def sound(self, ranks: Sequence[int]) -> np.ndarray:
        """bool; whether decoding met no damage from where each picture's segment begins, for ranks read just now.

        What a decoder makes up where there is damage depends on what it saw before, so such a picture can look another
        way when reading began elsewhere.
        """
        first_bad = [self._damaged.get(self._index.segment_of(rank), self._index.num_packets) for rank in ranks]
        return self._index.packet_P[np.asarray(ranks, dtype=np.int64)] < np.asarray(first_bad)

    def _note_damage(self, packet: int) -> None:
        segment = max(0, int(np.searchsorted(self._index.start_packet_S, packet, side="right")) - 1)
        if self._index.order == "decoded":  # where no picture is known by its packet
            packet = int(self._index.start_packet_S[segment])
        self._damaged[segment] = min(packet, self._damaged.get(segment, packet))

    def _decoded(self, rank: int) -> Any:
        """The decoded picture that stands for ``rank``."""
        segment = self._index.segment_of(rank)
        start = int(self._index.start_packet_S[segment])
        counts = self._index.order == "decoded" and segment != self._segment
        if rank <= self._asked or start > self._fed or counts:
            self._restart(segment)
        self._segment, self._asked = segment, rank
        self._decode_to(rank)
        while self._held is None and self._begun > 0 and self._near(rank, self._begun - 1):
            # Nothing of its segment decodes up to here: what the one before ended with is still on show.
            self._restart(self._begun - 1)
            self._segment, self._asked = segment, rank
            self._decode_to(rank)
        return self._checked(rank, self._held)

    def _near(self, rank: int, segment: int) -> bool:
        """Whether what a segment ends with may still stand for ``rank``."""
        last = self._index.pictures_of_segment(segment)[1] - 1
        return int(self._index.pts_P[rank] - self._index.pts_P[last]) * self._index.time_base <= LONGEST_HOLD_S

    def _decode_to(self, rank: int) -> None:
        """Decode until ``rank`` or a later picture comes; the last up to it is held."""
        while self._fill() and self._ready[0][0] <= rank:
            self._held = self._ready.popleft()
            if self._held[0] == rank:
                break

    def _checked(self, rank: int, found: tuple[int, Any] | None) -> Any:
        """The picture of ``found``, if it may stand for ``rank``."""
        stamps, base = self._index.pts_P, self._index.time_base
        if found is None or abs(int(stamps[rank] - stamps[found[0]])) * base > LONGEST_HOLD_S:
            at_s = self._seconds(rank)
            raise DamagedVideoError(
                f"{self._index.path}: cannot be decoded at {at_s:.2f} s; the file is damaged there. Copy or download "
                "it again; tools/infer.py passes over such stretches with --allow_truncated"
            )
        if found[0] != rank and not self._warned:
            self._warned = True
            _LOG.warning("%s: some pictures do not decode; their neighbours stand in for them", self._index.path)
        return found[1]

    def last_from(self, segment: int) -> int:
        """Rank of the last picture that decodes, going back from ``segment`` to where one does; -1 for none."""
        for begin in range(segment, -1, -1):
            self._restart(begin)
            while self._fill():
                self._held = self._ready.popleft()
            if self._held is not None:
                return self._held[0]
        return -1

    def _seconds(self, rank: int) -> float:
        stamps = self._index.pts_P
        return float(int(stamps[rank] - stamps[0]) * self._index.time_base)

    def _fill(self) -> bool:
        """Decode until a picture waits; False at the end of the file."""
        while not self._ready and self._fed <= self._index.num_packets:
            self._feed()
        return bool(self._ready)

    def _feed(self) -> None:
        import av

        packet = None  # which flushes the decoder at the end of the file
        if self._fed < self._index.num_packets:
            ((_, packet),) = self._source.read(self._fed, self._fed + 1)
        self._fed += 1
        try:
            pictures = self._codec.decode(packet)
        except av.error.FFmpegError:
            self._note_damage(self._fed - 1)
            if self._index.order == "decoded":
                raise VideoError(
                    f"{self._index.path}: packet {self._fed - 1} cannot be decoded, and an AVI file gives its pictures "
                    "no times of their own; convert it with tools/transcode.py"
                ) from None
            return  # a damaged packet; if its picture is wanted, _checked has the last word
        for picture in pictures:
            rank = self._rank(picture)
            if self._index.order == "stamps" and picture.pts is not None:
                if picture.pts <= self._newest_pts:
                    at_s = float((picture.pts - int(self._index.pts_P[0])) * self._index.time_base)
                    raise VideoError(
                        f"{self._index.path}: its pictures do not decode in the order of their times, near {at_s:.2f} "
                        "s; convert it with tools/transcode.py"
                    )
                self._newest_pts = picture.pts
            if rank is not None:
                if picture.is_corrupt:
                    self._note_damage(int(self._index.packet_P[rank]))
                self._ready.append((rank, picture))

    def _rank(self, picture: Any) -> int | None:
        if self._index.order == "stamps":
            return self._rank_of_pts.get(picture.pts)
        self._counted += 1
        return self._counted - 1 if self._counted <= self._index.num_pictures else None

    def _restart(self, segment: int) -> None:
        """Begin decoding at the start of ``segment``."""
        self._fed = int(self._index.start_packet_S[segment])
        if segment == 0 and self._index.order == "stamps":
            self._fed = 0  # what cannot be shown may still tell the decoder something
        self._counted = int(self._index.start_picture_S[segment])
        if "444" in self._index.pixel_format and self._fed > 0:
            # Old x264 wrote 4:4:4 in its own way and says so in the first packet only.
            self._source.go_to(0)
            with suppress(Exception):
                self._source.stream.codec_context.decode(next(self._source.read(0, 1))[1])
        self._source.go_to(self._fed)
        self._codec = self._source.stream.codec_context
        self._codec.flush_buffers()
        self._ready.clear()
        self._held, self._newest_pts = None, NO_STAMP
        self._segment, self._begun, self._asked = segment, segment, -1

    def _convert(self, picture: Any) -> np.ndarray:
        width, height = self._size
        scaled = picture.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR", threads=1)
        array: np.ndarray = scaled.to_ndarray()
        return array

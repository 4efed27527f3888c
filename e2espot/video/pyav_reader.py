"""Pictures by PyAV: decoded in order, identified by their time stamps, only a few of them in memory."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import DamagedVideoError, VideoError
from e2espot.video.losses import are_intact
from e2espot.video.old_x264 import version_message, with_message
from e2espot.video.packet_columns import NO_PTS
from e2espot.video.packets import PacketSource
from e2espot.video.picture_filter import PictureFilter
from e2espot.video.preparation import PLAIN, Preparation
from e2espot.video.unneeded_pictures import UnneededPictures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from e2espot.video.index import VideoIndex

_LOG = logging.getLogger(__name__)

MAX_HOLD_S = 1
"""How long a picture may stand in for one that does not decode; beyond, the file counts as damaged there."""


class OutOfOrderError(VideoError):
    """Pictures are not output in the order of their times."""


class PyavDecoder:
    """Pictures of one file by rank; the decoder keeps running between calls.

    A picture depends on its rank alone, not on what was read before. In place of one that does not decode
    (damaged, or the second field of a pair) the previous picture is held, as in a player.
    """

    def __init__(
        self,
        index: VideoIndex,
        size: tuple[int, int],
        preparation: Preparation = PLAIN,
        wanted: np.ndarray | None = None,
    ) -> None:
        """Open the file.

        Args:
            index: The index of the file.
            size: The (width, height) to scale to, before rotation.
            preparation: What is done to the pictures before they are scaled.
            wanted: Ranks of all pictures that will ever be asked for, so that others need not be decoded; None for
                any. What is shown does not depend on it.
        """
        self._index = index
        self._filter = PictureFilter(index, size, preparation)
        self._source = PacketSource(index)
        # Where pictures share a time stamp, the first of them: pts [0, 40, 40, 80] -> {0: 0, 40: 1, 80: 3}
        self._first_rank_of_pts = {int(index.pts_P[rank]): rank for rank in range(index.num_pictures - 1, -1, -1)}
        self._warned = False
        self._converted: tuple[int, np.ndarray] | None = None  # the last picture that was returned, as RGB
        self._decoded: deque[tuple[int, Any]] = deque()  # pictures the decoder has output, not yet used
        self._current: tuple[int, Any] | None = None  # the last picture up to the rank asked for
        self._first_damaged: dict[int, int] = {}  # segment -> its first damaged packet
        self._segment = self._restarted_at = self._last_rank = -1
        self._next_packet = self._counted_rank = self._first_fed = 0
        self._newest_pts = NO_PTS
        self._num_repeats = 0  # pictures decoded since the first one with the newest time stamp
        self._message = b""  # put before the packet at which decoding begins
        if index.codec_name == "h264" and ("444" in index.pixel_format or "gbr" in index.pixel_format):
            ((_, first_packet),) = self._source.read(0, 1)
            extradata = self._source.stream.codec_context.extradata or b""
            self._message = version_message(extradata, memoryview(first_packet))
        self._unneeded: UnneededPictures | None = None
        self._left_out: set[int] = set()  # packets met since the last restart that no wanted picture needs
        self._decodes_all = False
        if wanted is not None and not self._filter.needs_neighbours:
            self._unneeded = UnneededPictures(index, wanted, self._source.stream.codec_context.extradata or b"")
        self._restart(0)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def decode(self, ranks: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (rank, uint8 RGB ``HWC``) for strictly increasing ``ranks``.

        Raises:
            DamagedVideoError: a picture does not decode, nor one at most ``MAX_HOLD_S`` before it.
            VideoError: the file cannot be decoded, or not in a known order.
        """
        for rank in ranks:
            if self._converted is None or self._converted[0] != rank:
                self._converted = rank, self._filter.to_rgb(rank, self._picture)
            yield self._converted

    def is_reliable(self, ranks: Sequence[int]) -> np.ndarray:
        """bool; whether no damage was met from the start of a picture's segment up to it, for ranks just read.

        After damage a decoder invents pixels from what it has decoded before. Such a picture may look different when
        decoding began elsewhere.
        """
        num_packets = self._index.num_packets
        is_reliable = np.ones(len(ranks), dtype=bool)
        # A deinterlaced picture is made from its neighbours as well.
        for offset in (-1, 0, 1) if self._filter.needs_neighbours else (0,):
            near_N = np.clip(np.asarray(ranks, dtype=np.int64) + offset, 0, self._index.num_pictures - 1)
            first_damaged = [self._first_damaged.get(self._index.segment_of(near), num_packets) for near in near_N]
            is_reliable &= self._index.packet_P[near_N] < np.asarray(first_damaged)
            is_reliable &= are_intact(self._index, near_N.tolist())
        return is_reliable

    def last_decodable_rank(self, segment: int) -> int:
        """Rank of the last picture that decodes, trying segments backwards from ``segment``; -1 if none does."""
        for candidate in range(segment, -1, -1):
            self._restart(candidate)
            while self._fill():
                self._current = self._decoded.popleft()
            if self._current is not None:
                return self._current[0]
        return -1

    def check_order(self, end_packet: int, segment: int = 0) -> None:
        """Decode from the start of ``segment`` to ``end_packet`` (exclusive).

        Raises:
            OutOfOrderError: pictures are not output in the order of their times.
        """
        self._restart(segment)
        while self._next_packet < end_packet and self._fill():
            self._decoded.clear()

    def _picture(self, rank: int) -> Any:
        """The decoded picture to show for ``rank``."""
        segment = self._index.segment_of(rank)
        start = int(self._index.start_packet_S[segment])
        is_back = rank <= self._last_rank
        is_far_ahead = start > self._next_packet
        # Counted pictures are right only from the start of their own segment.
        must_recount = self._index.identified_by == "decode_order" and segment != self._segment
        if is_back or is_far_ahead or must_recount:
            self._restart(segment)
        self._segment, self._last_rank = segment, rank
        self._decode_to(rank)
        if self._left_out and (self._current is None or self._current[0] != rank):
            self._decode_all_to(rank, segment)
        while self._current is None and self._restarted_at > 0 and self._is_held_over(rank, self._restarted_at - 1):
            # Nothing of the segment decodes up to here, so the last picture of the one before is still on show.
            self._restart(self._restarted_at - 1)
            self._segment, self._last_rank = segment, rank
            self._decode_to(rank)
        return self._checked(rank, self._current)

    def _decode_all_to(self, rank: int, segment: int) -> None:
        """Decode again with what was left out: where ``rank`` is damaged, the very picture before it is held."""
        self._decodes_all = True
        self._restart(segment)
        self._segment, self._last_rank = segment, rank
        self._decode_to(rank)
        self._decodes_all = False

    def _is_held_over(self, rank: int, segment: int) -> bool:
        """Whether the last picture of ``segment`` is near enough in time to stand in for ``rank``."""
        last = self._index.pictures_of_segment(segment)[1] - 1
        return int(self._index.pts_P[rank] - self._index.pts_P[last]) * self._index.time_base <= MAX_HOLD_S

    def _decode_to(self, rank: int) -> None:
        """Decode until ``rank`` or a later picture is output; keep the last one up to ``rank``.

        ::

            rank 5, decoder outputs 3, 4, 5     -> current is 5
            rank 5, decoder outputs 3, 4, 6, 7  -> current is 4, 6 stays in the queue
        """
        while self._fill() and self._decoded[0][0] <= rank:
            self._current = self._decoded.popleft()
            if self._current[0] == rank:
                break

    def _checked(self, rank: int, candidate: tuple[int, Any] | None) -> Any:
        """The picture of ``candidate``, if it may be shown for ``rank``."""
        pts_P, time_base = self._index.pts_P, self._index.time_base
        if candidate is None or abs(int(pts_P[rank] - pts_P[candidate[0]])) * time_base > MAX_HOLD_S:
            raise DamagedVideoError(
                f"{self._index.path}: cannot be decoded at {self._index.describe_picture(rank)}; the file is damaged "
                "there. Copy or download it again, or let inference skip such ranges (allow_truncated=True)",
                option="allow_truncated",
            )
        if candidate[0] != rank and not self._warned:
            self._warned = True
            _LOG.warning(
                "%s: some pictures do not decode, the first of them at %s; their neighbours are shown instead",
                self._index.path,
                self._index.describe_picture(rank),
            )
        return candidate[1]

    def _fill(self) -> bool:
        """Decode until a picture is available; False at the end of the file."""
        while not self._decoded and self._next_packet <= self._index.num_packets:
            self._feed()
        return bool(self._decoded)

    def _feed(self) -> None:
        """Give the decoder its next packet, if it is needed, and queue what it outputs."""
        import av

        packet = None  # flushes the decoder at the end of the file
        if self._next_packet < self._index.num_packets:
            packet = self._read_packet()
        self._next_packet += 1
        if self._next_packet - 1 in self._left_out and not self._decodes_all:
            return
        try:
            pictures = self._codec.decode(packet)
        except av.error.FFmpegError:
            self._record_damage(self._next_packet - 1)
            if self._index.identified_by == "decode_order":
                raise VideoError(
                    f"{self._index.path}: cannot be decoded at {self._index.describe_packet(self._next_packet - 1)}, "
                    "and its pictures have no times of their own; convert it with `e2espot transcode`"
                ) from None
            return  # a damaged packet; _checked decides whether its picture is missed
        for picture in pictures:
            self._check_order(picture)
            rank = self._rank_of(picture)
            if rank is not None:
                if picture.is_corrupt:
                    self._record_damage(int(self._index.packet_P[rank]))
                self._decoded.append((rank, picture))

    def _read_packet(self) -> Any:
        """The next packet, as the decoder is to see it; noted if it is one that no wanted picture needs."""
        number = self._next_packet
        ((_, packet),) = self._source.read(number, number + 1)
        if self._message and 0 < number == self._first_fed:
            packet = with_message(packet, self._message)
        if not self._index.shown_M[number]:
            packet.pts = None  # its picture must not be taken for a shown one with the same time, of another edit
        if self._unneeded is not None and self._unneeded.can_leave_out(number, packet):
            self._left_out.add(number)
        return packet

    def _record_damage(self, packet: int) -> None:
        if packet in self._left_out:
            return  # no other picture is made from it
        segment = max(0, int(np.searchsorted(self._index.start_packet_S, packet, side="right")) - 1)
        if self._index.identified_by == "decode_order":  # packets and pictures cannot be matched within a segment
            packet = int(self._index.start_packet_S[segment])
        self._first_damaged[segment] = min(packet, self._first_damaged.get(segment, packet))

    def _check_order(self, picture: Any) -> None:
        """Raise if the decoder outputs pictures out of display order, which no held picture would survive."""
        if self._index.identified_by != "pts" or picture.pts is None:
            return
        if picture.pts < self._newest_pts:
            begun = int(np.searchsorted(self._index.pts_P, picture.pts, side="right"))
            raise OutOfOrderError(
                f"{self._index.path}: its pictures do not decode in the order of their times, near "
                f"{self._index.describe_picture(max(0, begun - 1))}; convert it with `e2espot transcode`"
            )
        self._num_repeats = self._num_repeats + 1 if picture.pts == self._newest_pts else 0
        self._newest_pts = picture.pts

    def _rank_of(self, picture: Any) -> int | None:
        """Rank of a decoded picture; None for one that is not shown."""
        if self._index.identified_by == "pts":
            first = self._first_rank_of_pts.get(picture.pts)
            if first is None:
                return None
            rank = first + self._num_repeats
            is_known = rank < self._index.num_pictures and self._index.pts_P[rank] == picture.pts
            return rank if is_known else first
        rank = self._counted_rank
        self._counted_rank += 1
        return rank if rank < self._index.num_pictures else None

    def _restart(self, segment: int) -> None:
        """Begin decoding at the start of ``segment``."""
        self._next_packet = int(self._index.start_packet_S[segment])
        if segment == 0 and self._index.identified_by == "pts":
            self._next_packet = 0  # packets that cannot be shown may still hold parameters for the decoder
        if self._index.format_change_packet is not None:
            self._source.reopen()  # a decoder keeps the last header that it was given, even if flushed
        self._counted_rank = int(self._index.start_picture_S[segment])
        self._source.go_to(self._next_packet)
        self._codec = self._source.stream.codec_context  # another one if the source had to open the file again
        self._codec.flush_buffers()
        self._first_fed = self._next_packet
        self._decoded.clear()
        self._left_out.clear()
        self._current, self._newest_pts, self._num_repeats = None, NO_PTS, 0
        self._segment, self._restarted_at, self._last_rank = segment, segment, -1

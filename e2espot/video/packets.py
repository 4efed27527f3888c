"""Packets of an indexed file by number: the seam between seeking and decoding.

A packet holds a whole picture: the two fields of one that the file stores apart are joined.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError, one_line
from e2espot.video.container import NEW_HEADER, demux_errors, discard_other_streams, open_container, select_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2espot.video.index import VideoIndex

_READ_FORWARD = 64
"""Packets up to which reading forward is cheaper than seeking."""


class PacketSource:
    """An open file from which packets are read by their number in the index."""

    def __init__(self, index: VideoIndex) -> None:
        """Open the file at its first packet."""
        self._index = index
        self._has_parts = bool((index.num_parts_M > 1).any())
        self.path = index.path
        self.stream: Any = None
        self._container: Any = None
        self._packets: Iterator[Any] = iter(())
        self._next = 0
        self._unread_header: Any = None  # codec header of a packet that was skipped
        self.reopen()

    def close(self) -> None:
        """Close the file."""
        self._packets = iter(())
        self._container.close()

    def read(self, first: int, end: int) -> Iterator[tuple[int, Any]]:
        """Yield (number, packet) for packets ``first <= number < end``.

        Raises:
            VideoError: the file has fewer packets than when it was indexed.
        """
        self.go_to(first)
        while self._next < end:
            number, packet = self._next, self._read_next()
            if self._unread_header is not None:
                if not packet.has_sidedata(NEW_HEADER):
                    packet.set_sidedata(self._unread_header)
                self._unread_header = None
            yield number, packet

    def go_to(self, number: int) -> None:
        """Make ``number`` the next packet."""
        if not number - _READ_FORWARD <= self._next <= number:
            self._seek(number)
        while self._next < number:
            self._keep_header(self._read_next())

    def _keep_header(self, skipped: Any) -> None:
        """Keep the codec header that comes with a skipped packet for the next one that is read.

        FFmpeg gives a header only with the packet at which it changes, compared with the packet read before::

            sample description   1 1 1 2 2 2 1     packets 0 and 5 are read: 5 gets the header that came with 3
            new header with            ^     ^
        """
        if skipped.has_sidedata(NEW_HEADER):
            self._unread_header = skipped.get_sidedata(NEW_HEADER)

    def _read_next(self) -> Any:
        num_parts = int(self._index.num_parts_M[self._next]) if self._has_parts else 1
        try:
            # Empty packets are not in the index.
            parts = [next(p for p in self._packets if p.size) for _ in range(num_parts)]
        except (StopIteration, *demux_errors()) as error:
            raise VideoError(
                f"{self._index.path}: cannot be read at {self._index.describe_packet(self._next)}: "
                f"{one_line(error) or 'it ends there'}; was the file replaced?"
            ) from None
        self._next += 1
        return parts[0] if num_parts == 1 else _joined(parts)

    def _seek(self, wanted: int) -> None:
        """Move to a packet at or before ``wanted``, by the container's seek index where that is trustworthy.

        A container seeks by time and may land anywhere near. So the packet it leads to is identified by its time
        stamps. If it cannot be, the seek is tried from the segment before; if that fails too, the file is read
        from its beginning, as MPEG program streams (``.vob``, ``.mpg``) always are.
        """
        if self._index.format_name == "mpeg":
            # A program stream stamps some pictures only. After a seek FFmpeg counts from the first stamp that it meets,
            # also if it began within a picture, whose end it takes for one: packets look like others of the index.
            if wanted < self._next:
                self.reopen()
            return
        starts = self._index.start_packet_S
        num_before = int((starts <= wanted).sum())
        previous_start = int(starts[max(0, num_before - 2)])
        for target in (wanted, previous_start):
            try:
                self._container.seek(int(self._index.pts_M[target]), stream=self.stream)
                packets = self._container.demux(self.stream)
                heads = [next(p for p in packets if p.size)]  # where the seek really led to
                if self._has_parts:
                    heads.append(next(p for p in packets if p.size))
            except (StopIteration, *demux_errors()):
                continue
            number = self._identify(heads[0])
            if self._has_parts:
                following = self._identify(heads[1])
                is_first_part = number is not None and self._index.num_parts_M[number] == 2
                # A seek may lead to the second field of a picture, which may have the same stamps as the first or none.
                if following is not None and (number is None or (is_first_part and following != number)):
                    number = following
                    self._keep_header(heads.pop(0))
            if number is not None and number <= wanted:
                self._packets, self._next = chain(heads, packets), number
                return
            for head in heads:
                self._keep_header(head)
        self.reopen()

    def _identify(self, packet: Any) -> int | None:
        """Number of a packet, if its time stamps are unique in the file."""
        if packet.pts is None or packet.dts is None:
            return None
        # Both stamps, since one alone may repeat: pts [0, 0, 40], dts [-40, 0, 40] -> each packet is unique.
        matches = (self._index.pts_M == packet.pts) & (self._index.dts_M == packet.dts)
        numbers = matches.nonzero()[0]
        return int(numbers[0]) if len(numbers) == 1 else None

    def reopen(self) -> None:
        """Open the file again at its first packet, with a new decoder."""
        self._unread_header = None
        if self._container is not None:
            self._container.close()
        self._container = open_container(self._index.path)
        self.stream = select_stream(self._container, self._index.path, self._index.stream_index)
        self.stream.codec_context.thread_count = 1
        discard_other_streams(self._container, self.stream)
        self._packets = self._container.demux(self.stream)
        self._next = 0


def whole_packets(index: VideoIndex, packets: Iterator[Any]) -> Iterator[Any]:
    """Yield the packets of a file from its beginning, with those of the video as ``PacketSource`` gives them.

    Args:
        index: The index of the file.
        packets: Packets of the video and of any other streams, as the demuxer gives them.
    """
    number, parts = 0, []
    for packet in packets:
        if not packet.size:
            continue
        if packet.stream.index != index.stream_index:
            yield packet
            continue
        if number == index.num_packets:  # the file ends within this packet
            continue
        parts.append(packet)
        if len(parts) == index.num_parts_M[number]:
            yield parts[0] if len(parts) == 1 else _joined(parts)
            number, parts = number + 1, []


def _joined(parts: list[Any]) -> Any:
    """One packet of the fields of a picture, with the times and the key flag of the first.

    Decoders that count packets take each for a picture.
    """
    import av

    first = parts[0]
    packet: Any = av.Packet(b"".join(bytes(part) for part in parts))
    packet.stream, packet.time_base = first.stream, first.time_base
    packet.pts, packet.dts, packet.is_keyframe = first.pts, first.dts, first.is_keyframe
    packet.duration = sum(part.duration or 0 for part in parts)
    for side_data in first.iter_sidedata():
        packet.set_sidedata(side_data)
    return packet


def compute_decoding_times(pts_M: np.ndarray) -> np.ndarray:
    """Decoding times of packets in file order: strictly increasing, and none later than the packet's display time.

    Matroska stores none, and FFmpeg's guesses may decrease or be missing for the first packets.

    Args:
        pts_M: int64 display times in ticks, in file order.

    Returns:
        int64 ``(M,)`` ticks.
    """
    # pts 0 120 40 80 -> sorted 0 40 80 120, largest lead 40 (80 - 40) -> dts -40 0 40 80
    ascending = np.sort(pts_M)
    ranks = np.arange(len(ascending))
    ascending = np.maximum.accumulate(ascending - ranks) + ranks  # two packets of one time: one tick apart
    return np.asarray(ascending - max(0, int((ascending - pts_M).max(initial=0))))

"""Packets of an indexed file, by number: the seam between seeking and decoding."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from e2espot.core.errors import VideoError
from e2espot.video.demux import one_line, open_container, read_errors, read_only, video_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2espot.video.index import Presentation

# Reading on is cheaper than seeking over so few packets.
_READ_ON = 64


class PacketSource:
    """An open file from which packets are taken by their number in the index."""

    def __init__(self, presentation: Presentation) -> None:
        """Open the file at its first packet."""
        self._index = presentation
        self.path = presentation.path
        self.stream: Any = None
        self._container: Any = None
        self._packets: Iterator[Any] = iter(())
        self._next = 0
        self._reopen()

    def close(self) -> None:
        """Close the file."""
        self._packets = iter(())
        self._container.close()

    def read(self, first: int, end: int) -> Iterator[tuple[int, Any]]:
        """Yield (number, packet) for packets ``first <= number < end``.

        Raises:
            VideoError: the file gives fewer packets than when it was indexed.
        """
        self.go_to(first)
        while self._next < end:
            yield self._next, self._take()

    def go_to(self, number: int) -> None:
        """Let ``number`` be the next packet."""
        if not number - _READ_ON <= self._next <= number:
            self._seek(number)
        while self._next < number:
            self._take()

    def _take(self) -> Any:
        try:
            packet: Any = next(p for p in self._packets if p.size)
        except (StopIteration, *read_errors()) as error:
            raise VideoError(
                f"{self._index.path}: packet {self._next} of {self._index.num_packets} cannot be read "
                f"({one_line(error)}); was the file replaced?"
            ) from None
        self._next += 1
        return packet

    def _seek(self, wanted: int) -> None:
        """Come to stand at or before packet ``wanted``, by the container's index where that is sound."""
        starts = self._index.start_packet_S
        earlier = int(starts[max(0, int((starts <= wanted).sum()) - 2)])
        for goal in (wanted, earlier):
            try:
                self._container.seek(int(self._index.pts_M[goal]), stream=self.stream)
                packets = self._container.demux(self.stream)
                head = next(p for p in packets if p.size)
            except (StopIteration, *read_errors()):
                continue
            number = self._number_of(head, wanted)
            if number is not None:
                self._packets, self._next = chain((head,), packets), number
                return
        self._reopen()

    def _number_of(self, head: Any, wanted: int) -> int | None:
        """Number of the packet a seek led to, if it is one packet for certain and not past ``wanted``."""
        if head.pts is None or head.dts is None:
            return None
        same = (self._index.pts_M == head.pts) & (self._index.dts_M == head.dts)
        numbers = same.nonzero()[0]
        return int(numbers[0]) if len(numbers) == 1 and numbers[0] <= wanted else None

    def _reopen(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = open_container(self._index.path)
        self.stream = video_stream(self._container, self._index.path, self._index.stream_index)
        self.stream.codec_context.thread_count = 1
        read_only(self._container, self.stream)
        self._packets = self._container.demux(self.stream)
        self._next = 0

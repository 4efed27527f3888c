"""The packets of a stream as they are demuxed, one column for each of their properties."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.video.packet_table import PacketRows

if TYPE_CHECKING:
    from e2espot.video.field_pictures import Fields
    from e2espot.video.stream_format import FormatTracker

NO_PTS = np.iinfo(np.int64).min
"""Marks a time stamp that the file does not give."""


class PacketColumns:
    """Grows by a packet at a time.

    An array for each column: a tuple for each packet would take longer to make than its packet to read.
    """

    def __init__(self) -> None:
        """Begin without a packet."""
        self._pts_M, self._dts_M, self._duration_M = array("q"), array("q"), array("q")
        self._shown_M, self._kind_M, self._num_parts_M, self._damaged_M = array("b"), array("b"), array("b"), array("b")

    def __len__(self) -> int:
        """Number of rows so far."""
        return len(self._pts_M)

    def add(self, packet: Any, kind: int, *, shown: bool, damaged: bool) -> None:
        """A packet of its own.

        Args:
            packet: As PyAV gives it.
            kind: Its ``KeyframeKind``.
            shown: Whether a player shows its picture.
            damaged: Whether a part of it is lost.
        """
        pts, dts = packet.pts, packet.dts
        self._pts_M.append(NO_PTS if pts is None else pts)
        self._dts_M.append(NO_PTS if dts is None else dts)
        self._duration_M.append(packet.duration or 0)
        self._shown_M.append(shown)
        self._kind_M.append(kind)
        self._num_parts_M.append(1)
        self._damaged_M.append(damaged)

    def add_second_field(self, packet: Any, *, damaged: bool) -> None:
        """The other field of the last packet's picture; it has the times of that packet, or none."""
        self._duration_M[-1] += packet.duration or 0
        self._num_parts_M[-1] = 2
        self._damaged_M[-1] = self._damaged_M[-1] or damaged

    def drop_last(self) -> None:
        """Without the last row."""
        for column in vars(self).values():
            column.pop()

    def rows(self, *, fields: Fields, tracker: FormatTracker, truncated: bool) -> PacketRows:
        """The arrays of all packets, with what else is known of them; see ``PacketRows``."""
        return PacketRows(
            pts_M=np.array(self._pts_M),
            dts_M=np.array(self._dts_M),
            duration_M=np.array(self._duration_M),
            shown_M=np.array(self._shown_M, dtype=bool),
            keyframe_M=np.array(self._kind_M),
            num_parts_M=np.array(self._num_parts_M),
            damaged_M=np.array(self._damaged_M, dtype=bool),
            fields=fields,
            tracker=tracker,
            truncated=truncated,
        )

"""Pictures of H.264 that need not be decoded: not on the grid, and no other picture refers to them.

::

    stored      I0  P4  B2  b1  b3  P8  B6  b5  b7      (number = display order)
    grid         *   *   *           *   *              every second picture
    refers to    .   I0  I0 I0  B2  P4  P4  P4  B6
                     .   P4 B2  P4      P8  B6  P8
    left out                 x   x           x   x      the others come out the same to the bit

Not HEVC: whether a picture is referred to depends there on the temporal layers of the whole stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.video.container import NEW_HEADER
from e2espot.video.keyframes import length_prefix_size, nal_units

if TYPE_CHECKING:
    from e2espot.video.index import VideoIndex

# NAL unit types of H.264: ITU-T H.264, table 7-1. A slice, three data partitions of one, a slice of an IDR picture.
_SLICES = frozenset((1, 2, 3, 4, 5))
_NEUTRAL = frozenset((6, 9, 12))
"""Unit types that only describe their own packet: messages (SEI), delimiters, filler."""


class UnneededPictures:
    """Which packets of a file can be left out where only some of its pictures are wanted."""

    def __init__(self, index: VideoIndex, ranks: np.ndarray, extradata: bytes) -> None:
        """Find candidates by their times; their bytes decide.

        Args:
            index: The index of the file.
            ranks: Ranks of all pictures that may ever be wanted.
            extradata: The codec header of the stream.
        """
        self._prefix_size = length_prefix_size("h264", extradata)
        self._candidate_M = np.zeros(index.num_packets, dtype=bool)
        if index.codec_name == "h264" and not _are_counted(index):
            self._candidate_M[index.packet_P] = True
            self._candidate_M[index.packet_P[ranks]] = False

    def can_leave_out(self, number: int, packet: Any) -> bool:
        """Whether the pictures that are wanted come out the same without this packet."""
        if not self._candidate_M[number] or packet.has_sidedata(NEW_HEADER):
            return False
        return is_disposable(packet, self._prefix_size)


def _are_counted(index: VideoIndex) -> bool:
    """Whether the decoder's pictures are identified by counting them, at least where several share a time stamp."""
    return index.identified_by != "pts" or bool((np.diff(index.pts_P) <= 0).any())


def is_disposable(packet: Any, prefix_size: int) -> bool:
    """Whether no other picture refers to that of an H.264 packet (``nal_ref_idc`` is 0 in each of its slices).

    Args:
        packet: The bytes of the packet, as any buffer.
        prefix_size: See ``length_prefix_size``.
    """
    has_slice = False
    for unit in nal_units(memoryview(packet), prefix_size):
        reference_priority, unit_type = unit[0] >> 5 & 3, unit[0] & 31
        if unit_type in _SLICES and reference_priority == 0:
            has_slice = True
        elif unit_type not in _NEUTRAL:
            return False  # a slice that is referred to, parameters for later pictures, or an extension
    return has_slice

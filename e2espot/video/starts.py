"""Where decoding may begin: what kind of key picture a packet holds.

A container's key flag promises too much: it is also set on pictures whose followers
still refer to what came before them. For H.264 and HEVC the NAL units tell.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Start(IntEnum):
    """What may be decoded when beginning at a packet."""

    NONE = 0
    """Nothing that is right for certain."""
    OPEN = 1
    """Pictures shown after it; those shown before it may refer to earlier packets."""
    CLEAN = 2
    """Everything that follows it in the file."""


_HEVC_IDR = (19, 20)
_HEVC_OPEN = (16, 17, 18, 21)


def start_kind(codec: str, extradata: bytes, packet: memoryview) -> Start:
    """Kind of a packet that carries the container's key flag.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: The stream's header, which says how NAL units are set apart.
        packet: The packet's bytes.
    """
    if codec == "h264":
        types = [packet[at] & 31 for at in _unit_places(packet, extradata, length_byte=4)]
        return Start.CLEAN if 5 in types else Start.NONE
    if codec == "hevc":
        types = [packet[at] >> 1 & 63 for at in _unit_places(packet, extradata, length_byte=21)]
        if any(kind in _HEVC_IDR for kind in types):
            return Start.CLEAN
        return Start.OPEN if any(kind in _HEVC_OPEN for kind in types) else Start.NONE
    if codec in ("vvc", "mpeg1video", "mpeg2video", "mpeg4"):  # key pictures that may have leading ones
        return Start.OPEN
    return Start.CLEAN


def _unit_places(packet: memoryview, extradata: bytes, *, length_byte: int) -> Iterator[int]:
    """Places of the first byte of every NAL unit, prefixed by lengths or by start codes."""
    if len(extradata) > length_byte and extradata[0] == 1:
        width, place = (extradata[length_byte] & 3) + 1, 0
        while place + width < len(packet):
            yield place + width
            place += width + int.from_bytes(packet[place : place + width], "big")
    else:
        data = bytes(packet)
        place = data.find(b"\0\0\1")
        while 0 <= place < len(data) - 3:
            yield place + 3
            place = data.find(b"\0\0\1", place + 3)

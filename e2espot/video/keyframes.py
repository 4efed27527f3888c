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


_NAL_TYPES = {
    # codec: (instantaneous refresh, random access that pictures shown earlier may follow)
    "hevc": ((19, 20), (16, 17, 18, 21)),
    "vvc": ((7, 8), (9,)),
}
_H264_IDR, _H264_SEI, _SEI_RECOVERY_POINT = 5, 6, 6
_MAY_LEAD = ("mpeg1video", "mpeg2video", "mpeg4")


def start_kind(codec: str, extradata: bytes, packet: memoryview) -> Start:
    """Kind of a packet that carries the container's key flag.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: The stream's header, which says how NAL units are set apart.
        packet: The packet's bytes.
    """
    if codec == "h264":
        return _h264_kind(extradata, packet)
    if codec in _NAL_TYPES:
        clean, opening = _NAL_TYPES[codec]
        units = _units(packet, _length_width(codec, extradata))
        types = {unit[0] >> 1 & 63 if codec == "hevc" else unit[1] >> 3 for unit in units if len(unit) > 1}
        return Start.CLEAN if types & set(clean) else Start.OPEN if types & set(opening) else Start.NONE
    return Start.OPEN if codec in _MAY_LEAD else Start.CLEAN


def _h264_kind(extradata: bytes, packet: memoryview) -> Start:
    kind = Start.NONE
    for unit in _units(packet, _length_width("h264", extradata)):
        if unit[0] & 31 == _H264_IDR:
            return Start.CLEAN
        if unit[0] & 31 == _H264_SEI and _recovers_at_once(unit):
            kind = Start.OPEN
    return kind


def _recovers_at_once(sei: memoryview) -> bool:
    """Whether a SEI unit promises exact pictures from this very one on."""
    place = 1
    while place + 2 < len(sei):
        kind, size = sei[place], sei[place + 1]
        if kind == 255 or size == 255:
            return False  # longer messages are not recovery points, which come first where they matter
        if kind == _SEI_RECOVERY_POINT:
            return sei[place + 2] & 0xC0 == 0xC0  # recovery_frame_cnt is 0, exact_match_flag is 1
        place += 2 + size
    return False


def _length_width(codec: str, extradata: bytes) -> int:
    """Bytes of the length in front of each NAL unit; 0 where start codes set them apart."""
    if (len(extradata) < 23 and codec == "hevc") or len(extradata) < 7 or extradata[:3] in (b"\0\0\0", b"\0\0\1"):
        return 0
    if codec == "vvc":
        return (extradata[0] >> 1 & 3) + 1
    return (extradata[21 if codec == "hevc" else 4] & 3) + 1


def _units(packet: memoryview, width: int) -> Iterator[memoryview]:
    """NAL units of a packet, none empty, prefixed by ``width`` bytes of length or by start codes."""
    place = 0
    if width:
        while place + width < len(packet):
            length = int.from_bytes(packet[place : place + width], "big")
            if length:
                yield packet[place + width : place + width + length]
            place += width + length
        return
    data = bytes(packet)
    place = data.find(b"\0\0\1")
    while 0 <= place < len(data) - 3:
        end = data.find(b"\0\0\1", place + 3)
        yield packet[place + 3 : end if end >= 0 else len(data)]
        place = end

"""Keyframe kinds: what can be decoded when decoding begins at a packet.

The key flag of a container is not enough. It is also set on pictures whose successors still
refer to pictures before them. For H.264, HEVC and VVC the NAL units of the packet decide::

    packets, in file order     I0  P3  B1  B2  |  I6  B4  B5  P9  B7  B8
    (number = display order)                      ^

    closed GOP: B4 and B5 refer to I6 only. Everything from the mark on is decodable.
    open GOP:   B4 and B5 refer to P3 as well. Beginning at the mark, they come out wrong;
                I6 and everything displayed after it is right.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class KeyframeKind(IntEnum):
    """What is decoded correctly when decoding begins at a packet."""

    NONE = 0
    """Nothing is guaranteed."""
    OPEN_GOP = 1
    """The picture itself and all displayed after it; those displayed before it may refer to earlier packets."""
    CLOSED_GOP = 2
    """Every later packet of the file."""


# NAL unit types of H.264: ITU-T H.264, table 7-1. Recovery point: section D.2.8, payload type 6.
_H264_IDR, _H264_SEI, _SEI_RECOVERY_POINT = 5, 6, 6

_NAL_TYPES = {
    # codec: (types that begin a closed GOP, types that begin an open GOP)
    "hevc": ((19, 20), (16, 17, 18, 21)),  # IDR_W_RADL and IDR_N_LP; BLA_* and CRA (ITU-T H.265, table 7-1)
    "vvc": ((7, 8), (9,)),  # IDR_W_RADL and IDR_N_LP; CRA (ITU-T H.266, table 5)
}

# Their key pictures do not say whether B-pictures refer across them, so open is the safe assumption.
_POSSIBLY_OPEN_GOP = ("mpeg1video", "mpeg2video", "mpeg4")


def keyframe_kind(codec: str, extradata: bytes, packet: memoryview) -> KeyframeKind:
    """Kind of a packet that carries the container's key flag.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: The stream's codec header, which determines how NAL units are delimited.
        packet: The bytes of the packet.
    """
    if codec == "h264":
        return _h264_kind(extradata, packet)
    if codec in _NAL_TYPES:
        closed, opened = _NAL_TYPES[codec]
        units = nal_units(packet, length_prefix_size(codec, extradata))
        # HEVC: 1 bit zero, 6 bits type, ... VVC: two bytes, the type in the upper 5 bits of the second.
        types = {unit[0] >> 1 & 63 if codec == "hevc" else unit[1] >> 3 for unit in units if len(unit) > 1}
        if types & set(closed):
            return KeyframeKind.CLOSED_GOP
        return KeyframeKind.OPEN_GOP if types & set(opened) else KeyframeKind.NONE
    return KeyframeKind.OPEN_GOP if codec in _POSSIBLY_OPEN_GOP else KeyframeKind.CLOSED_GOP


def _h264_kind(extradata: bytes, packet: memoryview) -> KeyframeKind:
    kind = KeyframeKind.NONE
    for unit in nal_units(packet, length_prefix_size("h264", extradata)):
        unit_type = unit[0] & 31  # 1 bit zero, 2 bits reference priority, 5 bits type
        if unit_type == _H264_IDR:
            return KeyframeKind.CLOSED_GOP
        if unit_type == _H264_SEI and _is_immediate_recovery_point(unit):
            kind = KeyframeKind.OPEN_GOP
    return kind


def _is_immediate_recovery_point(sei: memoryview) -> bool:
    """Whether an SEI unit guarantees exact pictures from this very picture on.

    Example: ``06 | 06 01 C4``. Unit type 6, then one message of type 6 (recovery point) and 1 byte.
    ``C4`` is ``1100 0100``: recovery_frame_cnt is 0 (one bit ``1``), exact_match_flag is 1.
    """
    offset = 1
    while offset + 2 < len(sei):
        message, size = sei[offset], sei[offset + 1]
        if message == 255 or size == 255:
            return False  # sizes over several bytes: other messages, which encoders write after the recovery point
        if message == _SEI_RECOVERY_POINT:
            return sei[offset + 2] & 0xC0 == 0xC0
        offset += 2 + size
    return False


def length_prefix_size(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each NAL unit (MP4, Matroska); 0 for start codes (transport streams, AVI)."""
    too_short = (len(extradata) < 23 and codec == "hevc") or len(extradata) < 7
    if too_short or extradata[:3] in (b"\0\0\0", b"\0\0\1"):
        return 0
    # lengthSizeMinusOne: two bits, at another position in each codec's header (ISO/IEC 14496-15).
    if codec == "vvc":
        return (extradata[0] >> 1 & 3) + 1
    return (extradata[21 if codec == "hevc" else 4] & 3) + 1


def nal_units(packet: memoryview, prefix_size: int) -> Iterator[memoryview]:
    """Yield the NAL units of a packet, none empty; they are length-prefixed, or separated by start codes for 0.

    ::

        prefix_size 4:  00 00 00 02 | 65 88 | 00 00 00 01 | 0C   -> [65 88], [0C]
        prefix_size 0:  00 00 01 | 65 88 | 00 00 01 | 0C         -> [65 88], [0C]
    """
    if prefix_size:
        offset = 0
        while offset + prefix_size < len(packet):
            length = int.from_bytes(packet[offset : offset + prefix_size], "big")
            if length:
                yield packet[offset + prefix_size : offset + prefix_size + length]
            offset += prefix_size + length
        return
    data = bytes(packet)
    offset = data.find(b"\0\0\1")
    while 0 <= offset < len(data) - 3:
        end = data.find(b"\0\0\1", offset + 3)
        if end != offset + 3:  # two start codes in a row enclose no unit
            yield packet[offset + 3 : end if end >= 0 else len(data)]
        offset = end

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

import numpy as np

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
_H264_SLICE, _H264_IDR, _H264_SEI, _H264_DELIMITER, _SEI_RECOVERY_POINT = 1, 5, 6, 9, 6

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


def is_h264_keyframe(packet: memoryview, prefix_size: int) -> bool | None:
    """Whether FFmpeg's parser flags a packet as a keyframe: by an IDR picture or a recovery point before its slices.

    Args:
        packet: Its bytes.
        prefix_size: Bytes of the length before each unit, at least 1.

    Returns:
        None for a packet whose units do not fill it, at which FFmpeg stops.
    """
    offset = 0
    while offset < len(packet):
        length = int.from_bytes(packet[offset : offset + prefix_size], "big")
        offset += prefix_size + length
        if not length or offset > len(packet):
            return None
    has_recovery_point = False
    for unit in nal_units(packet, prefix_size):
        unit_type = unit[0] & 31
        if unit_type in (_H264_SLICE, _H264_IDR):
            return has_recovery_point or unit_type == _H264_IDR
        has_recovery_point |= unit_type == _H264_SEI and _has_recovery_point(unit)
    return False


def may_be_h264_keyframe(heads_MN: np.ndarray, size_M: np.ndarray, prefix_size: int) -> np.ndarray:
    """Whether ``is_h264_keyframe`` must be asked about packets, by their first bytes; bool ``(M,)``.

    It need not for those that begin with an ordinary slice, maybe after a delimiter, as by far the most do::

        00 00 0F 12 | 41 ...                            slice
        00 00 00 02 | 09 30 | 00 00 0F 12 | 01 ...      delimiter, slice
        00 00 00 05 | 06 ...                            must be asked

    Args:
        heads_MN: uint8; the first bytes of each packet.
        size_M: Bytes of each packet.
        prefix_size: Bytes of the length before each unit.
    """
    count, num_bytes = heads_MN.shape
    may_be_M, packets_N = np.ones(count, dtype=bool), np.arange(count)
    start_N = np.zeros(count, dtype=np.int64)
    for _ in range(2 if prefix_size else 0):
        is_within_N = start_N + prefix_size < np.minimum(size_M[packets_N], num_bytes)
        packets_N, start_N = packets_N[is_within_N], start_N[is_within_N]
        length_N = np.zeros(len(packets_N), dtype=np.int64)
        for i in range(prefix_size):
            length_N = length_N << 8 | heads_MN[packets_N, start_N + i]
        type_N = heads_MN[packets_N, start_N + prefix_size] & 31
        is_whole_N = (length_N > 0) & (start_N + prefix_size + length_N <= size_M[packets_N])
        may_be_M[packets_N[is_whole_N & (type_N == _H264_SLICE)]] = False
        is_delimiter_N = is_whole_N & (type_N == _H264_DELIMITER)
        packets_N, start_N = packets_N[is_delimiter_N], (start_N + prefix_size + length_N)[is_delimiter_N]
    return may_be_M


def _has_recovery_point(sei: memoryview) -> bool:
    """Whether an SEI unit holds a recovery point of any kind.

    Example: ``06 | 05 FF 2D ... | 06 01 C4``. A message of type 5 and 300 bytes, then one of type 6 and 1 byte. "00 00
    03" stands for "00 00" within a unit.
    """
    data = bytes(sei).replace(b"\0\0\3", b"\0\0")
    offset = 1
    while offset + 2 < len(data):
        numbers = []  # type and size of the message; each is a sum that goes on after FF
        for _ in range(2):
            begin = offset
            while offset < len(data) - 1 and data[offset] == 255:
                offset += 1
            offset += 1
            numbers.append(sum(data[begin:offset]))
        if numbers[0] == _SEI_RECOVERY_POINT:
            return True
        offset += numbers[1]
    return False


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

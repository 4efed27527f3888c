"""H.264 pictures that are stored as two fields, by the headers of their slices.

Interlaced H.264 may code a picture as one frame, or as two fields with half of its lines each, one after the other. A
container stores the fields as two packets or in one::

    packets          0    1    2    3    4         5
    coded            top  bot  top  bot  frame     top+bot
    picture          first second first second
    role             FIRST_FIELD SECOND_FIELD ...  WHOLE

Sections and tables in this file are those of ITU-T H.264.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

_SLICES, _IDR, _SPS, _PPS = (1, 2, 5), 5, 7, 8  # NAL unit types, table 7-1; 2 is the first part of a divided slice
_HEAD_BYTES = 32
"""Bytes of a slice that hold its header up to the parity of a field."""
_HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles whose sequence parameter sets describe the chroma format (section 7.3.2.1.1)."""


Fields = Literal["none", "paired", "unpaired"]
"""Whether pictures are stored as two fields: none; some or all; or so that a field lacks the other one."""


class FieldRole(IntEnum):
    """Part of a picture that a packet holds."""

    WHOLE = 0
    """A frame, or both fields of one; or nothing that is displayed."""
    FIRST_FIELD = 1
    """The field of a picture that is decoded first."""
    SECOND_FIELD = 2
    """The other field of the picture before."""


@dataclass(frozen=True)
class _Sps:
    """What slice headers need of a sequence parameter set."""

    frame_num_bits: int
    """Width of ``frame_num``."""
    has_colour_planes: bool
    """Whether slices name their colour plane."""
    has_fields: bool
    """Whether pictures may be fields."""


@dataclass(frozen=True)
class _Field:
    """A coded field."""

    frame_num: int
    """Number that both fields of a picture have in common."""
    is_bottom: bool
    """Parity."""


class FieldPairing:
    """Finds the second fields among the packets of one H.264 stream, which are given in file order."""

    def __init__(self, extradata: bytes, prefix_size: int) -> None:
        """Start with the parameter sets of the stream's codec header.

        Args:
            extradata: The codec header, ``avcC`` or units with start codes.
            prefix_size: Bytes of the length before each NAL unit; 0 for start codes.
        """
        self._prefix_size = prefix_size
        self._sps: dict[int, _Sps] = {}
        self._sps_of_pps: dict[int, int] = {}
        self.may_have_fields = False
        """Whether pictures may be fields, by the parameter sets so far; until then, only keyframes need a ``role``."""
        self._open: _Field | None = None  # a first field that waits for its second
        self._has_fields = self._has_unpaired_fields = False
        units = _avcc_units(extradata) if prefix_size else _unit_heads(memoryview(extradata), 0)
        for unit in units:
            self._read_parameters(unit)

    def role(self, packet: memoryview, *, is_keyframe: bool) -> FieldRole:
        """Role of the next packet; ``is_keyframe`` is the container's flag."""
        if not self.may_have_fields and not is_keyframe:  # new parameter sets come with keyframes
            return FieldRole.WHOLE
        fields = self._fields(packet)
        if not fields:
            self._end_picture(None)
            return FieldRole.WHOLE
        self._has_fields = True
        if len(fields) == 1 and self._is_second(fields[0]):
            self._open = None
            return FieldRole.SECOND_FIELD
        if len(fields) == 1:
            self._end_picture(fields[0])
            return FieldRole.FIRST_FIELD
        self._end_picture(fields[0])
        self._has_unpaired_fields |= len(fields) > 2 or not self._is_second(fields[1])
        self._open = None
        return FieldRole.WHOLE

    def kind(self) -> Fields:
        """How the packets so far store pictures as fields, in one packet or apart."""
        if self._has_unpaired_fields or self._open is not None:
            return "unpaired"
        return "paired" if self._has_fields else "none"

    def _is_second(self, field: _Field) -> bool:
        """Whether a field completes the open one: the other parity, the same number (section 3.30)."""
        return self._open == _Field(field.frame_num, not field.is_bottom)

    def _end_picture(self, following: _Field | None) -> None:
        self._has_unpaired_fields |= self._open is not None
        self._open = following

    def _fields(self, packet: memoryview) -> list[_Field]:
        """Coded fields of a packet in order; empty if it is a frame."""
        fields: list[_Field] = []
        for unit in _unit_heads(packet, self._prefix_size):
            kind = unit[0] & 31
            if kind in (_SPS, _PPS):
                self._read_parameters(unit)
            elif kind in _SLICES:
                field = self._field_of_slice(unit)
                if field is None:
                    return []
                if not fields or fields[-1] != field:
                    fields.append(field)
        return fields

    def _read_parameters(self, unit: memoryview) -> None:
        """Remember a parameter set; a broken one is passed over, as the decoder does."""
        try:
            if unit[0] & 31 == _SPS:
                number, sps = _parse_sps(unit)
                self._sps[number] = sps
                self.may_have_fields = any(known.has_fields for known in self._sps.values())
            elif unit[0] & 31 == _PPS:
                bits = _BitReader(unit)
                self._sps_of_pps[bits.ue()] = bits.ue()
        except IndexError:
            return

    def _field_of_slice(self, unit: memoryview) -> _Field | None:
        """The field that a slice belongs to (section 7.3.3); None for a frame."""
        bits = _BitReader(unit)
        try:
            bits.ue()  # first_mb_in_slice
            bits.ue()  # slice_type
            sps = self._sps[self._sps_of_pps[bits.ue()]]
            if not sps.has_fields:
                return None
            if sps.has_colour_planes:
                bits.u(2)
            frame_num = bits.u(sps.frame_num_bits)
            return _Field(frame_num, bool(bits.u(1))) if bits.u(1) else None
        except (IndexError, KeyError):
            return None


def _avcc_units(extradata: bytes) -> Iterator[memoryview]:
    """Parameter sets of an ``avcC`` header (ISO/IEC 14496-15, section 5.3.3.1).

    ::

        01 4D 00 1E FF | E1 | 00 0A 67... | 01 | 00 04 68...    one sequence, one picture parameter set
                         ^ count, 5 bits    ^ count
    """
    data, offset = memoryview(extradata), 5
    for mask in (31, 255):
        count = data[offset] & mask if offset < len(data) else 0
        offset += 1
        for _ in range(count):
            length = int.from_bytes(data[offset : offset + 2], "big")
            unit = data[offset + 2 : offset + 2 + length]
            offset += 2 + length
            if len(unit):
                yield unit


def _unit_heads(packet: memoryview, prefix_size: int) -> Iterator[memoryview]:
    """Yield each NAL unit of a packet from its type on, to its end or beyond it."""
    if prefix_size:
        offset = 0
        while offset + prefix_size < len(packet):
            length = int.from_bytes(packet[offset : offset + prefix_size], "big")
            offset += prefix_size
            if length:
                yield packet[offset : offset + length]
            offset += length
        return
    data = bytes(packet)
    offset = data.find(b"\0\0\1")
    while 0 <= offset < len(data) - 3:
        yield packet[offset + 3 :]
        offset = data.find(b"\0\0\1", offset + 3)


def _parse_sps(unit: memoryview) -> tuple[int, _Sps]:
    """(number, content) of a sequence parameter set (section 7.3.2.1.1).

    Raises:
        IndexError: it ends early.
    """
    bits = _BitReader(unit, num_bytes=len(unit))
    profile = bits.u(8)
    bits.u(16)  # constraints, level
    number, has_colour_planes = bits.ue(), False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.ue()
        has_colour_planes = chroma_format == 3 and bool(bits.u(1))
        bits.ue()  # bit depths
        bits.ue()
        bits.u(1)
        if bits.u(1):
            _skip_scaling_lists(bits, 12 if chroma_format == 3 else 8)
    frame_num_bits = bits.ue() + 4
    _skip_picture_order(bits)
    bits.ue()  # reference frames
    bits.u(1)
    bits.ue()  # width
    bits.ue()  # height
    frame_mbs_only = bits.u(1)
    return number, _Sps(frame_num_bits, has_colour_planes, not frame_mbs_only)


def _skip_picture_order(bits: _BitReader) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.u(1)
        bits.ue()  # signed numbers are as long as unsigned ones
        bits.ue()
        for _ in range(min(bits.ue(), 255)):
            bits.ue()


def _skip_scaling_lists(bits: _BitReader, count: int) -> None:
    """Skip the scaling lists of a parameter set (section 7.3.2.1.1.1)."""
    for i in range(count):
        if not bits.u(1):
            continue
        last = following = 8
        for _ in range(16 if i < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


class _BitReader:
    """Reads numbers from a NAL unit, after its first byte."""

    def __init__(self, unit: memoryview, num_bytes: int = _HEAD_BYTES) -> None:
        """Read from the first ``num_bytes`` of ``unit``."""
        # "00 00 03" stands for "00 00", so that no start code occurs within a unit (section 7.4.1).
        payload = bytes(unit[1:num_bytes]).replace(b"\0\0\3", b"\0\0")
        self._bits = int.from_bytes(payload, "big")
        self._left = 8 * len(payload)

    def u(self, width: int) -> int:
        """An unsigned number of ``width`` bits.

        Raises:
            IndexError: the unit ends before.
        """
        if width > self._left:
            raise IndexError("the unit ends early")
        self._left -= width
        return self._bits >> self._left & (1 << width) - 1

    def ue(self) -> int:
        """An Exp-Golomb code (section 9.1): 1 -> 0, 010 -> 1, 011 -> 2, 00100 -> 3.

        Raises:
            IndexError: the unit ends before.
        """
        num_zeros = 0
        while not self.u(1):
            num_zeros += 1
        return (1 << num_zeros) - 1 + self.u(num_zeros)

    def se(self) -> int:
        """A signed one: 0, 1, -1, 2, -2, ..."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

"""H.264 files whose pictures are stored as fields, as cameras (.MTS) and television write them.

No encoder of PyAV writes field pictures, so the bitstream is written bit by bit (ITU-T H.264, sections 7.3 and 9.1).
Pictures show their number as ``numbered_video.picture`` does. A block of a bit is one macroblock of a field::

    top field, 64x48        bottom field, 64x48       picture, 64x96
    bit 0  bit 1 ...        bit 0  bit 1 ...          lines in turn of both

A macroblock that changes against the reference picture is stored uncompressed (I_PCM), all others are skipped. So a
picture that is decoded without what it refers to shows a wrong number.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import av

WIDTH, HEIGHT = 64, 96
_COLUMNS, _ROWS = 4, 3
_IDR, _SLICE, _SPS, _PPS = 5, 1, 7, 8
_P, _I = 5, 7  # slice types: all slices of the picture are of this type

Layout = Literal["apart", "together"]
"""The two fields of a picture as two packets, or in one."""


@dataclass(frozen=True, kw_only=True)
class FieldVideo:
    """What to write."""

    count: int
    """Pictures."""
    gop: int = 10
    """Pictures from one IDR picture to the next."""
    reorder: bool = False
    """Store each picture with an odd number after the next one, which it refers to."""
    bottom_first: bool = False
    """Whether the bottom field comes first."""
    frames: tuple[int, ...] = ()
    """Numbers of the pictures that are coded as frames, as encoders do that choose for each picture."""
    lost_fields: tuple[int, ...] = ()
    """Numbers of the pictures whose second field is missing."""


def write_fields(path: Path, video: FieldVideo, *, layout: Layout = "apart", second_stamp: int = 1) -> Path:
    """Write ``video`` to the container that the suffix of ``path`` names; picture i shows i from i / 25 s on.

    The stamps of the second field, if apart, are ``second_stamp`` / 50 s after those of the first.
    """
    pictures = list(_pictures(video))
    first = io.BytesIO(b"".join(_headers(video) + pictures[0][1]))
    with av.open(first, format="h264") as raw, av.open(str(path), "w") as target:
        stream: Any = target.add_stream_from_template(raw.streams.video[0])
        stream.time_base = Fraction(1, 90_000)
        for position, (number, fields) in enumerate(pictures):
            is_key = number % video.gop == 0
            units = [b"".join(_headers(video)) + fields[0] if is_key else fields[0], *fields[1:]]
            for i, data in enumerate([b"".join(units)] if layout == "together" else units):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, 50)
                later = i * second_stamp
                packet.pts, packet.dts = 2 * number + later, 2 * (position - video.reorder) + later
                packet.duration = 1 if len(units) == 2 and layout == "apart" else 2
                packet.is_keyframe = is_key and i == 0
                target.mux(packet)
    return path


def _pictures(video: FieldVideo) -> Iterator[tuple[int, list[bytes]]]:
    """(number, coded fields or the coded frame) of each picture, in decoding order."""
    frame_num, reference = 0, -1
    for number in _decoding_order(video):
        in_gop = number % video.gop
        is_reference = not (video.reorder and in_gop % 2)
        if in_gop == 0:
            frame_num, reference = 0, -1
        parities: list[int | None] = [int(video.bottom_first), int(not video.bottom_first)]
        if number in video.frames:
            parities = [None]
        elif number in video.lost_fields:
            parities = parities[:1]
        units = []
        for i, parity in enumerate(parities):
            # The second field of an IDR picture refers to the first one, which shows the same number.
            against = number if in_gop == 0 and i == 1 else reference
            slice_data = _Slice(number, in_gop, frame_num, parity, against, is_reference=is_reference)
            units.append(slice_data.encode(is_idr=in_gop == 0 and i == 0))
        yield number, units
        if is_reference:
            frame_num, reference = frame_num + 1, number


def _decoding_order(video: FieldVideo) -> list[int]:
    """0 1 2 3 4, or 0 2 1 4 3 if pictures are reordered, within each group."""
    order: list[int] = []
    for _, group in groupby(range(video.count), key=lambda number: number // video.gop):
        numbers = list(group)
        if video.reorder:
            numbers[1:] = [n for one in range(1, len(numbers), 2) for n in reversed(numbers[one : one + 2])]
        order += numbers
    return order


@dataclass
class _Slice:
    """A field, or a frame where ``parity`` is None, as one slice."""

    number: int
    in_gop: int
    frame_num: int
    parity: int | None
    against: int
    is_reference: bool

    def encode(self, *, is_idr: bool) -> bytes:
        bits = _Bits()
        is_intra = self.against < 0
        bits.ue(0, _I if is_intra else _P, 0)  # first macroblock, type, parameter set
        bits.u(8, self.frame_num)
        bits.u(1, self.parity is not None)
        if self.parity is not None:
            bits.u(1, self.parity)
        if is_idr:
            bits.ue(self.number // 7 % 2)  # consecutive IDR pictures differ in their number
        bits.u(8, 2 * self.in_gop + (self.parity or 0))  # display order within the group
        if not is_intra:
            bits.u(1, 0)  # as many reference pictures as the parameter set declares
            bits.u(1, 0)  # in the usual order
        if self.is_reference:
            bits.u(2 if is_idr else 1, 0)  # marking of references: as usual
        bits.ue(0)  # quantiser as in the parameter set (a signed zero)
        bits.ue(1)  # no deblocking filter
        self._macroblocks(bits, is_intra=is_intra)
        return _unit(_IDR if is_idr else _SLICE, bits, reference=self.is_reference)

    def _macroblocks(self, bits: _Bits, *, is_intra: bool) -> None:
        num_skipped = 0
        for row in range(_ROWS * (2 if self.parity is None else 1)):
            for column in range(_COLUMNS):
                bit = (row // 2 if self.parity is None else row) * _COLUMNS + column
                is_bright = self.number >> bit & 1
                if not is_intra and is_bright == self.against >> bit & 1:
                    num_skipped += 1
                    continue
                if not is_intra:
                    bits.ue(num_skipped)
                    num_skipped = 0
                bits.ue(25 if is_intra else 30)  # I_PCM
                bits.align()
                bits.data(bytes([220 if is_bright else 30]) * 256 + bytes([128]) * 128)
        if num_skipped:
            bits.ue(num_skipped)


class _Bits:
    """A string of bits."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._length = 0

    def u(self, width: int, value: int) -> None:
        """Append an unsigned number."""
        self._append(format(value, f"0{width}b"))

    def ue(self, *values: int) -> None:
        """Append Exp-Golomb codes: 0 -> 1, 1 -> 010, 2 -> 011, 3 -> 00100."""
        for value in values:
            binary = format(value + 1, "b")
            self._append("0" * (len(binary) - 1) + binary)

    def align(self, first: str = "0") -> None:
        if self._length % 8:
            self._append((first + "0" * 7)[: -self._length % 8])
        elif first == "1":
            self._append("10000000")

    def data(self, content: bytes) -> None:
        self._append("".join(format(byte, "08b") for byte in content))

    def _append(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text)

    def to_bytes(self) -> bytes:
        text = "".join(self._text)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def _unit(kind: int, bits: _Bits, *, reference: bool = True) -> bytes:
    """A NAL unit behind a start code; ``00 00 03`` keeps its content from looking like one."""
    bits.align("1")
    content, zeros = bytearray(), 0
    for byte in bits.to_bytes():
        if zeros == 2 and byte <= 3:
            content.append(3)
            zeros = 0
        content.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([(3 if reference else 0) << 5 | kind]) + bytes(content)


def _headers(video: FieldVideo) -> list[bytes]:
    """Sequence and picture parameter sets."""
    sps = _Bits()
    sps.data(bytes([77, 0, 30]))  # Main profile, level 3
    sps.ue(0, 4, 0, 4)  # number; 8 bits of frame_num; order of type 0, of 8 bits
    sps.ue(2)  # reference frames
    sps.u(1, 0)
    sps.ue(_COLUMNS - 1, _ROWS - 1)  # size in macroblocks, of a field
    sps.u(1, 0)  # frame_mbs_only_flag: fields may occur
    sps.u(3, 0b010)  # not adaptive within a frame; 8x8 inference; no cropping
    sps.u(1, 1)  # VUI follows
    sps.u(4, 0)  # no aspect ratio, overscan, signal type or chroma position
    sps.u(1, 1)  # timing: 50 fields a second
    sps.u(32, 1)
    sps.u(32, 50)
    sps.u(1, 1)
    sps.u(3, 0)  # no HRD parameters, no picture structure messages
    sps.u(1, 1)  # restrictions
    sps.u(1, 1)
    sps.ue(0, 0, 9, 9, int(video.reorder), 2)
    pps = _Bits()
    pps.ue(0, 0)
    pps.u(2, 0)  # CAVLC; no bottom field order in frames
    pps.ue(0, 0, 0)  # one slice group; one reference picture
    pps.u(3, 0)
    pps.ue(0, 0, 0)
    pps.u(3, 0b100)  # deblocking filter control in slices
    return [_unit(_SPS, sps), _unit(_PPS, pps)]

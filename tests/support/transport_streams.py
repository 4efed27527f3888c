"""Transport streams of several programmes, and with missing packets: FFmpeg's muxer writes neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

SIZE = 188
"""Bytes of a packet of a transport stream; the first is 0x47, the next two end in 13 bits of its PID."""
_PAT = 0
"""PID of the programme association table."""


def pid_of(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def packets_of(data: bytes) -> Iterator[bytes]:
    return (data[start : start + SIZE] for start in range(0, len(data), SIZE))


def join_programmes(first: Path, second: Path, target: Path) -> Path:
    """One stream of two programmes, as a broadcaster's multiplex, from two files that share no PID but that of the PAT.

    ::

        first   PAT(1) PMT video video ...
        second  PAT(2) PMT video video ...
        target  PAT(1, 2) PMT PMT video video ...     the packets of both in turn
    """
    programmes = b"".join(_programmes(next(packets_of(_pat_first(path)))) for path in (first, second))
    ours, theirs = (list(packets_of(path.read_bytes())) for path in (first, second))
    joined: list[bytes] = []
    for number in range(max(len(ours), len(theirs))):
        for is_first, packets in ((True, ours), (False, theirs)):
            packet = packets[number] if number < len(packets) else b""
            if packet and pid_of(packet) == _PAT:
                packet = _pat(programmes, packet[3] & 15) if is_first else b""
            joined.append(packet)
    target.write_bytes(b"".join(joined))
    return target


def _pat_first(path: Path) -> bytes:
    return next(packet for packet in packets_of(path.read_bytes()) if pid_of(packet) == _PAT)


def _programmes(pat: bytes) -> bytes:
    """(number, PID of the map) of each programme, 4 bytes each (ISO/IEC 13818-1, section 2.4.4.3).

    ::

        4 bytes of packet header | 0 | table id | 4 bits, length in 12 | 5 bytes | programmes | CRC, 4 bytes
    """
    length = int.from_bytes(pat[6:8], "big") & 0xFFF
    return pat[13 : 8 + length - 4]


def _pat(programmes: bytes, counter: int) -> bytes:
    section = b"\0" + (0xB000 | 5 + len(programmes) + 4).to_bytes(2, "big") + b"\0\1\xc1\0\0" + programmes
    section += _crc(section).to_bytes(4, "big")
    head = bytes((0x47, 0x40, 0, 0x10 | counter, 0))
    return (head + section).ljust(SIZE, b"\xff")


def _crc(data: bytes) -> int:
    """CRC-32 as in MPEG-2: not reflected, without a final complement."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def lose_picture(path: Path, number: int) -> Path:
    """Take out every packet that holds the picture stored at ``number``, as a bad line does."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pid = stream.id
        positions = [packet.pos for packet in container.demux(stream) if packet.size]
    begin, end = positions[number : number + 2]
    data = path.read_bytes()
    parts = (data[start : start + SIZE] for start in range(0, len(data), SIZE))
    path.write_bytes(
        b"".join(part for at, part in enumerate(parts) if not (begin <= at * SIZE < end and pid_of(part) == pid))
    )
    return path

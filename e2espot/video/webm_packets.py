"""The packets of a Matroska or WebM file by the headers of its blocks (RFC 9559)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from e2espot.video.packet_table import PacketTable

if TYPE_CHECKING:
    from collections.abc import Iterator

_EBML, _SEGMENT, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE = 0xAE, 0xD7, 0x83
_VIDEO = 1
_CHANGES_PACKETS = (0x6D80, 0x56AA, 0x23314F)
"""Content encodings, codec delay and scale of time of a track: packets or times are other than stored."""
_SKIPPED = (0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1254C367, 0x1043A770, 0x1941A469, 0xEC, 0xBF)
"""Positions, information, cues, tags, chapters, attachments, void, checksum."""
_SIMPLE_BLOCK, _TIMESTAMP = 0xA3, 0xE7
_SKIPPED_IN_CLUSTER = (0xA7, 0xAB, 0xEC, 0xBF)
"""Position, previous size, void, checksum."""
_LACED_OR_INVISIBLE = 0x0E
_MIN_PACKET, _MAX_TICKS = 5, 1 << 62
_MAX_CLUSTER = 64 << 20
"""Bytes of a cluster that is read at once."""


class _UnusualError(Exception):
    """The file is not as plain as its table must be."""


def webm_table(file: int, byte_size: int) -> PacketTable | None:
    """The packets of the only video track; None if there are several, or anything unusual.

    Args:
        file: File descriptor.
        byte_size: Size of the file.
    """
    try:
        return _table(file, byte_size)
    except (_UnusualError, IndexError):
        return None


def _table(file: int, byte_size: int) -> PacketTable:
    top = list(_elements_of_file(file, 0, byte_size))
    if [name for name, _, _ in top] != [_EBML, _SEGMENT]:
        raise _UnusualError
    blocks: _Blocks | None = None
    for name, start, end in _elements_of_file(file, *top[1][1:]):
        if name == _TRACKS and blocks is None:
            blocks = _Blocks(*_tracks(os.pread(file, end - start, start)))
        elif name == _CLUSTER and blocks is not None and end - start <= _MAX_CLUSTER:
            blocks.add_cluster(os.pread(file, end - start, start), start)
        elif name not in _SKIPPED:
            raise _UnusualError
    if blocks is None:
        raise _UnusualError
    return blocks.table()


class _Blocks:
    """The blocks of one track."""

    def __init__(self, track: int, others: set[int]) -> None:
        """Collect the blocks of ``track``; those of the ``others`` are passed over."""
        self._track, self._others = track, others
        self._pts: list[int] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._heads: list[bytes] = []

    def add_cluster(self, data: bytes, position: int) -> None:
        """Take in a cluster, whose content ``data`` is at ``position`` of the file.

        ::

            A3 | 4F 12 | 81 | 00 28 | 80 | ...      a block of 0F12 bytes, of track 1, 40 ticks after the cluster
        """
        cluster_pts: int | None = None
        at, track_byte, count = 0, 0x80 | self._track, len(data)  # numbers below 127 are one byte
        while at < count:
            name = data[at]
            width = 9 - data[at + 1].bit_length()
            body = at + 1 + width
            length = int.from_bytes(data[at + 1 : body], "big") ^ 1 << 7 * width
            at = body + length
            if at > count or width > 8 or length == (1 << 7 * width) - 1:
                raise _UnusualError
            if name == _SIMPLE_BLOCK:
                flags = data[body + 3]
                if data[body] == track_byte:
                    payload = body + 4
                    if flags & _LACED_OR_INVISIBLE or at - payload < _MIN_PACKET or cluster_pts is None:
                        raise _UnusualError
                    pts = cluster_pts + int.from_bytes(data[body + 1 : body + 3], "big", signed=True)
                    if not 0 <= pts < _MAX_TICKS:
                        raise _UnusualError
                    self._pts.append(pts)
                    self._offsets.append(position + payload)
                    self._sizes.append(at - payload)
                    self._heads.append(data[payload : payload + 4] + data[at - 1 : at])
                elif data[body] ^ 0x80 not in self._others:
                    raise _UnusualError
            elif name == _TIMESTAMP:
                cluster_pts = int.from_bytes(data[body:at], "big")
            elif name not in _SKIPPED_IN_CLUSTER:
                raise _UnusualError

    def table(self) -> PacketTable:
        """All of them."""
        pts_M = np.array(self._pts, dtype=np.int64)
        return PacketTable(
            pts_M=pts_M,
            dts_M=pts_M,
            duration_M=None,
            shown_M=np.ones(len(pts_M), dtype=bool),
            offset_M=np.array(self._offsets, dtype=np.int64),
            size_M=np.array(self._sizes, dtype=np.int64),
            heads=self._heads,
        )


def _tracks(data: bytes) -> tuple[int, set[int]]:
    """Number of the only video track, and those of all others; all below 127."""
    videos, others = [], set()
    for name, start, end in _elements(data):
        if name != _TRACK_ENTRY:
            continue
        entry = {name: data[start + first : start + last] for name, first, last in _elements(data[start:end])}
        number = int.from_bytes(entry.get(_TRACK_NUMBER, b""), "big")
        if int.from_bytes(entry.get(_TRACK_TYPE, b""), "big") != _VIDEO:
            others.add(number)
        elif any(name in entry for name in _CHANGES_PACKETS):
            raise _UnusualError
        else:
            videos.append(number)
    if len(videos) != 1 or videos[0] in others or not all(0 < number < 127 for number in (*videos, *others)):
        raise _UnusualError
    return videos[0], others


def _elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the content of each element in ``data``."""
    at = 0
    while at < len(data):
        name, start, length = _head(data[at : at + 12])
        if at + start + length > len(data):
            raise _UnusualError
        yield name, at + start, at + start + length
        at += start + length


def _elements_of_file(file: int, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the content of each element between two positions of a file."""
    while start < end:
        name, head, length = _head(os.pread(file, 12, start))
        if start + head + length > end:
            raise _UnusualError
        yield name, start + head, start + head + length
        start += head + length


def _head(data: bytes) -> tuple[int, int, int]:
    """Id of an element, bytes of its head, and of its content (RFC 8794, sections 4 and 5).

    The leading zeros of the first byte give the number of further bytes, of which the id keeps the leading one::

        1F 43 B6 75 | 82 | ..         id 1F43B675, 2 bytes
        A3 | 40 02 | ..               id A3, 2 bytes
        A3 | FF                       all ones: the size is not known
    """
    id_bytes = 9 - data[0].bit_length()
    size_bytes = 9 - data[id_bytes].bit_length()
    head, unknown = id_bytes + size_bytes, (1 << 7 * size_bytes) - 1
    length = int.from_bytes(data[id_bytes:head], "big") & unknown
    if id_bytes > 4 or size_bytes > 8 or length == unknown or len(data) < head:
        raise _UnusualError
    return int.from_bytes(data[:id_bytes], "big"), head, length

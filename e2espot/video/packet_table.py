"""Packets as a container lists them, so that an index needs no pass over the packets themselves.

To demux a packet takes as long as to look up a dozen in a table. But what a table means to FFmpeg, which edit lists,
odd durations and other tracks have a say in, is FFmpeg's to say. So a table is used only if it is plain, and if it
says of the first packets what FFmpeg says of them; otherwise every packet is demuxed::

    container    the list of its packets                   codecs
    MP4, MOV     sample tables, ``mp4_packets.py``         H.264
    Matroska     headers of blocks, ``webm_packets.py``    VP9

Both codecs say more about a picture in its first bytes than the container does, which are read.

Array suffix: M = packets, in file order.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.video.field_pictures import FieldPairing, Fields
from e2espot.video.keyframes import (
    KeyframeKind,
    is_h264_keyframe,
    keyframe_kind,
    length_prefix_size,
    may_be_h264_keyframe,
)
from e2espot.video.stream_format import FormatTracker, is_vp9_keyframe, may_change_vp9

if TYPE_CHECKING:
    from collections.abc import Sequence

NUM_COMPARED = 48
"""Packets of which the table must say what FFmpeg says: more than any codec reorders."""
_H264_HEAD = 48
"""Bytes of a packet that hold the headers of what precedes its first slice, in most files."""

_CHUNK, _DENSE = 1 << 20, 16_384
"""Bytes read at once, and bytes from packet to packet up to which that is quicker than to read each head alone."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PacketTable:
    """What a container lists of each packet of a stream."""

    pts_M: np.ndarray
    """int64 ticks; display time, up to the same offset for all."""
    dts_M: np.ndarray
    """int64 ticks; decoding time, up to the same offset for all."""
    duration_M: np.ndarray | None
    """int64 ticks; None where all are as long as the first one."""
    shown_M: np.ndarray
    """bool; False for packets that an edit list hides."""
    offset_M: np.ndarray
    """int64; position of the first byte in the file."""
    size_M: np.ndarray
    """int64 bytes, positive."""
    heads: list[bytes] | None = None
    """The first four bytes of each packet, then its last one; None if the container was not read that far."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PacketRows:
    """What is known of each packet of a stream; the arrays are those of ``demux.Scan``."""

    pts_M: np.ndarray
    """int64 ticks."""
    dts_M: np.ndarray
    """int64 ticks."""
    duration_M: np.ndarray
    """int64 ticks."""
    shown_M: np.ndarray
    """bool."""
    keyframe_M: np.ndarray
    """int8 ``KeyframeKind``."""
    num_parts_M: np.ndarray
    """int8."""
    damaged_M: np.ndarray
    """bool."""
    fields: Fields
    """How pictures are stored as fields."""
    tracker: FormatTracker
    """What it has seen of the format of the packets."""
    truncated: bool = False
    """Whether reading ended early."""


def rows_of_table(
    table: PacketTable, file: int, codec: str, extradata: bytes, first_packets: Sequence[Any]
) -> PacketRows | None:
    """The rows of a stream by its table.

    Args:
        table: What the container lists.
        file: File descriptor of the file.
        codec: FFmpeg's name of the codec, ``h264`` or ``vp9``.
        extradata: The stream's codec header.
        first_packets: Packets as FFmpeg gives them, ``NUM_COMPARED`` or more; all of a shorter stream.

    Returns:
        None where the table does not say what FFmpeg would: every packet must be demuxed then.
    """
    if len(first_packets) < min(NUM_COMPARED, len(table.pts_M)) or len(first_packets) > len(table.pts_M):
        return None
    tracker = FormatTracker(codec, extradata)
    seen = _look_into_h264(table, file, extradata, tracker) if codec == "h264" else _look_into_vp9(table, file, tracker)
    if seen is None:
        return None
    is_key_M, keyframe_M = seen
    first = first_packets[0]
    if first.pts is None:
        return None
    offset = first.pts - int(table.pts_M[0])
    duration_M = table.duration_M
    rows = PacketRows(
        pts_M=table.pts_M + offset,
        dts_M=table.dts_M + offset,
        duration_M=np.full(len(table.pts_M), first.duration or 0) if duration_M is None else duration_M,
        shown_M=table.shown_M,
        keyframe_M=keyframe_M,
        num_parts_M=np.ones(len(table.pts_M), dtype=np.int8),
        damaged_M=np.zeros(len(table.pts_M), dtype=bool),
        fields="none",
        tracker=tracker,
    )
    if bytes(first) != os.pread(file, first.size, int(table.offset_M[0])):
        return None
    return rows if all(_agrees(rows, table, is_key_M, packet, m) for m, packet in enumerate(first_packets)) else None


def _agrees(rows: PacketRows, table: PacketTable, is_key_M: np.ndarray, packet: Any, m: int) -> bool:
    """Whether row m is what FFmpeg says of the packet."""
    pts = int(rows.pts_M[m])
    said = packet.pts, pts if packet.dts is None else packet.dts, packet.duration or 0, packet.size
    listed = pts, int(rows.dts_M[m]), int(rows.duration_M[m]), int(table.size_M[m])
    flags = packet.is_keyframe, not packet.is_discard, packet.is_corrupt
    return said == listed and flags == (bool(is_key_M[m]), bool(rows.shown_M[m]), False)


def _look_into_h264(
    table: PacketTable, file: int, extradata: bytes, tracker: FormatTracker
) -> tuple[np.ndarray, np.ndarray] | None:
    """Key flags, bool, and keyframe kinds, int8 ``(M,)``; None if pictures may be stored as fields, or are damaged.

    The key flags are those of FFmpeg's parser, which takes the place of the container's: packets with an IDR picture
    or a recovery point.
    """
    prefix_size = length_prefix_size("h264", extradata)
    pairing = FieldPairing(extradata, prefix_size)
    is_key_M, keyframe_M = np.zeros((2, len(table.pts_M)), dtype=np.int8)
    heads_MN = _heads(file, table.offset_M, _H264_HEAD)
    for m in np.flatnonzero(may_be_h264_keyframe(heads_MN, table.size_M, prefix_size)).tolist():
        packet = memoryview(os.pread(file, int(table.size_M[m]), int(table.offset_M[m])))
        is_key = is_h264_keyframe(packet, prefix_size)
        if is_key is None or pairing.may_have_fields or len(packet) < table.size_M[m]:
            return None
        if is_key:
            is_key_M[m], keyframe_M[m] = True, keyframe_kind("h264", extradata, packet)
            pairing.role(packet, is_keyframe=True)
            if tracker.first_change is None and tracker.is_change(packet, is_keyframe=True):
                tracker.first_change = m
    return None if pairing.may_have_fields else (is_key_M.astype(bool), keyframe_M)


def _look_into_vp9(table: PacketTable, file: int, tracker: FormatTracker) -> tuple[np.ndarray, np.ndarray]:
    """Key flags, bool, and keyframe kinds, int8 ``(M,)``."""
    heads = table.heads or []
    is_key_M = np.array([is_vp9_keyframe(head) for head in heads], dtype=bool)
    for m, head in enumerate(heads):
        if tracker.first_change is None and (is_key_M[m] or may_change_vp9(memoryview(head))):
            packet = memoryview(os.pread(file, int(table.size_M[m]), int(table.offset_M[m])))
            if tracker.is_change(packet, is_keyframe=bool(is_key_M[m])):
                tracker.first_change = m
    return is_key_M, np.where(is_key_M, np.int8(KeyframeKind.CLOSED_GOP), np.int8(KeyframeKind.NONE))


def _heads(file: int, offset_M: np.ndarray, num_bytes: int) -> np.ndarray:
    """The first ``num_bytes`` of each packet; uint8 ``(M, num_bytes)``, anything beyond the end of the file."""
    heads_MN = np.zeros((len(offset_M), num_bytes), dtype=np.uint8)
    is_dense = (np.diff(offset_M) > 0).all() and np.ptp(offset_M) < _DENSE * len(offset_M)
    chunk, first = np.zeros((_CHUNK if is_dense else 0) + num_bytes, dtype=np.uint8), 0
    while first < len(offset_M):  # small packets by the chunk, large ones one by one
        start = int(offset_M[first])
        os.preadv(file, [chunk.data], start)
        end = int(np.searchsorted(offset_M, start + _CHUNK)) if is_dense else first + 1
        heads_MN[first:end] = chunk[(offset_M[first:end] - start)[:, None] + np.arange(num_bytes)]
        first = end
    return heads_MN

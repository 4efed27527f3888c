"""The packets of an MP4 or MOV track by its sample tables (ISO/IEC 14496-12, section 8.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.video.mp4 import sample_boxes
from e2espot.video.packet_table import PacketTable

if TYPE_CHECKING:
    from pathlib import Path

_DISCARD = 2  # FFmpeg's AVINDEX_DISCARD_FRAME


def mp4_table(path: Path, stream: Any, byte_size: int) -> PacketTable | None:
    """The packets of a track.

    FFmpeg's own list of them, which follows from the tables and the edit list, lacks only the display times. They are
    added where that list is the table as it is stored, apart from a shift of all times::

        stts   3 samples of 512 ticks          dts     0  512 1024
        ctts   1024, 2048, 0                   pts  1024 2560 1024

    Args:
        path: The file.
        stream: Its stream.
        byte_size: Size of the file.

    Returns:
        None for fragmented files, several sample descriptions, packets beyond the end of the file, and tables that
        FFmpeg reads in another way.
    """
    boxes = sample_boxes(path, stream.id)
    if boxes is None or _number(boxes.get(b"stsd", b""), 4) != 1:
        return None
    offset_M, size_M, dts_M, flags_M = index_entries(stream)
    count = len(dts_M)
    duration_M = _run_lengths(boxes.get(b"stts", b""), "u", count)
    shift_M = _run_lengths(boxes[b"ctts"], "i", count) if b"ctts" in boxes else np.zeros(count, dtype=np.int64)
    sizes = boxes.get(b"stsz", b"")
    same_size = _number(sizes, 4)
    stored_size_M = (
        np.full(count, same_size)
        if same_size
        else np.frombuffer(sizes[12 : 12 + 4 * (len(sizes) // 4 - 3)], dtype=">u4")
    )
    if not (len(duration_M) == len(shift_M) == len(stored_size_M) == _number(sizes, 8) == count > 0):
        return None
    is_as_stored = (stored_size_M == size_M).all() and (np.diff(dts_M) == duration_M[:-1]).all()
    if not is_as_stored or min(size_M.min(), duration_M[:-1].min(initial=1)) <= 0:
        return None
    if (offset_M + size_M).max() > byte_size:
        return None
    return PacketTable(
        pts_M=dts_M + shift_M,
        dts_M=dts_M,
        duration_M=duration_M,
        shown_M=flags_M & _DISCARD == 0,
        offset_M=offset_M,
        size_M=size_M,
    )


def index_entries(stream: Any) -> np.ndarray:
    """FFmpeg's list of the packets of a stream; int64 ``(4, M)``: position, size, decoding time and flags."""
    entries = getattr(stream, "index_entries", ())
    rows = [(entry.pos, entry.size, entry.timestamp, entry.flags) for entry in entries]
    return np.array(rows, dtype=np.int64).reshape(-1, 4).T


def _number(content: bytes, offset: int) -> int:
    return int.from_bytes(content[offset : offset + 4], "big")


def _run_lengths(content: bytes, kind: str, count: int) -> np.ndarray:
    """The ``count`` numbers of a box that stores runs of equal ones; int64, empty if there are not so many.

    ::

        version and flags, 4 bytes | 2 | 3, 512 | 1, 500   -> 512, 512, 512, 500
    """
    pairs = content[8 : 8 + 8 * _number(content, 4)]
    pairs_R2 = np.frombuffer(pairs[: len(pairs) // 8 * 8], dtype=">u4").reshape(-1, 2).astype(np.int64)
    values_R, counts_R = pairs_R2[:, 1], pairs_R2[:, 0]
    if counts_R.sum() != count:
        return np.zeros(0, dtype=np.int64)
    if kind == "i":  # 32 bits with a sign
        values_R = values_R - ((values_R >> 31) << 32)
    return np.repeat(values_R, counts_R)

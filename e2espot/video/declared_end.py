"""What a container's header declares about the end of a file, and whether a file that ends earlier lacks pictures."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.timeline import MAX_DURATION_S
from e2espot.video.mp4_packets import index_entries

if TYPE_CHECKING:
    from pathlib import Path

_MAX_REORDERING = 32
"""Positions between the file order and the display order of a picture, in files as encoders write them."""
_MATROSKA_ROUNDING_S = Fraction(2, 1000)
"""Matroska stores times in whole milliseconds: the end of a file may be that much off."""
_CUES_SLACK = 1.5
"""Steps up to so many times the median count as even: no picture is missing between them."""
# Matroska element ids (RFC 9559): the element that holds everything, and the duration as float32 or float64.
_SEGMENT_ID = b"\x18\x53\x80\x67"
_DURATION_FLOAT32, _DURATION_FLOAT64 = b"\x44\x89\x84", b"\x44\x89\x88"


def declared_end(path: Path, format_name: str, stream: Any) -> int:
    """Size in bytes that the file should have by its header; 0 if the header does not say."""
    if format_name.startswith("mov"):
        # The end of the last picture in the sample table. Box sizes are no measure: some writers make them too long.
        offset_M, size_M, _, _ = index_entries(stream)
        return int((offset_M + size_M).max(initial=0))
    with path.open("rb") as file:
        head = file.read(256)
    if format_name == "avi" and head[:4] == b"RIFF":
        return 8 + int.from_bytes(head[4:8], "little")
    id_offset = head.find(_SEGMENT_ID)
    if format_name.startswith("matroska") and 0 <= id_offset < len(head) - 12 and head[id_offset + 4]:
        # A size of variable length: the leading zeros of the first byte give the number of further bytes.
        #   82 -> 1 byte, size 2;  40 02 -> 2 bytes, size 2;  FF -> 1 byte, all ones: unknown (a live recording)
        size_offset = id_offset + 4
        num_bytes = 9 - head[size_offset].bit_length()
        all_ones = (1 << 7 * num_bytes) - 1
        size = int.from_bytes(head[size_offset : size_offset + num_bytes], "big") & all_ones
        return size_offset + num_bytes + size if size != all_ones else 0
    return 0


def declared_duration(path: Path, container: Any, stream: Any) -> Fraction | None:
    """Seconds that the container's header declares; None where FFmpeg only guesses from the size of the file."""
    name, duration_s = container.format.name, Fraction(0)
    if name.startswith("mov"):
        duration_s = Fraction((stream.duration or 0) * stream.time_base)
    elif name == "avi" or (name.startswith("matroska") and _has_duration_element(path)):
        duration_s = Fraction(container.duration or 0, 1_000_000)
    return duration_s if 0 < duration_s <= MAX_DURATION_S else None


def _has_duration_element(path: Path) -> bool:
    """Whether a Matroska file declares its duration."""
    with path.open("rb") as file:
        head = file.read(4096)
    return _DURATION_FLOAT32 in head or _DURATION_FLOAT64 in head


def only_cues_missing(
    format_name: str, duration_s: Fraction | None, pts_M: np.ndarray, duration_M: np.ndarray, time_base: Fraction
) -> bool:
    """Whether a Matroska file that ends early lacks no picture, only the seek index ("cues") at its end.

    The last picture must end where the header declares, and no step before it may be wider than usual: the picture
    displayed last is not the one stored last, so the end alone proves nothing.

    Args:
        format_name: FFmpeg's name of the container.
        duration_s: Duration that the header declares.
        pts_M: See ``demux.Scan``; all are known.
        duration_M: See ``demux.Scan``.
        time_base: Seconds of one tick.
    """
    if not format_name.startswith("matroska") or duration_s is None or len(pts_M) < 3:
        return False
    steps = np.diff(np.sort(pts_M))
    end_s = (int(pts_M.max()) + int(duration_M[pts_M.argmax()])) * time_base
    is_even = steps[-_MAX_REORDERING:].max() <= _CUES_SLACK * np.median(steps)
    return bool(is_even) and end_s >= duration_s - _MATROSKA_ROUNDING_S

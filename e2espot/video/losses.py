"""Losses that the container reports, such as packets missing from a transport stream, and the pictures they touch.

After a loss a decoder invents pixels, from what it has decoded before, until the next segment begins::

    packet      0   1   2   3   4   5   6   7   8   9
    segment     |               |               |
    damaged                         x
    intact      +   +   +   +   +   -   -   -   +   +
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e2espot.core.coverage import ranges_of_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from e2espot.video.index import VideoIndex

_MAX_STRETCHES = 3
"""Stretches that a message names."""
_MAX_GAP = 16
"""Pictures between two stretches that a message names as one."""


def are_intact(index: VideoIndex, pictures: Sequence[int] | np.ndarray) -> np.ndarray:
    """Which pictures, by rank, no loss precedes within their segment; bool."""
    damaged, wanted = np.flatnonzero(index.damaged_M), np.asarray(pictures, dtype=np.int64)
    starts = index.start_packet_S[np.searchsorted(index.start_picture_S, wanted, side="right") - 1]
    num_before_segment = np.searchsorted(damaged, starts, side="left")
    intact: np.ndarray = np.searchsorted(damaged, index.packet_P[wanted], side="right") == num_before_segment
    return intact


def describe_losses(index: VideoIndex) -> str | None:
    """The stretches whose pictures are not reliable, for a message; None if the container reports no loss."""
    if not index.damaged_M.any():
        return None
    stretches: list[range] = []
    for lost in ranges_of_mask(~are_intact(index, np.arange(index.num_pictures))):
        # Pictures in between are stored before the loss:  stored 72 71 70 73, loss at 70 -> 70 and 73, not 71 and 72
        if stretches and lost.start - stretches[-1].stop <= _MAX_GAP:
            stretches[-1] = range(stretches[-1].start, lost.stop)
        else:
            stretches.append(lost)
    texts = [
        f"from {index.describe_time_of(stretch.start)} to {index.describe_time_of(stretch.stop)} "
        f"(pictures {stretch.start} to {stretch.stop - 1})"
        for stretch in stretches[:_MAX_STRETCHES]
    ]
    if len(stretches) > _MAX_STRETCHES:
        texts.append(f"and in {len(stretches) - _MAX_STRETCHES} more stretches")
    return ", ".join(texts) or None

"""Clock leaps: stretches of a file for which its clock runs on and no picture is stored.

A recorder that loses its camera writes nothing for a while, and goes on with the right time. A player holds the last
picture meanwhile; what happened on the pitch is not in the file. So the readers show the held picture, and training and
inference count the frames as not seen, exactly as frames that do not decode::

    pictures, 25 a second      0    1    2                             3    4
      shown from, s         0.00 0.04 0.08                         15.08 15.12
    frames, 25 a second        0    1    2    3    4  ...   376       377  378
      seen                   yes  yes  yes   no   no         no       yes  yes

A held picture is a gap if it lasts longer than ``MIN_GAP_S``, for which a picture may stand in for one that does not
decode, and longer than ``MIN_GAP_PICTURES`` median steps. So a slideshow with one picture a second has no gaps below
ten seconds, and a screen recording that stores nothing while the screen does not change keeps all its pictures:
nothing is refused or dropped, and where no picture changes for that long, there is no event to be seen.
"""

from __future__ import annotations

import logging
import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from e2espot.video.index import elapsed_ticks_of_grid, median_step, pictures_of_grid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from e2espot.video.index import VideoIndex

_LOG = logging.getLogger(__name__)

MIN_GAP_S = 1
"""Pictures that are shown no longer than this are held, not missing."""
MIN_GAP_PICTURES = 10
"""Nor those that are shown for at most so many median steps."""
_MAX_LISTED = 5
"""Gaps that the log names; the others are counted."""


def pictures_before_gaps(index: VideoIndex) -> np.ndarray:
    """Ranks of the pictures after which the clock leaps forward; int64, ascending.

    The last one is among them if the next file of a recording decodes only from a later time on.
    """
    steps = np.append(np.diff(index.pts_P), math.floor(index.last_duration))
    min_gap = max(MIN_GAP_S / index.time_base, MIN_GAP_PICTURES * median_step(index.pts_P))
    return np.flatnonzero(steps > math.floor(min_gap)).astype(np.int64)


def seen_frames(index: VideoIndex, fps: Fraction) -> np.ndarray:
    """Which frames of a file show a picture of their own time: bool ``(K,)`` as ``frames_of_file``, False in gaps.

    The picture before a gap is seen for one median step.
    """
    pictures_K = pictures_of_grid(index, fps)
    before = pictures_before_gaps(index)
    if not len(before):
        return np.ones(len(pictures_K), dtype=bool)
    shown_for_K = elapsed_ticks_of_grid(index, fps) - (index.pts_P - index.pts_P[0])[pictures_K]
    seen_K: np.ndarray = ~np.isin(pictures_K, before) | (shown_for_K < math.ceil(median_step(index.pts_P)))
    return seen_K


def log_gaps(indexes: Sequence[VideoIndex]) -> None:
    """Report once for each file of a match where its clock leaps: seconds from its first picture, picture numbers."""
    for index in indexes:
        before = pictures_before_gaps(index)
        if not len(before):
            continue
        ends_P = np.append(index.pts_P, index.pts_P[-1] + math.floor(index.last_duration))
        times_s = (ends_P - index.pts_P[0]) * float(index.time_base)
        gaps = [
            f"from {times_s[rank]:.2f} s to {times_s[rank + 1]:.2f} s (pictures {rank} and {rank + 1})"
            for rank in before[:_MAX_LISTED].tolist()
        ]
        more = f", and {len(before) - _MAX_LISTED} more" if len(before) > _MAX_LISTED else ""
        _log_once(str(index.path), index.mtime_ns, ", ".join(gaps) + more)


@cache
def _log_once(path: str, mtime_ns: int, gaps: str) -> None:
    del mtime_ns
    _LOG.warning("%s: its clock leaps, and no picture is stored %s; these frames count as not seen", path, gaps)

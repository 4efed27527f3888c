"""Clocks that go back within a file: at the joins of an edit list, where it is harmless, and anywhere else.

Array suffixes: M = packets, N = packets that are shown, G = groups that begin with a keyframe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.core.timeline import clock_text
from e2espot.video.keyframes import KeyframeKind

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from e2espot.video.demux import Scan

_MAX_DEPTH = 32
"""Pictures stored before a picture that is displayed before them; H.264 and HEVC allow 16, of two fields each."""
_MAX_REORDERING = 256
"""Positions between the file order and the display order of a picture; no codec reorders farther."""


def replaced_at_joins(scan: Scan, pts_M: np.ndarray, keyframe_M: np.ndarray, shown_M: np.ndarray) -> np.ndarray:
    """Pictures that are never seen since the next edit of an edit list begins before its time; bool.

    FFmpeg counts the time of an edit from the picture of it that is stored first, which with B-frames is not the one
    that is displayed first. So an edit may begin some pictures early, or late::

        edit     0  0  0  0  |  1  1  1  1
        pts      0  3  1  2  |  2  5  3  4       3 of edit 0 is replaced; equal times are no jump
    """
    replaced_M = np.zeros(len(pts_M), dtype=bool)
    if not scan.format_name.startswith("mov") or scan.shown_M.all():  # no edit list hides anything
        return replaced_M
    latest = np.iinfo(np.int64).max
    starts = np.flatnonzero(keyframe_M)
    group_M = np.cumsum(keyframe_M > KeyframeKind.NONE)  # 0 for what is stored before the first keyframe
    # Pictures of an open GOP that are displayed before its keyframe belong to the group before.
    counts_M = shown_M & (pts_M >= np.append(latest, pts_M[starts])[group_M])
    earliest_G = np.minimum.reduceat(np.where(counts_M, pts_M, latest), starts)
    earliest_G[~_are_joins(shown_M, starts)] = latest
    earliest_later_G = np.append(np.minimum.accumulate(earliest_G[::-1])[::-1], latest)
    replaced_M = shown_M & (pts_M > earliest_later_G[group_M])
    # More than codecs reorder is another kind of jump, which is refused.
    return replaced_M if np.bincount(group_M, weights=replaced_M).max() <= _MAX_DEPTH else np.zeros_like(replaced_M)


def _are_joins(shown_M: np.ndarray, starts_G: np.ndarray) -> np.ndarray:
    """Whether pictures are hidden around each keyframe, as at every join: after one edit, or before another.

    ::

        shown  1 1 0 0 | 0 1 1     1 1 0 | 1 1     1 1 | 1 1     join, join, none; | is before the keyframe
    """
    packets_M, count = np.arange(len(shown_M)), len(shown_M)
    last_shown_M = np.maximum.accumulate(np.where(shown_M, packets_M, -1))
    next_shown_M = np.minimum.accumulate(np.where(shown_M, packets_M, count)[::-1])[::-1]
    last_shown_before_G = np.append(-1, last_shown_M)[starts_G]
    are_joins: np.ndarray = next_shown_M[starts_G] - last_shown_before_G > 1
    return are_joins


def reject_time_jumps(scan: Scan, pts_M: np.ndarray, keyframe_M: np.ndarray, shown_M: np.ndarray) -> None:
    """Refuse files whose clock goes back: concatenated ones, and those of recorders that lost the connection.

    What a player shows there depends on the player: the pictures after the jump, or none until the clock has caught
    up. Equal time stamps are no jump, nor are the times of pictures that are hidden between two edits.

    ::

        packet       0   1   2   3   4   5   6   7
        pts          0   3   1   2   4   5   2   3      packet 6 is refused: it is stored after the closed GOP of
        keyframe     C               C       C          packet 4, so it cannot be displayed before packet 1

    Raises:
        VideoError: a picture is displayed before one of an earlier closed GOP, or reordered farther than codecs do.
    """
    packet_N = np.flatnonzero(shown_M)
    if not len(packet_N):
        return
    pts_N = pts_M[packet_N]
    if (np.diff(pts_N) >= 0).all():  # without B-frames, at once
        return
    # A closed GOP counts from its first shown picture: its keyframe may be hidden.
    is_closed_N = np.diff(np.cumsum(keyframe_M == KeyframeKind.CLOSED_GOP)[packet_N], prepend=0) > 0
    # The latest time stored before the closed GOP that each packet belongs to.
    latest_before_N = np.append(np.iinfo(np.int64).min, np.maximum.accumulate(pts_N)[:-1])
    goes_back_N = pts_N < np.maximum.accumulate(np.where(is_closed_N, latest_before_N, np.iinfo(np.int64).min))
    goes_back_N |= _depths(pts_N) > _MAX_DEPTH  # without closed GOPs
    displacement_N = np.abs(np.argsort(pts_N, kind="stable") - np.arange(len(pts_N)))
    if not goes_back_N.any() and displacement_N.max() <= _MAX_REORDERING:
        return
    picture = int(np.argmax(goes_back_N if goes_back_N.any() else displacement_N > _MAX_REORDERING))
    position_s = int(np.ptp(pts_N[: picture or 1])) * scan.time_base
    raise time_jump_error(scan.path, position_s, int(packet_N[picture]))


def _depths(pts_N: np.ndarray) -> np.ndarray:
    """How many pictures are stored before each one and displayed after it, at most 63; int64.

    ::

        pts     0  3  1  2  4  3  4  5
        depth   0  0  1  1  0  1  0  0
    """
    depth_N = np.zeros(len(pts_N), dtype=np.int64)
    for distance in range(1, min(2 * _MAX_DEPTH, len(pts_N))):
        depth_N[distance:] += pts_N[:-distance] > pts_N[distance:]
    return depth_N


def suspected_time_jump(pts_M: np.ndarray, shown_M: np.ndarray, decoder_delay: int) -> int | None:
    """The packet that is reordered farthest, if that is farther than the decoder expects; None otherwise.

    Either the decoder has not yet seen how far this file reorders, or the clock goes back there. Only decoding shows.

    Args:
        pts_M: Display times of packets, whose clock goes back by fewer pictures than codecs may reorder, if at all.
        shown_M: Which of them are shown.
        decoder_delay: See ``Scan``.
    """
    packet_N = np.flatnonzero(shown_M)
    depth_N = _depths(pts_M[packet_N])
    farthest = int(np.argmax(depth_N))
    return int(packet_N[farthest]) if depth_N[farthest] > decoder_delay else None


def time_jump_error(path: Path, position_s: Fraction, packet: int) -> VideoError:
    """The error for a clock that goes back at ``packet``, ``position_s`` seconds after the first picture."""
    return VideoError(
        f"{path}: its time stamps jump back after {clock_text(position_s)}, at picture {packet}; "
        "convert it with `e2espot transcode`"
    )

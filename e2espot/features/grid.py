"""Which picture each row of a feature file shows.

Two rules::

    middle      row r shows the picture in the middle of [r / rate, (r + 1) / rate): the frame grid of this library
    soccernet   row r shows picture ceil((r + 1) * s) - 1, counted from 0, with s = pictures a second / rate: the last
                one of the interval, as SoccerNet's extractor chooses with its default reader

    25 pictures a second, rate 2      row      0   1   2   3   4   5
                                      middle   6  18  31  43  56  68
                                      soccernet 12 24 37  49  62  74

Source of the second rule: SoccerNet's extractor counts pictures from 1 and takes number i where ``i mod s < 1``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.core.timeline import num_frames_of_duration
from e2espot.video import VideoIndex, pictures_of_grid

Rule = Literal["middle", "soccernet"]


@dataclass(frozen=True, kw_only=True)
class RowGrid:
    """The rows of a feature file."""

    rate: Fraction
    """Rows a second."""
    rule: Rule = "middle"
    """Which picture of its interval a row shows."""
    start_s: Fraction = Fraction(0)
    """Seconds of the video before the first row, such as those before kick-off."""
    duration_s: Fraction | None = None
    """Seconds from there to the last row; None for the rest of the video."""


def soccernet_pictures(num_pictures: int, fps: Fraction, rate: Fraction) -> np.ndarray:
    """Picture of each row by SoccerNet's rule, int64 ``(floor(num_pictures / s),)``, counted from 0.

    Args:
        num_pictures: Pictures of the video.
        fps: Pictures a second.
        rate: Rows a second, at most ``fps``.

    Raises:
        VideoError: more rows than pictures a second.
    """
    if rate > fps:
        raise VideoError(  # the others of the command may have more
            f"the soccernet grid takes whole pictures, and the video has {float(fps):g} a second; give a rate of at "
            f"most that, or the middle grid (got {rate})",
            option="rate",
        )
    step = fps / rate
    rows_N = np.arange(1, int(num_pictures / step) + 1, dtype=np.int64)
    # ceil(n * p / q) in whole numbers: -(-n * p // q)
    return -(-rows_N * step.numerator // step.denominator) - 1


def pictures_of_rows(indexes: Sequence[VideoIndex], grid: RowGrid) -> list[np.ndarray]:
    """For each file of a match, the pictures (ranks) that rows show; int64, in order of the rows.

    Raises:
        VideoError: the video is too short for a row, or has fewer pictures a second than rows.
    """
    ranks = _soccernet(indexes, grid) if grid.rule == "soccernet" else _middle(indexes, grid)
    if not any(map(len, ranks)):
        last = indexes[-1]
        length_s = float(last.starts_at_s + last.duration_s)
        raise VideoError(  # the others of the command may be longer
            f"{indexes[0].path}: lasts {length_s:.2f} s, which holds no row at {grid.rate} rows a second from "
            f"{float(grid.start_s):g} s on",
            option="start",
        )
    return ranks


def _soccernet(indexes: Sequence[VideoIndex], grid: RowGrid) -> list[np.ndarray]:
    # Counted through all files of a match, at the rate of the first.
    fps = nominal_fps(indexes[0])
    total = sum(index.num_pictures for index in indexes)
    pictures_N = soccernet_pictures(total, fps, grid.rate)
    number_N = pictures_N + 1
    end_s = math.inf if grid.duration_s is None else float(grid.start_s + grid.duration_s)
    pictures_N = pictures_N[(number_N >= float(grid.start_s * fps)) & (number_N <= float(fps) * end_s)]
    ranks, first = [], 0
    for index in indexes:
        ranks.append(pictures_N[(pictures_N >= first) & (pictures_N < first + index.num_pictures)] - first)
        first += index.num_pictures
    return ranks


def _middle(indexes: Sequence[VideoIndex], grid: RowGrid) -> list[np.ndarray]:
    if not grid.start_s and grid.duration_s is None:
        return [pictures_of_grid(index, grid.rate) for index in indexes]
    length_s = indexes[-1].starts_at_s + indexes[-1].duration_s - grid.start_s
    if grid.duration_s is not None:
        length_s = min(length_s, grid.duration_s)
    num_rows = num_frames_of_duration(length_s, grid.rate) if length_s > 0 else 0
    ranks, first = [], 0
    for index in indexes:
        ends_s = index.starts_at_s + index.duration_s - grid.start_s
        stop = min(num_rows, num_frames_of_duration(ends_s, grid.rate)) if ends_s > 0 else 0
        # The middle of row r is start + (2 r + 1) / (2 rate) seconds: whole ticks of the file, by whole numbers.
        half, offset = 1 / (2 * grid.rate * index.time_base), (grid.start_s - index.starts_at_s) / index.time_base
        common = math.lcm(half.denominator, offset.denominator)
        step, shift = int(half * common), int(offset * common)
        ticks = [((2 * row + 1) * step + shift) // common for row in range(first, max(first, stop))]
        begun_P = index.pts_P - index.pts_P[0]
        ranks.append(np.searchsorted(begun_P, np.asarray(ticks, dtype=np.int64), side="right") - 1)
        first = max(first, stop)
    return ranks


def nominal_fps(index: VideoIndex) -> Fraction:
    """Pictures a second of a video, as its header would say: a usual rate where the average is within a thousandth."""
    if index.num_pictures == 1:
        return 1 / (index.last_duration * index.time_base)
    # Of one file of several the last picture may be held until the next file begins.
    average = (index.num_pictures - 1) / (int(index.pts_P[-1] - index.pts_P[0]) * index.time_base)
    usual = [Fraction(rate) for rate in (24, 25, 30, 50, 60, 100, 120)]
    usual += [Fraction(rate * 1000, 1001) for rate in (24, 30, 60, 120)]
    nearest = min(usual, key=lambda rate: abs(rate - average))
    return nearest if abs(nearest - average) * 2000 < nearest else average.limit_denominator(100_000)

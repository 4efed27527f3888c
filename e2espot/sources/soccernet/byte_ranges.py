"""Arithmetic on half-open byte ranges ``(start, stop)``: which bytes of a file are local and which are missing."""

from __future__ import annotations

from collections.abc import Iterable

ByteRange = tuple[int, int]
"""Bytes ``start`` to ``stop - 1``."""


def merge(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """Merge ranges that overlap or touch.

    Returns:
        The same bytes as the shortest ascending list of disjoint ranges; empty ranges are dropped.
    """
    # [(5, 9), (0, 3), (3, 4), (7, 7)] -> [(0, 4), (5, 9)]
    merged: list[ByteRange] = []
    for start, stop in sorted(each for each in ranges if each[0] < each[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def missing_ranges(available: Iterable[ByteRange], wanted: ByteRange) -> list[ByteRange]:
    """Parts of ``wanted`` that are not in ``available``, ascending."""
    # available [(2, 4), (6, 9)], wanted (0, 8) -> [(0, 2), (4, 6)]
    gaps, position = [], wanted[0]
    for start, stop in merge(available):
        if start >= wanted[1]:
            break
        if start > position:
            gaps.append((position, start))
        position = max(position, stop)
    if position < wanted[1]:
        gaps.append((position, wanted[1]))
    return gaps


def subtract(ranges: Iterable[ByteRange], removed: ByteRange) -> list[ByteRange]:
    """``ranges`` without the bytes of ``removed``, merged."""
    # [(0, 9)] minus (3, 5) -> [(0, 3), (5, 9)]
    remaining: list[ByteRange] = []
    for start, stop in merge(ranges):
        remaining += [(start, min(stop, removed[0])), (max(start, removed[1]), stop)]
    return merge(remaining)


def total_size(ranges: Iterable[ByteRange]) -> int:
    """Number of bytes in all ranges together, each byte counted once."""
    return sum(stop - start for start, stop in merge(ranges))

"""Which bytes of a file are here: sorted, disjoint, half-open spans ``(start, stop)``."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
"""Bytes ``start`` to ``stop - 1``."""


def union(spans: Iterable[Span]) -> list[Span]:
    """The same bytes as few, rising, disjoint spans; empty ones vanish."""
    out: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((start, stop))
    return out


def missing(have: Iterable[Span], wanted: Span) -> list[Span]:
    """Parts of ``wanted`` that ``have`` lacks, rising."""
    out, place = [], wanted[0]
    for start, stop in union(have):
        if start >= wanted[1]:
            break
        if start > place:
            out.append((place, start))
        place = max(place, stop)
    if place < wanted[1]:
        out.append((place, wanted[1]))
    return out


def without(have: Iterable[Span], gone: Span) -> list[Span]:
    """``have`` less the bytes of ``gone``."""
    out: list[Span] = []
    for start, stop in union(have):
        out += [(start, min(stop, gone[0])), (max(start, gone[1]), stop)]
    return union(out)


def num_bytes(spans: Iterable[Span]) -> int:
    """Number of bytes in all."""
    return sum(stop - start for start, stop in union(spans))

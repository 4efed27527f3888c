"""Counts in messages: ``1 label``, ``2 labels``."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun.

    Args:
        count: How many.
        noun: The noun of one.
        plural: The noun of several; None for the one with an s.
    """
    # counted(1, "label that repeats", "labels that repeat") -> "1 label that repeats"
    return f"{count} {noun if count == 1 else plural or noun + 's'}"

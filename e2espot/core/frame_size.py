"""Sizes of frames as users write them: ``398x224``."""

from __future__ import annotations

import re

from e2espot.core.errors import ConfigurationError

MAX_SIDE = 100_000
"""More pixels per side, and more frames per clip, than any network has."""
MIN_SIDE = 32
"""Shortest side: networks halve it five times."""


def parse_frame_size(text: str) -> tuple[int, int]:
    """(width, height) in pixels.

    Raises:
        ConfigurationError: not of this form, or out of range.
    """
    match = re.fullmatch(r"([0-9]{2,6})x([0-9]{2,6})", text)
    width, height = (int(match[1]), int(match[2])) if match is not None else (0, 0)
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise ConfigurationError(
            f"size is {text!r}; give width x height from {MIN_SIDE} to {MAX_SIDE} pixels, such as 398x224",
            option="size",
        )
    return width, height

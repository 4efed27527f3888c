"""Colours as OpenCV has them."""

from __future__ import annotations

import colorsys

Colour = tuple[float, float, float]
"""Blue, green, red, 0-255."""


def colour(hue: float, saturation: float, value: float) -> Colour:
    """From hue (1 is a full turn), saturation and value, 0 to 1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return (255 * blue, 255 * green, 255 * red)

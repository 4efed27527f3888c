"""The plot of the review study: one measure over the number of decisions, as an SVG file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from e2espot.report.html import Markup, element

LABELLED_ALONE, NO_QUESTIONS, ALL_LABELS = "labelled match alone", "no questions", "all labels"
"""Variants without decisions: the two horizontal lines, and the common start of the curves."""
CURVES = {"uncertain": "questions of the queue", "random": "questions at random"}
"""Order of the questions -> name of its curve."""
_COLOURS = ("#2b5fd9", "#c2570c")
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 430, 32, 236
"""The plot area in pixels of a 640x280 picture; names of the curves are to its right."""


def plot(points: Sequence[Mapping[str, Any]], key: str, title: str) -> Markup:
    """Draw one measure over the decisions.

    Args:
        points: Each with ``variant``, ``decisions`` (-1 for all labels) and measures from 0 to 1.
        key: Name of the measure; points without it are left out.
        title: What the vertical axis shows.
    """
    points = [point for point in points if key in point]
    axes = _Axes([point[key] for point in points], max(point["decisions"] for point in points))
    style = "text{font:12px system-ui,sans-serif;fill:#5d656e}"
    parts = [element("style", Markup(style)), element("rect", width=640, height=280, fill="#ffffff")]
    parts += axes.grid(sorted({point["decisions"] for point in points if point["decisions"] >= 0}), title)
    start = [point for point in points if point["variant"] == NO_QUESTIONS]
    for colour, name in zip(_COLOURS, CURVES.values(), strict=True):
        curve = [*start, *(point for point in points if point["variant"] == name)]
        parts += axes.curve(sorted({(point["decisions"], point[key]) for point in curve}), name, colour)
    for point in points:
        if point["variant"] in (LABELLED_ALONE, ALL_LABELS):
            parts += axes.level(point[key], point["variant"])
    return element("svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox="0 0 640 280", width=640, height=280)


class _Axes:
    """Scales of both axes, and what is drawn on them."""

    def __init__(self, values: Sequence[float], most_decisions: int) -> None:
        # The vertical axis covers the values in steps of 0.05: 0.52 to 0.70 -> 0.50 to 0.70.
        self._low = np.floor(min(values) * 20) / 20
        self._high = min(1.0, np.ceil(max(values) * 20 + 1e-9) / 20)
        self._most = max(most_decisions, 1)

    def x(self, decisions: float) -> float:
        """Pixel column."""
        return float(_LEFT + decisions / self._most * (_RIGHT - _LEFT))

    def y(self, value: float) -> float:
        """Pixel row."""
        return float(_BOTTOM - (value - self._low) / (self._high - self._low or 1) * (_BOTTOM - _TOP))

    def grid(self, decisions: Sequence[int], title: str) -> list[Markup]:
        """Horizontal lines every 0.05, and the texts of both axes."""
        parts = []
        for value in np.arange(round(self._low * 20), round(self._high * 20) + 1) / 20:
            parts.append(element("path", d=f"M{_LEFT} {self.y(value):.1f}H{_RIGHT}", stroke="#eceef0"))
            parts.append(element("text", f"{100 * value:.0f}", x=_LEFT - 8, y=self.y(value) + 4, text_anchor="end"))
        for count in decisions:
            parts.append(element("text", count, x=self.x(count), y=_BOTTOM + 18, text_anchor="middle"))
        parts.append(element("text", "decisions", x=(_LEFT + _RIGHT) / 2, y=_BOTTOM + 34, text_anchor="middle"))
        return [*parts, element("text", f"{title}, percent", x=_LEFT - 40, y=14)]

    def curve(self, line: Sequence[tuple[int, float]], name: str, colour: str) -> list[Markup]:
        """Dots joined by lines, with the name after the last."""
        path = "L".join(f"{self.x(decisions):.1f} {self.y(value):.1f}" for decisions, value in line)
        dots = [element("circle", cx=self.x(count), cy=self.y(value), r=3.5, fill=colour) for count, value in line]
        text = element("text", name, x=_RIGHT + 10, y=self.y(line[-1][1]) + 4, style=f"fill:{colour}")
        return [element("path", d=f"M{path}", stroke=colour, fill="none", stroke_width=2), *dots, text]

    def level(self, value: float, name: str) -> list[Markup]:
        """A dashed horizontal line with its name."""
        y = self.y(value)
        line = element("path", d=f"M{_LEFT} {y:.1f}H{_RIGHT}", stroke="#9aa4ae", stroke_dasharray="3 4")
        return [line, element("text", name, x=_RIGHT + 10, y=y + 4)]

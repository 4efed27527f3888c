"""The picture of ``bench live``: mAP@1 over look-ahead and latency, as an SVG file of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from e2espot.benchmarks.live_accuracy import OFFLINE, Footage, Setting
from e2espot.report.html import Markup, element

_KINDS = {"look-ahead": ("look-ahead of the head", "#2b5fd9"), "latency": ("latency", "#c2570c")}
"""Kind of setting -> name and colour of its curve."""
_WIDTH, _HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 430, 40, 200
"""The plot area of one panel in pixels; names of the curves are to its right."""
_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Marks of the horizontal axis, which is logarithmic."""


def draw(panels: Sequence[tuple[Footage, Mapping[Setting, float]]]) -> Markup:
    """One panel for each footage, below each other."""
    style = "text{font:12px system-ui,sans-serif;fill:#5d656e}"
    height = _HEIGHT * len(panels)
    parts = [element("style", Markup(style)), element("rect", width=_WIDTH, height=height, fill="#ffffff")]
    for number, (footage, scores) in enumerate(panels):
        parts.append(element("g", *_panel(footage, scores), transform=f"translate(0 {_HEIGHT * number})"))
    box = f"0 0 {_WIDTH} {height}"
    return element("svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox=box, width=_WIDTH, height=height)


def _panel(footage: Footage, scores: Mapping[Setting, float]) -> list[Markup]:
    # The vertical axis covers the values in steps of 0.1: 0.43 to 0.91 -> 0.4 to 1.0.
    low = math.floor(10 * min(scores.values())) / 10
    high = max(low + 0.1, math.ceil(10 * max(scores.values())) / 10)

    def y(value: float) -> float:
        return _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)

    parts = [element("text", f"{footage.name}, {footage.num_events} events: mAP@1, percent", x=_LEFT - 40, y=20)]
    for step in range(round(10 * low), round(10 * high) + 1):
        parts.append(element("path", d=f"M{_LEFT} {y(step / 10):.1f}H{_RIGHT}", stroke="#eceef0"))
        parts.append(element("text", f"{10 * step}", x=_LEFT - 8, y=y(step / 10) + 4, text_anchor="end"))
    for seconds in _SECONDS:
        parts.append(element("text", f"{seconds:g} s", x=_x(seconds), y=_BOTTOM + 18, text_anchor="middle"))
    level = y(scores[OFFLINE])
    parts.append(element("path", d=f"M{_LEFT} {level:.1f}H{_RIGHT}", stroke="#9aa4ae", stroke_dasharray="3 4"))
    parts.append(element("text", "offline", x=_RIGHT + 10, y=level - 8))
    for number, (kind, (name, colour)) in enumerate(_KINDS.items()):
        line = sorted((_x(setting.seconds), y(value)) for setting, value in scores.items() if setting.kind == kind)
        if not line:
            continue
        path = "L".join(f"{x:.1f} {row:.1f}" for x, row in line)
        parts.append(element("path", d=f"M{path}", stroke=colour, fill="none", stroke_width=2))
        parts += [element("circle", cx=x, cy=row, r=3.5, fill=colour) for x, row in line]
        # Next to the plot, one below the other: the curves often end together.
        parts.append(element("text", name, x=_RIGHT + 10, y=level + 12 + 18 * number, style=f"fill:{colour}"))
    return parts


def _x(seconds: float) -> float:
    """Pixel column; half a second is at the left, four at the right."""
    low, high = math.log(_SECONDS[0]), math.log(_SECONDS[-1])
    return _LEFT + 8 + (math.log(seconds) - low) / (high - low) * (_RIGHT - _LEFT - 16)

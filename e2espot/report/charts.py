"""Figures as inline SVG. Colours come from the page's style sheet, so that they suit light and dark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from e2espot.report.html import Markup, element, join


def _svg(width: int, height: int, title: str, *children: Markup | None) -> Markup:
    label = element("title", title)
    return element("svg", label, *children, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img")


def _text(x: float, y: float, text: str, *, anchor: str | None = None, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _bars(boxes: Sequence[tuple[float, float, float, float]], class_: str) -> Markup | None:
    """Boxes (x, y, width, height) as one path."""
    drawn = [f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in boxes if w > 0 and h > 0]
    return element("path", d="".join(drawn), class_=class_) if drawn else None


def precision_recall_chart(
    title: str, curves: Sequence[tuple[str, np.ndarray, np.ndarray]], point: tuple[float, float] | None
) -> Markup:
    """Precision over recall.

    Args:
        title: What a reader without eyes is told.
        curves: (class of the style, precision, recall), drawn in that order.
        point: (precision, recall) at the best threshold.
    """
    width, height, left, top, size = 216, 206, 30, 8, 176

    def across(recall: float) -> float:
        return left + recall * size

    def down(precision: float) -> float:
        return top + (1 - precision) * size

    parts: list[Markup | None] = []
    for tick in (0, 0.5, 1):
        parts += [
            _line(left, down(tick), left + size, down(tick), "grid"),
            _line(across(tick), top, across(tick), top + size, "grid"),
            _text(left - 5, down(tick) + 4, f"{tick:g}", anchor="end"),
            _text(across(tick), top + size + 15, f"{tick:g}", anchor="middle"),
        ]
    for style, precision, recall in curves:
        said = precision + recall > 0
        places = [f"{across(r):.1f} {down(p):.1f}" for p, r in zip(precision[said], recall[said], strict=True)]
        kept = [place for at, place in enumerate(places) if at == 0 or place != places[at - 1]]
        if kept:
            parts.append(element("path", d="M" + "L".join(kept), class_=f"curve {style}"))
    if point is not None:
        parts.append(element("circle", cx=across(point[1]), cy=down(point[0]), r=4, class_="point"))
    return _svg(width, height, title, *parts)


def error_chart(title: str, errors_s: np.ndarray, reach_s: float, framerate: int) -> Markup:
    """Histogram of how late hits come, one bar a frame; early is left."""
    width, height, left, right, top, bottom = 460, 170, 12, 448, 14, 140
    reach = round(reach_s * framerate)
    frames = np.clip(np.rint(errors_s * framerate).astype(np.int64), -reach, reach)
    counts = np.bincount(frames + reach, minlength=2 * reach + 1)
    step = (right - left) / (2 * reach + 1)
    scale = (bottom - top) / max(1, counts.max())
    boxes = [
        (left + at * step + step * 0.08, bottom - count * scale, step * 0.84, count * scale)
        for at, count in enumerate(counts)
    ]

    def across(seconds: float) -> float:
        return left + (seconds * framerate + reach + 0.5) * step

    ticks = [part * reach_s / 2 for part in range(-2, 3)]
    parts = [
        _bars(boxes, "bar"),
        _line(left, bottom, right, bottom, "axis"),
        _line(across(0), top, across(0), bottom, "zero"),
    ]
    parts += [_text(across(tick), bottom + 16, f"{tick:+g} s" if tick else "0", anchor="middle") for tick in ticks]
    if len(errors_s):
        middle = float(np.median(errors_s))
        parts.append(_line(across(middle), top - 8, across(middle), bottom, "median"))
    parts.append(_text(left, top - 2, f"{counts.max()} a frame at most", class_="small"))
    return _svg(width, height, title, *parts)


def score_chart(title: str, hits: np.ndarray, wrong: np.ndarray, threshold: float) -> Markup:
    """Scores of hits upwards and of false alarms downwards, each on a square-root scale of its own."""
    width, height, left, right, middle, reach, parts = 216, 132, 8, 208, 62, 50, 25
    step = (right - left) / parts
    drawn: list[Markup | None] = []
    for scores, style, up in ((hits, "hit", True), (wrong, "wrong", False)):
        counts = np.bincount(np.minimum((np.clip(scores, 0, 1) * parts).astype(np.int64), parts - 1), minlength=parts)
        tall = np.sqrt(counts / max(1, counts.max())) * reach
        boxes = [(left + at * step, middle - v if up else middle + 1, step - 1, v) for at, v in enumerate(tall)]
        drawn.append(_bars(boxes, style))
        drawn.append(_text(right, 12 if up else middle + reach - 2, f"{counts.max()}", anchor="end", class_="small"))
    drawn.append(_line(left, middle + 0.5, right, middle + 0.5, "axis"))
    for tick, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        drawn.append(_text(left + tick * (right - left), height - 4, f"{tick:g}", anchor=anchor))
    if np.isfinite(threshold):
        at = left + min(1.0, threshold) * (right - left)
        drawn.append(_line(at, 4, at, middle + reach, "median"))
    return _svg(width, height, title, *drawn)


def minutes_chart(title: str, counts: np.ndarray) -> Markup:
    """Hits and misses of each minute stacked upwards, false alarms downwards.

    Args:
        title: Game and half.
        counts: int64 ``(minutes, 3)``.
    """
    width, left, right, rise, fall = 460, 24, 452, 52, 30
    most_up = max(1, int((counts[:, 0] + counts[:, 1]).max(initial=0)))
    most_down = int(counts[:, 2].max(initial=0))
    scale = min(rise / most_up, fall / max(1, most_down))
    zero = 6 + round(most_up * scale)
    step = (right - left) / max(1, len(counts))
    gap = min(1.5, step * 0.15)
    hits, misses, wrong = [], [], []
    for minute, (hit, miss, alarm) in enumerate(counts.tolist()):
        x, w = left + minute * step, step - gap
        hits.append((x, zero - hit * scale, w, hit * scale))
        misses.append((x, zero - (hit + miss) * scale, w, miss * scale))
        wrong.append((x, zero + 1, w, alarm * scale))
    height = zero + round(most_down * scale) + 20
    parts = [
        _bars(hits, "hit"),
        _bars(misses, "miss"),
        _bars(wrong, "wrong"),
        _line(left, zero + 0.5, right, zero + 0.5, "axis"),
        _text(left - 4, 14, str(most_up), anchor="end", class_="small"),
    ]
    every = next(step_ for step_ in (1, 5, 10, 15, 30, 60) if len(counts) / step_ <= 10 or step_ == 60)
    parts += [
        _text(left + minute * step, height - 4, f"{minute}'", anchor="start", class_="small")
        for minute in range(0, len(counts), every)
    ]
    return _svg(width, height, title, *parts)


def legend(*entries: tuple[str, str]) -> Markup:
    """(class of the style, text) side by side."""
    return element(
        "p", join(*(element("span", element("i", class_=style), text) for style, text in entries)), class_="legend"
    )

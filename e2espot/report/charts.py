"""Figures as inline SVG. Their colours come from the page's style sheet, so they suit light and dark themes."""

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
    """Boxes (x, y, width, height) as one path, which is far smaller than an element for each."""
    paths = [f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in boxes if w > 0 and h > 0]
    return element("path", d="".join(paths), class_=class_) if paths else None


def precision_recall_chart(
    title: str, curves: Sequence[tuple[str, np.ndarray, np.ndarray]], point: tuple[float, float] | None
) -> Markup:
    """Draw precision over recall.

    Args:
        title: Description for screen readers.
        curves: (CSS class, precision, recall), drawn in this order.
        point: (precision, recall) at the best threshold.
    """
    width, height, left, top, size = 216, 206, 30, 8, 176

    def x_of(recall: float) -> float:
        return left + recall * size

    def y_of(precision: float) -> float:
        return top + (1 - precision) * size

    parts: list[Markup | None] = []
    for tick in (0, 0.5, 1):
        parts += [
            _line(left, y_of(tick), left + size, y_of(tick), "grid"),
            _line(x_of(tick), top, x_of(tick), top + size, "grid"),
            _text(left - 5, y_of(tick) + 4, f"{tick:g}", anchor="end"),
            _text(x_of(tick), top + size + 15, f"{tick:g}", anchor="middle"),
        ]
    for style, precision, recall in curves:
        # Thresholds above every prediction have neither precision nor recall; many others give the same point.
        exists = precision + recall > 0
        points = [f"{x_of(r):.1f} {y_of(p):.1f}" for p, r in zip(precision[exists], recall[exists], strict=True)]
        distinct = [text for index, text in enumerate(points) if index == 0 or text != points[index - 1]]
        if distinct:
            parts.append(element("path", d="M" + "L".join(distinct), class_=f"curve {style}"))
    if point is not None:
        parts.append(element("circle", cx=x_of(point[1]), cy=y_of(point[0]), r=4, class_="point"))
    return _svg(width, height, title, *parts)


def time_error_chart(title: str, errors_s: np.ndarray, range_s: float, framerate: int) -> Markup:
    """Draw a histogram of time errors, one bar per frame; early is left.

    Args:
        title: Description for screen readers.
        errors_s: Prediction minus label, in seconds.
        range_s: The axis goes from minus this to this.
        framerate: Frames per second.
    """
    width, height, left, right, top, bottom = 460, 170, 12, 448, 14, 140
    range_frames = round(range_s * framerate)
    frames = np.clip(np.rint(errors_s * framerate).astype(np.int64), -range_frames, range_frames)
    counts = np.bincount(frames + range_frames, minlength=2 * range_frames + 1)
    step = (right - left) / (2 * range_frames + 1)
    scale = (bottom - top) / max(1, counts.max())
    boxes = [
        (left + index * step + step * 0.08, bottom - count * scale, step * 0.84, count * scale)
        for index, count in enumerate(counts)
    ]

    def x_of(seconds: float) -> float:
        return left + (seconds * framerate + range_frames + 0.5) * step

    ticks = [part * range_s / 2 for part in range(-2, 3)]
    parts = [
        _bars(boxes, "bar"),
        _line(left, bottom, right, bottom, "axis"),
        _line(x_of(0), top, x_of(0), bottom, "zero"),
    ]
    parts += [_text(x_of(tick), bottom + 16, f"{tick:+g} s" if tick else "0", anchor="middle") for tick in ticks]
    if len(errors_s):
        median_s = float(np.median(errors_s))
        parts.append(_line(x_of(median_s), top - 8, x_of(median_s), bottom, "median"))
    parts.append(_text(left, top - 2, f"maximum {counts.max()} per frame", class_="small"))
    return _svg(width, height, title, *parts)


def confidence_chart(title: str, hits: np.ndarray, false_positives: np.ndarray, threshold: float) -> Markup:
    """Draw histograms of confidence: hits upwards, false positives downwards, each on its own square-root scale.

    Args:
        title: Description for screen readers.
        hits: Confidences of hits, in [0, 1].
        false_positives: Confidences of false positives, in [0, 1].
        threshold: Drawn as a line if finite.
    """
    width, height, left, right, middle, bar_height, num_bins = 216, 132, 8, 208, 62, 50, 25
    step = (right - left) / num_bins
    parts: list[Markup | None] = []
    for scores, style, up in ((hits, "hit", True), (false_positives, "false-positive", False)):
        bins = np.minimum((np.clip(scores, 0, 1) * num_bins).astype(np.int64), num_bins - 1)
        counts = np.bincount(bins, minlength=num_bins)
        # Low scores outnumber high ones by orders of magnitude; the square root keeps both visible.
        heights = np.sqrt(counts / max(1, counts.max())) * bar_height
        boxes = [
            (left + index * step, middle - value if up else middle + 1, step - 1, value)
            for index, value in enumerate(heights)
        ]
        parts.append(_bars(boxes, style))
        parts.append(
            _text(right, 12 if up else middle + bar_height - 2, f"{counts.max()}", anchor="end", class_="small")
        )
    parts.append(_line(left, middle + 0.5, right, middle + 0.5, "axis"))
    for tick, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        parts.append(_text(left + tick * (right - left), height - 4, f"{tick:g}", anchor=anchor))
    if np.isfinite(threshold):
        x = left + min(1.0, threshold) * (right - left)
        parts.append(_line(x, 4, x, middle + bar_height, "median"))
    return _svg(width, height, title, *parts)


def minutes_chart(title: str, counts_M3: np.ndarray) -> Markup:
    """Draw hits and misses of each minute stacked upwards, false positives downwards.

    Args:
        title: Description for screen readers.
        counts_M3: int64 ``(minutes, 3)``: hits, misses, false positives.
    """
    width, left, right, most_above, most_below = 460, 24, 452, 52, 30
    highest = max(1, int((counts_M3[:, 0] + counts_M3[:, 1]).max(initial=0)))
    lowest = int(counts_M3[:, 2].max(initial=0))
    # One scale for both directions, so that the bars can be compared.
    scale = min(most_above / highest, most_below / max(1, lowest))
    zero = 6 + round(highest * scale)
    step = (right - left) / max(1, len(counts_M3))
    gap = min(1.5, step * 0.15)
    hit_boxes, miss_boxes, false_positive_boxes = [], [], []
    for minute, (hits, misses, false_positives) in enumerate(counts_M3.tolist()):
        x, w = left + minute * step, step - gap
        hit_boxes.append((x, zero - hits * scale, w, hits * scale))
        miss_boxes.append((x, zero - (hits + misses) * scale, w, misses * scale))
        false_positive_boxes.append((x, zero + 1, w, false_positives * scale))
    height = zero + round(lowest * scale) + 20
    parts = [
        _bars(hit_boxes, "hit"),
        _bars(miss_boxes, "miss"),
        _bars(false_positive_boxes, "false-positive"),
        _line(left, zero + 0.5, right, zero + 0.5, "axis"),
        _text(left - 4, 14, str(highest), anchor="end", class_="small"),
    ]
    # The smallest step with ten ticks at most.
    every = next(minutes for minutes in (1, 5, 10, 15, 30, 60) if len(counts_M3) / minutes <= 10 or minutes == 60)
    parts += [
        _text(left + minute * step, height - 4, f"{minute}'", anchor="start", class_="small")
        for minute in range(0, len(counts_M3), every)
    ]
    return _svg(width, height, title, *parts)


def legend(*entries: tuple[str, str]) -> Markup:
    """A legend in one line; each entry is (CSS class, text)."""
    return element(
        "p", join(*(element("span", element("i", class_=style), text) for style, text in entries)), class_="legend"
    )

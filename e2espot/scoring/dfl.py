"""The metric of Kaggle's DFL Bundesliga data: average precision of events within tolerances of their own by class.

Predictions of one class in one video take labels in the order of their scores, each the nearest label that is free and
nearer than the tolerance. Average precision is the area under the steps of precision over recall, of all videos pooled;
the score is its mean over the tolerances of a class, then over the classes that have a label::

    labels          10.00        10.50              tolerance 0.3 s, strict: at 0.3 s it is a miss
    predictions  9.80 (.9)   10.29 (.8)  10.60 (.7)
    takes          10.00        10.50      -        precision 1, 1, 2/3 at recall 1/2, 1, 1 -> AP 1
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from e2espot.core.errors import AnnotationError
from e2espot.core.events import ScoredEvent

_STRICT_MS = (150, 200, 250, 300, 350)
DFL_TOLERANCES_MS: dict[str, tuple[int, ...]] = {
    "challenge": (300, 400, 500, 600, 700),
    "play": _STRICT_MS,
    "throwin": _STRICT_MS,
}
"""Class -> tolerances in milliseconds."""


@dataclass(frozen=True, kw_only=True)
class DflReport:
    """The score and what it is the mean of; fractions, not percent."""

    mAP: float
    """Mean over the classes that have a label."""
    by_tolerance: dict[str, tuple[float, ...]]
    """Class with a label -> AP at each of its tolerances."""
    num_labels: dict[str, int]
    """Class -> its labels."""

    @property
    def per_class(self) -> dict[str, float]:
        """Class with a label -> mean AP over its tolerances."""
        return {name: float(np.mean(values)) for name, values in self.by_tolerance.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        tolerances = {name: [tolerance / 1000 for tolerance in DFL_TOLERANCES_MS[name]] for name in self.by_tolerance}
        return {
            "mAP": self.mAP,
            "per_class": self.per_class,
            "tolerances_s": tolerances,
            "by_tolerance": {name: list(values) for name, values in self.by_tolerance.items()},
        }

    def table(self) -> str:
        """Text table in percent: a row for each class, its mean and its tolerances."""
        lines = [f"DFL event detection AP: {100 * self.mAP:.2f}"]
        for name, values in self.by_tolerance.items():
            cells = (
                f"@{tolerance / 1000:.2f} {100 * value:.2f}"
                for tolerance, value in zip(DFL_TOLERANCES_MS[name], values, strict=True)
            )
            lines.append(f"{name:<10}{100 * self.per_class[name]:8.2f}   {'  '.join(cells)}")
        absent = [name for name in DFL_TOLERANCES_MS if not self.num_labels[name]]
        if absent:
            lines.append(f"mean over the classes with a label; there is none of {', '.join(absent)}")
        return "\n".join(lines)


def evaluate_dfl(
    labels: Mapping[str, Sequence[ScoredEvent]], predictions: Mapping[str, Sequence[ScoredEvent]]
) -> DflReport:
    """Score predictions of the three classes.

    Args:
        labels: Game -> labels within its annotated stretches.
        predictions: Game -> predictions within these; games without labels count too, as their predictions are false.

    Raises:
        AnnotationError: no label of any of the classes.
    """
    num_labels = {
        name: sum(event.label == name for events in labels.values() for event in events) for name in DFL_TOLERANCES_MS
    }
    if not any(num_labels.values()):
        raise AnnotationError(
            f"no label of {', '.join(DFL_TOLERANCES_MS)} within the annotated stretches; this metric scores these alone"
        )
    by_tolerance = {
        name: tuple(
            _average_precision(labels, predictions, name, tolerance_ms, num_labels[name]) for tolerance_ms in tolerances
        )
        for name, tolerances in DFL_TOLERANCES_MS.items()
        if num_labels[name]
    }
    means = [float(np.mean(values)) for values in by_tolerance.values()]
    return DflReport(mAP=float(np.mean(means)), by_tolerance=by_tolerance, num_labels=num_labels)


def _average_precision(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    name: str,
    tolerance_ms: int,
    num_labels: int,
) -> float:
    scores: list[float] = []
    hits: list[bool] = []
    for game, of_game in predictions.items():
        for half in sorted({event.half for event in of_game}):
            predicted = [event for event in of_game if event.half == half and event.label == name and event.value >= 0]
            truth_ms = sorted(
                event.position_ms for event in labels.get(game, ()) if event.half == half and event.label == name
            )
            ranked = sorted(predicted, key=lambda event: -event.value)
            scores += [event.value for event in ranked]
            hits += match_nearest([event.position_ms for event in ranked], truth_ms, tolerance_ms - 1)
    return step_area(np.array(scores), np.array(hits, dtype=bool), num_labels)


def match_nearest(ranked: Sequence[int], truths: Sequence[int], reach: int) -> list[bool]:
    """Whether each prediction takes a truth: the nearest free one within ``reach``, the earlier of two equal ones.

    Args:
        ranked: Times of the predictions, the most confident first.
        truths: Times of the truths, ascending.
        reach: Largest distance, in the same unit.

    # truths 10, 14, reach 3: 12 takes 10, then 13 takes 14, then 11 finds none
    """
    free = [True] * len(truths)
    hits = []
    for time in ranked:
        near = range(bisect_left(truths, time - reach), bisect_right(truths, time + reach))
        best = min((number for number in near if free[number]), key=lambda n: abs(truths[n] - time), default=None)
        if best is not None:
            free[best] = False
        hits.append(best is not None)
    return hits


def step_area(scores: np.ndarray, hits: np.ndarray, num_labels: int) -> float:
    """Area under precision over recall in steps, at every distinct score; predictions of one score come together.

    # scores .9 .8 .8, hits 1 0 1, 4 labels: precision 1 at recall 1/4, 2/3 at 1/2 -> 1/4 * 1 + 1/4 * 2/3
    """
    order = np.argsort(-scores, kind="stable")
    scores, num_hits = scores[order], np.cumsum(hits[order])
    last_of_score = np.flatnonzero(np.append(np.diff(scores) != 0, len(scores) > 0))
    num_hits, num_predicted = num_hits[last_of_score], last_of_score + 1
    return float((np.diff(num_hits, prepend=0) * num_hits / num_predicted).sum() / num_labels)

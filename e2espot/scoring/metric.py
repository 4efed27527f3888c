"""SoccerNet's action-spotting mAP, to the last digit, on sparse events instead of dense arrays.

Semantics follow the evaluator of the SoccerNet package (version 2 of its metric): times become
bins by a float expression, a later entry overwrites an earlier one in its bin, each label takes
the most confident free prediction within half the tolerance to each side, and AP is the
11-point mean over 200 fixed thresholds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import ScoredEvent, Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS, position_ms_of_frame

_LOG = logging.getLogger(__name__)

METRICS: dict[str, tuple[int, ...]] = {
    **{f"at{seconds}": (seconds,) for seconds in range(1, 6)},
    "tight": (1, 2, 3, 4, 5),
    "loose": tuple(range(5, 65, 5)),
}
"""Metric name -> tolerances in seconds; a prediction counts within half a tolerance to each side."""

_THRESHOLDS = np.linspace(0, 1, 200)
_HALF_S = 120 * 60


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric; fractions, not percent."""

    mAP: float
    per_class: dict[str, float]
    mAP_visible: float
    per_class_visible: dict[str, float]
    mAP_unshown: float
    per_class_unshown: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values, NaN as None."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: plain(inner) for name, inner in value.items()}
            return None if np.isnan(value) else float(value)

        return {name: plain(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Report:
    """All metrics asked for."""

    results: dict[str, MetricResult]

    def mAP(self, metric: str = "at1") -> float:  # noqa: N802
        """Mean AP of one metric, 0 to 1."""
        return self.results[metric].mAP

    def to_json(self) -> dict[str, Any]:
        """``{"at1": {"mAP": 0.5, "per_class": {...}, ...}, ...}``."""
        return {name: result.to_json() for name, result in self.results.items()}

    def table(self) -> str:
        """Percent, one row a class, one column a metric."""
        names = list(self.results)
        classes = list(next(iter(self.results.values())).per_class)
        rows = [("mAP", [self.results[name].mAP for name in names])]
        rows += [(label, [self.results[name].per_class[label] for name in names]) for label in classes]
        width = max(len(label) for label, _ in rows)
        heads = [f"@{name[2:]}" if name.startswith("at") else name for name in names]
        lines = [" " * width + "".join(f"{head:>8}" for head in heads)]
        lines += [f"{label:<{width}}" + "".join(f"{100 * value:8.2f}" for value in values) for label, values in rows]
        return "\n".join(lines)


def evaluate(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
    metrics: Sequence[str] = ("at1", "at2", "at3", "at4", "at5"),
    framerate: int = 25,
) -> Report:
    """Score the predictions of every labelled game; games without labels are ignored.

    Raises:
        ConfigurationError: a metric that does not exist.
        AnnotationError: a labelled game without predictions, or a time SoccerNet would crash on.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ConfigurationError(f"unknown metric {unknown[0]!r}; choose from {', '.join(METRICS)}")
    missing = [game for game in labels if game not in predictions]
    if missing:
        raise AnnotationError(f"no predictions for {len(missing)} games, the first is {missing[0]!r}")
    left_out: dict[str, int] = {}
    games = [
        (
            bins_of(labels[game], label_set, framerate, left_out),
            bins_of(predictions[game], label_set, framerate, left_out),
        )
        for game in labels
    ]
    if left_out:
        _LOG.warning("%s", "; ".join(f"{count} entries {reason}" for reason, count in left_out.items()))
    tolerances = sorted({seconds for name in metrics for seconds in METRICS[name]})
    classes = [_OneClass(games, number) for number in range(len(label_set))]
    curves = {
        seconds: np.array([one.average_precisions(seconds * framerate) for one in classes]).T for seconds in tolerances
    }
    return Report({name: _combine(name, curves, label_set) for name in metrics})


def evaluate_events(
    labels: Mapping[str, Sequence[Event]],
    predictions: Mapping[str, Sequence[Event]],
    label_set: LabelSet,
    metrics: Sequence[str] = ("at1", "at2", "at3", "at4", "at5"),
    fps: Fraction = DEFAULT_FPS,
) -> Report:
    """Score events on a grid of any rate as SoccerNet scores their files, at 25 bins a second."""

    def entries(events: Sequence[Event], *, label: bool) -> list[ScoredEvent]:
        return [
            ScoredEvent(
                half=event.half,
                position_ms=position_ms_of_frame(event.frame, fps),
                label=event.label,
                value=(1.0 if event.visible else -1.0) if label else event.confidence,
            )
            for event in events
        ]

    return evaluate(
        {game: entries(events, label=True) for game, events in labels.items()},
        {game: entries(events, label=False) for game, events in predictions.items()},
        label_set,
        metrics,
    )


Bins = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]
"""(half, class) -> rising bins and their values."""


def bins_of(entries: Sequence[ScoredEvent], label_set: LabelSet, framerate: int, left_out: dict[str, int]) -> Bins:
    """Entries as sparse bins, with SoccerNet's float expression, its clamping and its skipping.

    Args:
        entries: Labels or predictions of one game.
        label_set: Classes that count.
        framerate: Bins a second.
        left_out: Is told how many entries were left out or moved, by reason.
    """
    size = _HALF_S * framerate
    found: dict[tuple[int, int], dict[int, float]] = {}
    numbers = {name: number for number, name in enumerate(label_set.names)}

    def count(reason: str) -> None:
        left_out[reason] = left_out.get(reason, 0) + 1

    for entry in entries:
        if entry.half not in (1, 2):
            count("of another half than 1 or 2 left out")
            continue
        number = numbers.get(entry.label)
        if number is None:
            count("of an unknown class left out")
            continue
        place = int(framerate * (entry.position_ms / 1000))
        if place >= size:
            count("past two hours put into the last bin")
        place = min(place, size - 1)
        if place < -size:
            raise AnnotationError(f"position {entry.position_ms} ms lies more than two hours before the start")
        found.setdefault((entry.half, number), {})[place % size] = (
            entry.value
        )  # a negative bin counts from the end, as in numpy
    return {
        key: (np.array(sorted(bins)), np.array([bins[place] for place in sorted(bins)])) for key, bins in found.items()
    }


_NONE = (np.empty(0, dtype=np.int64), np.empty(0))


class _OneClass:
    """Labels and predictions of one class in all games and halves; what no tolerance changes is made once."""

    def __init__(self, games: Sequence[tuple[Bins, Bins]], number: int) -> None:
        self._pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        scores, sides, shown, hidden = [], [], 0, 0
        for labels, predictions in games:
            for half in (1, 2):
                gt_bins, gt_values = labels.get((half, number), _NONE)
                bins, values = predictions.get((half, number), _NONE)
                exists = values >= 0
                bins, values = bins[exists], values[exists]
                self._pairs.append((gt_bins, bins, values))
                scores.append(values)
                sides.append(_nearest_visibility(gt_bins, gt_values, bins))
                shown += int((gt_values > 0).sum())
                hidden += int((gt_values < 0).sum())
        score, side = np.concatenate(scores), np.concatenate(sides)
        self._parts = [
            (Ranking(score, np.ones(len(score), dtype=bool)), shown + hidden),
            (Ranking(score, side > 0.5), shown),
            (Ranking(score, side < -0.5), hidden),
        ]

    def average_precisions(self, delta: int) -> list[float]:
        """Over all labels, over visible ones, over unshown ones."""
        hits = np.concatenate([match_bins(gt_bins, bins, values, delta) for gt_bins, bins, values in self._pairs]) >= 0
        return [ranking.eleven_points(hits, num_labels) for ranking, num_labels in self._parts]


def match_bins(gt_bins: np.ndarray, bins: np.ndarray, scores: np.ndarray, delta: int) -> np.ndarray:
    """The label each prediction hits, -1 for none.

    Labels in order of time each take the most confident free prediction, the earlier of two equal ones.

    Args:
        gt_bins: Rising bins of the labels of one class in one half.
        bins: Rising bins of its predictions.
        scores: Their confidences, none below zero.
        delta: Tolerance in bins; half of it counts to each side.
    """
    free = scores.copy()
    partners = np.full(len(bins), -1, dtype=np.int64)
    firsts = np.searchsorted(bins, gt_bins - delta / 2, side="left")
    ends = np.searchsorted(bins, gt_bins + delta / 2, side="right")
    for label, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
        if first < end:
            best = first + int(free[first:end].argmax())
            if free[best] > -1:
                partners[best], free[best] = label, -1
    return partners


def _nearest_visibility(gt_bins: np.ndarray, gt_values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Visibility of the label nearest to each prediction; -1 where there is none."""
    if not len(gt_bins):
        return np.full(len(bins), -1.0)
    borders = (gt_bins[:-1] + gt_bins[1:]) // 2
    return np.asarray(gt_values[np.searchsorted(borders, bins, side="right")])


class Ranking:
    """Some of the predictions by falling score, and how many lie above each of the 200 thresholds."""

    def __init__(self, scores: np.ndarray, chosen: np.ndarray) -> None:
        """Rank the ``chosen`` (bool) of the predictions."""
        places = np.flatnonzero(chosen)
        order = np.argsort(scores[places], kind="stable")
        self._places = places[order][::-1]
        self._above = len(places) - np.searchsorted(scores[places][order], _THRESHOLDS, side="left")

    def precision_recall(self, hits: np.ndarray, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall of the predictions that reach each threshold.

        Args:
            hits: bool; which of all predictions are hits.
            num_labels: Labels there are to hit.
        """
        found = np.concatenate(([0], np.cumsum(hits[self._places])))[self._above]
        precision = np.divide(found, self._above, out=np.zeros(len(_THRESHOLDS)), where=self._above > 0)
        return precision, found / num_labels if num_labels else np.zeros(len(_THRESHOLDS))

    def eleven_points(self, hits: np.ndarray, num_labels: int) -> float:
        """Mean over recall 0, 0.1 .. 1 of the best precision at that recall or more."""
        precision, recall = self.precision_recall(hits, num_labels)
        points = [precision[recall >= level].max(initial=0.0) for level in np.arange(11) / 10]
        return float(sum(points) / 11)


def _combine(metric: str, curves: Mapping[int, np.ndarray], label_set: LabelSet) -> MetricResult:
    """Mean over tolerances: the value itself for one, trapezoids for several."""
    values = np.stack([curves[seconds] for seconds in METRICS[metric]])
    values = ((values[:-1] + values[1:]) / 2).sum(0) / (len(values) - 1) if len(values) > 1 else values[0]
    means = values.mean(1)
    if len(METRICS[metric]) > 1:
        means[2] *= 17 / 13  # SoccerNet's constant for its 17 classes, applied to every label set

    def by_class(row: int) -> dict[str, float]:
        return {name: float(value) for name, value in zip(label_set.names, values[row], strict=True)}

    return MetricResult(
        mAP=float(means[0]),
        per_class=by_class(0),
        mAP_visible=float(means[1]),
        per_class_visible=by_class(1),
        mAP_unshown=float(means[2]),
        per_class_unshown=by_class(2),
    )

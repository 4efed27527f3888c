"""SoccerNet's mAP for action spotting, to the last digit, on sparse events instead of dense arrays.

The semantics are those of ``SoccerNet.Evaluation.ActionSpotting`` (SoccerNet package, version 2 of its
labels): a float expression maps times to bins, of several events in one bin the last counts, each
label takes the most confident free prediction within half the tolerance to each side, and AP is the
11-point mean over 200 fixed thresholds.

The evaluator holds an array of two hours for each class of each half, one bin per frame at 25 fps, and -1
or 0 where there is no event. Here only the bins that hold an event are stored::

    evaluator   bin     0    1    2    3   ...          here   bins    1    3
    predictions        -1  0.7   -1  0.2                       values  0.7  0.2
    labels              0    1    0   -1  (not shown)          values  1   -1
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import Event, ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS, position_ms_of_frame
from e2espot.core.wording import counted

_LOG = logging.getLogger(__name__)

METRICS: dict[str, tuple[int, ...]] = {
    **{f"at{seconds}": (seconds,) for seconds in range(1, 6)},
    "tight": (1, 2, 3, 4, 5),
    "loose": tuple(range(5, 65, 5)),
}
"""Metric name -> tolerances in seconds; a prediction counts within half a tolerance to each side."""

_THRESHOLDS = np.linspace(0, 1, 200)
"""Confidences at which precision and recall are measured: 0, 1/199, 2/199, ... 1."""
_HALF_S = 120 * 60
"""Length of the evaluator's arrays for one half, in seconds."""


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric; fractions, not percent."""

    mAP: float
    """Mean over the classes."""
    per_class: dict[str, float]
    """Class -> AP."""
    mAP_visible: float
    """Mean over the classes, of labels that are visible."""
    per_class_visible: dict[str, float]
    """Class -> AP of labels that are visible."""
    mAP_unshown: float
    """Mean over the classes, of labels marked ``not shown``."""
    per_class_unshown: dict[str, float]
    """Class -> AP of labels marked ``not shown``."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, NaN as None."""

        def plain(value: float) -> float | None:
            return None if np.isnan(value) else float(value)

        return {
            name: {label: plain(value) for label, value in field.items()} if isinstance(field, dict) else plain(field)
            for name, field in vars(self).items()
        }


@dataclass(frozen=True)
class Report:
    """The requested metrics."""

    results: dict[str, MetricResult]
    """Name of the metric -> result."""
    num_labels: dict[str, int] = field(default_factory=dict)
    """Class -> its labels; empty if they were not counted."""
    unannotated: tuple[str, ...] = ()
    """Classes of the task that no game annotates, which are left out of all of this."""

    def mAP(self, metric: str = "at1") -> float:  # noqa: N802
        """Mean AP of one metric, 0 to 1."""
        return self.results[metric].mAP

    def to_json(self) -> dict[str, Any]:
        """``{"at1": {"mAP": 0.5, "per_class": {...}, ...}, ...}``."""
        return {name: result.to_json() for name, result in self.results.items()}

    def table(self) -> str:
        """Text table in percent: a row for each class, a column for each metric."""
        names = list(self.results)
        classes = list(next(iter(self.results.values())).per_class)
        rows = [("mAP", [self.results[name].mAP for name in names])]
        rows += [(label, [self.results[name].per_class[label] for name in names]) for label in classes]
        width = max(len(label) for label, _ in rows)
        headings = [f"@{name[2:]}" if name.startswith("at") else name for name in names]
        lines = [" " * width + "".join(f"{heading:>8}" for heading in headings)]
        lines += [f"{label:<{width}}" + "".join(f"{100 * value:8.2f}" for value in values) for label, values in rows]
        absent = [label for label in classes if self.num_labels.get(label) == 0]
        if absent and len(absent) < len(classes):
            means = [
                100 * float(np.mean([self.results[name].per_class[label] for label in classes if label not in absent]))
                for name in names
            ]
            lines.append(
                f"mAP is the mean over {counted(len(classes), 'class', 'classes')}; "
                f"{counted(len(absent), 'has no label here and counts', 'have no label here and count')} as 0: "
                f"{', '.join(absent)}"
            )
            lines.append(f"mean of the others: {', '.join(f'{mean:.2f}' for mean in means)}")
        if self.unannotated:
            lines.append(
                f"mean over {counted(len(classes), 'annotated class', 'annotated classes')}; no game annotates "
                f"{', '.join(self.unannotated)}"
            )
        return "\n".join(lines)


def evaluate(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
    metrics: Sequence[str] = ("at1", "at2", "at3", "at4", "at5"),
    framerate: int = 25,
) -> Report:
    """Score the predictions of every labelled game; games without labels are ignored.

    Args:
        labels: Game -> labels.
        predictions: Game -> predictions.
        label_set: Classes that count.
        metrics: Names from ``METRICS``.
        framerate: Bins per second.

    Raises:
        ConfigurationError: an unknown metric.
        AnnotationError: a labelled game without predictions, or a time that makes SoccerNet's evaluator crash.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ConfigurationError(f"unknown metric {unknown[0]!r}; choose from {', '.join(METRICS)}")
    missing = [game for game in labels if game not in predictions]
    if missing:
        raise AnnotationError(f"no predictions for {counted(len(missing), 'game')}, the first is {missing[0]!r}")
    anomalies: dict[str, int] = {}
    games = [
        (
            bins_of(labels[game], label_set, framerate, anomalies),
            bins_of(predictions[game], label_set, framerate, anomalies),
        )
        for game in labels
    ]
    if anomalies:
        _LOG.warning("%s", "; ".join(f"{counted(count, 'event')} {reason}" for reason, count in anomalies.items()))
    tolerances_s = sorted({seconds for name in metrics for seconds in METRICS[name]})
    scorers = [_ClassScorer(games, index) for index in range(len(label_set))]
    average_precisions_3C = {
        seconds: np.array([scorer.average_precisions(seconds * framerate) for scorer in scorers]).T
        for seconds in tolerances_s
    }
    num_labels = Counter(event.label for events in labels.values() for event in events)
    return Report(
        {name: _combine(name, average_precisions_3C, label_set) for name in metrics},
        {name: num_labels[name] for name in label_set.names},
    )


def evaluate_events(
    labels: Mapping[str, Sequence[Event]],
    predictions: Mapping[str, Sequence[Event]],
    label_set: LabelSet,
    metrics: Sequence[str] = ("at1", "at2", "at3", "at4", "at5"),
    fps: Fraction = DEFAULT_FPS,
) -> Report:
    """Score events on a grid of any rate as SoccerNet scores files of them, at 25 bins per second.

    Args:
        labels: Game -> labels.
        predictions: Game -> predictions.
        label_set: Classes that count.
        metrics: Names from ``METRICS``.
        fps: Rate of the grid.
    """

    def scored(events: Sequence[Event], *, label: bool) -> list[ScoredEvent]:
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
        {game: scored(events, label=True) for game, events in labels.items()},
        {game: scored(events, label=False) for game, events in predictions.items()},
        label_set,
        metrics,
    )


Bins = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]
"""(half, class) -> bins in ascending order and their values."""


def bins_of(events: Sequence[ScoredEvent], label_set: LabelSet, framerate: int, anomalies: dict[str, int]) -> Bins:
    """Sort events into bins with the evaluator's float expression, and skip and clamp those that it does.

    Args:
        events: Labels or predictions of one game.
        label_set: Classes that count.
        framerate: Bins per second.
        anomalies: Updated in place with the number of events that were skipped or moved, by reason.

    Raises:
        AnnotationError: a time that makes SoccerNet's evaluator crash.
    """
    num_bins = _HALF_S * framerate
    values: dict[tuple[int, int], dict[int, float]] = {}
    classes = {name: index for index, name in enumerate(label_set.names)}
    unscored: dict[str, str] = {}

    def count(reason: str) -> None:
        anomalies[reason] = anomalies.get(reason, 0) + 1

    for event in events:
        if event.half not in (1, 2):
            count("skipped: their half is not 1 or 2")
            continue
        class_index = classes.get(event.label)
        if class_index is None:
            if event.label not in unscored:
                spelt = label_set.other_spelling(event.label)
                hint = "" if spelt is None else f", {spelt!r} is; rename one of them with a map"
                unscored[event.label] = f"skipped: their class {event.label!r} is not scored{hint}"
            count(unscored[event.label])
            continue
        # The evaluator's own float expression. For some exact multiples of 40 ms it is one bin low:
        # int(25 * (1160 / 1000)) -> 28, not 29
        bin_ = int(framerate * (event.position_ms / 1000))
        if bin_ >= num_bins:
            count("moved into the last bin: they are past two hours")
        bin_ = min(bin_, num_bins - 1)
        if bin_ < -num_bins:
            raise AnnotationError(f"position {event.position_ms} ms is more than two hours before the start")
        # The evaluator writes into numpy arrays: a negative index counts from the end, a later event overwrites.
        # -40 ms -> bin -1 -> bin 179,999, the last; PASS 0.9 and then PASS 0.4 in one bin -> 0.4
        values.setdefault((event.half, class_index), {})[bin_ % num_bins] = event.value
    return {
        key: (np.array(sorted(bins)), np.array([bins[bin_] for bin_ in sorted(bins)])) for key, bins in values.items()
    }


_NO_EVENTS = (np.empty(0, dtype=np.int64), np.empty(0))


class _ClassScorer:
    """Labels and predictions of one class in all games and halves.

    What does not depend on the tolerance is computed once: the ranking of predictions, and which of
    them count for visible and for unshown labels.
    """

    def __init__(self, games: Sequence[tuple[Bins, Bins]], class_index: int) -> None:
        """Collect one class from the (labels, predictions) of each game."""
        self._pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        scores, visibilities, num_visible, num_unshown = [], [], 0, 0
        for labels, predictions in games:
            for half in (1, 2):
                gt_bins, gt_values = labels.get((half, class_index), _NO_EVENTS)
                bins, values = predictions.get((half, class_index), _NO_EVENTS)
                exists = values >= 0  # in the evaluator a negative value is an empty bin
                bins, values = bins[exists], values[exists]
                self._pairs.append((gt_bins, bins, values))
                scores.append(values)
                visibilities.append(_nearest_visibility(gt_bins, gt_values, bins))
                num_visible += int((gt_values > 0).sum())
                num_unshown += int((gt_values < 0).sum())
        score, visibility = np.concatenate(scores), np.concatenate(visibilities)
        # The evaluator assigns a prediction to the visible or the unshown labels by the label nearest to it,
        # at any distance and whether or not it hits: a label that is not shown, at bin 100, makes a false
        # positive at bin 400 count against the unshown labels if no visible label is nearer.
        self._rankings = [
            (Ranking(score, np.ones(len(score), dtype=bool)), num_visible + num_unshown),
            (Ranking(score, visibility > 0.5), num_visible),
            (Ranking(score, visibility < -0.5), num_unshown),
        ]

    def average_precisions(self, delta: int) -> list[float]:
        """AP over all labels, over visible ones and over unshown ones, at a tolerance of ``delta`` bins."""
        # Labels are matched once, all together; only the ranking differs between the three.
        hits = np.concatenate([match_bins(gt_bins, bins, values, delta) for gt_bins, bins, values in self._pairs]) >= 0
        return [ranking.eleven_points(hits, num_labels) for ranking, num_labels in self._rankings]


def match_bins(gt_bins: np.ndarray, bins: np.ndarray, scores: np.ndarray, delta: int) -> np.ndarray:
    """Match the predictions of one class in one half to its labels.

    In order of time, each label takes the most confident free prediction within the tolerance, the
    earlier one where two are equal. This is greedy: labels at 10 and 12, predictions at 8 (0.3) and 13 (0.9),
    delta 6 -> the label at 10 takes the prediction at 13, and nothing is left within 3 bins of the one at 12.

    Args:
        gt_bins: Bins of the labels, ascending.
        bins: Bins of the predictions, ascending.
        scores: Their confidences, none below zero.
        delta: Tolerance in bins; a prediction hits a label at most half of it away.

    Returns:
        int64; index of the label that each prediction hits, -1 for none.
    """
    # labels at 10 and 14, predictions at 9 (0.5), 12 (0.9), 15 (0.3), delta 6 -> [-1, 0, 1]
    free = scores.copy()  # -1 marks a prediction that a label has taken
    partners = np.full(len(bins), -1, dtype=np.int64)
    starts = np.searchsorted(bins, gt_bins - delta / 2, side="left")
    stops = np.searchsorted(bins, gt_bins + delta / 2, side="right")
    for label, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        if start < stop:
            best = start + int(free[start:stop].argmax())
            if free[best] > -1:
                partners[best], free[best] = label, -1
    return partners


def _nearest_visibility(gt_bins: np.ndarray, gt_values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Visibility of the label nearest to each prediction: 1, or -1 for ``not shown``.

    A half without labels gives -1, the value that the evaluator fills its array with, so there every prediction
    counts against the unshown labels.
    """
    if not len(gt_bins):
        return np.full(len(bins), -1.0)
    # The evaluator rounds the border between two labels down: labels at 10 and 13 -> bin 11 belongs to the second
    borders = (gt_bins[:-1] + gt_bins[1:]) // 2
    return np.asarray(gt_values[np.searchsorted(borders, bins, side="right")])


class Ranking:
    """Some of the predictions by descending score, and how many of them reach each of the 200 thresholds."""

    def __init__(self, scores: np.ndarray, chosen: np.ndarray) -> None:
        """Rank the ``chosen`` (bool) of the predictions."""
        indices = np.flatnonzero(chosen)
        order = np.argsort(scores[indices], kind="stable")
        # scores 0.9 0.2 0.6 -> ranked 0.9 0.6 0.2; 3 reach threshold 0, 2 reach 0.5, 0 reach 1
        self._indices = indices[order][::-1]
        self._num_above = len(indices) - np.searchsorted(scores[indices][order], _THRESHOLDS, side="left")

    def precision_recall(self, hits: np.ndarray, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall of the predictions that reach each threshold.

        Args:
            hits: bool; which of all predictions are hits.
            num_labels: Labels that could be hit.

        Returns:
            Two float64 arrays with a value for each of the 200 thresholds.
        """
        # Hits among the first n of the ranking, for each n from 0, read at the n of each threshold.
        num_hits = np.concatenate(([0], np.cumsum(hits[self._indices])))[self._num_above]
        precision = np.divide(num_hits, self._num_above, out=np.zeros(len(_THRESHOLDS)), where=self._num_above > 0)
        return precision, num_hits / num_labels if num_labels else np.zeros(len(_THRESHOLDS))

    def eleven_points(self, hits: np.ndarray, num_labels: int) -> float:
        """11-point AP: the mean, over recall 0, 0.1, ... 1, of the best precision at that recall or a higher one."""
        precision, recall = self.precision_recall(hits, num_labels)
        points = [precision[recall >= level].max(initial=0.0) for level in np.arange(11) / 10]
        return float(sum(points) / 11)


def _combine(metric: str, average_precisions_3C: Mapping[int, np.ndarray], label_set: LabelSet) -> MetricResult:
    """Mean over the tolerances: the value itself for one tolerance, the trapezoidal rule for several.

    Args:
        metric: A name from ``METRICS``.
        average_precisions_3C: Tolerance in seconds -> AP ``(3, C)`` over all, visible and unshown labels.
        label_set: The classes.
    """
    by_tolerance = np.stack([average_precisions_3C[seconds] for seconds in METRICS[metric]])
    # tolerances 1, 2, 3 with AP 0.2, 0.4, 0.8 -> ((0.2 + 0.4) / 2 + (0.4 + 0.8) / 2) / 2 = 0.45
    mean_of_neighbours = (by_tolerance[:-1] + by_tolerance[1:]) / 2
    values_3C = mean_of_neighbours.sum(0) / (len(by_tolerance) - 1) if len(by_tolerance) > 1 else by_tolerance[0]
    means = values_3C.mean(1)
    if len(METRICS[metric]) > 1:
        # The evaluator's own constant, made for SoccerNet-v2's 17 classes and applied to every label set.
        means[2] *= 17 / 13

    def by_class(row: int) -> dict[str, float]:
        return {name: float(value) for name, value in zip(label_set.names, values_3C[row], strict=True)}

    return MetricResult(
        mAP=float(means[0]),
        per_class=by_class(0),
        mAP_visible=float(means[1]),
        per_class_visible=by_class(1),
        mAP_unshown=float(means[2]),
        per_class_unshown=by_class(2),
    )

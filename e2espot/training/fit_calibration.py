"""Fits a calibration to scores of games that the spotter has not learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.scoring.metric import evaluate_events
from e2espot.suppression.calibration import Calibration, apply_calibration, scores_of_class
from e2espot.suppression.nms import Suppression

_METHODS = ("soft", "hard", "peaks")

_WINDOWS_S = (0.4, 0.6, 0.8, 1.0)

_SHIFTS_S = (-0.24, -0.16, -0.08, 0.08, 0.16, 0.24)

_GAIN = 0.002
"""What a choice must be better by in mAP@1 to be made: what is smaller is as likely chance."""


_CLASS_GAIN, _ENOUGH_LABELS = 0.01, 50
"""The same for one class alone, and the labels it takes: one class of a single game differs more by chance."""

_KNOTS = 33

ScoresByGame = Mapping[str, Mapping[int, Scores]]

LabelsByGame = Mapping[str, list[Event]]


def fit_calibration(scores_by_game: ScoresByGame, labels_by_game: LabelsByGame, label_set: LabelSet) -> Calibration:
    """What gives the best mAP@1 on games that the run has not learnt from.

    First one suppression for all classes; then, for every class with 50 labels, a suppression and a shift of its own
    where it gains a point; then the map, where it gains. What gains less stays as it is.
    """
    fit = _Fit(scores_by_game, labels_by_game, label_set)
    best, best_value = Calibration(), fit.value(Calibration()) + _GAIN
    for how in _suppressions():
        value = fit.value(Calibration(suppression=how))
        if value > best_value:
            best, best_value = Calibration(suppression=how), value
    for name in label_set.names:
        if fit.num_labels(name) >= _ENOUGH_LABELS:
            best = _fit_class(fit, best, name)
    mapped = fit.with_map(best)
    return mapped if fit.value(mapped) > fit.value(best) + _GAIN else best


def _suppressions() -> list[Suppression]:
    return [Suppression(method=method, window_s=w) for method in _METHODS for w in _WINDOWS_S]  # type: ignore[arg-type]


def _fit_class(fit: _Fit, base: Calibration, name: str) -> Calibration:
    """``base`` with a shift, then a suppression for one class, where they gain."""
    best, best_value = base, fit.value_of(base, name) + _CLASS_GAIN
    for shift_s in _SHIFTS_S:
        candidate = replace(base, shift_s={**base.shift_s, name: shift_s})
        value = fit.value_of(candidate, name)
        if value > best_value:
            best, best_value = candidate, value
    shifted, best_value = best, fit.value_of(best, name) + _CLASS_GAIN
    for how in _suppressions():
        candidate = replace(shifted, by_class={**shifted.by_class, name: how})
        value = fit.value_of(candidate, name)
        if value > best_value:
            best, best_value = candidate, value
    return best


class _Fit:
    """Games to fit on."""

    def __init__(self, scores: ScoresByGame, labels: LabelsByGame, label_set: LabelSet) -> None:
        self._scores, self._labels, self._label_set = scores, labels, label_set
        self._fps = next(found.fps for halves in scores.values() for found in halves.values())

    def num_labels(self, name: str) -> int:
        return sum(event.label == name for events in self._labels.values() for event in events)

    def value(self, calibration: Calibration) -> float:
        """mAP@1 over all classes that occur: those without a label cannot be told apart."""
        report = evaluate_events(self._labels, self._events(calibration), self._label_set, ["at1"], self._fps)
        return report.mAP("at1")

    def value_of(self, calibration: Calibration, name: str) -> float:
        """AP@1 of one class."""
        events = self._events(calibration, name)
        labels = {game: [event for event in known if event.label == name] for game, known in self._labels.items()}
        return evaluate_events(labels, events, LabelSet((name,)), ["at1"], self._fps).mAP("at1")

    def with_map(self, calibration: Calibration) -> Calibration:
        """Confidences brought to their rank among those of all events of all games."""
        found = sorted(event.confidence for events in self._events(calibration).values() for event in events)
        if len(found) < _KNOTS:
            return calibration
        ranks = np.linspace(0, 1, _KNOTS)
        knots = np.quantile(np.array(found), ranks)
        keep = np.concatenate(([True], np.diff(knots) > 1e-9))
        return replace(calibration, map_from=tuple(knots[keep].tolist()), map_to=tuple(ranks[keep].tolist()))

    def _events(self, calibration: Calibration, name: str | None = None) -> dict[str, list[Event]]:
        return {
            game: [
                event
                for half, scores in halves.items()
                for event in apply_calibration(
                    calibration, scores if name is None else scores_of_class(scores, name), half=half
                )
            ]
            for game, halves in self._scores.items()
        }

"""Fits a calibration to scores of games that the spotter was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from e2espot.core.annotated_classes import AnnotatedClasses, of_classes
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import parse_fps
from e2espot.models.feature_heads.build import CHUNK_HEADS
from e2espot.models.spotter import SpotterSpec
from e2espot.scoring.metric import evaluate_events
from e2espot.suppression.calibration import Calibration, apply_calibration, apply_to_class
from e2espot.suppression.nms import Method, Suppression

_METHODS: tuple[Method, ...] = ("soft", "hard", "peaks")
_WINDOWS_S = (0.4, 0.6, 0.8, 1.0)
_LONG_WINDOWS_S = (1.5, 3.0, 6.0, 10.0, 20.0, 30.0)
"""For scores of windows or rows of features, which are as wide as seconds."""
_LONG_SHIFTS_S = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
_SHIFTS_S = (-0.24, -0.16, -0.08, 0.08, 0.16, 0.24)

_MIN_GAIN = 0.002
"""Smallest gain in mAP@1 worth taking; less is noise."""
_MIN_CLASS_GAIN = 0.01
"""Smallest gain in AP@1 of one class worth taking: one class of a single game varies more by chance."""
_MIN_LABELS = 50
"""Labels that a class needs to get parameters of its own."""
_KNOTS = 33
"""Knots of the map of confidences."""

ScoresByGame = Mapping[str, Mapping[int, Scores]]
"""Game -> half -> scores."""
LabelsByGame = Mapping[str, list[Event]]
"""Game -> labels of all halves."""


def fit_calibration(
    scores_by_game: ScoresByGame,
    labels_by_game: LabelsByGame,
    label_set: LabelSet,
    classes_by_game: Mapping[str, AnnotatedClasses] | None = None,
    *,
    metric: str = "at1",
    start: Calibration | None = None,
) -> Calibration:
    """Calibration with the best mAP@1, or another metric, on games that the run was not trained on.

    First one suppression for all classes; then, for every class with 50 labels, a shift and a suppression of its own
    where each gains a point; then the map, where it gains. Whatever gains less keeps its default, and without any
    label everything does. In a game that does not annotate a class nothing is fitted to that class.
    """
    occurring = {event.label for events in labels_by_game.values() for event in events}
    names = tuple(name for name in label_set.names if name in occurring)
    start = start or Calibration()
    if not names:
        return start
    fit = _Fit(scores_by_game, labels_by_game, LabelSet(names), classes_by_game or {}, metric, start.suppression)
    best, best_value = start, fit.mean_ap(start) + _MIN_GAIN
    for suppression in _candidates(start.suppression):
        value = fit.mean_ap(Calibration(suppression=suppression))
        if value > best_value:
            best, best_value = Calibration(suppression=suppression), value
    for name in names:
        if fit.num_labels(name) >= _MIN_LABELS:
            best = _fit_class(fit, best, name)
    mapped = fit.with_map(best)
    return mapped if fit.mean_ap(mapped) > fit.mean_ap(best) + _MIN_GAIN else best


def first_calibration(spec: SpotterSpec) -> Calibration:
    """What a run has before its calibration is fitted: plain soft suppression.

    On features it is as wide as what the head sees: the window of SoccerNet's baselines, or two rows.
    """
    if spec.features is None:
        return Calibration()
    if spec.temporal_arch in CHUNK_HEADS:
        window_s = 20.0 if spec.temporal_arch == "calf" else 30.0
        return Calibration(suppression=Suppression(method="soccernet", window_s=window_s))
    return Calibration(suppression=Suppression(window_s=max(0.8, 2 / float(parse_fps(spec.fps)))))


def _candidates(start: Suppression) -> list[Suppression]:
    """Suppressions of the width of ``start``: within a second, or for wider ones up to half a minute."""
    if start == Suppression():
        return [Suppression(method=method, window_s=window_s) for method in _METHODS for window_s in _WINDOWS_S]
    methods: tuple[Method, ...] = ("soft", "hard", "soccernet")
    return [Suppression(method=method, window_s=window_s) for method in methods for window_s in _LONG_WINDOWS_S]


def _fit_class(fit: _Fit, base: Calibration, name: str) -> Calibration:
    """``base`` with a shift, then a suppression for one class, where they gain."""
    # The threshold is added to the start value only: among candidates beyond it, the best one wins by any margin.
    best, best_value = base, fit.class_ap(base, name) + _MIN_CLASS_GAIN
    for shift_s in _SHIFTS_S if base.suppression.window_s <= max(_WINDOWS_S) else _LONG_SHIFTS_S:
        candidate = replace(base, shift_s={**base.shift_s, name: shift_s})
        value = fit.class_ap(candidate, name)
        if value > best_value:
            best, best_value = candidate, value
    shifted, best_value = best, fit.class_ap(best, name) + _MIN_CLASS_GAIN
    for suppression in _candidates(fit.start):
        candidate = replace(shifted, by_class={**shifted.by_class, name: suppression})
        value = fit.class_ap(candidate, name)
        if value > best_value:
            best, best_value = candidate, value
    return best


class _Fit:
    """Games to fit on, and the classes that have labels in them."""

    def __init__(
        self,
        scores: ScoresByGame,
        labels: LabelsByGame,
        label_set: LabelSet,
        classes: Mapping[str, AnnotatedClasses],
        metric: str,
        start: Suppression,
    ) -> None:
        self.metric, self.start = metric, start
        self._scores, self._labels, self._label_set, self._classes = scores, labels, label_set, classes
        self._fps = next(of_half.fps for halves in scores.values() for of_half in halves.values())

    def num_labels(self, name: str) -> int:
        return sum(event.label == name for events in self._labels.values() for event in events)

    def mean_ap(self, calibration: Calibration) -> float:
        """The metric over the classes that have labels.

        The others have AP 0 under every calibration: over twelve classes of which two occur, a gain would look six
        times smaller than it is.
        """
        events = {
            game: [event for event in events if event.label in self._label_set]
            for game, events in self._events(calibration).items()
        }
        report = evaluate_events(self._labels, events, self._label_set, [self.metric], self._fps)
        return report.mAP(self.metric)

    def class_ap(self, calibration: Calibration, name: str) -> float:
        """The metric of one class."""
        events = {
            game: [
                event
                for half, scores in halves.items()
                for event in apply_to_class(calibration, scores, scores.label_set.names.index(name), half=half)
            ]
            if (annotated := self._classes.get(game)) is None or name in annotated
            else []
            for game, halves in self._scores.items()
        }
        labels = {game: [event for event in known if event.label == name] for game, known in self._labels.items()}
        return evaluate_events(labels, events, LabelSet((name,)), [self.metric], self._fps).mAP(self.metric)

    def with_map(self, calibration: Calibration) -> Calibration:
        """Map each confidence to its rank, from 0 to 1, among those of all events of all games."""
        confidences = sorted(event.confidence for events in self._events(calibration).values() for event in events)
        if len(confidences) < _KNOTS:
            return calibration
        ranks = np.linspace(0, 1, _KNOTS)
        knots = np.quantile(np.array(confidences), ranks)
        # Equal confidences give equal knots, at which a map would jump: keep the first of them.
        distinct = np.concatenate(([True], np.diff(knots) > 1e-9))
        return replace(calibration, map_from=tuple(knots[distinct].tolist()), map_to=tuple(ranks[distinct].tolist()))

    def _events(self, calibration: Calibration) -> dict[str, list[Event]]:
        return {
            game: of_classes(
                [
                    event
                    for half, scores in halves.items()
                    for event in apply_calibration(calibration, scores, half=half)
                ],
                self._classes.get(game),
            )
            for game, halves in self._scores.items()
        }

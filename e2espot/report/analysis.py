"""Computes all numbers that a report shows of one run; nothing is drawn here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.error_analysis import Matching, Threshold, confusion, match_events
from e2espot.scoring.error_examples import ErrorExample, top_false_positives, worst_misses
from e2espot.scoring.metric import METRICS, Report, evaluate

TOLERANCES_S = (1, 2, 3, 4, 5)
"""Tolerances whose curves are drawn: mAP@1 to mAP@5."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RunAnalysis:
    """One run against the labels."""

    name: str
    """Name of the run on the page."""
    report: Report
    """The table, equal to that of ``e2espot evaluate``."""
    matchings: dict[float, Matching]
    """Tolerance in seconds -> matching."""
    tolerance_s: float
    """The tolerance that decides between hits, misses and false positives."""
    thresholds: list[Threshold]
    """Threshold of each class with the best F1 at that tolerance."""
    selected_P: np.ndarray
    """bool ``(P,)``; which predictions reach these thresholds."""
    time_errors_s: np.ndarray
    """float64 ``(hits,)``; prediction minus label in seconds, of hits at twice the tolerance, best thresholds."""
    time_error_classes: np.ndarray
    """int64 ``(hits,)``; class index of each of these hits."""
    confusion: np.ndarray
    """``(C + 1, C + 1)``; see ``scoring.error_analysis.confusion``."""
    misses: list[ErrorExample]
    """Labels without a hit, lowest score first."""
    false_positives: list[ErrorExample]
    """Predictions without a label, highest confidence first."""

    @property
    def matching(self) -> Matching:
        """The matching at the chosen tolerance."""
        return self.matchings[self.tolerance_s]

    @property
    def label_set(self) -> LabelSet:
        """The classes."""
        return self.matching.label_set


def analyse_run(
    name: str,
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
    *,
    tolerance_s: int = 1,
    framerate: int = 25,
    examples: int = 12,
) -> RunAnalysis:
    """Score a run and compute what the report shows about it.

    Args:
        name: Name of the run.
        labels: Game -> labels.
        predictions: Game -> predictions of the same games.
        label_set: Classes that count.
        tolerance_s: Tolerance for hits and misses; a prediction hits a label at most half of it away.
        framerate: Bins per second.
        examples: Maximum length of the lists of misses and of false positives.
    """
    # Time errors come from a wider tolerance: at the chosen one, a delay just beyond half of it would be invisible.
    wide_s = 2 * tolerance_s
    matchings = match_events(labels, predictions, label_set, sorted({*TOLERANCES_S, tolerance_s, wide_s}), framerate)
    matching, wide = matchings[tolerance_s], matchings[wide_s]
    thresholds = matching.best_thresholds()
    selected_P = matching.selected(_values(thresholds))
    time_errors_s, time_error_classes = wide.time_errors_s(wide.selected(_values(wide.best_thresholds())))
    return RunAnalysis(
        name=name,
        report=evaluate(labels, predictions, label_set, tuple(METRICS), framerate),
        matchings=matchings,
        tolerance_s=tolerance_s,
        thresholds=thresholds,
        selected_P=selected_P,
        time_errors_s=time_errors_s,
        time_error_classes=time_error_classes,
        confusion=confusion(matching, selected_P),
        misses=worst_misses(matching, selected_P, examples),
        false_positives=top_false_positives(matching, examples),
    )


def _values(thresholds: Sequence[Threshold]) -> np.ndarray:
    return np.array([threshold.value for threshold in thresholds])


def counts_by_minute(run: RunAnalysis, game: int, half: int) -> np.ndarray:
    """Hits, misses and false positives in each minute of one half.

    Returns:
        int64 ``(minutes, 3)``; up to the last minute with a label or a selected prediction.
    """
    matching, labels, predictions = run.matching, run.matching.labels, run.matching.predictions
    missed_L = matching.missed(run.selected_P)
    of_half_L = (labels.game_N == game) & (labels.half_N == half)
    selected_P = run.selected_P & (predictions.game_N == game) & (predictions.half_N == half)
    minute_L = labels.bin_N // (60 * matching.framerate)
    minute_P = predictions.bin_N // (60 * matching.framerate)
    occupied = [minute_L[of_half_L], minute_P[selected_P]]
    length = 1 + max((int(minutes.max()) for minutes in occupied if len(minutes)), default=-1)
    # Hits are counted at the minute of their label, so that hits and misses add up to the labels.
    columns = (minute_L[of_half_L & ~missed_L], minute_L[of_half_L & missed_L], minute_P[selected_P & ~matching.hits])
    counts_M3 = np.zeros((length, 3), dtype=np.int64)
    for column, minutes in enumerate(columns):
        counts_M3[:, column] = np.bincount(minutes, minlength=length)[:length]
    return counts_M3

"""All numbers of one run that a report shows, computed before any of it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.matching import (
    ErrorExample,
    Matching,
    Threshold,
    match_events,
    confusion,
    top_false_positives,
    worst_misses,
)
from e2espot.scoring.metric import METRICS, Report, evaluate

TOLERANCES_S = (1, 2, 3, 4, 5)
"""Tolerances whose curves are drawn: mAP@1 to 5."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RunAnalysis:
    """One run against the labels."""

    name: str
    """What the run is called on the page."""
    report: Report
    """The table, equal to ``tools/evaluate.py``'s."""
    matchings: dict[float, Matching]
    """By tolerance in seconds."""
    tolerance_s: float
    """The tolerance by which hits, misses and false alarms are told apart."""
    thresholds: list[Threshold]
    """Best threshold of each class at that tolerance."""
    kept_P: np.ndarray
    """bool; which predictions reach them."""
    errors_s: np.ndarray
    """Seconds by which hits come late, matched at twice the tolerance, at the best thresholds there."""
    error_classes: np.ndarray
    """Class of each of those hits."""
    confusion: np.ndarray
    """``(C + 1, C + 1)``; see ``scoring.breakdown.confusion``."""
    misses: list[ErrorExample]
    false_alarms: list[ErrorExample]

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
    """Score a run and look behind the score.

    Args:
        name: What the run is called.
        labels: Game -> labels.
        predictions: Game -> predictions of the same games.
        label_set: Classes that count.
        tolerance_s: Tolerance for hits and misses; a prediction counts within half of it.
        framerate: Bins a second.
        examples: Length of the lists of misses and of false alarms.
    """
    wide_s = 2 * tolerance_s
    matchings = match_events(labels, predictions, label_set, sorted({*TOLERANCES_S, tolerance_s, wide_s}), framerate)
    matching = matchings[tolerance_s]
    thresholds = matching.best_thresholds()
    kept_P = matching.kept(_values(thresholds))
    wide = matchings[wide_s]
    errors_s, error_classes = wide.errors_s(wide.kept(_values(wide.best_thresholds())))
    return RunAnalysis(
        name=name,
        report=evaluate(labels, predictions, label_set, tuple(METRICS), framerate),
        matchings=matchings,
        tolerance_s=tolerance_s,
        thresholds=thresholds,
        kept_P=kept_P,
        errors_s=errors_s,
        error_classes=error_classes,
        confusion=confusion(matching, kept_P),
        misses=worst_misses(matching, kept_P, examples),
        false_alarms=top_false_positives(matching, examples),
    )


def _values(thresholds: Sequence[Threshold]) -> np.ndarray:
    return np.array([threshold.value for threshold in thresholds])


def minute_counts(findings: RunAnalysis, game: int, half: int) -> np.ndarray:
    """Hits, misses and false alarms in each minute of one half.

    Returns:
        int64 ``(minutes, 3)``.
    """
    matching, labels, found = findings.matching, findings.matching.labels, findings.matching.predictions
    hit_P = matching.hits & findings.kept_P
    missed_L = np.ones(len(labels), dtype=bool)
    missed_L[matching.partner_P[hit_P]] = False
    mine_L = (labels.game_N == game) & (labels.half_N == half)
    mine_P = (found.game_N == game) & (found.half_N == half)
    minute_L, minute_P = labels.bin_N // (60 * matching.framerate), found.bin_N // (60 * matching.framerate)
    shown = [minute_L[mine_L], minute_P[mine_P & findings.kept_P]]
    length = 1 + max((int(minutes.max()) for minutes in shown if len(minutes)), default=-1)
    counts = np.zeros((length, 3), dtype=np.int64)
    for column, minutes in enumerate(
        (minute_L[mine_L & ~missed_L], minute_L[mine_L & missed_L], minute_P[mine_P & findings.kept_P & ~hit_P])
    ):
        counts[:, column] = np.bincount(minutes, minlength=length)[:length]
    return counts

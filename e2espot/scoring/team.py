"""Team-mAP: SoccerNet's metric of 2025, in which a prediction counts only for the team that acts.

Every class is scored once for the left team and once for the right one. Its AP is the mean of both,
weighted by the sum of label values: 1 for a visible label, -1 for one that is not shown, as in the
official evaluator. A class whose weights sum to zero has no AP. The official evaluator then returns
NaN for all classes; here the mean is taken over the other classes, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.core.teams import SIDES
from e2espot.scoring.metric import Report, evaluate

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TeamReport:
    """Team-mAP of one metric; fractions, not percent."""

    team_mAP: float
    """Mean over the classes that have an AP."""
    per_class: dict[str, float]
    """Class -> AP; NaN for a class without one."""
    without_teams: Report
    """The plain metric of the same events."""


def evaluate_teams(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
    metric: str = "at1",
    framerate: int = 25,
) -> TeamReport:
    """Score predictions with teams.

    A game of 2025 is one video. The official evaluator therefore ignores labels of a second half, and counts
    predictions of any half as predictions of the first.

    Args:
        labels: Game -> labels.
        predictions: Game -> predictions.
        label_set: Classes that count.
        metric: A name from ``METRICS``.
        framerate: Bins per second.

    Raises:
        AnnotationError: as :func:`e2espot.scoring.evaluate`.
    """
    labels_of_first_half = {game: [event for event in events if event.half == 1] for game, events in labels.items()}
    predictions_as_first_half = {
        game: [replace(event, half=1) for event in events] for game, events in predictions.items()
    }
    # Team-mAP is the plain metric on twice the classes: PASS -> PASS-left, PASS-right
    team_classes = LabelSet(tuple(_team_class(name, team) for name in label_set.names for team in SIDES))
    report = evaluate(
        {game: _with_team_classes(events) for game, events in labels_of_first_half.items()},
        {game: _with_team_classes(events) for game, events in predictions_as_first_half.items()},
        team_classes,
        [metric],
        framerate,
    ).results[metric]
    all_labels = [event for events in labels_of_first_half.values() for event in events]
    per_class = {name: _mean_of_sides(name, all_labels, report.per_class) for name in label_set.names}
    known = [value for value in per_class.values() if not np.isnan(value)]
    if len(known) < len(per_class):
        missing = [name for name, value in per_class.items() if np.isnan(value)]
        _LOG.warning(
            "no Team-mAP for %s: no labels, or as many visible ones as not shown; the official evaluator would give "
            "NaN for all classes",
            ", ".join(missing),
        )
    return TeamReport(
        team_mAP=float(np.mean(known)) if known else float("nan"),
        per_class=per_class,
        without_teams=evaluate(labels_of_first_half, predictions_as_first_half, label_set, [metric], framerate),
    )


def _mean_of_sides(name: str, labels: Sequence[ScoredEvent], precision: Mapping[str, float]) -> float:
    """Average precision of a class, its two sides weighted by their labels: visible ones less those not shown.

    Left 3 labels with AP 0.6, right 1 with AP 0.2 -> (3 * 0.6 + 1 * 0.2) / 4 = 0.5. NaN if the weights sum to 0.
    """
    weights = [sum(event.value for event in labels if (event.label, event.team) == (name, team)) for team in SIDES]
    values = [precision[_team_class(name, team)] for team in SIDES]
    total = sum(weights)
    return float(np.dot(weights, values) / total) if total else float("nan")


def _team_class(label: str, team: str) -> str:
    return f"{label}-{team}"


def _with_team_classes(events: Sequence[ScoredEvent]) -> list[ScoredEvent]:
    """Events of a side under the class of that side; the others are of none."""
    return [replace(event, label=_team_class(event.label, event.team)) for event in events if event.team in SIDES]

"""Team-mAP: SoccerNet's metric of 2025, in which an event counts only on the right side of the ball.

Every class is scored once for the left and once for the right; its AP is their mean weighted by labels, where
a label that is not shown counts as minus one, as the official evaluator has it. A class whose labels weigh
nothing has no AP; the official evaluator then gives none at all, here the mean goes over the others and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.metric import Report, evaluate

_LOG = logging.getLogger(__name__)
SIDES = ("left", "right")
"""Seen on the screen."""


@dataclass(frozen=True, kw_only=True)
class SidedEntry:
    """A label or prediction and its side."""

    entry: ScoredEvent
    """What the metric without sides sees."""
    side: str
    """left or right; anything else matches nothing."""


@dataclass(frozen=True, kw_only=True)
class TeamReport:
    """Team-mAP of one metric; fractions, not percent."""

    team_mAP: float
    """Mean over the classes that have one."""
    per_class: dict[str, float]
    """NaN for a class without one."""
    without_sides: Report
    """The same events as if sides did not matter."""


def evaluate_teams(
    labels: Mapping[str, Sequence[SidedEntry]],
    predictions: Mapping[str, Sequence[SidedEntry]],
    label_set: LabelSet,
    metric: str = "at1",
    framerate: int = 25,
) -> TeamReport:
    """Score predictions with sides.

    Labels of the second half are left out and predictions of any half are taken for the first: a game of 2025 is one
    video.

    Raises:
        AnnotationError: as :func:`e2espot.scoring.evaluate`.
    """
    first = {game: [one for one in entries if one.entry.half == 1] for game, entries in labels.items()}
    told = {
        game: [replace(one, entry=replace(one.entry, half=1)) for one in entries]
        for game, entries in predictions.items()
    }
    sided = LabelSet(tuple(_sided(name, side) for name in label_set.names for side in SIDES))
    report = evaluate(
        {game: [_relabelled(one) for one in entries] for game, entries in first.items()},
        {game: [_relabelled(one) for one in entries] for game, entries in told.items()},
        sided,
        [metric],
        framerate,
    ).results[metric]
    per_class = {}
    for name in label_set.names:
        weights = [
            sum(
                one.entry.value
                for entries in first.values()
                for one in entries
                if one.entry.label == name and one.side == side
            )
            for side in SIDES
        ]
        values = [report.per_class[_sided(name, side)] for side in SIDES]
        total = sum(weights)
        per_class[name] = float(np.dot(weights, values) / total) if total else float("nan")
    known = [value for value in per_class.values() if not np.isnan(value)]
    if len(known) < len(per_class):
        missing = [name for name, value in per_class.items() if np.isnan(value)]
        _LOG.warning("no Team-mAP for %s: no labels; the official evaluator would give NaN in all", ", ".join(missing))
    return TeamReport(
        team_mAP=float(np.mean(known)) if known else float("nan"),
        per_class=per_class,
        without_sides=evaluate(
            {game: [one.entry for one in entries] for game, entries in first.items()},
            {game: [one.entry for one in entries] for game, entries in told.items()},
            label_set,
            [metric],
            framerate,
        ),
    )


def _sided(label: str, side: str) -> str:
    return f"{label}-{side}"


def _relabelled(one: SidedEntry) -> ScoredEvent:
    return replace(one.entry, label=_sided(one.entry.label, one.side))

"""The F1 of FOOTPASS, SoccerNet's player-centric challenge of 2026, for team and class: the player is not scored.

Predictions of one team and class with a confidence of at least 0.15 take labels in the order of their confidences, each
the nearest one that is free within 12 frames at 25 frames a second. F1 is that of all classes together; the challenge
asks for the player too, so its own figure is lower.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.core.teams import SIDES
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms
from e2espot.scoring.dfl import match_nearest

_THRESHOLD = 0.15
_REACH_FRAMES = 12


@dataclass(frozen=True, kw_only=True)
class F1Counts:
    """Hits, predictions and labels of one class or of all."""

    hits: int = 0
    """Predictions that take a label."""
    num_predicted: int = 0
    """Predictions with enough confidence."""
    num_labels: int = 0
    """Labels."""

    @property
    def precision(self) -> float:
        """Hits among the predictions; 0 without any."""
        return self.hits / self.num_predicted if self.num_predicted else 0.0

    @property
    def recall(self) -> float:
        """Hits among the labels; 0 without any."""
        return self.hits / self.num_labels if self.num_labels else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        total = self.num_predicted + self.num_labels
        return 2 * self.hits / total if total else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, kw_only=True)
class F1Report:
    """F1 of all classes together, and of each."""

    overall: F1Counts
    """All classes together (micro F1)."""
    per_class: dict[str, F1Counts]
    """Class -> its counts."""

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have a label; 0 if none has."""
        values = [counts.f1 for counts in self.per_class.values() if counts.num_labels]
        return sum(values) / len(values) if values else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        per_class = {name: counts.to_json() for name, counts in self.per_class.items()}
        return {"overall": self.overall.to_json(), "macro_f1": self.macro_f1, "per_class": per_class}

    def table(self) -> str:
        """Text table in percent."""
        rows = {"all classes": self.overall, **self.per_class}
        width = max(map(len, rows))
        lines = [f"{'':<{width}}{'F1':>8}{'prec.':>8}{'recall':>8}{'hits':>8}{'pred.':>8}{'labels':>8}"]
        for name, counts in rows.items():
            rates = "".join(f"{100 * value:8.2f}" for value in (counts.f1, counts.precision, counts.recall))
            lines.append(f"{name:<{width}}{rates}{counts.hits:>8}{counts.num_predicted:>8}{counts.num_labels:>8}")
        return "\n".join([*lines, f"mean F1 of the classes with a label: {100 * self.macro_f1:.2f}"])


def evaluate_footpass(
    labels: Mapping[str, Sequence[ScoredEvent]],
    predictions: Mapping[str, Sequence[ScoredEvent]],
    label_set: LabelSet,
) -> F1Report:
    """Score predictions with teams, left or right; an event of another team matches nothing.

    Args:
        labels: Game -> labels.
        predictions: Game -> predictions.
        label_set: Classes that count.
    """
    hits, num_predicted, num_labels = Counter[str](), Counter[str](), Counter[str]()
    for game, events in labels.items():
        truths, predicted = _groups(events, label_set), _groups(predictions.get(game, ()), label_set)
        for key in truths.keys() | predicted.keys():
            _, team, name = key
            frames = sorted(frame for frame, _ in truths.get(key, ()))
            ranked = sorted(
                (pair for pair in predicted.get(key, ()) if pair[1] >= _THRESHOLD), key=lambda pair: -pair[1]
            )
            num_labels[name] += len(frames)
            num_predicted[name] += len(ranked)
            if team in SIDES:
                hits[name] += sum(match_nearest([frame for frame, _ in ranked], frames, _REACH_FRAMES))
    per_class = {
        name: F1Counts(hits=hits[name], num_predicted=num_predicted[name], num_labels=num_labels[name])
        for name in label_set.names
    }
    overall = F1Counts(hits=hits.total(), num_predicted=num_predicted.total(), num_labels=num_labels.total())
    return F1Report(overall=overall, per_class=per_class)


def _groups(events: Sequence[ScoredEvent], label_set: LabelSet) -> dict[tuple[int, str, str], list[tuple[int, float]]]:
    """(half, team, class) -> frame and confidence of each event."""
    groups: dict[tuple[int, str, str], list[tuple[int, float]]] = {}
    for event in events:
        if event.label in label_set:
            pair = frame_of_position_ms(event.position_ms, DEFAULT_FPS), event.value
            groups.setdefault((event.half, event.team, event.label), []).append(pair)
    return groups

"""The errors that are worth a look: each with the nearest event of the other kind, which often explains it.

Array suffixes: L = labels, P = predictions, N = labels or predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from e2espot.scoring.error_analysis import EventColumns, Matching, NearbyEvents, nearest_of

NEIGHBOUR_S = 2.0
"""Radius in seconds within which neighbours are looked for."""


@dataclass(frozen=True, kw_only=True)
class ErrorExample:
    """A miss or a false positive, with the nearest event of the other kind."""

    kind: Literal["miss", "false positive"]
    """What kind of error it is."""
    game: int
    """Index in the list of games."""
    half: int
    """1 or 2."""
    label: int
    """Index of its class in the label set."""
    bin: int
    """Time in bins of the metric."""
    score: float
    """Confidence of a false positive; for a miss the highest score of its class within the tolerance, 0 for none."""
    neighbour: int
    """Class of the nearest event within two seconds, a label for a false positive, a selected prediction for a miss; -1
    if there is none."""
    neighbour_s: float
    """Time of that event minus time of this one, in seconds."""
    neighbour_score: float
    """Confidence of that event if it is a prediction."""
    is_duplicate: bool = False
    """A false positive whose nearest label is of its class and is hit by another prediction."""


def worst_misses(matching: Matching, selected_P: np.ndarray, count: int) -> list[ErrorExample]:
    """Labels that no selected prediction hits, lowest score first; the earlier one where scores are equal."""
    labels, predictions = matching.labels, matching.predictions
    within_tolerance = NearbyEvents(predictions, matching.tolerance_s * matching.framerate / 2)
    within_neighbourhood = NearbyEvents(predictions, NEIGHBOUR_S * matching.framerate)
    scores: dict[int, float] = {}
    for index in np.flatnonzero(matching.missed(selected_P)).tolist():
        nearby = within_tolerance.of(labels, index)
        of_class = [other for other in nearby if predictions.class_N[other] == labels.class_N[index]]
        scores[index] = max((float(predictions.value_N[other]) for other in of_class), default=0.0)
    examples = []
    for index in sorted(scores, key=lambda index: (scores[index], index))[:count]:
        neighbours = [other for other in within_neighbourhood.of(labels, index) if selected_P[other]]
        nearest = nearest_of(labels, index, predictions, neighbours)
        fields = _event_and_neighbour(labels, index, predictions, nearest, matching.framerate)
        examples.append(ErrorExample(kind="miss", score=scores[index], **fields))
    return examples


def top_false_positives(matching: Matching, count: int) -> list[ErrorExample]:
    """Predictions that hit no label, the most confident first."""
    labels, predictions = matching.labels, matching.predictions
    # All predictions, not only selected ones: the most confident come first anyway.
    wrong = np.flatnonzero(~matching.hits)
    neighbourhood = NearbyEvents(labels, NEIGHBOUR_S * matching.framerate)
    has_hit_L = np.zeros(len(labels), dtype=bool)
    has_hit_L[matching.partner_P[matching.hits]] = True
    examples = []
    for index in wrong[np.argsort(-predictions.value_N[wrong], kind="stable")][:count].tolist():
        nearest = nearest_of(predictions, index, labels, neighbourhood.of(predictions, index))
        fields = _event_and_neighbour(predictions, index, labels, nearest, matching.framerate)
        is_duplicate = nearest >= 0 and bool(has_hit_L[nearest]) and fields["neighbour"] == fields["label"]
        score = float(predictions.value_N[index])
        examples.append(ErrorExample(kind="false positive", score=score, is_duplicate=is_duplicate, **fields))
    return examples


def _event_and_neighbour(
    events: EventColumns, index: int, others: EventColumns, nearest: int, framerate: int
) -> dict[str, Any]:
    """Fields of an example that say what event ``index`` is, and what the nearest of the others; -1 for none."""
    has_one = nearest >= 0
    return {
        "game": int(events.game_N[index]),
        "half": int(events.half_N[index]),
        "label": int(events.class_N[index]),
        "bin": int(events.bin_N[index]),
        "neighbour": int(others.class_N[nearest]) if has_one else -1,
        "neighbour_s": (int(others.bin_N[nearest]) - int(events.bin_N[index])) / framerate if has_one else 0.0,
        "neighbour_score": float(others.value_N[nearest]) if has_one else 0.0,
    }

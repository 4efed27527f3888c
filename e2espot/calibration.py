"""How a run's scores become events: settings fitted on its valid games and stored with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from e2espot.errors import CheckpointError
from e2espot.events import Event, LabelSet, Scores
from e2espot.scoring.metric import evaluate_events
from e2espot.suppression import Suppression, suppress

_METHODS = ("soft", "hard", "peaks")
_WINDOWS_S = (0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """From scores to events; the default is plain soft suppression."""

    suppression: Suppression = field(default_factory=Suppression)
    """Kind and reach of the suppression."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``calibration.json``."""
        return {"suppression": asdict(self.suppression)}

    @staticmethod
    def from_json(content: Any) -> Calibration:
        """Read what :meth:`to_json` wrote.

        Raises:
            CheckpointError: something else.
        """
        try:
            return Calibration(suppression=Suppression(**content["suppression"]))
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"calibration.json is not one of this package's ({error}); remove it") from None


def apply_calibration(calibration: Calibration, scores: Scores, *, half: int = 1) -> list[Event]:
    """Events of one half."""
    return suppress(scores, calibration.suppression, half=half)


def fit_calibration(
    scores_by_game: Mapping[str, Mapping[int, Scores]], labels_by_game: Mapping[str, list[Event]], label_set: LabelSet
) -> Calibration:
    """Suppression that gives the best mAP@1 on the given games; the default unless another is better by 0.002.

    Two settings are chosen out of a dozen, so little can be fitted to chance.
    """
    best, best_value = Calibration(), _value(Calibration(), scores_by_game, labels_by_game, label_set) + 0.002
    for method in _METHODS:
        for window_s in _WINDOWS_S:
            candidate = Calibration(suppression=Suppression(method=method, window_s=window_s))  # type: ignore[arg-type]
            value = _value(candidate, scores_by_game, labels_by_game, label_set)
            if value > best_value:
                best, best_value = candidate, value
    return best


def _value(
    calibration: Calibration,
    scores_by_game: Mapping[str, Mapping[int, Scores]],
    labels_by_game: Mapping[str, list[Event]],
    label_set: LabelSet,
) -> float:
    predictions = {
        game: [event for half, scores in halves.items() for event in apply_calibration(calibration, scores, half=half)]
        for game, halves in scores_by_game.items()
    }
    fps = next(scores.fps for halves in scores_by_game.values() for scores in halves.values())
    return evaluate_events(labels_by_game, predictions, label_set, ["at1"], fps).mAP("at1")

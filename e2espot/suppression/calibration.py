"""How a run's scores become events: settings fitted on games it has not learnt from, and stored with it.

Three things are fitted, each only where it helps: the suppression and a shift in time of every class that has
labels enough, and one monotone map of confidences. The map is there because SoccerNet's metric ranks by 200
fixed thresholds: confidences squeezed together lose at equal ranking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import CheckpointError, ConfigurationError, one_line
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression.nms import Suppression, suppress

_FARTHEST_SHIFT_S = 60


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """From scores to events; the default is plain soft suppression."""

    suppression: Suppression = field(default_factory=Suppression)
    """Kind and reach of the suppression, for classes without one of their own."""
    by_class: Mapping[str, Suppression] = field(default_factory=dict)
    """Suppression of some classes."""
    shift_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds that events of a class are moved by, later for more than zero."""
    map_from: tuple[float, ...] = ()
    """Confidences that grow; empty for no map."""
    map_to: tuple[float, ...] = ()
    """What these become; between them it is straight, outside it ends."""

    def __post_init__(self) -> None:
        """Refuse a map that is not monotone."""
        if not all(abs(shift) < _FARTHEST_SHIFT_S for shift in self.shift_s.values()):
            raise ConfigurationError(f"shift_s must be less than {_FARTHEST_SHIFT_S} s")
        for knots in (self.map_from, self.map_to):
            if len(self.map_from) != len(self.map_to) or any(not a <= b for a, b in pairwise(knots)):
                raise ConfigurationError("map_from and map_to must be of one length and never fall")
            if knots and not 0 <= knots[0] <= knots[-1] <= 1:
                raise ConfigurationError("map_from and map_to must lie in [0, 1]")

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``calibration.json``."""
        return {
            "suppression": asdict(self.suppression),
            "by_class": {name: asdict(how) for name, how in self.by_class.items()},
            "shift_s": dict(self.shift_s),
            "map_from": list(self.map_from),
            "map_to": list(self.map_to),
        }

    @staticmethod
    def from_json(content: Any) -> Calibration:
        """Read what :meth:`to_json` wrote.

        Raises:
            CheckpointError: something else.
        """
        try:
            return Calibration(
                suppression=Suppression(**content["suppression"]),
                by_class={str(name): Suppression(**how) for name, how in content.get("by_class", {}).items()},
                shift_s={str(name): float(value) for name, value in content.get("shift_s", {}).items()},
                map_from=tuple(float(value) for value in content.get("map_from", ())),
                map_to=tuple(float(value) for value in content.get("map_to", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ConfigurationError) as error:
            problem = one_line(error)
            raise CheckpointError(f"calibration.json is not one of this package's ({problem}); remove it") from None

    def mapped(self, confidences: np.ndarray) -> np.ndarray:
        """Confidences under the map."""
        return np.interp(confidences, self.map_from, self.map_to) if self.map_from else confidences

    def table(self) -> str:
        """One line on what is done."""
        words = [f"{self.suppression.method} suppression over {self.suppression.window_s:g} s"]
        for name in sorted({*self.by_class, *self.shift_s}):
            how = self.by_class.get(name, self.suppression)
            words.append(f"{name}: {how.method} {how.window_s:g} s, moved {1000 * self.shift_s.get(name, 0):+.0f} ms")
        return "; ".join(words + (["confidences mapped"] if self.map_from else []))


def read_calibration(run: Path) -> Calibration:
    """What a run folder's ``calibration.json`` says; the default without one.

    Raises:
        CheckpointError: the file is damaged or something else.
    """
    file = run / "calibration.json"
    if not file.is_file():
        return Calibration()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not readable JSON ({error}); remove it to do without") from None
    return Calibration.from_json(content)


def apply_calibration(calibration: Calibration, scores: Scores, *, half: int = 1) -> list[Event]:
    """Events of one half.

    Where the spotter tells sides, each event gets the likelier one, and its confidence is that of class and side.
    """
    events = []
    for name in scores.label_set.names:
        how = calibration.by_class.get(name, calibration.suppression)
        found = suppress(scores_of_class(scores, name), how, half=half)
        moved = [_moved(event, calibration.shift_s.get(name, 0.0), scores) for event in found]
        events += [_with_side(event, scores) for event in moved]
    mapped = calibration.mapped(np.array([event.confidence for event in events]))
    events = [replace(event, confidence=float(value)) for event, value in zip(events, mapped, strict=True)]
    return sorted(events, key=lambda event: (event.frame, event.label))


def scores_of_class(scores: Scores, name: str) -> Scores:
    """The column of one class as scores of their own."""
    column = scores.label_set.names.index(name)
    return replace(scores, scores_TK=scores.scores_TK[:, column : column + 1], label_set=LabelSet((name,)))


def _moved(event: Event, shift_s: float, scores: Scores) -> Event:
    if not shift_s:
        return event
    frame = event.frame + round(shift_s * float(scores.fps))
    if scores.coverage is not None:
        return replace(event, frame=scores.coverage.clamp(frame, event.frame))
    return replace(event, frame=min(max(frame, 0), len(scores.scores_TK) - 1))


def _with_side(event: Event, scores: Scores) -> Event:
    if scores.right_T is None:
        return event
    right = float(scores.right_T[event.frame])
    side, sure = ("right", right) if right > 0.5 else ("left", 1 - right)
    return replace(event, team=side, confidence=event.confidence * sure)

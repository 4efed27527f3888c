"""How a run's scores become events: parameters fitted on games that the run was not trained on, stored with it.

Three things are fitted, each only where it helps: the suppression and a shift in time for every class with enough
labels, and one monotone map of confidences. SoccerNet's metric ranks events by 200 fixed thresholds, so confidences
squeezed together lose at equal ranking; the map spreads them.

    scores_TK -> suppression of each class -> shift in time -> team -> map of confidences -> ends, rivals -> events

The last two are not fitted: they stand in for a fit where there are no labels to fit on (``UNCALIBRATED``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.adaptation import unlikeness
from e2espot.core.errors import CheckpointError, ConfigurationError, one_line
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression.ends import weaken_at_ends
from e2espot.suppression.nms import Suppression, suppress_column
from e2espot.suppression.rivals import weaken_rivals

_MAX_SHIFT_S = 60


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """From scores to events; the default is plain soft suppression."""

    suppression: Suppression = field(default_factory=Suppression)
    """Suppression of classes without one of their own."""
    by_class: Mapping[str, Suppression] = field(default_factory=dict)
    """Suppression of some classes."""
    shift_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds by which events of a class are moved, positive for later."""
    map_from: tuple[float, ...] = ()
    """Ascending confidences in [0, 1]; empty for no map."""
    map_to: tuple[float, ...] = ()
    """What these are mapped to, in [0, 1], never falling. In between the map is linear, outside it is constant."""
    rivals: tuple[str, ...] = ()
    """Classes that rule each other out: they weaken each other within ``suppression.window_s``, the more, the less the
    footage is like that of training. Footage that was not compared with it (no adaptation) counts as like it."""
    ends_s: float = 0.0
    """Seconds from an end of a video within which events are weakened, the more, the nearer they are, and the less the
    footage is like that of training."""

    def __post_init__(self) -> None:
        """Check shifts and map.

        Raises:
            ConfigurationError: a shift or ``ends_s`` is too large, or the map is not monotone.
        """
        if not all(abs(shift) < _MAX_SHIFT_S for shift in self.shift_s.values()):
            raise ConfigurationError(f"shift_s must be less than {_MAX_SHIFT_S} s")
        if not 0 <= self.ends_s < _MAX_SHIFT_S:
            raise ConfigurationError(f"ends_s must be from 0 to {_MAX_SHIFT_S} s")
        for knots in (self.map_from, self.map_to):
            if len(self.map_from) != len(self.map_to) or any(not a <= b for a, b in pairwise(knots)):
                raise ConfigurationError("map_from and map_to must be of one length and never fall")
            if knots and not 0 <= knots[0] <= knots[-1] <= 1:
                raise ConfigurationError("map_from and map_to must lie in [0, 1]")

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``calibration.json``."""
        return {
            "suppression": asdict(self.suppression),
            "by_class": {name: asdict(suppression) for name, suppression in self.by_class.items()},
            "shift_s": dict(self.shift_s),
            "map_from": list(self.map_from),
            "map_to": list(self.map_to),
            **({"rivals": list(self.rivals)} if self.rivals else {}),
            **({"ends_s": self.ends_s} if self.ends_s else {}),
        }

    @staticmethod
    def from_json(content: Any, source: str = "calibration.json") -> Calibration:
        """Parse what :meth:`to_json` wrote.

        Args:
            content: The parsed JSON.
            source: Where it is from, for the error.

        Raises:
            CheckpointError: ``content`` is something else.
        """
        try:
            return Calibration(
                suppression=Suppression(**content["suppression"]),
                by_class={str(name): Suppression(**fields) for name, fields in content.get("by_class", {}).items()},
                shift_s={str(name): float(value) for name, value in content.get("shift_s", {}).items()},
                map_from=tuple(float(value) for value in content.get("map_from", ())),
                map_to=tuple(float(value) for value in content.get("map_to", ())),
                rivals=tuple(str(name) for name in content.get("rivals", ())),
                ends_s=float(content.get("ends_s", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ConfigurationError) as error:
            raise CheckpointError(
                f"{source} is not one of this package's ({one_line(error)}); remove it to do without"
            ) from None

    def map_confidences(self, confidences: np.ndarray) -> np.ndarray:
        """Confidences under the map."""
        # map_from (.2, .6), map_to (.5, .9): [.1, .2, .4, 1] -> [.5, .5, .7, .9]
        if not self.map_from:
            return confidences
        mapped: np.ndarray = np.interp(confidences, self.map_from, self.map_to)
        overflowed = np.isinf(mapped)
        if overflowed.any():  # between knots less than 1e-308 apart the slope overflows: take the lower knot there
            lower = np.searchsorted(self.map_from, confidences[overflowed], side="right") - 1
            mapped[overflowed] = np.asarray(self.map_to)[lower]
        return mapped

    def describe(self) -> str:
        """One line on all parameters."""
        parts = [f"{self.suppression.method} suppression over {self.suppression.window_s:g} s"]
        for name in sorted({*self.by_class, *self.shift_s}):
            suppression, shift_ms = self.by_class.get(name, self.suppression), 1000 * self.shift_s.get(name, 0)
            parts.append(f"{name}: {suppression.method} {suppression.window_s:g} s, moved {shift_ms:+.0f} ms")
        parts += ["confidences mapped"] if self.map_from else []
        parts += [f"weaker within {self.ends_s:g} s of an end"] if self.ends_s else []
        return "; ".join(parts + ([f"rivals: {', '.join(self.rivals)}"] if self.rivals else []))


UNCALIBRATED = Calibration(rivals=("PASS", "DRIVE"), ends_s=0.32)
"""For weights without a run folder: nothing was fitted, and nothing is known of the footage that they will see."""


def read_calibration(run: Path, label_set: LabelSet | None = None) -> Calibration:
    """Calibration in a run folder's ``calibration.json``, the default without it; ``UNCALIBRATED`` for a weights file.

    Args:
        run: Run folder, or weights file.
        label_set: Classes of the run's spotter; None to leave unchecked whether the calibration is of these.

    Raises:
        CheckpointError: the file is damaged or something else, or was fitted for other classes.
    """
    file = run / "calibration.json"
    if not file.is_file():
        return UNCALIBRATED if run.is_file() else Calibration()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not readable JSON ({error}); remove it to do without") from None
    calibration = Calibration.from_json(content, str(file))
    others = sorted({*calibration.by_class, *calibration.shift_s} - set(label_set.names if label_set else ()))
    if label_set is not None and others:
        raise CheckpointError(
            f"{file} is of another run: it has {', '.join(others)}, and the spotter knows "
            f"{', '.join(label_set.names)}; remove it to do without"
        )
    return calibration


def apply_calibration(calibration: Calibration, scores: Scores, *, half: int = 1) -> list[Event]:
    """Events of one half, in order of frame and label.

    With scores of teams, each event gets the likelier team, and its confidence is the product of both probabilities.
    """
    columns = range(len(scores.label_set.names))
    events = [event for column in columns for event in apply_to_class(calibration, scores, column, half=half)]
    if scores.adaptations:
        strength = float(np.mean([unlikeness(adaptation.distance) for adaptation in scores.adaptations]))
        num_frames, window_s = len(scores.scores_TK), calibration.suppression.window_s
        events = weaken_at_ends(events, num_frames, strength=strength, reach_s=calibration.ends_s, fps=scores.fps)
        events = weaken_rivals(events, calibration.rivals, strength=strength, window_s=window_s, fps=scores.fps)
    return sorted(events, key=lambda event: (event.frame, event.label))


def apply_to_class(calibration: Calibration, scores: Scores, column: int, *, half: int = 1) -> list[Event]:
    """Events of the class in one column of the scores."""
    label = scores.label_set.names[column]
    suppression = calibration.by_class.get(label, calibration.suppression)
    frames_E, confidences_E = suppress_column(scores, column, suppression)
    shift_frames = round(calibration.shift_s.get(label, 0.0) * float(scores.fps))
    if shift_frames:
        frames_E = np.array([_shifted(frame, shift_frames, scores) for frame in frames_E.tolist()], dtype=np.int64)
    teams = [""] * len(frames_E)
    if scores.right_T is not None:
        right_E = scores.right_T[frames_E].astype(np.float64)
        teams = ["right" if right > 0.5 else "left" for right in right_E]
        confidences_E = confidences_E * np.where(right_E > 0.5, right_E, 1 - right_E)
    confidences_E = calibration.map_confidences(confidences_E)
    return [
        Event(frame=frame, label=label, half=half, team=team, confidence=confidence, fps=scores.fps)
        for frame, team, confidence in zip(frames_E.tolist(), teams, confidences_E.tolist(), strict=True)
    ]


def _shifted(frame: int, shift_frames: int, scores: Scores) -> int:
    """Frame of an event after the shift, within the frames that were read around it."""
    if scores.coverage is not None:
        return scores.coverage.clamp(frame + shift_frames, frame)
    return min(max(frame + shift_frames, 0), len(scores.scores_TK) - 1)

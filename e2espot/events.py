"""What a spotter speaks of: events, the classes they belong to, and a match full of scores."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from e2espot.errors import AnnotationError, ConfigurationError
from e2espot.timeline import DEFAULT_FPS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from e2espot.readable import Readable


@dataclass(frozen=True, kw_only=True)
class Event:
    """One ball action at one frame of one half."""

    frame: int
    """Frame on the grid, counted from the first shown picture of the half's video."""
    label: str
    """Class name, spelt as in the label set."""
    half: int = 1
    """1 or 2; a game kept in one video file is all half 1."""
    confidence: float = 1.0
    """Score of a prediction in [0, 1]; 1 for a label."""
    visible: bool = True
    """False for a label marked ``not shown``."""
    team: str = ""
    """``left``, ``right``, ``home``, ``away`` or empty."""


@dataclass(frozen=True)
class LabelSet:
    """Class names in order; class ``i`` of the list is ``i + 1`` in a target, 0 being background."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse an empty set and a name given twice."""
        if not self.names or len(set(self.names)) != len(self.names) or not all(self.names):
            raise ConfigurationError(
                f"label set {list(self.names)} is empty, or holds an empty name or one twice; name each class once"
            )

    def __len__(self) -> int:
        """Number of classes, background not counted."""
        return len(self.names)

    def __contains__(self, label: object) -> bool:
        """Whether ``label`` is one of the names, exactly."""
        return label in self.names

    def target_of(self, label: str) -> int:
        """Index of ``label`` in a target or in logits: 1 for the first name.

        Raises:
            AnnotationError: the label is not in the set.
        """
        try:
            return self.names.index(label) + 1
        except ValueError:
            raise AnnotationError(f"unknown label {label!r}; known: {', '.join(self.names)}") from None


LABEL_SETS: dict[str, LabelSet] = {
    "ball-2": LabelSet(("PASS", "DRIVE")),
    "ball-12": LabelSet(
        (
            *("PASS", "DRIVE", "HEADER", "HIGH PASS", "OUT", "CROSS", "THROW IN", "SHOT"),
            *("BALL PLAYER BLOCK", "PLAYER SUCCESSFUL TACKLE", "FREE KICK", "GOAL"),
        )
    ),
    "soccernet-v2-17": LabelSet(
        (
            *("Penalty", "Kick-off", "Goal", "Substitution", "Offside", "Shots on target", "Shots off target"),
            *("Clearance", "Ball out of play", "Throw-in", "Foul", "Indirect free-kick", "Direct free-kick"),
            *("Corner", "Yellow card", "Red card", "Yellow->red card"),
        )
    ),
}
"""The sets known by name; their order is SoccerNet's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Dense per-frame class probabilities of one video."""

    scores_TK: np.ndarray
    """float32 in [0, 1]; row = frame, column = class of ``label_set``, background left out."""
    label_set: LabelSet
    """What the columns mean."""
    fps: Fraction = DEFAULT_FPS
    """Rate of the frame grid."""
    path: Path | None = None
    """The video they were computed from."""
    right_T: np.ndarray | None = None
    """float32 in [0, 1]; that the right side acts, where the spotter tells sides."""
    readable: Readable | None = None
    """What of the video could be read; None for all of it. Elsewhere scores are zero and there are no events."""

    def __post_init__(self) -> None:
        """Refuse an array that does not fit the label set."""
        if self.scores_TK.ndim != 2 or self.scores_TK.shape[1] != len(self.label_set):
            raise ValueError(f"scores have shape {self.scores_TK.shape}; expected (frames, {len(self.label_set)})")

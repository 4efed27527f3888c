"""What a spotter speaks of: events, the classes they belong to, and a match full of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


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


@dataclass(frozen=True, kw_only=True)
class ScoredEvent:
    """One label or prediction with its time in milliseconds, as files state it and the evaluator scores it."""

    half: int
    """1 or 2; the evaluator ignores other halves."""
    position_ms: int
    """Milliseconds from the start of the half's video."""
    label: str
    """Class name; the evaluator ignores names outside the label set."""
    value: float = 1.0
    """Label: 1, or -1 for ``not shown``. Prediction: confidence; the evaluator ignores those below zero."""
    team: str = ""
    """``left`` or ``right`` as seen on the screen, another word, or empty; only Team-mAP uses it."""

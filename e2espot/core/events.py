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
class Entry:
    """One label or prediction as the evaluator sees it."""

    half: int
    """Entries of halves other than 1 and 2 are left out."""
    position_ms: int
    """Time from the start of the half's video."""
    label: str
    """Class name; names outside the label set are left out."""
    value: float = 1.0
    """Label: 1, or -1 for ``not shown``. Prediction: confidence; below zero it does not exist."""

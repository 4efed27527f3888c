"""Events: on the frame grid inside the library, in milliseconds in files and in the evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from e2espot.core.timeline import DEFAULT_FPS, position_ms_of_frame


@dataclass(frozen=True, kw_only=True)
class Event:
    """One ball action at one frame of one half."""

    frame: int
    """Frame on the grid, counted from the first shown picture of the half's video."""
    label: str
    """Class name, spelt as in the label set."""
    half: int = 1
    """1 or 2, 3 and 4 in extra time, 5 for penalties; a game in one video is half 1."""
    confidence: float = 1.0
    """Score of a prediction in [0, 1]; 1 for a label."""
    visible: bool = True
    """False for a label marked ``not shown``."""
    team: str = ""
    """``left``, ``right``, ``home``, ``away`` or empty."""
    fps: Fraction = DEFAULT_FPS
    """Rate of the grid, in frames per second."""

    @property
    def position_ms(self) -> int:
        """Time of the event in its half's video: the middle of the frame, in whole milliseconds."""
        return position_ms_of_frame(self.frame, self.fps)

    def __hash__(self) -> int:
        """Hash of frame, label and half. The generated hash would spend most of its time on the Fraction."""
        return hash((self.frame, self.label, self.half))


@dataclass(frozen=True, kw_only=True)
class ScoredEvent:
    """One label or prediction with its time in milliseconds, as files state it and the evaluator scores it."""

    half: int
    """1 or 2; the evaluator ignores events of other halves."""
    position_ms: int
    """Milliseconds from the start of the half's video."""
    label: str
    """Class name; the evaluator ignores names outside the label set."""
    value: float = 1.0
    """Label: 1, or -1 for ``not shown``. Prediction: confidence; the evaluator ignores those below zero."""
    team: str = ""
    """``left`` or ``right`` as seen on the screen, another word, or empty; only Team-mAP uses it."""

"""Dense per-frame class scores of one video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from e2espot.core.coverage import ReadCoverage


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
    coverage: ReadCoverage | None = None
    """What of the video could be read; None for all of it. Elsewhere scores are zero and there are no events."""

    def __post_init__(self) -> None:
        """Refuse an array that does not fit the label set."""
        if self.scores_TK.ndim != 2 or self.scores_TK.shape[1] != len(self.label_set):
            raise ValueError(f"scores have shape {self.scores_TK.shape}; expected (frames, {len(self.label_set)})")

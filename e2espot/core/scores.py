"""Class scores of every frame of one video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from e2espot.core.adaptation import Adaptation
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from e2espot.core.coverage import ReadCoverage


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Class probabilities of every frame of one video."""

    scores_TK: np.ndarray
    """float32 (frames, classes) in [0, 1]; columns in the order of ``label_set``, without background."""
    label_set: LabelSet
    """Classes of the columns."""
    fps: Fraction = DEFAULT_FPS
    """Rate of the frame grid, in frames per second."""
    path: Path | None = None
    """The video, if it is known."""
    right_T: np.ndarray | None = None
    """float32 (frames,) in [0, 1]; probability that the right team acts, if the spotter predicts teams."""
    coverage: ReadCoverage | None = None
    """What could be read; None for the whole video. Other frames have zero scores and get no events."""
    adaptations: tuple[Adaptation, ...] = ()
    """How the spotter was adapted to the video, or those of an ensemble; empty if they were not."""

    def __post_init__(self) -> None:
        """Refuse an array that does not fit the label set."""
        if self.scores_TK.ndim != 2 or self.scores_TK.shape[1] != len(self.label_set):
            raise ValueError(f"scores_TK has shape {self.scores_TK.shape}; expected (frames, {len(self.label_set)})")

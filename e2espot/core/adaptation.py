"""How a spotter was adapted to one video."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What was changed in a spotter before it processed a video, without any labels."""

    num_frames: int
    """Frames of the video that were looked at first."""
    share: float
    """Share of the video's own statistics in the batch norms; the rest are those of training."""
    distance: float
    """How far the video is from the training data: mean squared shift of the batch norms' inputs, in deviations."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, with as many digits as are the same on every machine."""
        return {**asdict(self), "share": float(f"{self.share:.3g}"), "distance": float(f"{self.distance:.3g}")}

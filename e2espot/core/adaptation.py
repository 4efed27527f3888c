"""How a spotter was adapted to one video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FULL_DISTANCE = 0.02
"""Distance from which on footage counts as wholly unlike the training data. Rendered matches are at 0.002 to 0.005 from
others of their kind; 17 of 30 filmed clips are above this distance."""


def unlikeness(distance: float) -> float:
    """How unlike the training data footage at a distance is, 0 to 1: ``0.004`` -> ``0.2``, ``0.05`` -> ``1.0``."""
    return min(1.0, distance / FULL_DISTANCE)


SECOND_SET_FROM, SECOND_SET_FULL = 0.005, 0.01
"""Distances between which weights move from the first set of a file to the second; see ``models.unfamiliar``. Rendered
matches of the kind that the first set is best at are below the first: their results do not depend on the second set."""


def share_of_second_set(distance: float) -> float:
    """Share of the second set of weights, 0 to 1: ``0.004`` -> ``0.0``, ``0.008`` -> ``0.6``, ``0.02`` -> ``1.0``."""
    return min(1.0, max(0.0, (distance - SECOND_SET_FROM) / (SECOND_SET_FULL - SECOND_SET_FROM)))


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What was changed in a spotter before it processed a video, without any labels."""

    num_frames: int
    """Frames of the video that were looked at first."""
    share: float
    """Share of the video's own statistics in the batch norms; the rest are those of training."""
    distance: float
    """How far the video is from the training data: mean squared shift of the batch norms' inputs, in deviations."""
    size: tuple[int, int] | None = None
    """Width and height of the frames that the second set of weights sees; None if they are those of the first."""
    from_ms: int = 0
    """Position from which on its scores are those of the adapted spotter; 0 for all of them."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, with as many digits as are the same on every machine; the last two only where they say more."""
        content: dict[str, Any] = {
            "num_frames": self.num_frames,
            "share": float(f"{self.share:.3g}"),
            "distance": float(f"{self.distance:.3g}"),
        }
        if self.size is not None:
            content["size"] = f"{self.size[0]}x{self.size[1]}"
        if self.from_ms:
            content["from_ms"] = self.from_ms
        return content

"""What the ball can be doing: in flight, at a foot, or out of play. Metres, 25 frames a second."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from e2espot.synthetic.formation import TICK_S


@dataclass(kw_only=True)
class Flight:
    """The ball on its way."""

    start_3: np.ndarray
    end_2: np.ndarray
    frames: int
    apex_m: float
    friction: float
    receiver: int
    """-1 where the ball runs out of play."""
    age: int = 0

    def ball(self) -> np.ndarray:
        """Position after ``age`` frames, [3]; ground speed decays, height follows a parabola."""
        share = self.age / self.frames
        tau = self.frames * TICK_S
        along = -math.expm1(-self.friction * share * tau) / -math.expm1(-self.friction * tau)
        ground_2 = self.start_3[:2] + (self.end_2 - self.start_3[:2]) * along
        height = self.start_3[2] * (1 - share) + 4 * self.apex_m * share * (1 - share)
        return np.array([ground_2[0], ground_2[1], height])


@dataclass(kw_only=True)
class Carry:
    """The ball at a player's foot."""

    owner: int
    frames: int
    heading_2: np.ndarray
    wanted_2: np.ndarray
    speed: float
    touches: np.ndarray
    gaps_m: np.ndarray
    residue_3: np.ndarray
    feint: int
    age: int = 0

    def gap(self) -> float:
        """Ball ahead of the foot in metres: zero at every touch, a push and a catch-up between."""
        index = int(np.searchsorted(self.touches, self.age, side="right")) - 1
        if index >= len(self.gaps_m):
            return 0.0
        share = (self.age - self.touches[index]) / (self.touches[index + 1] - self.touches[index])
        return float(self.gaps_m[index] * 4 * share**0.7 * (1 - share))


@dataclass(kw_only=True)
class Dead:
    """The ball out of play."""

    frames: int
    spot_2: np.ndarray
    taker: int
    thrown: bool
    rest_3: np.ndarray
    drift_2: np.ndarray
    age: int = 0

"""States of the ball: in flight, at a foot, or out of play. Metres, 25 frames per second."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from e2espot.synthetic.formation import TICK_S


@dataclass(kw_only=True)
class Flight:
    """The ball on its way."""

    start_3: np.ndarray
    """Where it starts, with its height."""
    end_2: np.ndarray
    """Where it ends, on the ground."""
    frames: int
    """Duration."""
    apex_m: float
    """Height of the parabola at its middle."""
    friction: float
    """Decay of the ground speed, 1/s."""
    receiver: int
    """The player it goes to; -1 if it runs out of play."""
    end_m: float = 0.0
    """Height at the end."""
    ending: str = "control"
    """What the receiver does: control or pass it on, or as in ``attacks.Ending``."""
    age: int = 0
    """Frames since the start."""

    def ball(self) -> np.ndarray:
        """Position after ``age`` frames, [3]; ground speed decays, height follows a parabola."""
        share = self.age / self.frames
        tau = self.frames * TICK_S
        along = -math.expm1(-self.friction * share * tau) / -math.expm1(-self.friction * tau)
        ground_2 = self.start_3[:2] + (self.end_2 - self.start_3[:2]) * along
        height = self.start_3[2] * (1 - share) + self.end_m * share + 4 * self.apex_m * share * (1 - share)
        return np.array([ground_2[0], ground_2[1], height])


@dataclass(kw_only=True)
class Carry:
    """The ball at a player's foot."""

    owner: int
    """The player."""
    frames: int
    """Duration."""
    heading_2: np.ndarray
    """Direction of the run, a unit vector."""
    wanted_2: np.ndarray
    """Direction that the player turns to, a unit vector."""
    speed: float
    """Speed of the run, m/s."""
    touches: np.ndarray
    """Frames at which the foot touches the ball, the first and the last included."""
    gaps_m: np.ndarray
    """Largest distance of ball and foot between one touch and the next."""
    residue_3: np.ndarray
    """Offset of the ball from the foot at the start; it decays."""
    feint: int
    """Frame of a feigned kick; negative for none."""
    age: int = 0
    """Frames since the start."""

    def gap(self) -> float:
        """Distance of the ball ahead of the foot in metres; zero at every touch, largest between two."""
        index = int(np.searchsorted(self.touches, self.age, side="right")) - 1
        if index >= len(self.gaps_m):
            return 0.0
        share = (self.age - self.touches[index]) / (self.touches[index + 1] - self.touches[index])
        return float(self.gaps_m[index] * 4 * share**0.7 * (1 - share))


@dataclass(kw_only=True)
class Dead:
    """The ball out of play."""

    frames: int
    """Duration; longer if the taker is late."""
    spot_2: np.ndarray
    """Where play restarts."""
    taker: int
    """The player who restarts it."""
    thrown: bool
    """Whether the restart is a throw-in."""
    rest_3: np.ndarray
    """Where the ball went out of play."""
    drift_2: np.ndarray
    """Its velocity there, m/s."""
    age: int = 0
    """Frames since the start."""

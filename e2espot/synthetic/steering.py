"""What the players without the ball do: keep a shape, press, support, run.

Shapes: P = 22 players, the left team's eleven first, keepers at 0 and 11; 2 pitch coordinates.
"""

from __future__ import annotations

import numpy as np

from e2espot.synthetic.motion import FRAME_RATE, HALF_LENGTH_M, HALF_WIDTH_M

NUM_PLAYERS = 22
TEAM_P = np.repeat([0, 1], 11)
"""0 for the team that attacks to the right, 1 for the other."""
ATTACK_P = np.where(TEAM_P == 0, 1.0, -1.0)
"""Sign of x toward the goal a player attacks."""
KEEPERS = (0, 11)

_LINES = {
    "4-4-2": ((4, -28), (4, -10), (2, 8)),
    "4-3-3": ((4, -28), (3, -12), (3, 8)),
    "4-2-3-1": ((4, -28), (2, -16), (3, -2), (1, 11)),
    "3-5-2": ((3, -29), (5, -11), (2, 8)),
}


def formations(rng: np.random.Generator) -> np.ndarray:
    """Home places of both teams around the centre spot, float64 [P, 2]; each team's shape is drawn by chance."""
    home_P2 = np.zeros((NUM_PLAYERS, 2))
    for team, sign in ((0, 1.0), (1, -1.0)):
        lines = _LINES[str(rng.choice(sorted(_LINES)))]
        places = [(-46.0, 0.0)]
        for count, x in lines:
            width = 26.0 if count > 2 else 11.0
            places += [(x + float(rng.normal(0, 1.5)), y) for y in np.linspace(-width, width, count) * (count > 1)]
        home_P2[11 * team : 11 * team + 11] = np.array(places) * (sign, sign)
    return home_P2


class Shape:
    """Desired places of all players, with the slow wandering and sudden runs of each."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.home_P2 = formations(rng)
        self._wander_P2 = rng.normal(0, 2.5, size=(NUM_PLAYERS, 2))
        self._run_P2 = np.zeros((NUM_PLAYERS, 2))
        self._run_left_P = np.zeros(NUM_PLAYERS)

    def targets(self, ball_2: np.ndarray, attacking: int, *, live: bool) -> np.ndarray:
        """Where everyone wants to be while ``attacking`` (0 or 1) has the ball: float64 [P, 2]."""
        rng = self._rng
        keep = 0.99
        self._wander_P2 *= keep
        self._wander_P2 += rng.normal(0, 2.8 * np.sqrt(1 - keep**2), size=(NUM_PLAYERS, 2))
        self._run_left_P -= 1
        self._run_P2[self._run_left_P <= 0] = 0
        if live and rng.random() < 0.05:
            runner = int(rng.integers(NUM_PLAYERS))
            self._run_left_P[runner] = rng.integers(30, 80)
            self._run_P2[runner] = ATTACK_P[runner] * rng.uniform(4, 16), rng.normal(0, 6)
        on_the_ball = np.where(attacking == TEAM_P, 1.0, -1.0)
        target_P2 = self.home_P2 * (0.62, 0.72)
        target_P2[:, 0] += 0.62 * ball_2[0] + 4.0 * on_the_ball * ATTACK_P
        target_P2[:, 1] += 0.38 * ball_2[1]
        target_P2 += self._wander_P2 + self._run_P2
        for keeper, sign in zip(KEEPERS, (-1.0, 1.0), strict=True):
            depth = 5.0 + 0.13 * abs(ball_2[0] - sign * HALF_LENGTH_M)
            target_P2[keeper] = sign * (HALF_LENGTH_M - depth), 0.12 * ball_2[1]
        np.clip(target_P2[:, 0], -HALF_LENGTH_M + 1, HALF_LENGTH_M - 1, out=target_P2[:, 0])
        np.clip(target_P2[:, 1], -HALF_WIDTH_M + 1, HALF_WIDTH_M - 1, out=target_P2[:, 1])
        return target_P2


def press(target_P2: np.ndarray, position_P2: np.ndarray, ball_2: np.ndarray, attacking: int) -> None:
    """Send the two nearest defenders at the ball and keep the attackers off it, in place."""
    away_P2 = position_P2 - ball_2
    distance_P = np.hypot(away_P2[:, 0], away_P2[:, 1])
    defenders = np.flatnonzero((attacking != TEAM_P) & (np.arange(NUM_PLAYERS) % 11 != 0))
    nearest = defenders[np.argsort(distance_P[defenders])[:2]]
    goal_2 = np.array([-HALF_LENGTH_M * ATTACK_P[nearest[0]], 0.0])
    goalward_2 = (goal_2 - ball_2) / max(float(np.hypot(*(goal_2 - ball_2))), 1.0)
    target_P2[nearest[0]] = ball_2 + 1.7 * goalward_2
    target_P2[nearest[1]] = 0.4 * target_P2[nearest[1]] + 0.6 * (ball_2 + 5.0 * goalward_2)
    crowding = (attacking == TEAM_P) & (distance_P < 7)
    target_P2[crowding] += away_P2[crowding] / np.maximum(distance_P[crowding], 0.5)[:, None] * 5.0


def accelerate(
    position_P2: np.ndarray, velocity_P2: np.ndarray, target_P2: np.ndarray, *, top_speed_mps: float
) -> np.ndarray:
    """Velocities one frame later: toward the targets, within what legs can do, not into each other."""
    wish_P2 = 0.9 * (target_P2 - position_P2)
    speed_P = np.hypot(wish_P2[:, 0], wish_P2[:, 1])
    # Nobody corrects a metre: without a dead zone all 22 jitter about their targets.
    scale_P = np.where(speed_P < 0.9, 0.15, np.minimum(1.0, top_speed_mps / np.maximum(speed_P, 1e-6)))
    wish_P2 *= scale_P[:, None]
    apart_PP2 = position_P2[:, None] - position_P2[None]
    near_PP = np.einsum("pqc,pqc->pq", apart_PP2, apart_PP2) + 1e-3
    push_PP = np.where(near_PP < 2.2, 1.6 / near_PP, 0.0)
    wish_P2 += np.einsum("pq,pqc->pc", push_PP, apart_PP2)
    change_P2 = 0.25 * (wish_P2 - velocity_P2)
    size_P = np.hypot(change_P2[:, 0], change_P2[:, 1])
    limit = 5.0 / FRAME_RATE
    return velocity_P2 + change_P2 * np.minimum(1.0, limit / np.maximum(size_P, 1e-9))[:, None]

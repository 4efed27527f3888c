"""Target positions of the twenty-two players, and how they move towards them."""

from __future__ import annotations

import numpy as np

PITCH_M = (105.0, 68.0)
"""Length and width of the pitch; x runs right, y away from the main camera."""
TICK_S = 0.04
"""Simulation step: one frame at 25 frames per second."""
PLAYERS = 22
"""Players 0-10 (0 the keeper) attack to the right, 11-21 (11 the keeper) to the left."""

_HOME = np.array(
    [(6, 34), (27, 10), (23, 25), (23, 43), (27, 58), (45, 20), (40, 34), (45, 48), (66, 13), (70, 34), (66, 55)],
    dtype=float,
)


def team_of(player: int) -> int:
    """0 for the team attacking to the right, 1 for the other."""
    return 0 if player < PLAYERS // 2 else 1


def attack_sign(player: int) -> float:
    """+1 if the player's team attacks to the right, else -1."""
    return 1.0 if player < PLAYERS // 2 else -1.0


def home_positions(rng: np.random.Generator) -> np.ndarray:
    """Anchors in metres, float [22, 2], slightly different in every match."""
    left = _HOME + rng.normal(0, 2.0, _HOME.shape) * (np.arange(11) > 0)[:, None]
    right = _HOME + rng.normal(0, 2.0, _HOME.shape) * (np.arange(11) > 0)[:, None]
    return np.vstack([left, np.array(PITCH_M) - right])


def targets(
    home_P2: np.ndarray, wander_P2: np.ndarray, ball_2: np.ndarray, possession: int, rank_P: np.ndarray, pressed: bool
) -> np.ndarray:
    """Target position of every player, metres [22, 2].

    Both teams shift with the ball and contract around it; the team in possession moves up the
    pitch. The nearest defender presses the ball and the second covers behind.

    Args:
        home_P2: anchors from ``home_positions``.
        wander_P2: slow off-ball movement added to the anchors, metres.
        ball_2: ball on the ground, metres.
        possession: team with the ball, 0 or 1.
        rank_P: 0 for the player of each team nearest the ball, 1 for the next.
        pressed: whether defenders press the ball.
    """
    direction_P = np.where(np.arange(PLAYERS) < 11, 1.0, -1.0)
    attacking_P = (np.arange(PLAYERS) < 11) == (possession == 0)
    shift_2 = (ball_2 - np.array([52.5, 34.0])) * np.array([0.52, 0.5])
    goal_P2 = home_P2 + shift_2
    goal_P2[:, 0] += direction_P * np.where(attacking_P, 7.0, -2.0)
    goal_P2 += (ball_2 - goal_P2) * np.where(attacking_P, 0.10, 0.18)[:, None] + wander_P2
    if pressed:
        own_goal_P2 = np.stack([np.where(direction_P > 0, 0.0, PITCH_M[0]), np.full(PLAYERS, 34.0)], axis=1)
        back_P2 = own_goal_P2 - ball_2
        back_P2 /= np.linalg.norm(back_P2, axis=1, keepdims=True) + 1e-6
        for rank, gap_m in ((0, 1.5), (1, 6.0)):
            chosen_P = ~attacking_P & (rank_P == rank)
            goal_P2[chosen_P] = ball_2 + back_P2[chosen_P] * gap_m
    for keeper in (0, 11):
        line_x = home_P2[keeper, 0] + 0.06 * (ball_2[0] - 52.5)
        goal_P2[keeper] = (line_x, 34.0 + 0.12 * (ball_2[1] - 34.0))
    return np.asarray(np.clip(goal_P2, (1.0, 0.5), (104.0, 67.5)))


def nearest_rank(positions_P2: np.ndarray, ball_2: np.ndarray) -> np.ndarray:
    """Rank of every outfield player within its team by distance to the ball, int [22]."""
    distance_P = np.linalg.norm(positions_P2 - ball_2, axis=1)
    distance_P[[0, 11]] = 1e3
    rank_P = np.empty(PLAYERS, dtype=int)
    for first in (0, 11):
        rank_P[first + np.argsort(distance_P[first : first + 11])] = np.arange(11)
    return rank_P


def steer(position_P2: np.ndarray, velocity_P2: np.ndarray, goal_P2: np.ndarray, cap_P: np.ndarray) -> np.ndarray:
    """New velocities in m/s, [22, 2]: bounded acceleration towards the targets, and repulsion of close players."""
    wanted_P2 = (goal_P2 - position_P2) * 0.7
    speed_P = np.linalg.norm(wanted_P2, axis=1)
    wanted_P2 *= (np.minimum(speed_P, cap_P) / np.maximum(speed_P, 1e-6))[:, None]
    change_P2 = wanted_P2 - velocity_P2
    size_P = np.linalg.norm(change_P2, axis=1)
    change_P2 *= (np.minimum(size_P, 5.0 * TICK_S) / np.maximum(size_P, 1e-6))[:, None]
    gap_PP2 = position_P2[:, None] - position_P2[None]
    square_PP = (gap_PP2**2).sum(axis=2)
    push_PP = np.where((square_PP < 1.4) & (square_PP > 0), 0.12 / (square_PP + 0.15), 0.0)
    return np.asarray(velocity_P2 + change_P2 + (gap_PP2 * push_PP[..., None]).sum(axis=1))

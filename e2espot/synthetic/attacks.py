"""What happens near a goal: shots, crosses and headers, which look like passes and are none.

A player with the ball near the goal of the other team may shoot or cross instead of passing:

    Shot  -- blocked -->  a rival, some metres on; the ball rebounds from him
          -- saved -->    the keeper
          -- goal -->     the net; play restarts in the middle
          -- wide -->     out of play
    Cross -- high -->     a player in front of the goal, who heads it on or brings it down

Metres, seconds; x runs right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from e2espot.synthetic.formation import PITCH_M, TICK_S, attack_sign, team_of
from e2espot.synthetic.phases import Flight

POST_M = 3.66
"""Distance of the posts from the middle of the goal."""
HEAD_M = 1.75
"""Height of the ball at a header."""
_SHOT_REACH_M, _CROSS_REACH_M, _WING_M = 30.0, 26.0, 13.0

Ending = Literal["control", "block", "save", "goal", "header", "out"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Attack:
    """A ball played at or before the goal."""

    label: str
    """SHOT, CROSS or HEADER."""
    flight: Flight
    """The way of the ball."""


def plan_attack(rng: np.random.Generator, owner: int, ball_3: np.ndarray, position_P2: np.ndarray) -> Attack | None:
    """A shot or a cross by the player with the ball, if he is where one would try it and decides to.

    Args:
        rng: Source of randomness.
        owner: The player, 0-21.
        ball_3: The ball.
        position_P2: All players.
    """
    goal_2 = goal_of(owner)
    away_m = float(np.hypot(*(ball_3[:2] - goal_2)))
    deep_m = abs(float(ball_3[0] - goal_2[0]))
    if deep_m < _CROSS_REACH_M and abs(float(ball_3[1]) - 34.0) > _WING_M:
        return Attack(label="CROSS", flight=_cross(rng, owner, ball_3, position_P2)) if rng.random() < 0.6 else None
    # 0.8 from the spot of the penalty, 0.25 from 28 m
    if away_m < _SHOT_REACH_M and rng.random() < 1.15 - away_m / 31.0:
        return Attack(label="SHOT", flight=shot(rng, owner, ball_3, position_P2, float(rng.normal(21.0, 4.0))))
    return None


def goal_of(player: int) -> np.ndarray:
    """Middle of the goal that the player attacks, [2]."""
    return np.array([PITCH_M[0] if attack_sign(player) > 0 else 0.0, PITCH_M[1] / 2])


def shot(
    rng: np.random.Generator, player: int, ball_3: np.ndarray, position_P2: np.ndarray, speed_m_s: float
) -> Flight:
    """A shot or a header at the goal."""
    goal_2 = goal_of(player)
    aim_y = goal_2[1] + float(rng.normal(0, 3.2))
    line_2 = np.array([goal_2[0], aim_y])
    way_2 = line_2 - ball_3[:2]
    length_m = float(np.hypot(*way_2)) + 1e-6
    way_2 /= length_m
    draw, on_target = rng.random(), abs(aim_y - goal_2[1]) < POST_M
    ending: Ending
    if draw < 0.28 and length_m > 7.0:
        ending, receiver = "block", _nearest(position_P2, 1 - team_of(player), ball_3[:2] + way_2 * 3.0)
        end_2, height = ball_3[:2] + way_2 * float(rng.uniform(1.5, 4.5)), float(rng.uniform(0.0, 0.6))
    elif on_target and draw < 0.68:
        ending, receiver = "save", 11 * (1 - team_of(player))
        end_2, height = line_2 - way_2 * float(rng.uniform(0.5, 3.0)), float(rng.uniform(0.0, 1.8))
    else:
        ending, receiver = ("goal" if on_target else "out"), -1
        end_2 = line_2 + way_2 * (1.4 if on_target else float(rng.uniform(3.0, 7.0)))
        height = float(rng.uniform(0.0, 1.8 if on_target else 5.0))
    seconds = float(np.hypot(*(end_2 - ball_3[:2]))) / float(np.clip(speed_m_s, 10.0, 31.0))
    return Flight(
        start_3=ball_3,
        end_2=end_2,
        frames=max(3, round(seconds / TICK_S)),
        apex_m=float(rng.uniform(0.0, 0.6)),
        friction=0.25,
        receiver=receiver,
        end_m=height,
        ending=ending,
    )


def rebound(rng: np.random.Generator, flight: Flight, ball_3: np.ndarray, position_P2: np.ndarray) -> Flight:
    """The ball off the player who blocked it: slower, somewhere else, to the nearest player."""
    way_2 = flight.end_2 - flight.start_3[:2]
    angle = math.atan2(way_2[1], way_2[0]) + math.pi + float(rng.normal(0, 1.1))
    seconds = float(rng.uniform(0.5, 1.3))
    end_2 = ball_3[:2] + np.array([math.cos(angle), math.sin(angle)]) * float(rng.uniform(4.0, 11.0)) * seconds
    end_2 = np.clip(end_2, (2.0, 1.0), (103.0, 67.0))
    gaps_P = np.hypot(*(position_P2 - end_2).T)
    gaps_P[[0, 11, flight.receiver]] = np.inf
    receiver = int(gaps_P.argmin())
    return Flight(
        start_3=ball_3,
        end_2=_within_reach(position_P2[receiver], end_2, seconds),
        frames=max(9, round(seconds / TICK_S)),
        apex_m=float(rng.uniform(0.0, 1.2)),
        friction=0.9,
        receiver=receiver,
    )


def header(rng: np.random.Generator, player: int, ball_3: np.ndarray, position_P2: np.ndarray) -> Flight:
    """A header: at the goal by an attacker, away from it by a defender."""
    if np.hypot(*(ball_3[:2] - goal_of(player))) < 18.0:
        return shot(rng, player, ball_3, position_P2, float(rng.normal(13.0, 2.0)))
    seconds = float(rng.uniform(0.8, 1.5))
    side = float(rng.choice([-1.0, 1.0]))
    end_2 = ball_3[:2] + np.array([attack_sign(player) * rng.uniform(6.0, 16.0), side * rng.uniform(2.0, 12.0)])
    end_2 = np.clip(end_2, (2.0, 1.0), (103.0, 67.0))
    team = team_of(player) if rng.random() < 0.5 else 1 - team_of(player)
    receiver = _nearest(position_P2, team, end_2, besides=player)
    return Flight(
        start_3=ball_3,
        end_2=_within_reach(position_P2[receiver], end_2, seconds),
        frames=round(seconds / TICK_S),
        apex_m=1.226 * seconds**2,
        friction=0.12,
        receiver=receiver,
    )


def _cross(rng: np.random.Generator, owner: int, ball_3: np.ndarray, position_P2: np.ndarray) -> Flight:
    """A ball from the wing to the front of the goal, mostly high."""
    goal_2 = goal_of(owner)
    end_2 = goal_2 + np.array([-attack_sign(owner) * rng.uniform(4.0, 14.0), rng.normal(0, 6.0)])
    high = rng.random() < 0.75
    speed_m_s = float(rng.uniform(14.0, 20.0))
    team = team_of(owner) if rng.random() < 0.55 else 1 - team_of(owner)
    heads = high and rng.random() < 0.7
    receiver = _nearest(position_P2, team, end_2, besides=owner)
    end_2 = _within_reach(position_P2[receiver], end_2, float(np.hypot(*(end_2 - ball_3[:2]))) / speed_m_s)
    seconds = float(np.hypot(*(end_2 - ball_3[:2]))) / speed_m_s
    return Flight(
        start_3=ball_3,
        end_2=end_2,
        frames=max(9, round(seconds / TICK_S)),
        apex_m=float(rng.uniform(0.8, 1.3)) * 1.226 * seconds**2 if high else 0.0,
        friction=0.12,
        receiver=receiver,
        end_m=HEAD_M if heads else 0.0,
        ending="header" if heads else "control",
    )


def _nearest(position_P2: np.ndarray, team: int, at_2: np.ndarray, besides: int = -1) -> int:
    """Outfield player of a team nearest to a point, other than ``besides``."""
    gaps_P = np.hypot(*(position_P2 - at_2).T)
    gaps_P[[11 * team, *range(11 * (1 - team), 11 * (1 - team) + 11)]] = np.inf
    if besides >= 0:
        gaps_P[besides] = np.inf
    return int(gaps_P.argmin())


def _within_reach(position_2: np.ndarray, end_2: np.ndarray, seconds: float) -> np.ndarray:
    """The point, or as far towards it as a player runs until then."""
    way_2 = end_2 - position_2
    return np.asarray(position_2 + way_2 * min(1.0, 5.5 * seconds / (float(np.hypot(*way_2)) + 1e-6)))

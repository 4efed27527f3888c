"""What the engine's state says about the ball actions: passes, drives, and what looks like them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from e2espot.synthetic.actions import Action
from e2espot.synthetic.formation import PITCH_M, attack_sign

_FPS = 25
_LEAST_CONTROL = 10
"""Frames, 0.4 s: shorter control of the ball is neither a drive nor a change of possession."""
_KNOCK_ON = 37
"""Frames, 1.5 s: a player who has the ball again so soon had only knocked it on."""
_RECEPTION = 20
"""Frames, 0.8 s: a touch so soon before control of the ball is the first touch of the reception."""
_DUEL = 5
"""Frames, 0.2 s: a ball that another player controls so soon was fought for and not passed."""
_DRIVE_M = 2.0
"""How far a drive moves the ball."""
_KICK_MPS = 6.0
"""A ball that leaves slower was not kicked."""
_HEADER_M = 1.3
"""Height of the ball from which on a kick is a header."""
_HIGH_M = 2.2
"""Height that a high pass reaches."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A match of T frames at 25 frames a second; metres, from the corner of the pitch."""

    ball_T3: np.ndarray
    """float [T, 3]; z is the height of the centre."""
    players_TP2: np.ndarray
    """float [T, 22, 2]."""
    owner_T: np.ndarray
    """int [T]; the player who controls the ball, -1 for none."""
    in_play_T: np.ndarray
    """bool [T]."""


def actions_of(record: Record) -> tuple[Action, ...]:
    """Passes, drives and other kicks in order of time.

    A spell is the time in which one player controls the ball. A drive is the first touch of a spell of at least 0.4 s
    that moves the ball by two metres. A kick is the frame of the largest change of the ball's velocity around the end
    of a spell, after which the ball leaves at more than 6 m/s; it is a pass unless its flight makes it a shot, a cross,
    a high pass or a header, or it restarts play. A ball that bounces off a player is a block.
    """
    velocity_T3 = np.gradient(record.ball_T3, axis=0) * _FPS
    bounces = _bounces(record, velocity_T3)
    actions: list[Action] = []
    spells = _spells(record)
    for index, (start, stop, player) in enumerate(spells):
        touches = [at for at, who in bounces if who == player and start - _RECEPTION <= at < start]
        first = min(touches, default=start)
        moved_m = float(np.linalg.norm(record.ball_T3[stop - 1, :2] - record.ball_T3[start, :2]))
        if stop - first >= _LEAST_CONTROL and moved_m >= _DRIVE_M and record.in_play_T[first:stop].all():
            actions.append(Action(frame=first, label="DRIVE", player=player))
        until = spells[index + 1][0] if index + 1 < len(spells) else len(velocity_T3)
        kick = _kick(record, velocity_T3, start, stop)
        if kick is not None and until - kick > _DUEL:
            actions.append(Action(frame=kick, label=_kind(record, velocity_T3, kick, until, player), player=player))
    return tuple(
        sorted([*actions, *_blocks(bounces, spells, actions)], key=lambda action: (action.frame, action.label))
    )


def _kick(record: Record, velocity_T3: np.ndarray, start: int, stop: int) -> int | None:
    """The frame in which the ball leaves the foot at the end of a spell; None if it was lost or only rolls away."""
    low, high = max(start, stop - 4, 1), min(stop + 6, len(velocity_T3) - 2)
    if high <= low:
        return None
    steps_T3 = record.ball_T3[low - 1 : high + 1]
    frame = low + int(np.argmax(np.linalg.norm(steps_T3[2:] - 2 * steps_T3[1:-1] + steps_T3[:-2], axis=1)))
    return frame if np.linalg.norm(velocity_T3[min(frame + 3, len(velocity_T3) - 1)]) >= _KICK_MPS else None


def _spells(record: Record) -> list[tuple[int, int, int]]:
    """(first frame, frame after the last, player) of every time in which one player controls the ball.

    # owner 4 4 -1 -1 4 4 9: player 4 knocked the ball on, so (0, 6, 4), (6, 7, 9)
    """
    owner_T = record.owner_T
    edges = [0, *(np.flatnonzero(np.diff(owner_T)) + 1), len(owner_T)]
    spells: list[tuple[int, int, int]] = []
    for start, stop in pairwise(edges):
        player = int(owner_T[start])
        if player < 0:
            continue
        if spells and spells[-1][2] == player and start - spells[-1][1] <= _KNOCK_ON:
            spells[-1] = (spells[-1][0], int(stop), player)
        else:
            spells.append((int(start), int(stop), player))
    return spells


def _kind(record: Record, velocity_T3: np.ndarray, frame: int, until: int, player: int) -> str:
    """Which kick it is that leaves the foot in ``frame`` and ends by ``until``."""
    after = min(frame + 3, len(velocity_T3) - 1)
    end = min(until, frame + 3 * _FPS, len(velocity_T3))
    flight_3 = velocity_T3[after]
    at_2, height_m = record.ball_T3[frame, :2], float(record.ball_T3[frame, 2])
    if not record.in_play_T[max(0, frame - 2 * _FPS) : frame + 1].all():
        return "FREE KICK"
    goal_x = PITCH_M[0] if attack_sign(player) > 0 else 0.0
    ahead = abs(goal_x - at_2[0])
    if flight_3[0] * attack_sign(player) > 0 and ahead < 36 and np.linalg.norm(flight_3) > 13:
        crossing_y = at_2[1] + flight_3[1] / flight_3[0] * (goal_x - at_2[0])
        if abs(crossing_y - PITCH_M[1] / 2) < 6.5:
            return "SHOT"
    top_m = float(record.ball_T3[frame:end, 2].max(initial=0.0))
    if height_m > _HEADER_M:
        return "HEADER"
    landing_2 = record.ball_T3[max(frame, end - 1), :2]
    wide = abs(at_2[1] - PITCH_M[1] / 2) > 16 and ahead < 30
    if wide and top_m > 1.2 and abs(landing_2[1] - PITCH_M[1] / 2) < 14 and abs(goal_x - landing_2[0]) < 18:
        return "CROSS"
    return "HIGH PASS" if top_m > _HIGH_M else "PASS"


def _bounces(record: Record, velocity_T3: np.ndarray) -> list[tuple[int, int]]:
    """(frame, player) where a fast ball that no player controls turns by 40 degrees or more next to a player."""
    bounces: list[tuple[int, int]] = []
    for frame in range(4, len(velocity_T3) - 4):
        before_3, after_3 = velocity_T3[frame - 3], velocity_T3[frame + 3]
        speeds = float(np.linalg.norm(before_3)), float(np.linalg.norm(after_3))
        if speeds[0] < 8 or record.owner_T[frame] >= 0 or not record.in_play_T[frame]:
            continue
        turn = float(before_3 @ after_3) / max(1e-6, speeds[0] * speeds[1])
        away_P = np.linalg.norm(record.players_TP2[frame] - record.ball_T3[frame, :2], axis=1)
        if turn < 0.77 and away_P.min() < 1.5 and (not bounces or frame - bounces[-1][0] >= _FPS // 2):
            bounces.append((frame, int(away_P.argmin())))
    return bounces


def _blocks(bounces: list[tuple[int, int]], spells: list[tuple[int, int, int]], actions: list[Action]) -> list[Action]:
    """The bounces after which the player does not control the ball, and which are no kick."""
    return [
        Action(frame=frame, label="BALL PLAYER BLOCK", player=player)
        for frame, player in bounces
        if not any(who == player and frame < start <= frame + _FPS for start, _, who in spells)
        and not any(abs(action.frame - frame) <= 10 for action in actions)
    ]

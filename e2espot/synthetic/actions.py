"""What a simulated match consists of: the way of ball and players, and the actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BALL_M = 0.22
"""Diameter of the ball."""
LABELLED = ("PASS", "DRIVE")
"""Actions that are written as labels."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action."""

    frame: int
    """25 Hz frame of play."""
    label: str
    """PASS or DRIVE; with attacks also SHOT, CROSS and HEADER; in engine matches also HIGH PASS, FREE KICK and BALL
    PLAYER BLOCK."""
    player: int
    """0-21."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Play:
    """A simulated stretch of match; metres, T frames, 22 players."""

    ball_T3: np.ndarray
    """float32 [T, 3]; z is the height of the underside of the ball."""
    players_TP2: np.ndarray
    """float32 [T, 22, 2]."""
    swing_TP: np.ndarray
    """uint8 [T, 22]; 0 none, else 1 + frame of a kicking swing, struck or feigned."""
    dead_T: np.ndarray
    """bool [T]; the ball is out of play."""
    carrier_T: np.ndarray
    """int16 [T]; the player with the ball at the foot, -1 for none."""
    actions: tuple[Action, ...]
    """In order of frame."""

"""Where the players are in the pictures of a match."""

from __future__ import annotations

import numpy as np

from e2espot.synthetic.actions import Play
from e2espot.synthetic.camera import LIVE, Shots
from e2espot.synthetic.look import Look

_MIDDLE_M = 0.9
"""Height of the middle of a body."""


def players_track(play: Play, shots: Shots, look: Look, size: tuple[int, int]) -> np.ndarray:
    """Middles of the bodies as shares of the picture, float32 [T, 22, 2]; outside 0..1 when out of it, NaN unseen.

    Args:
        play: What happens.
        shots: The camera of every picture; other shots than live ones count as unseen.
        look: Where the camera stands.
        size: Width and height of the pictures as they are drawn.
    """
    xy_TP2 = np.full((len(shots.kind_T), play.players_TP2.shape[1], 2), np.nan, dtype=np.float32)
    for picture in np.flatnonzero(shots.kind_T == LIVE):
        players_P2 = play.players_TP2[int(shots.moment_T[picture])]
        points_P3 = np.column_stack([players_P2, np.full(len(players_P2), _MIDDLE_M)])
        view = shots.view(int(picture), look, size)
        xy_TP2[picture] = (view.project(points_P3)[0] + 0.5) / np.array(size)
    return xy_TP2

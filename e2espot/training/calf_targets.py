"""What CALF learns: for each row and class the signed distance to an event, and the events of a chunk.

Source: Cioppa et al., CVPR 2020. Unlike the published code, targets of a chunk are computed from the labels each time
and nothing is written back into them.

Shapes: N rows of a half, T rows of a chunk, C classes, S slots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from e2espot.core.label_sets import LabelSet
from e2espot.models.feature_heads.calf import NUM_SLOTS

_V2_SECONDS = {
    "Penalty": (-100, -50, 50, 100),
    "Kick-off": (-98, -49, 49, 98),
    "Goal": (-20, -10, 60, 90),
    "Substitution": (-40, -20, 10, 20),
    "Offside": (-96, -48, 48, 96),
    "Shots on target": (-5, -3, 3, 5),
    "Shots off target": (-8, -4, 4, 8),
    "Clearance": (-93, -46, 46, 93),
    "Ball out of play": (-99, -50, 50, 99),
    "Throw-in": (-31, -15, 15, 31),
    "Foul": (-75, -37, 37, 75),
    "Indirect free-kick": (-10, -5, 5, 10),
    "Direct free-kick": (-97, -49, 49, 97),
    "Corner": (-75, -38, 38, 75),
    "Yellow card": (-20, -10, 10, 20),
    "Red card": (-84, -42, 42, 84),
    "Yellow->red card": (-18, -9, 9, 18),
}
_OTHER_SECONDS = (-4, -2, 2, 4)
"""Contexts of classes that were not published: those of ball actions follow each other within seconds."""


def contexts_of(label_set: LabelSet, fps: float) -> np.ndarray:
    """K1 < K2 < 0 < K3 < K4 of each class in rows, ``(C, 4)``: where its context begins and ends."""
    seconds = [_V2_SECONDS.get(name, _OTHER_SECONDS) for name in label_set.names]
    return np.array(seconds, dtype=np.float64) * fps


def shift_targets(num_rows: int, events: Sequence[Sequence[int]], contexts_C4: np.ndarray) -> np.ndarray:
    """Signed distance of every row to an event of every class, float32 ``(N, C)``.

    The last event counts until its context ends, then the next one; in between, the nearer one in units of its context.

        # events at rows 5 and 14 of 20, contexts -6 -3 2 4
        # -5 -4 -3 -2 -1 0 1 2 3 -5 -4 -3 -2 -1 0 1 2 3 -8 -7

    Args:
        num_rows: N.
        events: For each class, the rows of its events.
        contexts_C4: See :func:`contexts_of`.
    """
    row_N = np.arange(num_rows, dtype=np.float64)
    shift_NC = np.empty((num_rows, len(events)), dtype=np.float32)
    for column, (of_class, (k1, k2, k3, k4)) in enumerate(zip(events, contexts_C4, strict=True)):
        known = np.unique(np.asarray(of_class, dtype=np.float64))
        if len(known) == 0:
            shift_NC[:, column] = k1
        elif len(known) == 1:
            shift_NC[:, column] = row_N - known[0]
        else:
            # Beyond the first and the last event stand two that are as far away as contexts reach.
            around = np.concatenate(([-k4], known, [num_rows - k1]))
            next_N = np.searchsorted(around, row_N, side="right")
            since_N, until_N = row_N - around[next_N - 1], row_N - around[next_N]
            in_between = np.where(
                until_N <= k1,
                since_N,
                np.where((since_N - k3) / (k4 - k3) < (k2 - until_N) / (k2 - k1), since_N, until_N),
            )
            shift_NC[:, column] = np.where(since_N < k3, since_N, np.where(since_N < k4, in_between, until_N))
    return shift_NC


def chunk_targets(
    shift_NC: np.ndarray, events: Sequence[Sequence[int]], start: int, length: int, margin: int
) -> tuple[np.ndarray, np.ndarray]:
    """Targets of one chunk: float32 ``shift_TC``, and ``slots_SX`` with confidence, time and class of each event.

    In the outer ``margin`` rows on each side nothing is learnt: their shifts are -1, where the loss is zero, and their
    events are left out.

    Args:
        shift_NC: Of the whole half.
        events: For each class, the rows of its events.
        start: First row of the chunk.
        length: T; rows beyond the half continue the last one.
        margin: Rows on each side without context.
    """
    rows_T = np.minimum(np.arange(start, start + length), len(shift_NC) - 1)
    shift_TC = shift_NC[rows_T].copy()
    shift_TC[:margin] = shift_TC[length - margin :] = -1
    slots_SX = np.zeros((NUM_SLOTS, 2 + len(events)), dtype=np.float32)
    inside = sorted(
        (row - start, column)
        for column, rows in enumerate(events)
        for row in rows
        if start + margin <= row < start + length - margin
    )
    for slot, (row, column) in enumerate(inside[:NUM_SLOTS]):
        slots_SX[slot, 0], slots_SX[slot, 1], slots_SX[slot, 2 + column] = 1, row / length, 1
    return shift_TC, slots_SX

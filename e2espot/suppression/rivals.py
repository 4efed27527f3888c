"""Classes that rule each other out for a moment: a ball that is passed on is not kept.

A spotter that knows its footage rarely sees both within a second. On unfamiliar footage it often gives both to one
moment that is neither: a shot, a block, a duel. So a confidence is multiplied by how unlikely the rival is near it:

    confidence of DRIVE 0.8, of PASS 0.6 at 0.4 s from it, window 0.8 s
    nearness 1 - (0.4 / 0.8)^2 = 0.75       DRIVE -> 0.8 * (1 - 0.6 * 0.75) = 0.44

The decay and its window are those of soft suppression, here from one class to another. Every factor is of the
confidences as they come in, so the order of the classes does not matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from e2espot.core.events import Event


def weaken_rivals(
    events: Sequence[Event], rivals: Sequence[str], *, strength: float, window_s: float, fps: Fraction
) -> list[Event]:
    """Events with confidences lowered by events of rival classes near them; no event is added, moved or removed.

    Args:
        events: Of one half, on one grid.
        rivals: Classes that rule each other out; events of others stay as they are.
        strength: 0 for no effect, 1 for all of it.
        window_s: Distance from which on rivals have no effect, in seconds.
        fps: Rate of the grid.
    """
    window = round(window_s * float(fps))
    if not events or len(rivals) < 2 or strength <= 0 or window < 1:
        return list(events)
    num_frames = 1 + max(event.frame for event in events)
    highest_RT = np.zeros((len(rivals), num_frames + 2 * window))
    for event in events:
        if event.label in rivals:
            at = (rivals.index(event.label), event.frame + window)
            highest_RT[at] = max(highest_RT[at], event.confidence)
    nearness_W = nearness_of(window)
    # Row r, frame t: the strongest pull of class r on an event at frame t.
    pull_RT = np.max(
        [nearness * highest_RT[:, step : step + num_frames] for step, nearness in enumerate(nearness_W)], axis=0
    )
    weakened = []
    for event in events:
        if event.label in rivals:
            pull = max(pull_RT[row, event.frame] for row, name in enumerate(rivals) if name != event.label)
            event = dataclasses.replace(event, confidence=float(event.confidence * (1 - strength * pull)))
        weakened.append(event)
    return weakened


def nearness_of(window: int) -> np.ndarray:
    """How much a rival counts at distances of ``-window`` to ``window`` frames, from 1 at no distance to 0."""
    nearness_W: np.ndarray = 1 - (np.arange(-window, window + 1) / window) ** 2
    return nearness_W

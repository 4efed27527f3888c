"""Events at the ends of a video, before and after which the network has seen nothing.

A cut in the middle of play looks like an action: pictures begin to move at once. A spotter that knows its footage has
learnt what to make of it, on unfamiliar footage it often claims an event. So confidences rise from the end of a video:

    frames from the end       0     1     2     3     4 and more
    reach 4, full strength    0.2   0.4   0.6   0.8   1.0

In a whole match this changes next to nothing; in a clip of some seconds, one event in ten is so near an end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from fractions import Fraction

from e2espot.core.events import Event


def weaken_at_ends(
    events: Iterable[Event], num_frames: int, *, strength: float, reach_s: float, fps: Fraction
) -> list[Event]:
    """Events with confidences lowered near an end of their video; no event is added, moved or removed.

    Args:
        events: Of one video.
        num_frames: Frames of the video on the grid of the events.
        strength: 0 for no effect, 1 for all of it.
        reach_s: Distance from an end from which on events stay as they are, in seconds.
        fps: Rate of the grid.
    """
    reach = round(reach_s * float(fps))
    return [
        dataclasses.replace(
            event, confidence=event.confidence * weight_at_ends(event.frame, num_frames, reach, strength)
        )
        for event in events
    ]


def weight_at_ends(frame: int, num_frames: int | None, reach: int, strength: float) -> float:
    """What the confidence of an event is multiplied by.

    Args:
        frame: Of the event.
        num_frames: Frames of the video; None while it is not known, when the end has no effect.
        reach: Frames from an end from which on events stay as they are.
        strength: 0 for no effect, 1 for all of it.
    """
    distance = frame if num_frames is None else min(frame, num_frames - 1 - frame)
    return 1 - strength * (1 - min(1.0, (distance + 1) / (reach + 1)))

"""Whether two computations of the scores of one video, and the events made from them, agree up to rounding.

Scores agree if they differ by no more than a tolerance at every frame. Events need another rule. Where two
neighbouring peaks are equal up to rounding, either may be emitted first, and soft suppression then multiplies what
is around it by (distance / window)^2: rounding moves the event from one peak to the other, by more than a frame. An
event without a partner is therefore accepted where a near tie accounts for it, and nowhere else.

The test for that is a replay: the events of one side are emitted in their order on the scores of the other. Say
the scores of a class differ by at most d. Decays are at most 1, so after equal emissions the remaining scores
differ by at most d as well, and of events that are made correctly it follows that

* each event's remaining score in the replay is within d of its confidence,
* it falls short of the highest remaining score within the window by at most 2 d,
* when all events down to a confidence c have been replayed, no score of c + d or more remains.

Rounding can break none of the three, however the peaks are ordered; d is what was measured, not the tolerance, so
the rule is as strict as the scores are alike. A replay on a side's own scores has d = 0: it is the definition of
the suppression, and holds for all events.

Shapes: T frames, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from e2espot.core.events import Event
from e2espot.core.scores import Scores

_ROUNDING = 1e-9
"""Slack for float64 products taken in another order."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What still counts as agreement."""

    score: float = 0.02
    """Largest difference of two scores of one frame and class."""
    confidence: float = 0.2
    """Events of at least this confidence need a partner on the other side."""
    distance: int = 1
    """Frames a partner may be away."""
    window_s: float = 0.8
    """Reach of the soft suppression to each side, in seconds."""
    floor: float = 1e-3
    """Remaining scores below it are never emitted."""


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Two peaks in an order that the other side's scores would have reversed."""

    frame: int
    """Peak that was emitted first."""
    rival: int
    """Peak that the other side's scores put first."""
    margin: float
    """By how much they do."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two sides have in common, and what they have not."""

    score_difference: float
    """Largest over all frames and classes."""
    num_events: int
    """Events of both sides that need a partner."""
    near_ties: tuple[Event, ...]
    """Those without a partner for which a near tie accounts."""
    faults: tuple[str, ...]
    """What rounding does not explain, one sentence each; empty where the sides agree."""


def compare(
    first: Scores,
    second: Scores,
    first_events: Sequence[Event],
    second_events: Sequence[Event],
    limits: Limits | None = None,
) -> Comparison:
    """Compare two sides: the scores of one video and the events that soft suppression made of them."""
    limits = limits or Limits()
    assert first.scores_TK.shape == second.scores_TK.shape and first.label_set == second.label_set
    difference_TK = np.abs(first.scores_TK.astype(np.float64) - second.scores_TK)
    faults = []
    if not difference_TK.max() <= limits.score:
        frame, column = np.unravel_index(difference_TK.argmax(), difference_TK.shape)
        label = first.label_set.names[column]
        faults.append(f"scores of {label} differ by {difference_TK.max():.4f} at frame {frame}")
    window = max(1, round(limits.window_s * float(first.fps)))
    near_ties: list[Event] = []
    num_events = 0
    for column, label in enumerate(first.label_set.names):
        tolerance = float(min(difference_TK[:, column].max(), limits.score))
        sides = [
            (name, [event for event in events if event.label == label], scores.scores_TK[:, column].astype(np.float64))
            for name, events, scores in (("first", first_events, first), ("second", second_events, second))
        ]
        for (name, events, own_T), (_, others, other_T) in (sides, sides[::-1]):
            source = f"{label}, {name} side"
            _, wrong = replay(events, own_T, window, tolerance=0, down_to=limits.floor)
            faults += [f"{source}: {fault}, by its own scores" for fault in wrong]
            swaps, wrong = replay(events, other_T, window, tolerance=tolerance, down_to=limits.confidence)
            faults += [f"{source}: {fault}, by the other side's scores" for fault in wrong]
            needing = [event for event in events if event.confidence >= limits.confidence]
            num_events += len(needing)
            linked = [e.frame for e in (*events, *others) if e.confidence >= limits.confidence - 2 * tolerance]
            for event in needing:
                if any(abs(other.frame - event.frame) <= limits.distance for other in others):
                    continue
                if accounted_for(event.frame, swaps, linked, window):
                    near_ties.append(event)
                else:
                    faults.append(f"{source}: {_described(event)} has no partner, and no near tie accounts for it")
    return Comparison(
        score_difference=float(difference_TK.max()),
        num_events=num_events,
        near_ties=tuple(near_ties),
        faults=tuple(faults),
    )


def replay(
    events: Sequence[Event], score_T: np.ndarray, window: int, *, tolerance: float, down_to: float
) -> tuple[list[Swap], list[str]]:
    """Emit the events of one class on other scores, from the most confident down.

    Args:
        events: As soft suppression made them.
        score_T: Scores that differ by at most ``tolerance`` from those that the events were made of, float64.
        window: Reach of the suppression to each side, in frames.
        tolerance: The ``d`` of this module's text.
        down_to: Events below this confidence are left out.

    Returns:
        Near ties that were decided the other way, and what no rounding explains.
    """
    remaining = np.pad(score_T, window, constant_values=-np.inf)
    decay = (np.arange(-window, window + 1) / window) ** 2
    slack = tolerance + _ROUNDING
    swaps, faults = [], []
    for event in sorted(events, key=lambda event: (-event.confidence, event.frame)):
        if event.confidence < down_to:
            break
        if not 0 <= event.frame < len(score_T):
            faults.append(f"{_described(event)} is outside the video")
            continue
        near = remaining[event.frame : event.frame + 2 * window + 1]
        rival = event.frame - window + int(near.argmax())
        margin = float(near.max() - near[window])
        if abs(near[window] - event.confidence) > slack:
            faults.append(f"{_described(event)} has {near[window]:.4f} left")
        if margin > tolerance + slack:
            faults.append(f"{_described(event)} comes before frame {rival}, which is higher by {margin:.4f}")
        elif rival != event.frame:
            swaps.append(Swap(frame=event.frame, rival=rival, margin=margin))
        near *= np.where(np.isfinite(near), decay, 1)
    if len(score_T) and remaining.max() >= down_to + slack:
        frame = int(remaining.argmax()) - window
        faults.append(f"no event takes the {remaining.max():.4f} that frame {frame} has left")
    return swaps, faults


def accounted_for(frame: int, swaps: Sequence[Swap], linked: Sequence[int], window: int) -> bool:
    """Whether a swap can have made or unmade an event at ``frame``.

    An event acts on those within the window, they on those within theirs: what a swap changes lies in the chain of
    ``linked`` frames, each within the window of the next, that the swap belongs to.
    """
    ends = [end for swap in swaps for end in (swap.frame, swap.rival)]
    frames = np.unique([*linked, *ends, frame])
    chain = np.cumsum(np.diff(frames, prepend=frames[0]) > window)
    chain_of = dict(zip(frames.tolist(), chain.tolist(), strict=True))
    return any(chain_of[end] == chain_of[frame] for end in ends)


def _described(event: Event) -> str:
    return f"the event of {event.confidence:.4f} at frame {event.frame}"

"""A guesser that never looks: each class at even spacing. What a spotter must beat to have seen anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.metric import evaluate_events

_SPACINGS_S = tuple(Fraction(tenths, 10) for tenths in (*range(4, 40, 2), *range(40, 121, 8)))


@dataclass(frozen=True, kw_only=True)
class Guesser:
    """Where it guesses."""

    spacing_s: Mapping[str, Fraction]
    """Seconds between two guesses of each class."""

    def guess(self, num_frames: Mapping[int, int], fps: Fraction) -> list[Event]:
        """Events of one game, all of one confidence.

        Args:
            num_frames: Grid frames of each half.
            fps: Rate of the grid.
        """
        events = []
        for label, spacing_s in self.spacing_s.items():
            step = spacing_s * fps
            for half, length in num_frames.items():
                count = int(length / step)
                events += [
                    Event(frame=int((turn + Fraction(1, 2)) * step), label=label, half=half, confidence=0.5)
                    for turn in range(count)
                ]
        return sorted(events, key=lambda event: (event.half, event.frame, event.label))


def fit_guesser(
    labels: Mapping[str, Sequence[Event]],
    num_frames: Mapping[str, Mapping[int, int]],
    label_set: LabelSet,
    fps: Fraction,
) -> Guesser:
    """For each class the spacing that gives the best AP at one second on these games."""
    best = {}
    for label in label_set.names:
        own = {game: [event for event in events if event.label == label] for game, events in labels.items()}

        def value(spacing_s: Fraction, label: str = label, own: dict[str, list[Event]] = own) -> float:
            guesser = Guesser(spacing_s={label: spacing_s})
            guesses = {game: guesser.guess(num_frames[game], fps) for game in own}
            return evaluate_events(own, guesses, LabelSet((label,)), ("at1",), fps).mAP("at1")

        best[label] = max(_SPACINGS_S, key=value)
    return Guesser(spacing_s=best)

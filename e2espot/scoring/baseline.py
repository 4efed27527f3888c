"""Periodic baseline: predicts every class at a constant interval, without looking at the video.

A spotter that has learned anything must score higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.scoring.metric import evaluate_events

_SPACINGS_S = tuple(Fraction(tenths, 10) for tenths in (*range(4, 40, 2), *range(40, 121, 8)))
"""Intervals that are tried: 0.4 s to 3.8 s in steps of 0.2 s, then to 12 s in steps of 0.8 s."""


@dataclass(frozen=True, kw_only=True)
class PeriodicBaseline:
    """Events at a constant interval."""

    spacing_s: Mapping[str, Fraction]
    """Class -> seconds between two of its events."""

    def predict(self, num_frames: Mapping[int, int], fps: Fraction) -> list[Event]:
        """Events of one game, all with confidence 0.5.

        Args:
            num_frames: Half -> its length in grid frames.
            fps: Rate of the grid.
        """
        events = []
        for label, spacing_s in self.spacing_s.items():
            # Exact rationals: a float step would drift by a frame over a long half.
            step = spacing_s * fps
            for half, length in num_frames.items():
                # step = 50, length 130 -> frames 25, 75: the middle of every whole interval
                events += [
                    Event(frame=int((index + Fraction(1, 2)) * step), label=label, half=half, confidence=0.5, fps=fps)
                    for index in range(int(length / step))
                ]
        return sorted(events, key=lambda event: (event.half, event.frame, event.label))


def fit_periodic_baseline(
    labels: Mapping[str, Sequence[Event]],
    num_frames: Mapping[str, Mapping[int, int]],
    label_set: LabelSet,
    fps: Fraction,
) -> PeriodicBaseline:
    """Choose for each class the interval with the highest AP at one second on these games.

    Args:
        labels: Game -> labels.
        num_frames: Game -> half -> length in grid frames.
        label_set: Classes to predict.
        fps: Rate of the grid.
    """
    best_spacing_s = {}
    for label in label_set.names:
        labels_of_class = {game: [event for event in events if event.label == label] for game, events in labels.items()}
        average_precisions = [
            _average_precision(label, spacing_s, labels_of_class, num_frames, fps) for spacing_s in _SPACINGS_S
        ]
        # The first of several equal ones, so the shortest interval.
        best_spacing_s[label] = _SPACINGS_S[average_precisions.index(max(average_precisions))]
    return PeriodicBaseline(spacing_s=best_spacing_s)


def _average_precision(
    label: str,
    spacing_s: Fraction,
    labels: Mapping[str, Sequence[Event]],
    num_frames: Mapping[str, Mapping[int, int]],
    fps: Fraction,
) -> float:
    """AP at one second of one class, predicted at one interval, 0 to 1."""
    baseline = PeriodicBaseline(spacing_s={label: spacing_s})
    predictions = {game: baseline.predict(num_frames[game], fps) for game in labels}
    return evaluate_events(labels, predictions, LabelSet((label,)), ("at1",), fps).mAP("at1")

"""From scores that still arrive to final events: ``apply_calibration`` with a bounded delay.

    scores_TK, piece by piece -> causal suppression of each class -> shift in time -> team -> map -> ends, rivals
                              -> events

An event that is shifted to a later frame waits for it, since a gap may begin before that frame. An event near the end
of a stream is weakened if it is not final before the end is known; without a delay to keep, it waits for that. What
rivals do is in :mod:`e2espot.suppression.causal_rivals`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.suppression.calibration import Calibration
from e2espot.suppression.causal import CausalSuppression
from e2espot.suppression.causal_rivals import CausalRivals
from e2espot.suppression.ends import weight_at_ends


class CausalCalibration:
    """Takes scores of all classes in pieces and returns events as soon as they are final.

    Args:
        calibration: How scores become events.
        label_set: Classes of the columns.
        fps: Rate of the grid.
        delay_s: Seconds after its score within which a frame is decided, without the smoothing of ``peaks`` and
            without shifts; None to wait for the offline events.
        half: Written into the events.
        unlikeness: How unlike that of training the footage is, 0 to 1; as ``apply_calibration`` derives it from how
            spotters were adapted.
    """

    def __init__(
        self,
        calibration: Calibration,
        label_set: LabelSet,
        fps: Fraction,
        delay_s: float | None,
        *,
        half: int = 1,
        unlikeness: float = 0.0,
    ) -> None:
        self._calibration, self._names, self._fps, self._half = calibration, label_set.names, fps, half
        delay = None if delay_s is None else max(0, round(delay_s * float(fps)))
        self._classes = [
            CausalSuppression(calibration.by_class.get(name, calibration.suppression), float(fps), delay)
            for name in self._names
        ]
        self._shifts = [round(calibration.shift_s.get(name, 0.0) * float(fps)) for name in self._names]
        self._rivals = CausalRivals(
            calibration.rivals,
            round(calibration.suppression.window_s * float(fps)),
            strength=unlikeness,
            waits=delay is None,
        )
        self._waits = delay is None
        self._ends = round(calibration.ends_s * float(fps))
        self._waiting: list[list[tuple[int, float]]] = [[] for _ in self._names]
        self._seen_T = np.empty(0, dtype=bool)
        self._right_T: np.ndarray | None = None
        self._first = 0
        """Frame of the first entry of ``_seen_T`` and ``_right_T``."""

    @property
    def delay(self) -> int | None:
        """Frames from a score to its event at most; None for no bound."""
        delays = [suppression.total_delay for suppression in self._classes]
        bounded = [delay for delay in delays if delay is not None]
        return None if len(bounded) < len(delays) else max((0, *bounded, *self._shifts))

    @property
    def num_held(self) -> int:
        """Frames and events that are held for what is not decided."""
        return len(self._seen_T) + self._rivals.num_held

    def set_unlikeness(self, unlikeness: float) -> None:
        """How unlike that of training the footage is, 0 to 1, for the events that are not final yet."""
        self._rivals.strength = unlikeness

    def add(
        self, scores_TK: np.ndarray, *, seen_T: np.ndarray | None = None, right_T: np.ndarray | None = None
    ) -> list[Event]:
        """Append the next scores.

        Args:
            scores_TK: float32, in [0, 1].
            seen_T: bool; False for frames that were not read, which get no event. None if all were.
            right_T: float32; probability that the right team acts, if the spotter predicts teams.

        Returns:
            The events that became final, in order of frame and label.
        """
        seen_T = np.ones(len(scores_TK), dtype=bool) if seen_T is None else seen_T
        # What is known of the rivals after an event must not depend on how many frames arrive at once.
        step = 1 if self._rivals.is_active and self._calibration.rivals and not self._waits else max(1, len(scores_TK))
        events = []
        for start in range(0, len(scores_TK), step):
            part = slice(start, start + step)
            events += self._add(scores_TK[part], seen_T[part], None if right_T is None else right_T[part])
        return sorted(events, key=lambda event: (event.frame, event.label))

    def finish(self) -> list[Event]:
        """The events that the end of the video makes final, in order of frame and label."""
        for column, suppression in enumerate(self._classes):
            self._waiting[column] += suppression.finish()
        events = self._rivals.add(self._ready(is_end=True), (), None)
        return sorted(events, key=lambda event: (event.frame, event.label))

    def _add(self, scores_TK: np.ndarray, seen_T: np.ndarray, right_T: np.ndarray | None) -> list[Event]:
        self._seen_T = np.append(self._seen_T, seen_T)
        if right_T is not None:
            self._right_T = right_T if self._right_T is None else np.append(self._right_T, right_T)
        for column, suppression in enumerate(self._classes):
            self._waiting[column] += suppression.add(scores_TK[:, column], seen_T)
        events = self._ready(is_end=False)
        if not self._calibration.rivals:
            return events
        upcoming = self._upcoming_rivals() if events and self._rivals.is_active and not self._waits else ()
        return self._rivals.add(events, upcoming, self._undecided())

    def _upcoming_rivals(self) -> Iterator[Event]:
        """Events of rival classes that are not final, by the scores known now."""
        for column, shift in enumerate(self._shifts):
            if self._names[column] in self._calibration.rivals:
                for frame, value in [*self._waiting[column], *self._classes[column].provisional()]:
                    yield self._event(column, frame, value, shift)

    def _undecided(self) -> int:
        """The first frame in which another event may come, after its shift."""
        return min(
            min([suppression.undecided, *(frame for frame, _ in waiting[:1])]) + min(0, shift)
            for suppression, waiting, shift in zip(self._classes, self._waiting, self._shifts, strict=True)
        )

    def _ready(self, *, is_end: bool) -> list[Event]:
        """Events of the suppression whose frame after the shift is known; what is needed no longer is dropped."""
        known = self._first + len(self._seen_T)
        events: list[Event] = []
        for column, shift in enumerate(self._shifts):
            waiting = self._waiting[column]
            later = shift + self._ends if self._waits else shift
            count = len(waiting) if is_end else sum(frame + later < known for frame, _ in waiting)
            num_frames = known if is_end else None
            events += [self._event(column, frame, value, shift, num_frames) for frame, value in waiting[:count]]
            del waiting[:count]
        undecided = [suppression.undecided for suppression in self._classes]
        oldest = min([*undecided, *(waiting[0][0] for waiting in self._waiting if waiting)], default=known)
        # An event may be shifted back over frames that are decided; one more, so that a start is seen as such.
        first = max(self._first, min(oldest, known) + min((0, *self._shifts)) - 1)
        self._seen_T = self._seen_T[first - self._first :]
        if self._right_T is not None:
            self._right_T = self._right_T[first - self._first :]
        self._first = first
        return events

    def _event(self, column: int, frame: int, confidence: float, shift: int, num_frames: int | None = None) -> Event:
        step = 1 if shift > 0 else -1
        for _ in range(abs(shift)):  # as far as frames were read
            if (
                not (0 <= frame + step - self._first < len(self._seen_T))
                or not self._seen_T[frame + step - self._first]
            ):
                break
            frame += step
        team = ""
        values_E = np.array([confidence])
        if self._right_T is not None:
            right = np.float64(self._right_T[frame - self._first])
            team = "right" if right > 0.5 else "left"
            values_E = values_E * (right if right > 0.5 else 1 - right)
        mapped = self._calibration.map_confidences(values_E).tolist()[0]
        return Event(
            frame=frame,
            label=self._names[column],
            half=self._half,
            team=team,
            confidence=mapped * weight_at_ends(frame, num_frames, self._ends, self._rivals.strength),
            fps=self._fps,
        )

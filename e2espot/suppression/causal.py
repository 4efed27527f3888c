"""Suppression of one class while scores still arrive: what an event is, decided a bounded number of frames later.

Greedy suppression looks at all scores of a match, since a higher frame decides about a lower one, a still higher one
about that, and so on. While the match is played, the frame x is decided when frame x + delay is known:

    frames    ... decided ... | x  x+1 ...  x+delay | not known yet
    events       8 .9         | -   6 .5      3 .7  |

The greedy rule is applied to the frames from x on that are known. Events that were decided before are fixed: they keep
their confidence, and decay their neighbours when it is their turn by confidence. What this gives for x is final. So

- the events up to x depend on the scores up to x + delay alone, and no event is withdrawn, moved or changed;
- a frame that is the highest of all within the window before and after it gets the same confidence as offline, if
  the delay is at least the window;
- with a delay longer than the video all events are those of ``suppress_column``, bit by bit.

Without a delay (None) a group of candidates is decided when so many frames below the floor follow it that nothing later
can reach it. That gives exactly the offline events, but takes as long as the group lasts.
"""

from __future__ import annotations

import numpy as np

from e2espot.suppression.nms import Suppression, decay_of, pairwise_nms, smooth, smoothing_reach, soft_nms

Decided = list[tuple[int, float]]
"""Frames and confidences of events, in order of frame."""


class CausalSuppression:
    """Takes the scores of one class in pieces and returns events as soon as they are final.

    Args:
        suppression: How neighbouring scores are thinned out.
        fps: Frames per second of the grid.
        delay: Frames after its score within which a frame is decided, without the smoothing of ``peaks``; None to
            wait for the offline events.
    """

    def __init__(self, suppression: Suppression, fps: float, delay: int | None) -> None:
        self._suppression, self._delay = suppression, delay
        self._window = max(1, round(suppression.window_s * fps))
        self._sigma = suppression.sigma_s * fps
        self._reach = smoothing_reach(self._sigma) if suppression.method == "peaks" else 0
        self._decay = decay_of(suppression.method, self._window, self._sigma)
        self._removes = suppression.method in ("hard", "peaks")
        self._raw_T, self._seen_T = np.empty(0), np.empty(0, dtype=bool)  # not smoothed yet, with context before
        self._known = np.empty(0)
        """Scores from ``_first`` on; below the floor they are zero, unless the rule is pairwise."""
        self._first = 0
        """Frame of the first score that is held."""
        self._decided = 0
        """Frames before this one are decided."""
        self._fixed: Decided = []
        """Decided events that may still decay a frame."""
        self._outcome: dict[int, float] = {}
        """What the greedy rule gave last."""
        self._outcome_stop = -1
        """The first frame that it did not know."""

    @property
    def total_delay(self) -> int | None:
        """Frames after its score within which a frame is decided; None for no bound."""
        return None if self._delay is None else self._delay + self._reach

    @property
    def undecided(self) -> int:
        """The first frame that is not decided."""
        return self._decided

    def provisional(self) -> Decided:
        """Events of the frames that are not decided, by the scores known now; later scores may change them."""
        if self._suppression.method == "pairwise":
            frames_E, values_E = pairwise_nms(self._known, window=self._window, floor=self._suppression.floor)
            pairs = zip((frames_E + self._first).tolist(), values_E.tolist(), strict=True)
            return [pair for pair in pairs if pair[0] >= self._decided]
        return sorted(self._greedy(self._decided, self._first + len(self._known)).items())

    def add(self, score_T: np.ndarray, seen_T: np.ndarray | None = None) -> Decided:
        """Append the next scores.

        Args:
            score_T: In [0, 1].
            seen_T: bool; False for frames that were not read, which get no event. None if all were.

        Returns:
            The events that became final.
        """
        score_T = np.asarray(score_T, dtype=np.float64)
        seen_T = np.ones(len(score_T), dtype=bool) if seen_T is None else seen_T
        if self._reach:
            score_T, seen_T = self._smoothed(score_T, seen_T, is_end=False)
        self._append(score_T, seen_T)
        return self._decide(is_end=False)

    def finish(self) -> Decided:
        """The events that the end of the video makes final."""
        if self._reach:
            self._append(*self._smoothed(np.empty(0), np.empty(0, dtype=bool), is_end=True))
        return self._decide(is_end=True)

    def _smoothed(self, score_T: np.ndarray, seen_T: np.ndarray, *, is_end: bool) -> tuple[np.ndarray, np.ndarray]:
        """The next scores that can be smoothed: those with ``reach`` scores after them, or all at the end."""
        reach = self._reach
        if not len(self._raw_T) and len(score_T):  # the first score continues before the start
            self._raw_T, self._seen_T = np.full(reach, score_T[0]), np.zeros(reach, dtype=bool)
        self._raw_T, self._seen_T = np.append(self._raw_T, score_T), np.append(self._seen_T, seen_T)
        if is_end and len(self._raw_T):
            self._raw_T = np.append(self._raw_T, np.full(reach, self._raw_T[-1]))
            self._seen_T = np.append(self._seen_T, np.zeros(reach, dtype=bool))
        ready = len(self._raw_T) - 2 * reach
        if ready <= 0:
            return np.empty(0), np.empty(0, dtype=bool)
        smoothed_T = smooth(self._raw_T, self._sigma)[reach : reach + ready]
        seen_T = self._seen_T[reach : reach + ready]
        self._raw_T, self._seen_T = self._raw_T[ready:], self._seen_T[ready:]
        return smoothed_T, seen_T

    def _append(self, score_T: np.ndarray, seen_T: np.ndarray) -> None:
        score_T = np.where(seen_T, score_T, 0.0)
        if self._suppression.method != "pairwise":
            score_T[score_T < self._suppression.floor] = 0
        self._known = np.append(self._known, score_T)

    def _decide(self, *, is_end: bool) -> Decided:
        if self._suppression.method == "pairwise":
            events = self._decide_pairwise(is_end=is_end)
        elif self._delay is None:
            events = self._decide_groups(is_end=is_end)
        else:
            events = self._decide_greedy(is_end=is_end)
        # Decided scores are needed no longer, but by the pairwise rule, which looks back over a window.
        first = max(self._first, self._decided - (self._window if self._suppression.method == "pairwise" else 0))
        self._known, self._first = self._known[first - self._first :], first
        return events

    def _end(self, delay: int, *, is_end: bool) -> int:
        """The first frame that may not be decided yet."""
        known = self._first + len(self._known)
        return known if is_end else max(self._decided, known - delay)

    def _decide_pairwise(self, *, is_end: bool) -> Decided:
        end = self._end(self._window if self._delay is None else self._delay, is_end=is_end)
        events: Decided = []
        if end > self._decided:
            # A delay below the window compares a frame with fewer frames after it: one at a time then.
            short = self._delay is not None and self._delay < self._window
            step = 1 if short else end - self._decided
            for start in range(self._decided, end, step):
                last = start + (self._delay or 0) + 1 - self._first if short and not is_end else len(self._known)
                frames_E, values_E = pairwise_nms(
                    self._known[:last], window=self._window, floor=self._suppression.floor
                )
                wanted = (frames_E >= start - self._first) & (frames_E < start + step - self._first)
                events += zip((frames_E[wanted] + self._first).tolist(), values_E[wanted].tolist(), strict=True)
            self._decided = end
        return events

    def _decide_groups(self, *, is_end: bool) -> Decided:
        alive = np.flatnonzero(self._known)
        if is_end or not len(alive):
            end = len(self._known)
        else:
            # Candidates at 3, 4 and 20, window 10: frame 4 and 20 are 16 apart, so 3 and 4 are a group of their own.
            ends = [*(alive[1:] - 1), len(self._known) - 1]
            closed = np.flatnonzero(np.asarray(ends) - alive >= self._window)
            end = int(alive[closed[-1]]) + 1 if len(closed) else int(alive[0])
        frames_E, values_E = soft_nms(
            self._known[:end], window=self._window, floor=self._suppression.floor, decay=self._decay
        )
        order = np.argsort(frames_E)
        start, self._decided = self._first, self._first + end
        return list(zip((frames_E[order] + start).tolist(), values_E[order].tolist(), strict=True))

    def _decide_greedy(self, *, is_end: bool) -> Decided:
        assert self._delay is not None
        events: Decided = []
        known = self._first + len(self._known)
        for frame in range(self._decided, self._end(self._delay, is_end=is_end)):
            if self._known[frame - self._first] > 0:
                # Several frames may have arrived at once: each is decided by those up to ``delay`` after it, as if
                # they had come one by one. At the end all that follow are known.
                stop = known if is_end else frame + self._delay + 1
                value = self._outcome_of(frame, stop)
                if value > 0:
                    events.append((frame, value))
                    self._fixed.append((frame, value))
            self._decided = frame + 1
            while self._fixed and self._fixed[0][0] + self._window < self._decided:
                del self._fixed[0]
        return events

    def _outcome_of(self, frame: int, stop: int) -> float:
        """Confidence of a frame by the scores before ``stop``; 0 if it is no event."""
        # What was decided for frames before does not change the outcome of the rest: it was part of the same run.
        # So only a new candidate makes another run necessary.
        start, last = max(self._outcome_stop, frame) - self._first, stop - self._first
        if self._outcome_stop < 0 or self._known[start:last].any():
            self._outcome = self._greedy(frame, stop)
        self._outcome_stop = stop
        return self._outcome.get(frame, 0.0)

    def _greedy(self, start: int, stop: int) -> dict[int, float]:
        """The greedy rule on the frames from ``start`` to ``stop``, with the decided events fixed."""
        part = self._known[start - self._first : stop - self._first]
        frames_N = np.flatnonzero(part) + start
        current_N = part[frames_N - start]
        # What is removed next to a decided event stays removed: no two events are nearer than the window.
        fixed = sorted(self._fixed, key=lambda event: (-event[1], event[0]))
        outcome: dict[int, float] = {}
        while len(current_N):
            best = int(current_N.argmax())  # the first of equal ones
            if fixed and (self._removes or fixed[0][1] >= current_N[best]):
                frame, _ = fixed.pop(0)
            elif current_N[best] > 0:
                frame = int(frames_N[best])
                outcome[frame] = float(current_N[best])
                current_N[best] = 0
            else:
                break
            distance_N = np.abs(frames_N - frame)
            near = distance_N <= self._window
            decayed = current_N[near] * self._decay[distance_N[near]]
            current_N[near] = np.where(decayed >= self._suppression.floor, decayed, 0)
        return outcome

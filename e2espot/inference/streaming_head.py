"""The temporal head over a match whose length may not be known yet: features in, final scores out.

The head reads the features in windows of ``clip_len`` frames that overlap by half; where windows overlap, their
probabilities are averaged. With ``clip_len`` 4 a frame is in two windows, and counts most in the one where it is in the
middle::

    frames    0 1 2 3 4 5 6 7
    window 0  1 2 2 1            weights
    window 1      1 2 2 1
    window 2          1 2 2 1
    total     1 2 3 3 3 3 2 1    what the sums are divided by

The last window ends with the video. So a frame is final when no window that can still come reaches back to it.

With a look-ahead of L frames the windows are the same, but for the scores of frame t each of them ends at t + L. Such a
frame is final when frame t + L is known; at the end of the video the rest is final, with the windows that a video of
this length has. With L >= ``clip_len`` nothing is cut, and all scores are those without a look-ahead. Scores that the
head moves between frames (displacement, output at twice the rate) are moved within the cut windows: a frame that
claims an event more than L frames before itself comes too late for it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from e2espot.core.label_sets import LabelSet


class WindowSpec(Protocol):
    """What the windows need of a specification."""

    @property
    def clip_len(self) -> int:
        """Frames of a window."""

    @property
    def team(self) -> bool:
        """Whether there is a head for teams."""


class WindowScorer(Protocol):
    """A spotter that scores windows of features: tensors for one of torch, arrays for an exported one."""

    @property
    def spec(self) -> WindowSpec:
        """Its specification."""

    @property
    def label_set(self) -> LabelSet:
        """Its classes."""

    @property
    def grid_factor(self) -> int:
        """Rows per frame."""

    def window_scores(self, features_TD: Any, /) -> np.ndarray:
        """Rows of one window, as in ``Spotter.scores``."""

    def window_scores_ahead(self, window_TD: Any, frames: range, look_ahead: int, /) -> np.ndarray:
        """Rows of some frames of a window, as in ``Spotter.scores_ahead``."""

    def join(self, before_TD: Any, after_TD: Any, /) -> Any:
        """Features one after the other."""


def streaming_head(scorer: WindowScorer, look_ahead: int | None) -> WholeWindowHead | CutWindowHead:
    """The head of a spotter for a look-ahead in frames of its grid; None for all that the windows see."""
    if look_ahead is None or look_ahead >= scorer.spec.clip_len:
        return WholeWindowHead(scorer)
    return CutWindowHead(scorer, look_ahead)


class _Windows:
    """What both forms share: the features that are still needed, and the rows that are not final yet."""

    def __init__(self, scorer: WindowScorer) -> None:
        self._scorer, self._clip_len, self._factor = scorer, scorer.spec.clip_len, scorer.grid_factor
        self._columns = len(scorer.label_set) + int(scorer.spec.team)
        self._step = max(1, self._clip_len // 2)
        self._features: Any = None
        self._first = 0
        """Frame of the first feature that is held."""
        self._final = 0
        """Frames before this one have been returned."""

    @property
    def _end(self) -> int:
        return self._first + (0 if self._features is None else len(self._features))

    def _append(self, features_TD: Any) -> None:
        self._features = features_TD if self._features is None else self._scorer.join(self._features, features_TD)

    def _window(self, start: int, stop: int) -> Any:
        assert self._features is not None
        return self._features[start - self._first : stop - self._first]

    def _drop(self, first_needed: int) -> None:
        # features of frames 2 to 6 held, next window at 4 -> 2 and 3 are dropped
        first_needed = min(max(first_needed, self._first), self._end)
        if self._features is not None:
            self._features = self._features[first_needed - self._first :]
        self._first = first_needed

    @property
    def num_held(self) -> int:
        """Features that are held."""
        return self._end - self._first

    def no_rows(self) -> np.ndarray:
        """An array of rows without any."""
        return np.zeros((0, self._columns), dtype=np.float32)


class WholeWindowHead(_Windows):
    """Runs the head on each window as soon as it is complete.

    Only the features from the start of the next window on are held, at most one and a half windows and a piece.
    """

    def __init__(self, scorer: WindowScorer) -> None:
        super().__init__(scorer)
        self._next_start = 0
        self._sums_TK = self.no_rows()
        """Sums and totals of the rows from frame ``_final`` on."""
        self._totals_T = np.zeros(0, dtype=np.float32)

    def add(self, features_TD: Any) -> np.ndarray:
        """Append the next features ``(t, D)``; returns the rows that became final, as in ``Spotter.scores``."""
        self._append(features_TD)
        # A window that ends with the last known frame may be the last one of the video, which begins elsewhere if
        # the video goes on.
        while self._next_start + self._clip_len < self._end:
            self._run(self._next_start, self._clip_len)
            self._next_start += self._step
        # The last window begins at the end of the video minus its length, so before the next one in line perhaps:
        # 9 frames known, clip_len 4: windows 0, 2 and 4 have run. If frame 9 is the last, the last window begins at 6.
        earliest_last = self._end - self._clip_len
        self._drop(min(self._next_start, max(0, earliest_last)))
        return self._take(min(self._next_start, max(0, earliest_last)))

    def finish(self) -> np.ndarray:
        """The rows that the end of the video makes final."""
        if self._end:
            clip_len = min(self._clip_len, self._end)
            self._run(self._end - clip_len, clip_len)
        return self._take(self._end)

    def _run(self, start: int, clip_len: int) -> None:
        scores_TK = self._scorer.window_scores(self._window(start, start + clip_len))
        weights_T = window_weights(clip_len, self._factor)
        rows = slice((start - self._final) * self._factor, (start + clip_len - self._final) * self._factor)
        if rows.stop > len(self._sums_TK):
            more = rows.stop - len(self._sums_TK)
            self._sums_TK = np.concatenate([self._sums_TK, np.zeros((more, self._columns), dtype=np.float32)])
            self._totals_T = np.concatenate([self._totals_T, np.zeros(more, dtype=np.float32)])
        self._sums_TK[rows] += scores_TK * weights_T[:, None]
        self._totals_T[rows] += weights_T

    def _take(self, final: int) -> np.ndarray:
        count = max(0, final - self._final) * self._factor
        rows_TK = self._sums_TK[:count] / np.maximum(self._totals_T[:count], 1)[:, None]
        self._sums_TK, self._totals_T = self._sums_TK[count:], self._totals_T[count:]
        self._final = max(self._final, final)
        return rows_TK


class CutWindowHead(_Windows):
    """Runs the head for each frame on windows that end ``look_ahead`` frames after it."""

    def __init__(self, scorer: WindowScorer, look_ahead: int) -> None:
        super().__init__(scorer)
        self._look_ahead = look_ahead

    def add(self, features_TD: Any) -> np.ndarray:
        """Append the next features ``(t, D)``; returns the rows that became final, as in ``Spotter.scores``."""
        self._append(features_TD)
        final = max(self._final, self._end - self._look_ahead)
        rows_TK = self._rows(self._regular_windows(final), final)
        # The next frame is in windows that began up to a window before it; the last window of the video as well.
        self._drop(self._final - self._clip_len + 1)
        return rows_TK

    def finish(self) -> np.ndarray:
        """The rows that the end of the video makes final."""
        clip_len = min(self._clip_len, self._end)
        starts = [start for start in window_starts(self._end, clip_len) if start + clip_len > self._final]
        return self._rows([(start, clip_len) for start in starts], self._end)

    def _regular_windows(self, final: int) -> list[tuple[int, int]]:
        """(start, length) of the windows that hold frames from ``_final`` to ``final``, in order."""
        first = max(0, self._final - self._clip_len + 1)
        first = -(-first // self._step) * self._step  # the next multiple: 5 -> 6 for a step of 2
        return [(start, self._clip_len) for start in range(first, final, self._step)]

    def _rows(self, windows: list[tuple[int, int]], final: int) -> np.ndarray:
        if final <= self._final:
            return self.no_rows()
        factor = self._factor
        sums_TK = np.zeros(((final - self._final) * factor, self._columns), dtype=np.float32)
        totals_T = np.zeros(len(sums_TK), dtype=np.float32)
        for start, length in windows:
            frames = range(max(start, self._final), min(start + length, final))
            window_TD = self._window(start, min(start + length, self._end))
            local = range(frames.start - start, frames.stop - start)
            scores_TK = self._scorer.window_scores_ahead(window_TD, local, self._look_ahead)
            weights_T = window_weights(length, factor)[local.start * factor : local.stop * factor]
            rows = slice((frames.start - self._final) * factor, (frames.stop - self._final) * factor)
            sums_TK[rows] += scores_TK * weights_T[:, None]
            totals_T[rows] += weights_T
        self._final = final
        return sums_TK / np.maximum(totals_T, 1)[:, None]


def window_starts(num_frames: int, clip_len: int) -> list[int]:
    """Starts of windows that cover all frames and overlap by half; the last window ends with the video."""
    # num_frames = 10, clip_len = 4 -> [0, 2, 4, 6]; num_frames = 11 -> [0, 2, 4, 6, 7]
    if num_frames <= 0:
        return []
    last = max(0, num_frames - clip_len)
    return [*range(0, last, max(1, clip_len // 2)), last]


def window_weights(clip_len: int, factor: int = 1) -> np.ndarray:
    """Weight of each row of a window, float32."""
    # At the ends of a window the head sees context on one side only, so the weight falls linearly to them
    # and the other window, which has that frame near its middle, decides. The smallest weight is 1, not 0:
    # the first and the last frames of the video are in one window only.
    weights_T = np.minimum(np.arange(1, clip_len + 1), np.arange(clip_len, 0, -1))
    # One weight for each row of the output grid: factor 2, clip_len 4 -> 1 1 2 2 2 2 1 1
    return weights_T.astype(np.float32).repeat(factor)

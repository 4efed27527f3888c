"""From dense scores to events: one event where many neighbouring frames claim it.

Source of soft suppression: Bodla et al., "Soft-NMS", ICCV 2017, along time with the decay
(distance / window) squared as T-DEED uses it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Literal

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.core.scores import Scores

_LONGEST_S = 3600

Method = Literal["soft", "gaussian", "hard", "peaks"]


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """How neighbouring scores are thinned out."""

    method: Method = "soft"
    """soft: decay (distance/window)^2; gaussian: decay 1 - exp(-distance^2 / 2 sigma^2); hard: remove; peaks: smooth
    with a Gaussian of sigma, then hard."""
    window_s: float = 0.8
    """Reach to each side in seconds."""
    sigma_s: float = 0.12
    """Width of the Gaussian in seconds, for gaussian and peaks."""
    floor: float = 1e-3
    """Scores below it are no candidates."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not (0 < self.window_s < _LONGEST_S and 0 < self.sigma_s < _LONGEST_S and 0 < self.floor < 1):
            raise ConfigurationError(
                f"suppression window_s {self.window_s}, sigma_s {self.sigma_s}, floor {self.floor}: "
                "give positive seconds, less than an hour, and a floor between 0 and 1"
            )


def suppress(scores: Scores, suppression: Suppression | None = None, *, half: int = 1) -> list[Event]:
    """Events of all classes, by frame."""
    how = suppression or Suppression()
    window = max(1, round(how.window_s * float(scores.fps)))
    sigma = how.sigma_s * float(scores.fps)
    events = []
    for column, label in enumerate(scores.label_set.names):
        score_T = scores.scores_TK[:, column].astype(np.float64)
        if how.method == "peaks":
            score_T = smooth(score_T, sigma)
        if scores.readable is not None:
            score_T[~scores.readable.mask(len(score_T))] = 0
        frames, confidences = soft_nms(score_T, window=window, floor=how.floor, decay=_decay(how.method, window, sigma))
        events += [
            Event(frame=int(frame), label=label, half=half, confidence=float(confidence))
            for frame, confidence in zip(frames, confidences, strict=True)
        ]
    return sorted(events, key=lambda event: (event.frame, event.label))


def _decay(method: Method, window: int, sigma: float) -> np.ndarray:
    distance = np.arange(window + 1, dtype=np.float64)
    if method == "gaussian":
        return 1 - np.exp(-(distance**2) / (2 * sigma**2))
    if method == "soft":
        return (distance / window) ** 2
    return np.zeros(window + 1)


_MOST_ROUNDS = 64


def soft_nms(
    score_T: np.ndarray, *, window: int, floor: float = 1e-3, decay: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Greedy suppression of one class.

    Repeatedly the highest remaining score is emitted (ties: the earlier frame) and every remaining
    score within ``window`` frames is multiplied by ``decay[distance]``, which is at most 1. Scores that
    start or fall below ``floor`` are never emitted. No event is moved and no score raised.

    A frame that is the highest within two windows is emitted before any frame that touches what it touches,
    whatever happens elsewhere. So all such frames are emitted in one round of array operations, and every score is
    multiplied in the order of that definition: the result is the same to the last bit. Some twenty rounds do for
    a match.

    Args:
        score_T: Scores of one class.
        window: Reach in frames.
        floor: Smallest candidate.
        decay: Factor for distances 0 to ``window``; (distance / window)^2 if None.

    Returns:
        Frames and confidences, in no particular order: sorting them would take as long as finding them.
    """
    if decay is None:
        decay = (np.arange(window + 1, dtype=np.float64) / window) ** 2
    if not len(score_T):
        return np.empty(0, dtype=np.int64), np.empty(0)
    # Dead candidates are zeros; the margins let every window lie inside.
    reach = 2 * window
    current = np.zeros(len(score_T) + 2 * reach)
    current[reach : reach + len(score_T)] = score_T
    current[current < floor] = 0
    near = np.lib.stride_tricks.sliding_window_view(current[window:-window], 2 * window + 1, writeable=True)
    both_sides = np.concatenate((decay[:0:-1], [0.0], decay[1:]))
    scratch = np.empty((2, len(current)))
    emitted: list[np.ndarray] = []
    confidences: list[np.ndarray] = []
    for _ in range(_MOST_ROUNDS):
        few = bool(emitted) and len(emitted[-1]) * _FEW < len(score_T)
        peaks = _highest_among_few(current, reach) if few else _highest_within(current, reach, scratch)
        if not len(peaks):
            break
        emitted.append(peaks)
        confidences.append(current[peaks + reach])
        rows = near[peaks] * both_sides
        rows *= rows >= floor
        near[peaks] = rows
    else:
        peaks, values = _one_by_one(current[window:-window], both_sides, window, floor)
        emitted.append(peaks)
        confidences.append(values)
    return np.concatenate([*emitted, np.empty(0, dtype=np.int64)]), np.concatenate([*confidences, []])


_FEW = 150
"""One event in so many frames in the last round: from there on each candidate is looked at alone."""


def _highest_within(current: np.ndarray, reach: int, scratch: np.ndarray) -> np.ndarray:
    """Frames above zero, higher than all before them and not lower than all behind, as far as ``reach``.

    ``current`` has ``reach`` zeros in front and behind, which the frames found do not count.
    """
    highest = _sliding_max(current, reach, scratch)
    middle = current[reach:-reach]
    before, behind = highest[: len(middle)], highest[reach + 1 : reach + 1 + len(middle)]
    return np.flatnonzero((middle > before) & (middle >= behind))


def _highest_among_few(current: np.ndarray, reach: int) -> np.ndarray:
    """The same frames, from the windows of those alone that are above zero."""
    alive = np.flatnonzero(current > 0) - reach
    rows = np.lib.stride_tricks.sliding_window_view(current, 2 * reach + 1)[alive]
    middle = rows[:, reach]
    before, behind = rows[:, :reach].max(axis=1), rows[:, reach + 1 :].max(axis=1)
    peaks: np.ndarray = alive[(middle > before) & (middle >= behind)]
    return peaks


def _sliding_max(values: np.ndarray, length: int, scratch: np.ndarray) -> np.ndarray:
    """Maximum over ``values[i : i + length]`` for every i at which that lies inside; lengths are doubled up to it.

    ``scratch`` holds two arrays as long as ``values``: memory asked for anew each time costs more than the maxima.
    """
    reach, covered, turn = values, 1, 0
    while covered < length:
        step = min(covered, length - covered)
        reach = np.maximum(reach[:-step], reach[step:], out=scratch[turn, : len(reach) - step])
        covered, turn = covered + step, 1 - turn
    return reach


def _one_by_one(
    current: np.ndarray, both_sides: np.ndarray, window: int, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """What is left after many rounds (long ramps), by a heap with stale entries."""
    alive = np.flatnonzero(current)
    heap = [(-score, frame) for frame, score in zip(alive.tolist(), current[alive].tolist(), strict=True)]
    heapq.heapify(heap)
    frames: list[int] = []
    confidences: list[float] = []
    while heap:
        negative, frame = heapq.heappop(heap)
        score = float(current[frame])
        if score < floor:
            continue
        if -negative != score:  # suppressed since it was pushed: back with what is left of it
            heapq.heappush(heap, (-score, frame))
            continue
        frames.append(frame)
        confidences.append(score)
        current[frame - window : frame + window + 1] *= both_sides
    return np.array(frames, dtype=np.int64) - window, np.array(confidences)


def smooth(score_T: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean along time; beyond the ends the first and the last score go on."""
    reach = max(1, int(np.ceil(4 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(score_T, reach, mode="edge"), kernel / kernel.sum(), mode="valid")

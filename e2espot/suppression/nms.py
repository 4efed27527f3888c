"""From dense scores to events: where many neighbouring frames claim one event, keep one.

Sources: soft suppression is Bodla et al., "Soft-NMS", ICCV 2017, along time with T-DEED's decay
(distance / window) squared. Pairwise suppression is E2E-Spot's (Hong et al., ECCV 2022).

The methods on the scores of one class, with window 25:

    frame                    0   20   40   60   80  200  210
    score                   .9   .8   .7   .7   .8   .5   .5
    hard (greedy)           .9    -   .7    -   .8   .5    -      an emitted peak removes its neighbours
    pairwise (E2E-Spot)     .9    -    -    -   .8   .5   .5      every higher neighbour removes a peak
    soft                    .9  .33   .7  .29   .8   .5  .08      an emitted peak decays its neighbours

Under ``hard`` frame 40 survives, because frame 20 is removed before it could remove frame 40. Under ``pairwise``
frame 20 removes it all the same, and of two equal peaks both survive.

Shapes: T frames of one video, K classes, E events.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.core.scores import Scores

_LONGEST_S = 3600

Method = Literal["soft", "gaussian", "hard", "pairwise", "peaks", "soccernet"]


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """How neighbouring scores are thinned out."""

    method: Method = "soft"
    """What happens to scores near a higher one.

    soft: multiply by (distance / window)^2. gaussian: multiply by 1 - exp(-distance^2 / 2 sigma^2). hard: remove,
    from the highest score down. pairwise: remove, whether or not the higher one survives (E2E-Spot's rule). peaks:
    smooth with a Gaussian of sigma, then hard. soccernet: hard within a window as SoccerNet's baselines on features
    have it, which reaches half of its length back and a frame less ahead.
    """
    window_s: float = 0.8
    """Reach to each side, in seconds; for ``soccernet`` the length of the whole window."""
    sigma_s: float = 0.12
    """Width of the Gaussian in seconds, for ``gaussian`` and ``peaks``."""
    floor: float = 1e-3
    """Scores below it are no candidates."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigurationError: the method is unknown, or a value is out of range.
        """
        if self.method not in get_args(Method):
            raise ConfigurationError(
                f"suppression method is {self.method!r}; choose from {', '.join(get_args(Method))}"
            )
        if not (0 < self.window_s < _LONGEST_S and 0 < self.sigma_s < _LONGEST_S and 0 < self.floor < 1):
            raise ConfigurationError(
                f"suppression window_s {self.window_s}, sigma_s {self.sigma_s}, floor {self.floor}: "
                "give positive seconds, less than an hour, and a floor between 0 and 1"
            )


def suppress(scores: Scores, suppression: Suppression | None = None, *, half: int = 1) -> list[Event]:
    """Events of all classes, in order of frame and label.

    Args:
        scores: Of one video.
        suppression: The same for all classes; soft suppression over 0.8 s if None.
        half: Written into the events.
    """
    events = []
    for column, label in enumerate(scores.label_set.names):
        frames_E, confidences_E = suppress_column(scores, column, suppression or Suppression())
        events += [
            Event(frame=frame, label=label, half=half, confidence=confidence, fps=scores.fps)
            for frame, confidence in zip(frames_E.tolist(), confidences_E.tolist(), strict=True)
        ]
    return sorted(events, key=lambda event: (event.frame, event.label))


def suppress_column(scores: Scores, column: int, suppression: Suppression) -> tuple[np.ndarray, np.ndarray]:
    """Frames (int64) and confidences (float64) of the events of one class, in order of frame.

    Args:
        scores: Of one video.
        column: Index of the class in ``scores.label_set``.
        suppression: How neighbouring scores are thinned out.
    """
    window = max(1, round(suppression.window_s * float(scores.fps)))
    sigma = suppression.sigma_s * float(scores.fps)
    score_T = scores.scores_TK[:, column].astype(np.float64)
    if suppression.method == "peaks":
        score_T = smooth(score_T, sigma)
    if scores.coverage is not None:
        score_T[~scores.coverage.mask(len(score_T))] = 0
    if suppression.method == "soccernet":
        frames_E, confidences_E = soccernet_nms(score_T, window=window, floor=suppression.floor)
    elif suppression.method == "pairwise":
        frames_E, confidences_E = pairwise_nms(score_T, window=window, floor=suppression.floor)
    else:
        decay = decay_of(suppression.method, window, sigma)
        frames_E, confidences_E = soft_nms(score_T, window=window, floor=suppression.floor, decay=decay)
    order = np.argsort(frames_E)
    return frames_E[order], confidences_E[order]


def decay_of(method: Method, window: int, sigma: float) -> np.ndarray:
    """Factor for a score at distance 0 to ``window`` from an emitted one."""
    distance = np.arange(window + 1, dtype=np.float64)
    if method == "gaussian":
        return 1 - np.exp(-(distance**2) / (2 * sigma**2))
    if method == "soft":
        return (distance / window) ** 2
    return np.zeros(window + 1)


def pairwise_nms(score_T: np.ndarray, *, window: int, floor: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """E2E-Spot's rule for one class: a frame survives unless a frame within ``window`` has a higher score.

    Args:
        score_T: Scores of one class.
        window: Reach to each side, in frames.
        floor: Smallest candidate.

    Returns:
        Frames and confidences, in order of frame.
    """
    padded = np.pad(score_T, window)
    # highest[t] is the maximum over frames t - window to t + window.
    highest = _sliding_max(padded, 2 * window + 1, np.empty((2, len(padded))))
    frames_E = np.flatnonzero((score_T >= floor) & (score_T >= highest[: len(score_T)]))
    return frames_E, score_T[frames_E]


def soccernet_nms(score_T: np.ndarray, *, window: int, floor: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The rule of SoccerNet's baselines on features, for one class.

    Repeatedly the highest remaining score of at least ``floor`` is emitted (of equal ones the earlier frame), and the
    frames from ``window // 2`` before it to one less after it are removed::

        # window 8, scores .9 at 3, .8 at 5, .6 at 6, .7 at 7 of 12: 3 removes 0 to 6; 7 removes 3 to 10; 11 is left

    Args:
        score_T: Scores of one class.
        window: Frames of the whole window.
        floor: Smallest candidate; 0 emits frames without any score as well.

    Returns:
        Frames and confidences, from the highest confidence down.
    """
    current, half = score_T.copy(), window // 2
    # Sorted once: the scores that remain do not change, and of equal ones a stable order has the earlier first.
    frames: list[int] = []
    for frame in np.argsort(-score_T, kind="stable").tolist():
        if score_T[frame] < floor:
            break
        if current[frame] >= 0:
            frames.append(frame)
            current[max(0, frame - half) : frame + half] = -1
            current[frame] = -1  # a window of one frame has no half
    frames_E = np.array(frames, dtype=np.int64)
    return frames_E, score_T[frames_E]


_MOST_ROUNDS = 64
"""Rounds after which the rest is suppressed event by event: on a long ramp each round emits a single event."""


def soft_nms(
    score_T: np.ndarray, *, window: int, floor: float = 1e-3, decay: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Greedy suppression of one class.

    Repeatedly the highest remaining score is emitted (of equal ones the earlier frame) and every remaining score
    within ``window`` frames is multiplied by ``decay[distance]``, which is at most 1. Scores that start or fall below
    ``floor`` are never emitted. No event is moved and no score raised.

    The work is done in rounds of array operations, some twenty for a match, instead of one step per event. The result
    is bit-equal to the definition above; the comment in the body proves it.

    Args:
        score_T: Scores of one class.
        window: Reach to each side, in frames.
        floor: Smallest candidate.
        decay: Factor for distances 0 to ``window``; (distance / window)^2 if None.

    Returns:
        Frames and confidences, in no particular order: sorting them would take as long as finding them.
    """
    if decay is None:
        decay = (np.arange(window + 1, dtype=np.float64) / window) ** 2
    if not len(score_T):
        return np.empty(0, dtype=np.int64), np.empty(0)
    # Emitted and discarded candidates are zeros. Margins of zeros let every window lie inside the array.
    reach = 2 * window
    current = np.zeros(len(score_T) + 2 * reach)
    current[reach : reach + len(score_T)] = score_T
    current[current < floor] = 0
    # near[t] is a view of the scores within W of frame t: writing into it changes ``current``.
    near = np.lib.stride_tricks.sliding_window_view(current[window:-window], 2 * window + 1, writeable=True)
    # decay [0, .25, 1] -> factors [1, .25, 0, .25, 1]; the zero discards the emitted frame itself
    factors = np.concatenate((decay[:0:-1], [0.0], decay[1:]))
    scratch = np.empty((2, len(current)))
    # Why rounds give the same result. Let W be the window and p a frame with the highest score within 2 W.
    #
    #      |<--- 2 W --->p<--- 2 W --->|      no score in here is higher than that of p
    #             |<- W->p<- W->|             p changes the scores x in here
    #         q<- W->|                        q changes some of these x too, so it is within 2 W of p
    #
    # 1. No frame within W of p is emitted before p: it would have to be higher, and scores never grow. So p will be
    #    emitted with the score that it has now.
    # 2. Every q that changes an x of p is within 2 W of p, so it is lower and will be emitted after p. So the next
    #    multiplication of x is that by the decay of p, and doing it now keeps the order of multiplications.
    # 3. Two such frames p are more than 2 W apart, so one round changes no x twice. All of them can go at once.
    #
    # So each score goes through the same products in the same order, (s * d1) * d2, with the same rounding. With the
    # factors collected first, as s * (d1 * d2), the last bit could differ.
    emitted: list[np.ndarray] = []
    confidences: list[np.ndarray] = []
    for _ in range(_MOST_ROUNDS):
        # Late rounds have few candidates left: windows around those alone are cheaper than maxima over the match.
        few = bool(emitted) and len(emitted[-1]) * _FEW < len(score_T)
        peaks = _highest_of_few(current, reach) if few else _highest_within(current, reach, scratch)
        if not len(peaks):
            break
        emitted.append(peaks)
        confidences.append(current[peaks + reach])
        # A score is multiplied at most once a round (3), so this is also where the definition applies the floor.
        rows = near[peaks] * factors
        rows *= rows >= floor
        near[peaks] = rows
    else:
        peaks, values = _one_by_one(current[window:-window], factors, window, floor)
        emitted.append(peaks)
        confidences.append(values)
    return np.concatenate([*emitted, np.empty(0, dtype=np.int64)]), np.concatenate([*confidences, []])


_FEW = 150
"""From one event in so many frames in the last round on, only the remaining candidates are looked at."""


def _highest_within(current: np.ndarray, reach: int, scratch: np.ndarray) -> np.ndarray:
    """Frames with a score above zero, higher than all before and at least as high as all after, within ``reach``.

    ``current`` has ``reach`` zeros before and after, which the frames returned do not count.
    """
    # reach = 1, scores [.5, .7, .7, .2] -> frame 1: of equal scores the earlier one wins
    highest = _sliding_max(current, reach, scratch)
    middle = current[reach:-reach]
    before, after = highest[: len(middle)], highest[reach + 1 : reach + 1 + len(middle)]
    return np.flatnonzero((middle > before) & (middle >= after))


def _highest_of_few(current: np.ndarray, reach: int) -> np.ndarray:
    """The same frames, from the windows around candidates only."""
    alive = np.flatnonzero(current > 0) - reach
    rows = np.lib.stride_tricks.sliding_window_view(current, 2 * reach + 1)[alive]
    middle = rows[:, reach]
    before, after = rows[:, :reach].max(axis=1), rows[:, reach + 1 :].max(axis=1)
    peaks: np.ndarray = alive[(middle > before) & (middle >= after)]
    return peaks


def _sliding_max(values: np.ndarray, length: int, scratch: np.ndarray) -> np.ndarray:
    """Maximum of ``values[i : i + length]`` for every i at which that lies inside.

    Args:
        values: One-dimensional.
        length: At least 1.
        scratch: Two arrays as long as ``values``: allocating them each time costs more than the maxima.
    """
    # The length covered doubles until it is reached: length = 5 covers 1, 2, 4, 5.
    covering, covered, turn = values, 1, 0
    while covered < length:
        step = min(covered, length - covered)
        covering = np.maximum(covering[:-step], covering[step:], out=scratch[turn, : len(covering) - step])
        covered, turn = covered + step, 1 - turn
    return covering


def _one_by_one(current: np.ndarray, factors: np.ndarray, window: int, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """The definition itself, for what is left after many rounds: a heap with stale entries."""
    alive = np.flatnonzero(current)
    # (-score, frame): the highest score comes first, of equal ones the earlier frame.
    heap = [(-score, frame) for frame, score in zip(alive.tolist(), current[alive].tolist(), strict=True)]
    heapq.heapify(heap)
    frames: list[int] = []
    confidences: list[float] = []
    while heap:
        negative, frame = heapq.heappop(heap)
        score = float(current[frame])
        if score < floor:
            continue
        if -negative != score:  # decayed since it was pushed: push it again with its present score
            heapq.heappush(heap, (-score, frame))
            continue
        frames.append(frame)
        confidences.append(score)
        current[frame - window : frame + window + 1] *= factors
    return np.array(frames, dtype=np.int64) - window, np.array(confidences)


def smooth(score_T: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean along time with ``sigma`` in frames; the first and the last score continue beyond the ends."""
    if not len(score_T):
        return score_T
    reach = smoothing_reach(sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(np.pad(score_T, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def smoothing_reach(sigma: float) -> int:
    """Frames to each side that ``smooth`` reads."""
    return max(1, int(np.ceil(4 * sigma)))

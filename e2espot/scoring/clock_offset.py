"""Finds how far the clock of labels is from the clock of a video, from what a spotter sees in the video.

Labels are laid over the predictions at every offset. Where they fit, they meet confident predictions of their classes,
so the correlation has one peak that stands out::

    predictions      |   .|  |. .   |  | .           time of the video
    labels           |     |  |     |  |             time of the feed
    correlation at   -2   -1   0   +1   +2
                      1    1    5    1    0          the labels are right as they are
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from e2espot.core.errors import ConfigurationError

_STEP_MS = 40
"""Grid of the correlation: a frame at 25 frames a second."""

_BLUR_MS = 400.0
"""Standard deviation of the blur of predictions: about the jitter of labels that were not made on frames."""

_APART_MS = 3000
"""An offset this far from the best one is another one; nearer ones see the same predictions."""

_MIN_OVERLAP = 0.5
"""Offsets that leave fewer labels than this within the predictions are not tried."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A label or a prediction of one half."""

    position_ms: int
    """Milliseconds on its clock."""
    label: str
    """Class name."""
    value: float = 1.0
    """Confidence of a prediction; 1 for a label."""


@dataclass(frozen=True, kw_only=True)
class ClockOffset:
    """What to add to the times of labels, and how sure that is."""

    offset_ms: int
    """Milliseconds to add."""
    sharpness: float
    """How far the best correlation is above the next best one at another offset, in standard deviations of them all.

    Of simulated labels that do not belong to the video, 3 is reached in one of 500 pieces of one minute and in none of
    600 pieces of five minutes; labels that do belong to it reach 3 in nineteen of twenty pieces of five minutes.
    """


def find_offset(
    labels: Sequence[Moment], predictions: Sequence[Moment], *, max_offset_ms: int | None = None
) -> ClockOffset:
    """Find the offset at which the labels fit the predictions best.

    Args:
        labels: Events with a wrong clock.
        predictions: Every peak of a spotter's scores in the whole half, weak ones too.
        max_offset_ms: Largest offset to either side; None for every one at which half of the labels are within the
            predictions.

    Raises:
        ConfigurationError: no label of a class that is predicted, or no offset to compare with.
    """
    offsets_ms, correlation = correlate(labels, predictions, max_offset_ms)
    best = int(np.argmax(correlation))
    others = correlation[np.abs(offsets_ms - offsets_ms[best]) > _APART_MS]
    if not len(others):
        raise ConfigurationError(
            f"the offsets that are tried are all within {_APART_MS / 1000:g} s; allow larger ones", option="max_offset"
        )
    spread = float(others.std())
    sharpness = float(correlation[best] - others.max()) / spread if spread > 0 else 0.0
    return ClockOffset(offset_ms=int(offsets_ms[best]), sharpness=sharpness)


def correlate(
    labels: Sequence[Moment], predictions: Sequence[Moment], max_offset_ms: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets in milliseconds (int64), and how well the labels fit the predictions at each (float64).

    The fit is the sum over the labels of the blurred confidence of their class at their time, less its mean, so that
    an offset gains nothing by having more labels within the predictions.

    Raises:
        ConfigurationError: no label of a class that is predicted.
    """
    classes = sorted({moment.label for moment in labels} & {moment.label for moment in predictions})
    known = [moment for moment in labels if moment.label in classes]
    if not known:
        names = ", ".join(sorted({moment.label for moment in predictions})) or "nothing"
        raise ConfigurationError(f"no label is of a class that was predicted ({names}); map their names", option="map")
    seen_KT = _blurred(predictions, classes)
    at = np.array([moment.position_ms // _STEP_MS for moment in known])
    num_steps = seen_KT.shape[1]
    offsets = np.arange(-int(at.max()), num_steps - int(at.min()))
    if max_offset_ms is not None:
        offsets = offsets[np.abs(offsets) <= max_offset_ms // _STEP_MS]
    correlation, overlap = np.zeros(len(offsets)), np.zeros(len(offsets), dtype=np.int64)
    for moment, step in zip(known, at.tolist(), strict=True):
        # The label meets the steps [0, num_steps) at the offsets [-step, num_steps - step).
        first, stop = np.searchsorted(offsets, (-step, num_steps - step))
        if first < stop:
            start = int(offsets[first]) + step
            correlation[first:stop] += seen_KT[classes.index(moment.label), start : start + stop - first]
            overlap[first:stop] += 1
    enough = overlap >= _MIN_OVERLAP * len(known)
    if not enough.any():
        raise ConfigurationError(
            "half of the labels are within the predictions at no offset that is tried; allow larger ones",
            option="max_offset",
        )
    return offsets[enough] * _STEP_MS, correlation[enough]


def _blurred(predictions: Sequence[Moment], classes: Sequence[str]) -> np.ndarray:
    """Confidence of each class at each step, blurred, less its mean: float64 (classes, steps)."""
    num_steps = max(moment.position_ms for moment in predictions) // _STEP_MS + 1
    values_KT = np.zeros((len(classes), num_steps))
    for moment in predictions:
        if moment.label in classes and moment.position_ms >= 0:
            values_KT[classes.index(moment.label), moment.position_ms // _STEP_MS] += max(0.0, min(1.0, moment.value))
    reach = int(4 * _BLUR_MS / _STEP_MS)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _STEP_MS / _BLUR_MS) ** 2)
    # "same" would return as many steps as the longer of both, which may be the kernel.
    blurred_KT = np.array([np.convolve(values_T, kernel)[reach : reach + num_steps] for values_T in values_KT])
    return np.asarray(blurred_KT - blurred_KT.mean(axis=1, keepdims=True))

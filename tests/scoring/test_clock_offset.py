"""The offset between the clock of labels and that of a video."""

import math

import numpy as np
import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.scoring.clock_offset import Moment, correlate, find_offset

NAMES = ("PASS", "DRIVE")


def play(seed: int, minutes: float = 5) -> list[Moment]:
    """Events some four seconds apart."""
    rng = np.random.default_rng(seed)
    times_ms = np.cumsum(rng.uniform(1500, 6500, int(minutes * 15)))
    return [Moment(position_ms=int(time_ms), label=str(rng.choice(NAMES))) for time_ms in times_ms]


def seen(truth: list[Moment], seed: int, missed: float = 0.4) -> list[Moment]:
    """What a mediocre spotter predicts: it misses events, confuses classes and sees as much where nothing is."""
    rng = np.random.default_rng(seed)
    moments = [
        Moment(position_ms=event.position_ms + int(rng.normal(0, 80)), label=event.label, value=rng.uniform(0.2, 0.9))
        for event in truth
        if rng.random() > missed
    ]
    end_ms = truth[-1].position_ms + 5000
    moments += [
        Moment(position_ms=int(rng.uniform(0, end_ms)), label=str(rng.choice(NAMES)), value=rng.uniform(0.05, 0.7))
        for _ in truth
    ]
    return sorted((moment for moment in moments if moment.position_ms >= 0), key=lambda moment: moment.position_ms)


def fed(truth: list[Moment], seed: int, clock_ms: int) -> list[Moment]:
    """What a feed says: every event, some 0.3 s late, on a clock that starts at ``clock_ms``."""
    rng = np.random.default_rng(seed)
    return [
        Moment(position_ms=event.position_ms - clock_ms + int(rng.normal(300, 500)), label=event.label)
        for event in truth
    ]


@pytest.mark.parametrize("clock_ms", [0, 12_400, -31_000, 150_000])
def test_offset_of_a_feed_is_found_and_sharp(clock_ms: int) -> None:
    truth = play(1)
    offset = find_offset(fed(truth, 2, clock_ms), seen(truth, 3))
    assert abs(offset.offset_ms - (clock_ms - 300)) < 250
    assert offset.sharpness > 3


def test_feed_of_another_match_is_not_sharp() -> None:
    sharpness = [
        find_offset(fed(play(seed), seed, 5000), seen(play(1000 + seed), seed)).sharpness for seed in range(30)
    ]
    assert max(sharpness) < 3
    assert np.median(sharpness) < 0.7


def test_offsets_can_be_limited() -> None:
    truth = play(4)
    labels, predictions = fed(truth, 5, 40_000), seen(truth, 6)
    assert find_offset(labels, predictions).sharpness > 3
    limited = find_offset(labels, predictions, max_offset_ms=20_000)
    assert abs(limited.offset_ms) <= 20_000
    assert limited.sharpness < 2
    assert correlate(labels, predictions, 20_000)[0].tolist() == list(range(-20_000, 20_001, 40))


def test_correlation_is_the_sum_over_the_labels() -> None:
    rng = np.random.default_rng(7)
    labels = [Moment(position_ms=int(rng.integers(3000)), label=str(rng.choice(NAMES))) for _ in range(6)]
    predictions = [
        Moment(position_ms=int(rng.integers(3000)), label=str(rng.choice(NAMES)), value=float(rng.random()))
        for _ in range(20)
    ]
    offsets_ms, correlation = correlate(labels, predictions)
    num_steps = max(moment.position_ms for moment in predictions) // 40 + 1

    def at(label: str, step: int) -> float:
        return sum(
            moment.value * math.exp(-0.5 * ((moment.position_ms // 40 - step) / 10) ** 2)
            for moment in predictions
            if moment.label == label and abs(moment.position_ms // 40 - step) <= 40
        )

    mean = {label: np.mean([at(label, step) for step in range(num_steps)]) for label in NAMES}
    for offset_ms, value in list(zip(offsets_ms.tolist(), correlation.tolist(), strict=True))[::7]:
        steps = [(moment.label, moment.position_ms // 40 + offset_ms // 40) for moment in labels]
        inside = [(label, step) for label, step in steps if 0 <= step < num_steps]
        assert len(inside) >= 3
        assert value == pytest.approx(sum(at(label, step) - mean[label] for label, step in inside))


def test_what_cannot_be_compared_is_refused() -> None:
    truth = play(8)
    other = [Moment(position_ms=moment.position_ms, label="Goal") for moment in truth]
    with pytest.raises(ConfigurationError, match="no label is of a class that was predicted") as caught:
        find_offset(other, truth)
    assert caught.value.option == "map"
    with pytest.raises(ConfigurationError, match="no label is of a class that was predicted"):
        find_offset(truth, [])
    with pytest.raises(ConfigurationError, match="within 3 s") as caught:
        find_offset(truth, truth, max_offset_ms=2000)
    assert caught.value.option == "max_offset"
    late = [Moment(position_ms=moment.position_ms + 10**7, label=moment.label) for moment in truth]
    with pytest.raises(ConfigurationError, match="half of the labels"):
        find_offset(late, truth, max_offset_ms=60_000)

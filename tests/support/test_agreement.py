"""The comparison of two sides accepts whatever rounding does to them and reports faults."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression.nms import Suppression, suppress
from tests.support.agreement import Swap, accounted_for, compare, replay

FPS = Fraction(25, 2)
TIED = {341: 0.23, 345: 0.36, 353: 0.276, 354: 0.279, 355: 0.2747, 356: 0.229, 358: 0.2745, 360: 0.25, 361: 0.27}
"""PASS scores around two peaks that are equal up to rounding, at 355 and 358: frames 353 and 354 are near 345."""


def track(seed: int, num_frames: int = 400) -> Scores:
    """Two classes of smooth peaks of all heights, some of them close together and almost as high as each other."""
    rng = np.random.default_rng(seed)
    frames = np.arange(num_frames)[:, None]
    scores_TK = np.zeros((num_frames, 2))
    for column in range(2):
        centres, widths = rng.uniform(0, num_frames, 40), rng.uniform(1, 4, 40)
        bumps = rng.choice([0.1, 0.3, 0.31, 0.5, 0.9], 40) * np.exp(-0.5 * ((frames - centres) / widths) ** 2)
        scores_TK[:, column] = bumps.max(axis=1)
    return scores_of(scores_TK)


def scores_of(scores_TK: np.ndarray) -> Scores:
    return Scores(scores_TK=scores_TK.astype(np.float32), label_set=LabelSet(("PASS", "DRIVE")), fps=FPS)


def tied(extra_358: float = 0.0) -> Scores:
    scores_TK = np.zeros((400, 2))
    scores_TK[list(TIED), 0] = list(TIED.values())
    scores_TK[358, 0] += extra_358
    return scores_of(scores_TK)


def rounded(scores: Scores, seed: int, size: float) -> Scores:
    noise_TK = np.random.default_rng(seed).uniform(-size, size, scores.scores_TK.shape)
    return scores_of(np.clip(scores.scores_TK + noise_TK, 0, 1))


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.0199])
def test_rounding_is_accepted(size: float) -> None:
    tied_events = 0
    for seed in range(60):
        one = track(seed)
        other = rounded(one, seed, size)
        comparison = compare(one, other, suppress(one), suppress(other))
        assert not comparison.faults, seed
        assert comparison.score_difference <= size * 1.1 and comparison.num_events > 40
        tied_events += len(comparison.near_ties)
    assert tied_events > 0 or size < 1e-3, "no near tie was tested"


def test_near_tie_is_accepted_and_listed() -> None:
    one, other = tied(), tied(extra_358=5e-4)
    comparison = compare(one, other, suppress(one), suppress(other))
    assert not comparison.faults
    assert [event.frame for event in comparison.near_ties] == [355, 358]
    assert comparison.score_difference == pytest.approx(5e-4, abs=1e-6)


def test_swap_without_a_near_tie_is_a_fault() -> None:
    """The events of scores with 358 in front, claimed for scores that have 355 in front by more than they differ."""
    one, other = tied(), tied(extra_358=0.01)
    comparison = compare(one, one, suppress(one), suppress(other))
    assert any("comes before frame 355" in fault for fault in comparison.faults)
    assert any("has no partner" in fault for fault in comparison.faults)


def test_wider_difference_elsewhere_does_not_excuse_another_class() -> None:
    one, other = tied(), tied(extra_358=0.01)
    elsewhere = one.scores_TK.copy()
    elsewhere[10, 1] += 0.019
    comparison = compare(one, scores_of(elsewhere), suppress(one), suppress(other))
    assert any("PASS, second side" in fault and "other side" in fault for fault in comparison.faults)


def shifted(scores: Scores) -> Scores:
    return scores_of(np.roll(scores.scores_TK, 2, axis=0))


def permuted(scores: Scores) -> Scores:
    return scores_of(scores.scores_TK[:, ::-1])


def wrong_at_a_border(scores: Scores) -> Scores:
    """Two frames around a border between chunks that saw no frames beyond it."""
    wrong_TK = scores.scores_TK.copy()
    border = int(wrong_TK[60:, 0].argmax()) + 60
    wrong_TK[border - 1 : border + 1] *= 0.7
    return scores_of(wrong_TK)


@pytest.mark.parametrize("fault", [shifted, permuted, wrong_at_a_border])
@pytest.mark.parametrize("seed", range(10))
def test_wrong_scores_are_reported(fault, seed: int) -> None:
    one = track(seed)
    other = fault(rounded(one, seed, 0.01))
    assert compare(one, other, suppress(one), suppress(other)).faults


def dropped(scores: Scores, confidence: float = 0.3) -> list[Event]:
    """Without the event whose confidence is the next one from ``confidence`` up."""
    events = suppress(scores)
    least = min((event for event in events if event.confidence >= confidence), key=lambda event: event.confidence)
    return [event for event in events if event is not least]


def dropped_at_the_limit(scores: Scores) -> list[Event]:
    return dropped(scores, 0.2)


def moved(scores: Scores) -> list[Event]:
    """One event two frames late."""
    events = suppress(scores)
    first = next(event for event in events if event.confidence > 0.3)
    late = dataclasses.replace(first, frame=first.frame + 2)
    return [late if event is first else event for event in events]


def added(scores: Scores) -> list[Event]:
    return [*suppress(scores), Event(frame=int(scores.scores_TK[:, 0].argmin()), label="PASS", confidence=0.3)]


def renamed(scores: Scores) -> list[Event]:
    events = suppress(scores)
    highest = max(events, key=lambda event: event.confidence)
    other = "DRIVE" if highest.label == "PASS" else "PASS"
    return [dataclasses.replace(event, label=other) if event is highest else event for event in events]


def less_confident(scores: Scores) -> list[Event]:
    return [dataclasses.replace(event, confidence=event.confidence * 0.95) for event in suppress(scores)]


def in_a_narrow_window(scores: Scores) -> list[Event]:
    return suppress(scores, Suppression(window_s=0.72))


def in_a_wide_window(scores: Scores) -> list[Event]:
    return suppress(scores, Suppression(window_s=0.88))


def by_another_method(scores: Scores) -> list[Event]:
    return suppress(scores, Suppression(method="hard"))


@pytest.mark.parametrize(
    "fault",
    [
        dropped,
        dropped_at_the_limit,
        moved,
        added,
        renamed,
        less_confident,
        in_a_narrow_window,
        in_a_wide_window,
        by_another_method,
    ],
)
@pytest.mark.parametrize("size", [0.0, 1e-3, 0.01])
def test_wrong_events_are_reported_on_either_side(fault, size: float) -> None:
    for seed in range(10):
        one = track(seed)
        other = rounded(one, seed, size)
        assert compare(one, other, suppress(one), fault(other)).faults, seed
        assert compare(one, other, fault(one), suppress(other)).faults, seed


@pytest.mark.parametrize("fault", [dropped, moved, added, renamed, in_a_narrow_window, in_a_wide_window])
def test_wrong_events_are_reported_by_the_scores_of_the_other_side_alone(fault) -> None:
    """Even where it is not known of which scores they were made."""
    for seed in range(10):
        one = track(seed)
        comparison = compare(one, rounded(one, seed, 1e-3), suppress(one), fault(one))
        assert any("by the other side's scores" in fault for fault in comparison.faults), seed


def test_scores_that_are_not_numbers_are_reported() -> None:
    one = track(0)
    other_TK = one.scores_TK.copy()
    other_TK[7, 0] = np.nan
    assert compare(one, scores_of(other_TK), suppress(one), suppress(one)).faults


def test_replay_of_no_events_reports_scores_that_no_event_takes() -> None:
    assert replay([], np.zeros(0), 10, tolerance=0, down_to=0.2) == ([], [])
    assert replay([], np.full(3, 0.1), 10, tolerance=0, down_to=0.2) == ([], [])
    _, faults = replay([], np.full(3, 0.3), 10, tolerance=0, down_to=0.2)
    assert faults == ["no event takes the 0.3000 that frame 0 has left"]


def test_swap_accounts_for_events_in_its_chain_only() -> None:
    swaps = [Swap(frame=100, rival=103, margin=0.001)]
    assert accounted_for(112, swaps, [112], window=10)
    assert accounted_for(122, swaps, [112, 122], window=10)
    assert not accounted_for(122, swaps, [122], window=10)
    assert not accounted_for(122, [], [112, 122], window=10)

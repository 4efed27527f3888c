"""Every suppression equals its definition, written one event after the other."""

from fractions import Fraction
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression import nms
from e2espot.suppression.nms import Suppression, pairwise_nms, smooth, soccernet_nms, soft_nms, suppress

METHODS = get_args(nms.Method)


def one_after_the_other(
    score_T: np.ndarray, window: int, floor: float, decay: np.ndarray
) -> tuple[list[int], list[float]]:
    """What is emitted, in order."""
    remaining = {t: float(score) for t, score in enumerate(score_T) if score >= floor}
    frames, confidences = [], []
    while remaining:
        best = max(remaining, key=lambda t: (remaining[t], -t))
        frames.append(best)
        confidences.append(remaining.pop(best))
        for t in [t for t in remaining if abs(t - best) <= window]:
            remaining[t] *= decay[abs(t - best)]
            if remaining[t] < floor:
                del remaining[t]
    return frames, confidences


def in_order(frames: np.ndarray, confidences: np.ndarray) -> tuple[list[int], list[float]]:
    """In the order of the definition, equal scores by frame; then everything must be bit-equal."""
    order = np.lexsort((frames, -confidences))
    return frames[order].tolist(), confidences[order].tolist()


scores = st.one_of(
    st.lists(st.floats(0, 1), max_size=60),
    st.lists(st.sampled_from([0.0, 0.001, 0.25, 0.5, 1.0]), max_size=60),  # ties
    st.integers(1, 60).map(lambda n: [k / 60 for k in range(n)]),  # a ramp: one event a round
)


@pytest.mark.parametrize("rounds", [64, 2, 0])
@settings(max_examples=200, deadline=None)
@given(score=scores, window=st.integers(1, 12), power=st.sampled_from([0, 1, 2]))
def test_soft_nms_equals_its_definition(rounds: int, score: list[float], window: int, power: int) -> None:
    decay = (np.arange(window + 1) / window) ** power if power else np.zeros(window + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms, "_MOST_ROUNDS", rounds)
        frames, confidences = soft_nms(np.array(score), window=window, floor=1e-3, decay=decay)
    assert in_order(frames, confidences) == one_after_the_other(np.array(score), window, 1e-3, decay)


def test_soft_nms_equals_its_definition_with_candidates_everywhere() -> None:
    rng = np.random.default_rng(0)
    score_T = rng.uniform(0.001, 1, 3000)
    decay = (np.arange(21) / 20) ** 2
    frames, confidences = soft_nms(score_T, window=20, floor=1e-3)
    assert in_order(frames, confidences) == one_after_the_other(score_T, 20, 1e-3, decay)


@pytest.mark.parametrize("method", METHODS)
def test_suppress_keeps_a_lone_peak_where_it_is(method: nms.Method) -> None:
    scores_TK = np.zeros((200, 2), dtype=np.float32)
    scores_TK[[50, 150], [0, 1]] = 0.9
    events = suppress(
        Scores(scores_TK=scores_TK, label_set=LabelSet(("PASS", "DRIVE")), fps=Fraction(25)), Suppression(method=method)
    )
    strongest = {event.label: event.frame for event in sorted(events, key=lambda event: event.confidence)}
    assert strongest == {"PASS": 50, "DRIVE": 150}


@pytest.mark.parametrize("method", METHODS)
def test_suppress_of_no_frames_gives_no_events(method: nms.Method) -> None:
    scores = Scores(scores_TK=np.empty((0, 1), dtype=np.float32), label_set=LabelSet(("PASS",)))
    assert suppress(scores, Suppression(method=method)) == []


def frames_kept(method: nms.Method) -> list[int]:
    """Frames that survive window 25 in the example of the module's docstring."""
    scores_TK = np.zeros((220, 1), dtype=np.float32)
    for frame, score in {0: 0.9, 20: 0.8, 40: 0.7, 60: 0.7, 80: 0.8, 200: 0.5, 210: 0.5}.items():
        scores_TK[frame] = score
    scores = Scores(scores_TK=scores_TK, label_set=LabelSet(("PASS",)), fps=Fraction(25))
    return [event.frame for event in suppress(scores, Suppression(method=method, window_s=1.0))]


def test_pairwise_suppression_is_e2e_spots_rule() -> None:
    """A removed peak still removes lower ones near it, and of two equal peaks both survive."""
    assert frames_kept("pairwise") == [0, 80, 200, 210]


def test_hard_suppression_is_greedy() -> None:
    """A removed peak removes nothing, and of two equal peaks the earlier one survives."""
    assert frames_kept("hard") == [0, 40, 80, 200]


@settings(max_examples=200, deadline=None)
@given(score=scores, window=st.integers(1, 12))
def test_pairwise_nms_equals_its_definition(score: list[float], window: int) -> None:
    frames, confidences = pairwise_nms(np.array(score), window=window, floor=1e-3)
    expected = [
        t
        for t, value in enumerate(score)
        if value >= 1e-3 and all(other <= value for other in score[max(0, t - window) : t + window + 1])
    ]
    assert frames.tolist() == expected
    assert confidences.tolist() == [score[t] for t in expected]


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "greedy"},
        {"window_s": 0.0},
        {"window_s": 3600.0},
        {"sigma_s": -0.1},
        {"sigma_s": float("nan")},
        {"floor": 0.0},
        {"floor": 1.0},
    ],
)
def test_suppression_refuses_an_unknown_method_and_values_out_of_range(fields) -> None:
    with pytest.raises(ConfigurationError, match="suppression"):
        Suppression(**fields)


@settings(deadline=None)
@given(score=st.lists(st.floats(0.01, 1), min_size=1, max_size=60), method=st.sampled_from(["hard", "peaks"]))
def test_hard_methods_leave_no_two_events_within_the_window(score: list[float], method: nms.Method) -> None:
    scores = Scores(scores_TK=np.array(score, dtype=np.float32)[:, None], label_set=LabelSet(("PASS",)))
    events = suppress(scores, Suppression(method=method, window_s=0.2))  # 5 frames
    assert events
    assert all(two.frame - one.frame > 5 for one, two in pairwise(events))


@settings(deadline=None)
@given(score=scores, sigma=st.floats(0.1, 5))
def test_smooth_keeps_length_range_and_constants(score: list[float], sigma: float) -> None:
    score_T = np.array(score)
    smoothed_T = smooth(score_T, sigma)
    assert smoothed_T.shape == score_T.shape
    if len(score_T):
        assert score_T.min() - 1e-12 <= smoothed_T.min() <= smoothed_T.max() <= score_T.max() + 1e-12
        assert smooth(np.full(len(score_T), 0.3), sigma) == pytest.approx(0.3)


def test_smooth_spreads_a_peak_as_a_gaussian() -> None:
    score_T = np.zeros(41)
    score_T[20] = 1
    smoothed_T = smooth(score_T, 2.0)
    assert smoothed_T.sum() == pytest.approx(1)
    assert smoothed_T == pytest.approx(smoothed_T[::-1])
    assert smoothed_T[22] / smoothed_T[20] == pytest.approx(np.exp(-0.5))  # one sigma away


def test_gaussian_suppression_decays_a_neighbour_by_its_distance() -> None:
    scores_TK = np.zeros((50, 1), dtype=np.float32)
    scores_TK[[20, 23], 0] = (0.8, 0.5)
    scores = Scores(scores_TK=scores_TK, label_set=LabelSet(("PASS",)))
    first, second = suppress(scores, Suppression(method="gaussian", sigma_s=0.12))  # 3 frames
    assert (first.frame, second.frame) == (20, 23)
    assert first.confidence == pytest.approx(0.8)
    assert second.confidence == pytest.approx(0.5 * (1 - np.exp(-0.5)))


def test_soccernet_nms_removes_half_a_window_back_and_a_frame_less_ahead() -> None:
    score_T = np.zeros(12)
    score_T[[3, 5, 6, 7]] = 0.9, 0.8, 0.6, 0.7
    frames_E, confidences_E = soccernet_nms(score_T, window=8)
    assert list(zip(frames_E.tolist(), confidences_E.tolist(), strict=True)) == [(3, 0.9), (7, 0.7), (11, 0.0)]
    scores = Scores(scores_TK=score_T[:, None].astype(np.float32), label_set=LabelSet(("A",)), fps=Fraction(2))
    events = suppress(scores, Suppression(method="soccernet", window_s=4))
    assert [event.frame for event in events] == [3, 7]

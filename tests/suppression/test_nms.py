"""Suppression is its definition: the highest first, its neighbours decayed, one event after the other."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.suppression import nms as module
from e2espot.suppression.nms import Suppression, soft_nms, suppress


def one_after_the_other(
    score_T: np.ndarray, window: int, floor: float, decay: np.ndarray
) -> tuple[list[int], list[float]]:
    """What is emitted, in order."""
    left = {t: float(score) for t, score in enumerate(score_T) if score >= floor}
    frames, confidences = [], []
    while left:
        best = max(left, key=lambda t: (left[t], -t))
        frames.append(best)
        confidences.append(left.pop(best))
        for t in [t for t in left if abs(t - best) <= window]:
            left[t] *= decay[abs(t - best)]
            if left[t] < floor:
                del left[t]
    return frames, confidences


def in_order(frames: np.ndarray, confidences: np.ndarray) -> tuple[list[int], list[float]]:
    """As the definition emits them, equal scores by frame: then everything must be the same to the last bit."""
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
def test_equals_the_definition(rounds: int, score: list[float], window: int, power: int) -> None:
    decay = (np.arange(window + 1) / window) ** power if power else np.zeros(window + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_ROUNDS", rounds)
        frames, confidences = soft_nms(np.array(score), window=window, floor=1e-3, decay=decay)
    assert in_order(frames, confidences) == one_after_the_other(np.array(score), window, 1e-3, decay)


def test_a_match_with_a_candidate_everywhere() -> None:
    rng = np.random.default_rng(0)
    score_T = rng.uniform(0.001, 1, 3000)
    decay = (np.arange(21) / 20) ** 2
    frames, confidences = soft_nms(score_T, window=20, floor=1e-3)
    assert in_order(frames, confidences) == one_after_the_other(score_T, 20, 1e-3, decay)


@pytest.mark.parametrize("method", ["soft", "gaussian", "hard", "peaks"])
def test_every_method_keeps_a_lone_peak_where_it_is(method: module.Method) -> None:
    scores_TK = np.zeros((200, 2), dtype=np.float32)
    scores_TK[[50, 150], [0, 1]] = 0.9
    found = suppress(
        Scores(scores_TK=scores_TK, label_set=LabelSet(("PASS", "DRIVE")), fps=Fraction(25)), Suppression(method=method)
    )
    strongest = {event.label: event.frame for event in sorted(found, key=lambda event: event.confidence)}
    assert strongest == {"PASS": 50, "DRIVE": 150}


def test_nothing_gives_nothing() -> None:
    frames, confidences = soft_nms(np.empty(0), window=5)
    assert len(frames) == len(confidences) == 0

"""Matching labels to predictions in order, compared with every possible matching."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.scoring.clock_offset import Moment
from e2espot.scoring.monotone_matching import Pair, best_chain, match_in_order


def brute_force(pairs: list[Pair]) -> float:
    """Largest sum of gains of pairs that ascend in both indexes."""
    best = 0.0
    for size in range(1, len(pairs) + 1):
        for chain in combinations(sorted(pairs), size):
            if all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(chain)):
                best = max(best, sum(gain for _, _, gain in chain))
    return best


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 5), st.floats(0.01, 1)),
        max_size=9,
        unique_by=lambda pair: (pair[0], pair[1]),
    )
)
def test_chain_is_the_best_of_all(pairs: list[Pair]) -> None:
    chain = best_chain(pairs, 6)
    assert set(chain) <= set(pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(chain))
    assert sum(gain for _, _, gain in chain) == pytest.approx(brute_force(pairs))


def moments(text: str, *, value: float = 1.0) -> list[Moment]:
    """``"P1000 D1500"`` as moments."""
    names = {"P": "PASS", "D": "DRIVE"}
    return [Moment(position_ms=int(word[1:]), label=names[word[0]], value=value) for word in text.split()]


def test_labels_move_to_predictions_of_their_class_within_the_window() -> None:
    labels = moments("P1000 D1500 P4000 P9000")
    predictions = moments("D900 P1200 D1900 P3000 P10000")
    assert match_in_order(labels, predictions, 1000) == [1, 2, None, None]  # 1000 ms is the first distance too far
    assert match_in_order(labels, predictions, 1001) == [1, 2, 3, 4]


def test_order_is_kept_where_the_nearest_prediction_would_break_it() -> None:
    # Each label is nearest to 2000 ms; taken in turn, the second one would go back to 1500.
    assert match_in_order(moments("P1900 P2100"), moments("P1500 P2000"), 1000) == [0, 1]
    assert match_in_order(moments("P1900 D2100"), moments("D1500 P2000"), 1000) == [1, None]


def test_confident_prediction_wins_over_a_nearer_weak_one() -> None:
    predictions = [
        Moment(position_ms=1000, label="PASS", value=0.1),
        Moment(position_ms=1400, label="PASS", value=0.9),
    ]
    assert match_in_order(moments("P1000"), predictions, 1000) == [1]
    assert match_in_order(moments("P1000"), predictions, 1000, min_confidence=0.95) == [None]
    assert match_in_order([], predictions, 1000) == []
    assert match_in_order(moments("P1000"), [], 1000) == [None]


def test_a_long_half_is_matched_at_once() -> None:
    rng = np.random.default_rng(0)
    truth = np.cumsum(rng.uniform(1200, 4000, 2000)).astype(int)
    predictions = moments(" ".join(f"P{time}" for time in truth))
    labels = sorted(
        moments(" ".join(f"P{time + int(rng.normal(0, 400))}" for time in truth)), key=lambda moment: moment.position_ms
    )
    matched = match_in_order(labels, predictions, 1500)
    right = sum(index == number for number, index in enumerate(matched))
    assert right > 1950

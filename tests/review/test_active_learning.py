"""Which moments are asked about first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.events import Event
from e2espot.review.active_learning import Answer, chance_right, disagree, entropy, in_batches, uncertain


def event(frame: int, confidence: float, label: str = "PASS") -> Event:
    return Event(frame=frame, label=label, confidence=confidence)


def answer(frame: int, score: float, right: bool, label: str = "PASS") -> Answer:
    return Answer(video=0, frame=frame, label=label, score=score, right=right)


def test_the_least_certain_comes_first() -> None:
    asked = uncertain({0: [event(1000 * k, score) for k, score in enumerate((0.95, 0.1, 0.52, 0.28, 0.7))]})
    assert [question.score for question in asked] == [0.52, 0.7, 0.28, 0.1, 0.95]


def test_answers_move_the_point_of_doubt() -> None:
    events = {0: [event(1000 * k, score) for k, score in enumerate((0.2, 0.5, 0.8))]}
    wrong = [answer(10**6 + k, 0.55, False) for k in range(40)]
    assert uncertain(events, wrong)[0].score != 0.5
    assert chance_right(np.array([0.55]), wrong)[0] < 0.1
    right = [answer(10**6 + k, 0.25, True) for k in range(6)]
    assert chance_right(np.array([0.2]), right)[0] == pytest.approx(0.6)


def test_one_passage_of_play_is_not_asked_about_twice_in_a_row() -> None:
    asked = uncertain({0: [event(100, 0.5), event(110, 0.5), event(900, 0.35)]})
    assert [question.frame for question in asked] == [100, 900, 110]


def test_rare_classes_have_their_turn() -> None:
    events = [event(1000 * k, 0.5) for k in range(8)] + [event(500_000, 0.3, "GOAL")]
    assert [question.label for question in uncertain({0: events})].index("GOAL") == 1


def test_what_was_answered_is_not_asked_again_even_if_it_moved_a_little() -> None:
    events = {0: [event(100, 0.5), event(300, 0.5), event(300, 0.5, "DRIVE")], 1: [event(100, 0.5)]}
    asked = uncertain(events, [answer(103, 0.5, False), answer(320, 0.5, True)])
    assert {(q.video, q.frame, q.label) for q in asked} == {(0, 300, "PASS"), (0, 300, "DRIVE"), (1, 100, "PASS")}


def test_disagreement_with_labels() -> None:
    labels = {0: [event(100, 1), event(500, 1), event(900, 1, "DRIVE")]}
    predictions = {0: [event(104, 0.9), event(700, 0.8), event(905, 0.2, "DRIVE"), event(500, 0.7, "DRIVE")]}
    asked = disagree(predictions, labels)
    assert {(q.kind, q.frame, q.label) for q in asked} == {
        ("label", 500, "PASS"),
        ("label", 900, "DRIVE"),
        ("prediction", 700, "PASS"),
        ("prediction", 500, "DRIVE"),
    }
    assert (asked[0].kind, asked[0].weight) == ("label", 1)


def test_disagreement_of_two_spotters_where_there_are_no_labels() -> None:
    mine = {0: [event(100, 0.9), event(500, 0.6)]}
    theirs = {0: [event(103, 0.86), event(506, 0.1), event(900, 0.7)]}
    asked = disagree(mine, {}, others=[theirs])
    assert [(q.frame, round(q.weight, 2)) for q in asked] == [(900, 0.7), (500, 0.5)]
    assert disagree(mine, {}) == []


@settings(max_examples=40)
@given(
    st.lists(st.builds(event, st.integers(0, 3000), st.floats(0, 1), st.sampled_from(["PASS", "DRIVE"])), max_size=60),
    st.integers(1, 50),
)
def test_every_prediction_once_and_no_more_than_asked_for(events, most) -> None:
    asked = uncertain({3: events}, most=most)
    assert len(asked) == min(most, len(events))
    assert {q.video for q in asked} <= {3}
    left = [(e.frame, e.label, e.confidence) for e in events]
    for question in asked:
        left.remove((question.frame, question.label, question.score))


def test_batches_are_in_order_of_time() -> None:
    events = [event(1000 * (37 * k % 50), (50 - k) / 101) for k in range(50)]
    asked = uncertain({1: events[::2], 0: events[1::2]})
    batched = in_batches(asked, 20)
    for first in (0, 20, 40):
        batch = batched[first : first + 20]
        assert sorted(asked[first : first + 20], key=lambda q: (q.video, q.frame)) == batch


def test_entropy() -> None:
    assert entropy(np.array([0.0, 0.5, 1.0])).tolist() == pytest.approx([0, 1, 0], abs=1e-9)


def test_twenty_thousand_predictions_are_ordered_quickly() -> None:
    import time

    rng = np.random.default_rng(0)
    events = [
        event(int(k), float(s)) for k, s in zip(rng.integers(0, 135_000, 20_000), rng.random(20_000), strict=True)
    ]
    labels = [event(k, 1.0) for k in range(0, 135_000, 120)]
    begun = time.process_time()
    uncertain({0: events})
    disagree({0: events}, {0: labels})
    assert time.process_time() - begun < 4

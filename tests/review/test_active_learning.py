"""The order of the questions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.events import Event
from e2espot.review.active_learning import (
    Answer,
    entropy,
    probability_correct,
    rank_by_disagreement,
    rank_by_uncertainty,
    sort_in_batches,
)


def event(frame: int, confidence: float, label: str = "PASS") -> Event:
    return Event(frame=frame, label=label, confidence=confidence)


def answer(frame: int, score: float, correct: bool, label: str = "PASS") -> Answer:
    return Answer(video=0, frame=frame, label=label, score=score, correct=correct)


def test_rank_by_uncertainty_puts_the_least_certain_first() -> None:
    questions = rank_by_uncertainty(
        {0: [event(1000 * k, score) for k, score in enumerate((0.95, 0.1, 0.52, 0.28, 0.7))]}
    )
    assert [question.score for question in questions] == [0.52, 0.7, 0.28, 0.1, 0.95]


def test_answers_shift_probability_correct() -> None:
    events = {0: [event(1000 * k, score) for k, score in enumerate((0.2, 0.5, 0.8))]}
    wrong = [answer(10**6 + k, 0.55, False) for k in range(40)]
    assert rank_by_uncertainty(events, wrong)[0].score != 0.5
    assert probability_correct(np.array([0.55]), wrong)[0] < 0.1
    right = [answer(10**6 + k, 0.25, True) for k in range(6)]
    assert probability_correct(np.array([0.2]), right)[0] == pytest.approx(0.6)


def test_neighbouring_questions_lose_weight() -> None:
    questions = rank_by_uncertainty({0: [event(100, 0.5), event(110, 0.5), event(900, 0.35)]})
    assert [question.frame for question in questions] == [100, 900, 110]


def test_rare_classes_come_early() -> None:
    events = [event(1000 * k, 0.5) for k in range(8)] + [event(500_000, 0.3, "GOAL")]
    assert [question.label for question in rank_by_uncertainty({0: events})].index("GOAL") == 1


def test_answered_predictions_are_left_out_even_if_moved_a_little() -> None:
    events = {0: [event(100, 0.5), event(300, 0.5), event(300, 0.5, "DRIVE")], 1: [event(100, 0.5)]}
    questions = rank_by_uncertainty(events, [answer(103, 0.5, False), answer(320, 0.5, True)])
    assert {(q.video, q.frame, q.label) for q in questions} == {(0, 300, "PASS"), (0, 300, "DRIVE"), (1, 100, "PASS")}


def test_rank_by_disagreement_compares_with_labels() -> None:
    labels = {0: [event(100, 1), event(500, 1), event(900, 1, "DRIVE")]}
    predictions = {0: [event(104, 0.9), event(700, 0.8), event(905, 0.2, "DRIVE"), event(500, 0.7, "DRIVE")]}
    questions = rank_by_disagreement(predictions, labels)
    assert {(q.kind, q.frame, q.label) for q in questions} == {
        ("label", 500, "PASS"),
        ("label", 900, "DRIVE"),
        ("prediction", 700, "PASS"),
        ("prediction", 500, "DRIVE"),
    }
    assert (questions[0].kind, questions[0].weight) == ("label", 1)


def test_rank_by_disagreement_compares_two_models_without_labels() -> None:
    mine = {0: [event(100, 0.9), event(500, 0.6)]}
    theirs = {0: [event(103, 0.86), event(506, 0.1), event(900, 0.7)]}
    questions = rank_by_disagreement(mine, {}, others=[theirs])
    assert [(q.frame, round(q.weight, 2)) for q in questions] == [(900, 0.7), (500, 0.5)]
    assert rank_by_disagreement(mine, {}) == []


@settings(max_examples=40)
@given(
    st.lists(st.builds(event, st.integers(0, 3000), st.floats(0, 1), st.sampled_from(["PASS", "DRIVE"])), max_size=60),
    st.integers(1, 50),
)
def test_every_prediction_is_asked_about_once_up_to_the_maximum(events, maximum) -> None:
    questions = rank_by_uncertainty({3: events}, max_questions=maximum)
    assert len(questions) == min(maximum, len(events))
    assert {q.video for q in questions} <= {3}
    left = [(e.frame, e.label, e.confidence) for e in events]
    for question in questions:
        left.remove((question.frame, question.label, question.score))


def test_sort_in_batches_orders_each_batch_by_time() -> None:
    events = [event(1000 * (37 * k % 50), (50 - k) / 101) for k in range(50)]
    questions = rank_by_uncertainty({1: events[::2], 0: events[1::2]})
    batched = sort_in_batches(questions, 20)
    for first in (0, 20, 40):
        batch = batched[first : first + 20]
        assert sorted(questions[first : first + 20], key=lambda q: (q.video, q.frame)) == batch


def test_entropy_of_certain_and_even_answers() -> None:
    assert entropy(np.array([0.0, 0.5, 1.0])).tolist() == pytest.approx([0, 1, 0], abs=1e-9)


def test_ranking_twenty_thousand_predictions_is_fast() -> None:
    import time

    rng = np.random.default_rng(0)
    events = [
        event(int(k), float(s)) for k, s in zip(rng.integers(0, 135_000, 20_000), rng.random(20_000), strict=True)
    ]
    labels = [event(k, 1.0) for k in range(0, 135_000, 120)]
    begun = time.process_time()
    rank_by_uncertainty({0: events})
    rank_by_disagreement({0: events}, {0: labels})
    assert time.process_time() - begun < 4

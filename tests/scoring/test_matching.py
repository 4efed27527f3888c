"""What the report draws is what the metric counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.label_sets import LabelSet
from e2espot.scoring import ScoredEvent, evaluate
from e2espot.scoring.matching import (
    best_threshold,
    match_events,
    confusion,
    top_false_positives,
    worst_misses,
)

CLASSES = LabelSet(("PASS", "DRIVE", "SHOT"))


def entry(ms: int, label: str = "PASS", value: float = 1.0, half: int = 1) -> ScoredEvent:
    return ScoredEvent(half=half, position_ms=ms, label=label, value=value)


def entries(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[ScoredEvent]]:
    return st.lists(
        st.builds(
            entry, st.integers(0, 20_000), st.sampled_from([*CLASSES.names, "OTHER"]), values, st.sampled_from([1, 2])
        ),
        max_size=40,
    )


labels_of_games = st.lists(entries(st.sampled_from([1.0, -1.0])), min_size=1, max_size=3)
predictions_of_games = st.lists(entries(st.floats(0, 1) | st.just(-1.0)), min_size=3, max_size=3)


@settings(max_examples=60)
@given(labels_of_games, predictions_of_games)
def test_a_curve_has_the_average_precision_of_the_table(labels, predictions) -> None:
    gt = {str(game): rows for game, rows in enumerate(labels)}
    found = {str(game): predictions[game] for game in range(len(labels))}
    metrics = [f"at{s}" for s in range(1, 6)]
    report = evaluate(gt, found, CLASSES, metrics)
    for tolerance_s, matching in match_events(gt, found, CLASSES, range(1, 6)).items():
        for place, name in enumerate(CLASSES.names):
            precision, recall = matching.curve(place)
            points = [precision[recall >= level].max(initial=0.0) for level in np.arange(11) / 10]
            expected = report.results[f"at{tolerance_s:g}"].per_class[name]
            assert sum(points) / 11 == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60)
@given(labels_of_games, predictions_of_games)
def test_every_label_and_every_kept_prediction_stands_once_in_the_confusion(labels, predictions) -> None:
    gt = {str(game): rows for game, rows in enumerate(labels)}
    found = {str(game): predictions[game] for game in range(len(labels))}
    matching = match_events(gt, found, CLASSES, [2])[2]
    kept_P = matching.kept(np.array([0.2, 0.5, 0.0]))
    counts = confusion(matching, kept_P)
    assert counts[:-1].sum(axis=1).tolist() == np.bincount(matching.labels.class_N, minlength=3).tolist()
    said = np.bincount(matching.predictions.class_N[kept_P], minlength=3)
    assert counts[:, :-1].sum(axis=0).tolist() == said.tolist()
    assert np.diag(counts)[:-1].sum() == (matching.hits & kept_P).sum()
    assert counts[-1, -1] == 0


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()), max_size=12), st.integers(1, 12))
def test_the_best_threshold_is_the_best_of_all(rows, more) -> None:
    scores = np.array([score for score, _ in rows])
    hits = np.array([hit for _, hit in rows], dtype=bool)
    num_labels = int(hits.sum()) + more
    best = best_threshold(scores, hits, num_labels)
    values = {}
    for threshold in {score for score, _ in rows}:
        kept = scores >= threshold
        values[threshold] = 2 * (hits & kept).sum() / (kept.sum() + num_labels)
    assert best.f1 == pytest.approx(max(values.values(), default=0.0))
    if best.f1:
        assert values[best.value] == pytest.approx(best.f1)
        assert best.value == max(t for t, value in values.items() if value == pytest.approx(best.f1))
    else:
        assert np.isinf(best.value)


def test_late_predictions_show_as_late() -> None:
    gt = {"game": [entry(1020 + 2000 * k) for k in range(9)]}
    found = {"game": [entry(1020 + 2000 * k + 120, value=0.9) for k in range(9)]}
    matching = match_events(gt, found, CLASSES, [1])[1]
    errors_s, classes = matching.errors_s(np.ones(9, dtype=bool))
    assert errors_s.tolist() == [0.12] * 9
    assert classes.tolist() == [0] * 9


def test_misses_and_false_alarms_are_listed_by_how_wrong_they_are() -> None:
    gt = {"game": [entry(5020), entry(15020), entry(25020, "SHOT")]}
    found = {
        "game": [
            entry(5020, value=0.2),
            entry(15020 + 600, value=0.7),
            entry(25020, "DRIVE", 0.8),
            entry(40020, "SHOT", 0.9),
            entry(15020 - 1600, value=0.3),
        ]
    }
    matching = match_events(gt, found, CLASSES, [1])[1]
    kept_P = matching.kept(np.full(3, 0.5))
    misses = worst_misses(matching, kept_P, 9)
    assert [(case.bin, case.score) for case in misses] == [(375, 0.0), (625, 0.0), (125, 0.2)]
    assert [(case.neighbour, case.neighbour_s) for case in misses] == [(0, 0.6), (1, 0.0), (-1, 0.0)]
    alarms = top_false_positives(matching, 3)
    assert [(case.bin, case.score, case.neighbour) for case in alarms] == [
        (1000, 0.9, -1),
        (625, 0.8, 2),
        (390, 0.7, 0),
    ]
    assert [case.neighbour_s for case in alarms] == [0.0, 0.0, -0.6]
    assert not any(case.taken for case in alarms)
    assert len(worst_misses(matching, kept_P, 1)) == 1


def test_a_second_prediction_of_one_label_is_named_a_double() -> None:
    gt = {"game": [entry(5020)]}
    found = {"game": [entry(5020, value=0.9), entry(5220, value=0.8)]}
    (alarm,) = top_false_positives(match_events(gt, found, CLASSES, [1])[1], 9)
    assert (alarm.score, alarm.taken) == (0.8, True)


def test_nothing_at_all() -> None:
    matching = match_events({"game": []}, {"game": []}, CLASSES, [1])[1]
    assert [best.f1 for best in matching.best_thresholds()] == [0, 0, 0]
    assert confusion(matching, matching.hits).sum() == 0
    assert worst_misses(matching, matching.hits, 5) == top_false_positives(matching, 5) == []

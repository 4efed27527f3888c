"""The matches behind a score agree with the score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.label_sets import LabelSet
from e2espot.scoring import ScoredEvent, evaluate
from e2espot.scoring.error_analysis import best_threshold, confusion, match_events
from e2espot.scoring.error_examples import top_false_positives, worst_misses

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
def test_curve_has_average_precision_of_report(labels, predictions) -> None:
    gt = {str(game): rows for game, rows in enumerate(labels)}
    predicted = {str(game): predictions[game] for game in range(len(labels))}
    metrics = [f"at{s}" for s in range(1, 6)]
    report = evaluate(gt, predicted, CLASSES, metrics)
    for tolerance_s, matching in match_events(gt, predicted, CLASSES, range(1, 6)).items():
        for index, name in enumerate(CLASSES.names):
            precision, recall = matching.curve(index)
            points = [precision[recall >= level].max(initial=0.0) for level in np.arange(11) / 10]
            expected = report.results[f"at{tolerance_s:g}"].per_class[name]
            assert sum(points) / 11 == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60)
@given(labels_of_games, predictions_of_games)
def test_confusion_counts_every_label_and_selected_prediction_once(labels, predictions) -> None:
    gt = {str(game): rows for game, rows in enumerate(labels)}
    predicted = {str(game): predictions[game] for game in range(len(labels))}
    matching = match_events(gt, predicted, CLASSES, [2])[2]
    selected_P = matching.selected(np.array([0.2, 0.5, 0.0]))
    counts = confusion(matching, selected_P)
    assert counts[:-1].sum(axis=1).tolist() == np.bincount(matching.labels.class_N, minlength=3).tolist()
    counted = np.bincount(matching.predictions.class_N[selected_P], minlength=3)
    assert counts[:, :-1].sum(axis=0).tolist() == counted.tolist()
    assert np.diag(counts)[:-1].sum() == (matching.hits & selected_P).sum()
    assert counts[-1, -1] == 0


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()), max_size=12), st.integers(1, 12))
def test_best_threshold_has_highest_f1_of_all(rows, more) -> None:
    scores = np.array([score for score, _ in rows])
    hits = np.array([hit for _, hit in rows], dtype=bool)
    num_labels = int(hits.sum()) + more
    best = best_threshold(scores, hits, num_labels)
    values = {}
    for threshold in {score for score, _ in rows}:
        selected = scores >= threshold
        values[threshold] = 2 * (hits & selected).sum() / (selected.sum() + num_labels)
    assert best.f1 == pytest.approx(max(values.values(), default=0.0))
    if best.f1:
        assert values[best.value] == pytest.approx(best.f1)
        assert best.value == max(t for t, value in values.items() if value == pytest.approx(best.f1))
    else:
        assert np.isinf(best.value)


def test_time_errors_s_are_positive_for_late_predictions() -> None:
    gt = {"game": [entry(1020 + 2000 * k) for k in range(9)]}
    predicted = {"game": [entry(1020 + 2000 * k + 120, value=0.9) for k in range(9)]}
    matching = match_events(gt, predicted, CLASSES, [1])[1]
    errors_s, classes = matching.time_errors_s(np.ones(9, dtype=bool))
    assert errors_s.tolist() == [0.12] * 9
    assert classes.tolist() == [0] * 9


def test_misses_and_false_positives_are_listed_worst_first() -> None:
    gt = {"game": [entry(5020), entry(15020), entry(25020, "SHOT")]}
    predicted = {
        "game": [
            entry(5020, value=0.2),
            entry(15020 + 600, value=0.7),
            entry(25020, "DRIVE", 0.8),
            entry(40020, "SHOT", 0.9),
            entry(15020 - 1600, value=0.3),
        ]
    }
    matching = match_events(gt, predicted, CLASSES, [1])[1]
    selected_P = matching.selected(np.full(3, 0.5))
    misses = worst_misses(matching, selected_P, 9)
    assert [(example.bin, example.score) for example in misses] == [(375, 0.0), (625, 0.0), (125, 0.2)]
    assert [(example.neighbour, example.neighbour_s) for example in misses] == [(0, 0.6), (1, 0.0), (-1, 0.0)]
    false_positives = top_false_positives(matching, 3)
    assert [(example.bin, example.score, example.neighbour) for example in false_positives] == [
        (1000, 0.9, -1),
        (625, 0.8, 2),
        (390, 0.7, 0),
    ]
    assert [example.neighbour_s for example in false_positives] == [0.0, 0.0, -0.6]
    assert not any(example.is_duplicate for example in false_positives)
    assert len(worst_misses(matching, selected_P, 1)) == 1


def test_second_prediction_of_a_label_is_a_duplicate() -> None:
    gt = {"game": [entry(5020)]}
    predicted = {"game": [entry(5020, value=0.9), entry(5220, value=0.8)]}
    (example,) = top_false_positives(match_events(gt, predicted, CLASSES, [1])[1], 9)
    assert (example.score, example.is_duplicate) == (0.8, True)


def test_matching_without_events_is_empty() -> None:
    matching = match_events({"game": []}, {"game": []}, CLASSES, [1])[1]
    assert [best.f1 for best in matching.best_thresholds()] == [0, 0, 0]
    assert confusion(matching, matching.hits).sum() == 0
    assert worst_misses(matching, matching.hits, 5) == top_false_positives(matching, 5) == []

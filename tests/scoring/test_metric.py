"""Our numbers are SoccerNet's numbers."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS, LabelSet
from e2espot.scoring import METRICS, ScoredEvent, evaluate, evaluate_events
from tests.support.budget import sized

official = pytest.importorskip("SoccerNet.Evaluation.ActionSpotting", reason="the SoccerNet package is not installed")


def official_metric(labels, predictions, classes, metric, framerate):
    """The package's own functions, fed with what its reader would read from files."""
    index = {name: i for i, name in enumerate(classes)}
    targets, closests, detections = [], [], []
    for game in labels:
        annotations = [
            {
                "gameTime": f"{e.half} - 00:00",
                "label": e.label,
                "position": str(e.position_ms),
                "visibility": "visible" if e.value > 0 else "not shown",
            }
            for e in labels[game]
        ]
        results = [
            {"position": str(e.position_ms), "label": e.label, "half": str(e.half), "confidence": e.value}
            for e in predictions[game]
        ]
        t = official.label2vector({"annotations": annotations}, len(classes), framerate, 2, index)
        d = official.predictions2vector({"predictions": results}, len(classes), 2, framerate, index)
        targets += map(without_middle, t)
        detections += map(without_middle, d)
        closests += [without_middle(nearest(half)) for half in t]
    return official.average_mAP(targets, detections, closests, framerate, np.array(METRICS[metric]))


def without_middle(half):
    """The first and last 80 s of an array of two hours: nothing happens in between, and the package searches all of it.

    Events lie in the first 12 s and at the very end, still 148 s apart; the widest search reaches 60 s.
    """
    edge = len(half) // 90
    return np.concatenate([half[:edge], half[-edge:]])


def nearest(target):
    """Visibility of the nearest label, by the package's rule of borders at whole middles."""
    out = np.full(target.shape, -1.0)
    for c in range(target.shape[1]):
        bins = np.flatnonzero(target[:, c])
        for i, center in enumerate(bins):
            start = 0 if i == 0 else (bins[i - 1] + center) // 2
            stop = len(target) if i == len(bins) - 1 else (center + bins[i + 1]) // 2
            out[start:stop, c] = target[center, c]
    return out


@st.composite
def cases(draw):
    # Events are of three classes at most. The package takes as long for a class without any, so a sample has one.
    classes = LABEL_SETS[draw(st.sampled_from(["ball-2", "ball-12"]))].names[: sized(4, 12)]
    # A few close times make ties and contested labels; the others reach the edges of the arrays.
    time = st.one_of(
        st.integers(0, 12_000),
        st.integers(0, 300).map(lambda k: 40 * k),
        st.sampled_from([-45, -30, 7_199_999, 8_000_000]),
    )
    half = st.sampled_from([1, 1, 1, 2, 3])
    label = st.sampled_from([*classes[:3], "Nonsense"])
    score = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0, -0.3, 1.4]))
    labels, predictions = {}, {}
    for game in range(draw(st.integers(1, 2))):
        shown = st.sampled_from([1.0, 1.0, -1.0])
        truth = st.builds(ScoredEvent, half=half, position_ms=time, label=label, value=shown)
        guess = st.builds(ScoredEvent, half=half, position_ms=time, label=label, value=score)
        fewest = draw(st.sampled_from([0, 8, 8]))  # a few events seldom meet, and then every score is 0
        labels[f"g{game}"] = draw(st.lists(truth, min_size=fewest, max_size=12))
        predictions[f"g{game}"] = draw(st.lists(guess, min_size=fewest, max_size=16))
    return LabelSet(classes), labels, predictions, draw(st.sampled_from(list(METRICS))), draw(st.sampled_from([2, 25]))


@settings(max_examples=sized(40, 400), deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_evaluate_equals_soccernets_evaluator(case) -> None:
    label_set, labels, predictions, metric, framerate = case
    expected = official_metric(labels, predictions, label_set.names, metric, framerate)
    got = evaluate(labels, predictions, label_set, [metric], framerate).results[metric]
    for kind, mean, per_class in (("", *expected[:2]), ("_visible", *expected[2:4]), ("_unshown", *expected[4:])):
        assert getattr(got, f"mAP{kind}") == pytest.approx(float(mean), abs=1e-9)
        assert list(getattr(got, f"per_class{kind}").values()) == pytest.approx([float(v) for v in per_class], abs=1e-9)


def test_map_of_perfect_predictions_of_none_and_of_one_class_of_two() -> None:
    events = [Event(frame=100 * i, label="PASS") for i in range(1, 20)]
    both = events + [Event(frame=f.frame + 50, label="DRIVE") for f in events]
    assert evaluate_events({"g": both}, {"g": both}, LABEL_SETS["ball-2"]).mAP() == 1
    assert evaluate_events({"g": both}, {"g": []}, LABEL_SETS["ball-2"]).mAP() == 0
    assert evaluate_events({"g": both}, {"g": events}, LABEL_SETS["ball-2"]).mAP() == 0.5


def test_every_frame_survives_the_files_arithmetic() -> None:
    events = [Event(frame=f, label="PASS") for f in range(0, 75_000, 30)]
    late = [Event(frame=f + 12, label="PASS", confidence=0.9) for f in range(0, 75_000, 30)]
    assert (
        evaluate_events({"g": events}, {"g": late}, LABEL_SETS["ball-2"], ["at1"]).results["at1"].per_class["PASS"] == 1
    )


def test_evaluate_refuses_games_without_predictions() -> None:
    with pytest.raises(AnnotationError, match="no predictions for 1 game"):
        evaluate({"g": []}, {}, LABEL_SETS["ball-2"])


def test_evaluate_refuses_unknown_metrics() -> None:
    with pytest.raises(ConfigurationError, match="at9"):
        evaluate({}, {}, LABEL_SETS["ball-2"], ["at9"])


def test_predictions_of_a_class_that_is_not_scored_are_named(caplog: pytest.LogCaptureFixture) -> None:
    labels = {"g": [Event(frame=100, label="Pass")]}
    predictions = {"g": [Event(frame=100, label="PASS"), Event(frame=200, label="PASS"), Event(frame=9, label="SHOT")]}
    assert evaluate_events(labels, predictions, LabelSet(("Pass",))).mAP() == 0
    assert "2 events skipped: their class 'PASS' is not scored, 'Pass' is; rename one of them with a map" in caplog.text
    assert "1 event skipped: their class 'SHOT' is not scored" in caplog.text


def test_table_is_in_percent_and_json_in_fractions() -> None:
    labels = [Event(frame=1, label="PASS"), Event(frame=100, label="DRIVE")]
    report = evaluate_events({"g": labels}, {"g": labels[:1]}, LABEL_SETS["ball-2"], ["at1"])
    heading, *rows = [line.split() for line in report.table().splitlines()]
    assert heading == ["@1"]
    assert [row[-1] for row in rows] == ["50.00", "100.00", "0.00"]  # the mean, PASS, DRIVE
    assert report.to_json()["at1"]["per_class"] == {"PASS": 1.0, "DRIVE": 0.0}


def test_table_names_the_classes_without_labels_and_the_mean_of_the_others() -> None:
    labels = {"g": [ScoredEvent(half=1, position_ms=ms, label="PASS") for ms in range(1000, 60_000, 3000)]}
    names = ("PASS", "DRIVE", "SHOT", "CROSS")
    table = evaluate(labels, labels, LabelSet(names), ["at1", "at2"]).table()
    assert "mAP is the mean over 4 classes; 3 have no label here and count as 0: DRIVE, SHOT, CROSS" in table
    assert table.endswith("mean of the others: 100.00, 100.00")
    assert "mean over" not in evaluate(labels, labels, LabelSet(("PASS",)), ["at1"]).table()

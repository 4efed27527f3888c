"""The simulated annotator of the review study, its labels, and its plot."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.formats.soccernet_json import parse_document
from e2espot.review.active_learning import Question
from e2espot.review.export import unreviewed, with_pseudo_labels
from e2espot.review.label_rows import EventKey
from e2espot.review.label_store import LabelStore
from e2espot.review.state import ChangeOrigin
from e2espot.review.verdicts import REJECTED
from e2espot.studies.plans import ReviewPlan
from e2espot.studies.review_loop import earlier_answers, label_quality, true_event
from e2espot.studies.review_plot import plot


def event(frame: int, label: str = "PASS") -> EventKey:
    return EventKey(half=1, frame=frame, label=label)


def question(frame: int, label: str = "PASS") -> Question:
    return Question(video=0, frame=frame, label=label, score=0.5, kind="prediction", weight=1)


def test_true_event_prefers_the_class_then_the_closest_free_event() -> None:
    truth = [event(100), event(106, "DRIVE"), event(300)]
    assert true_event(question(103), 1, truth, set()) == event(100)
    assert true_event(question(103, "DRIVE"), 1, truth, set()) == event(106, "DRIVE")
    assert true_event(question(295, "DRIVE"), 1, truth, set()) == event(300)
    assert true_event(question(113), 1, truth, set()) == event(106, "DRIVE")
    assert true_event(question(113), 1, truth, {event(106, "DRIVE")}) is None
    assert true_event(question(200), 1, truth, set()) is None
    assert true_event(question(100), 2, truth, set()) is None


def test_label_quality_counts_each_event_once() -> None:
    truth = [event(100), event(300), event(500, "DRIVE")]
    given = [event(104), event(96), event(500), event(312)]
    assert label_quality(given, truth) == (2, 4, 3)


def test_pseudo_labels_are_confident_predictions_without_verdict_or_label() -> None:
    from e2espot.core.events import Event

    events = [Event(frame=k, label="PASS", confidence=c) for k, c in ((10, 0.9), (50, 0.3), (100, 0.9), (200, 0.8))]
    verdicts = {"1/104/PASS": "rejected", "label/3": "confirmed"}
    assert [e.frame for e in unreviewed(events, [event(205)], verdicts, 0.5)] == [10]
    text = with_pseudo_labels(b'{"x": 1, "annotations": []}', events, verdicts, 0.5)
    top, rows = parse_document(text, "label", "")
    assert top["x"] == 1
    assert [row["position"] for row in rows] == ["420", "8020"]


def test_plot_is_svg_with_curves_at_their_values() -> None:
    points = [
        {"variant": "labelled match alone", "decisions": 0, "mAP@1": 0.5},
        {"variant": "no questions", "decisions": 0, "mAP@1": 0.52},
        {"variant": "questions of the queue", "decisions": 100, "mAP@1": 0.6},
        {"variant": "questions at random", "decisions": 100, "mAP@1": 0.55},
        {"variant": "all labels", "decisions": -1, "mAP@1": 0.7},
    ]
    svg = ElementTree.fromstring(plot(points, "mAP@1", "mAP@1"))
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"questions of the queue", "questions at random", "all labels", "100"} <= set(texts)
    heights = [float(dot.attrib["cy"]) for dot in svg.iter("{http://www.w3.org/2000/svg}circle")]
    assert heights[1] < heights[3] < heights[0]  # 0.60 above 0.55 above 0.52


def test_earlier_answers_count_accepted_predictions_as_right(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "Labels-ball.json")
    store.accept(event(100), event(103), ChangeOrigin(tab="t", op="1", name="", seen=store.revision))
    store.set_verdict("1/200/PASS", REJECTED, ChangeOrigin(tab="t", op="2", name="", seen=store.revision))
    answers = earlier_answers(0, store)
    store.close()
    assert [(answer.frame, answer.correct) for answer in answers] == [(100, True), (200, False)]


@pytest.mark.parametrize("wrong", [{"rounds": -1}, {"decisions": -1}, {"seed": -1}, {"matches": 1}, {"assume": 1.5}])
def test_review_plan_refuses_values_out_of_range(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError) as error:
        ReviewPlan(out=tmp_path, **wrong).check()  # type: ignore[arg-type]
    assert error.value.option == next(iter(wrong))

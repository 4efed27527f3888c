"""The simulated person of the loop, and its plot."""

from xml.etree import ElementTree

from e2espot.formats.soccernet import parse_file
from e2espot.review.active_learning import Question
from e2espot.review.export import undecided, with_assumed
from e2espot.review.label_rows import Place
from e2espot.studies.review_loop import answer, label_quality, plot


def place(frame: int, label: str = "PASS") -> Place:
    return Place(half=1, frame=frame, label=label)


def question(frame: int, label: str = "PASS") -> Question:
    return Question(video=0, frame=frame, label=label, score=0.5, kind="prediction", weight=1)


def test_the_person_names_the_event_that_is_really_there() -> None:
    truth = [place(100), place(106, "DRIVE"), place(300)]
    assert answer(question(103), 1, truth, set()).place == place(100)
    assert answer(question(103, "DRIVE"), 1, truth, set()).place == place(106, "DRIVE")
    assert answer(question(295, "DRIVE"), 1, truth, set()).place == place(300)
    assert answer(question(113), 1, truth, set()).place == place(106, "DRIVE")
    assert answer(question(113), 1, truth, {place(106, "DRIVE")}).place is None
    assert answer(question(200), 1, truth, set()).place is None
    assert answer(question(100), 2, truth, set()).place is None


def test_quality_counts_each_event_once() -> None:
    truth = [place(100), place(300), place(500, "DRIVE")]
    given = [place(104), place(96), place(500), place(312)]
    assert label_quality(given, truth) == (2, 4, 3)


def test_assumed_are_the_sure_predictions_nobody_has_decided_on() -> None:
    from e2espot.core.events import Event

    events = [Event(frame=k, label="PASS", confidence=c) for k, c in ((10, 0.9), (50, 0.3), (100, 0.9), (200, 0.8))]
    verdicts = {"1/104/PASS": "rejected", "label/3": "confirmed"}
    assert [e.frame for e in undecided(events, [place(205)], verdicts, 0.5)] == [10]
    text = with_assumed(b'{"x": 1, "annotations": []}', events, verdicts, 0.5)
    top, rows = parse_file(text, "")
    assert top["x"] == 1
    assert [row["position"] for row in rows] == ["420", "8020"]


def test_the_plot_is_a_picture() -> None:
    points = [
        {"arm": "labelled match alone", "decisions": 0, "mAP@1": 0.5},
        {"arm": "no questions", "decisions": 0, "mAP@1": 0.52},
        {"arm": "questions of the queue", "decisions": 100, "mAP@1": 0.6},
        {"arm": "questions at random", "decisions": 100, "mAP@1": 0.55},
        {"arm": "all labels", "decisions": -1, "mAP@1": 0.7},
    ]
    svg = ElementTree.fromstring(plot(points, "mAP@1", "mAP@1"))
    words = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"questions of the queue", "questions at random", "all labels", "100"} <= set(words)
    heights = [float(dot.attrib["cy"]) for dot in svg.iter("{http://www.w3.org/2000/svg}circle")]
    assert heights[1] < heights[3] < heights[0]  # 0.60 above 0.55 above 0.52


def test_the_export_is_read_back_as_opensportslab_json(tmp_path) -> None:
    import json

    from e2espot.core.label_sets import LABEL_SETS
    from e2espot.formats.games import Video
    from e2espot.formats.opensportslab import read_opensportslab
    from e2espot.review.export import osl_json

    videos = [Video(game="l/s/g", half=half, path=tmp_path / f"{half}_224p.mkv") for half in (1, 2)]
    places = [place(100), place(7, "DRIVE"), Place(half=2, frame=50, label="PASS")]
    (tmp_path / "x.json").write_text(json.dumps(osl_json([("l/s/g", videos, places, [])], LABEL_SETS["ball-2"])))
    found = read_opensportslab(tmp_path / "x.json", predictions=False)
    assert found.classes == ("PASS", "DRIVE")
    told = [(one.game, one.half, [(m.label, m.position_ms) for m in one.moments]) for one in found.recordings]
    assert told == [("l/s/g", 1, [("DRIVE", 300), ("PASS", 4020)]), ("l/s/g", 2, [("PASS", 2020)])]

"""Labels and results to score come from a folder or a zip, game by game."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Literal

import pytest

from e2espot.cli.main import main
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.formats.annotated_table import stated_stretches
from e2espot.scoring import evaluate
from e2espot.scoring.inputs import games_to_score, read_labels, read_predictions, score_inputs
from tests.support.conversions import run_conversion

LABEL = {"gameTime": "1 - 00:04", "label": "PASS", "position": "4020", "team": "left", "visibility": "not shown"}
PREDICTION = {"gameTime": "2 - 00:09", "label": "DRIVE", "position": "9020", "half": "2", "confidence": "0.75"}


def write(root: Path, game: str, name: str, content: object) -> None:
    (root / game).mkdir(parents=True, exist_ok=True)
    (root / game / name).write_text(json.dumps(content))


def zipped(root: Path) -> Path:
    target = root.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(root).as_posix())
    return target


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    for game in ("l/s/b", "l/s/a", *(f"l/s/d{number}" for number in range(6))):
        write(tmp_path / "labels", game, "Labels-ball.json", {"annotations": [LABEL]})
    write(tmp_path / "labels", "l/s/c", "Labels-v2.json", {"annotations": []})
    return tmp_path / "labels"


def test_games_to_score_are_the_labelled_ones_in_order_in_folder_and_zip(labels: Path) -> None:
    for path in (labels, zipped(labels)):
        assert games_to_score(path) == ["l/s/a", "l/s/b", *(f"l/s/d{number}" for number in range(6))]
        assert games_to_score(path, label_file="Labels-v2.json") == ["l/s/c"]
        with pytest.raises(ConfigurationError, match=r"no games with other\.json to score"):
            games_to_score(path, label_file="other.json")


def test_games_to_score_of_a_split_follow_its_list_and_need_a_folder(labels: Path) -> None:
    (labels / "splits.json").write_text(json.dumps({"test": ["l/s/b"], "train": []}))
    assert games_to_score(labels, split="test") == ["l/s/b"]
    with pytest.raises(ConfigurationError, match="no games with"):
        games_to_score(labels, split="train")
    with pytest.raises(ConfigurationError, match="a file, which has no splits") as caught:
        games_to_score(zipped(labels), split="test")
    assert caught.value.option == "split"


def test_read_labels_gives_times_halves_teams_and_minus_one_for_not_shown(labels: Path) -> None:
    expected = ScoredEvent(half=1, position_ms=4020, label="PASS", value=-1.0, team="left")
    for path in (labels, zipped(labels)):
        assert read_labels(path, ["l/s/b"]).labels == {"l/s/b": [expected]}
    with pytest.raises(AnnotationError, match=r"l/s/c/Labels-ball\.json: cannot be read"):
        read_labels(labels, ["l/s/c"])


def test_read_predictions_of_a_game_without_results_is_an_error_or_empty(tmp_path: Path) -> None:
    write(tmp_path / "results", "l/s/a", "results_spotting.json", {"predictions": [PREDICTION]})
    expected = ScoredEvent(half=2, position_ms=9020, label="DRIVE", value=0.75)
    for path in (tmp_path / "results", zipped(tmp_path / "results")):
        read = read_predictions(path, ["l/s/a", "l/s/b"], missing="empty")
        assert read == {"l/s/a": [expected], "l/s/b": []}
        with pytest.raises(AnnotationError, match=r"l/s/b/results_spotting\.json: missing") as caught:
            read_predictions(path, ["l/s/a", "l/s/b"])
        assert caught.value.option == "missing"


def test_read_predictions_names_file_and_entry_of_a_bad_row(tmp_path: Path) -> None:
    bad = {**PREDICTION, "confidence": "high"}
    write(tmp_path, "g", "results_spotting.json", {"predictions": [PREDICTION, bad]})
    with pytest.raises(AnnotationError, match=r"g/results_spotting\.json: predictions\[1\].*'confidence' is 'high'"):
        read_predictions(tmp_path, ["g"], missing="empty")


def rows(kind: str, *times: tuple[int, int], value: object = 0.9) -> dict[str, object]:
    """A file with PASS at each (half, ms)."""
    if kind == "annotations":
        return {kind: [{"gameTime": f"{half} - 00:00", "label": "PASS", "position": ms} for half, ms in times]}
    return {kind: [{"label": "PASS", "position": ms, "half": half, "confidence": value} for half, ms in times]}


def test_events_outside_of_annotated_stretches_do_not_count(tmp_path: Path) -> None:
    times = [(half, ms) for half in (1, 2) for ms in range(1000, 60_000, 2000)]
    labels = {**rows("annotations", *times[:30]), "annotated": [{"half": "2", "stretches": []}]}
    write(tmp_path / "labels", "g", "Labels-ball.json", labels)
    write(tmp_path / "plain", "g", "Labels-ball.json", rows("annotations", *times[:30]))
    write(tmp_path / "out", "g", "results_spotting.json", rows("predictions", *times))

    def ap(folder: str, annotated: str = "") -> tuple[float, tuple[str, ...]]:
        games = read_labels(tmp_path / folder, ["g"], annotated=stated_stretches(annotated))
        scored = score_inputs(tmp_path / "out", games)
        report = evaluate(games.labels, scored.predictions, LabelSet(("PASS",)), ["at1"])
        return report.mAP("at1"), (*games.notes, *scored.notes)

    assert ap("labels") == (pytest.approx(1.0), ("30 predictions outside of the annotated stretches do not count",))
    assert ap("plain", "1/0:00-1:00")[0] == pytest.approx(1.0)
    (tmp_path / "stretches.csv").write_text("game,half,start,end\ng,1,0:00,1:00\n")
    assert ap("plain", str(tmp_path / "stretches.csv"))[0] == pytest.approx(1.0)
    (tmp_path / "stretches.csv").write_text("game,half,start,end\nother,1,0:00,1:00\n")
    with pytest.raises(ConfigurationError, match=r"lists other, and the games are g; give"):
        ap("plain", str(tmp_path / "stretches.csv"))
    value, notes = ap("plain")
    assert value == pytest.approx(0.5)
    assert len(notes) == 1
    assert "g (half 2: 30)" in notes[0]
    assert ap("plain", "0:00-0:10")[1] == (
        "25 labels outside of the annotated stretches do not count",
        "50 predictions outside of the annotated stretches do not count",
        "predictions in halves without a single label count as false: g (half 2: 5); if they were not annotated, say "
        "what was",
    )


def test_classes_that_a_game_does_not_annotate_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Game a annotates PASS, game b PASS and DRIVE, no game GOAL; every DRIVE in a is predicted wrongly."""
    passes = [{"gameTime": "1 - 00:00", "label": "PASS", "position": ms} for ms in range(1000, 60_000, 4000)]
    drives = [{**row, "label": "DRIVE", "position": row["position"] + 1000} for row in passes]
    write(
        tmp_path / "in", "a", "Labels-ball.json", {"annotated_classes": ["PASS"], "annotations": [*passes, drives[0]]}
    )
    write(
        tmp_path / "in",
        "b",
        "Labels-ball.json",
        {"annotated_classes": ["PASS", "DRIVE"], "annotations": passes + drives},
    )
    for game, half in (("a", 2000), ("b", 0)):
        predicted = [
            {**row, "half": 1, "confidence": 0.9, "position": row["position"] + half * (row["label"] == "DRIVE")}
            for row in passes + drives
        ]
        write(tmp_path / "out", game, "results_spotting.json", {"predictions": predicted})
    class_file = tmp_path / "class.txt"
    class_file.write_text("PASS\nDRIVE\nGOAL\n")
    command = ["evaluate", str(tmp_path / "out"), "-l", str(tmp_path / "in"), "--label_set", str(class_file)]
    main([*command, "--metric", "at1"])
    text = capsys.readouterr().out
    assert "note: 1 label of classes that their game does not annotate does not count" in text
    assert "note: 15 predictions of classes that their game does not annotate do not count" in text
    assert "mean over 2 annotated classes; no game annotates GOAL" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(("mAP  ", "DRIVE"))] == [
        "100.00",
        "100.00",
    ]
    main([*command, "--metric", "at1", "--annotated_classes", "DRIVE"])
    assert "mean over 1 annotated class; no game annotates PASS, GOAL" in capsys.readouterr().out


def test_labels_that_no_prediction_can_hit_are_noted(tmp_path: Path) -> None:
    write(tmp_path / "labels", "g", "Labels-ball.json", rows("annotations", (1, 1000), (2, 1000), (2, 5000), (4, 1000)))
    write(tmp_path / "out", "g", "results_spotting.json", rows("predictions", (1, 1000)))
    games = read_labels(tmp_path / "labels", ["g"])
    first, second = score_inputs(tmp_path / "out", games).notes
    assert first == "1 label of extra time or penalties does not count: SoccerNet's evaluator has two halves"
    assert second == (
        "labels of halves without a single prediction count as missed: g (half 2: 2); if one video shows the whole "
        "match, put all labels on its clock: convert them with join_halves, such as 0:00,47:12"
    )


def test_games_without_labels_and_impossible_confidences_are_noted(tmp_path: Path) -> None:
    write(tmp_path / "labels", "a", "Labels-ball.json", rows("annotations", (1, 1000)))
    write(tmp_path / "labels", "b", "Labels-ball.json", rows("annotations"))
    write(tmp_path / "out", "a", "results_spotting.json", rows("predictions", (1, 1000), (1, 5000), value=87.5))
    write(tmp_path / "out", "b", "results_spotting.json", rows("predictions", (1, 1000), value=-1))
    games = read_labels(tmp_path / "labels", ["a", "b"])
    assert games.notes == ("without a single label: b",)
    assert score_inputs(tmp_path / "out", games).notes == (
        "2 confidences above 1, ranked as 1",
        "1 confidence below 0 or none, ignored",
    )


def test_confidences_too_small_for_the_thresholds_of_the_metric_are_noted(tmp_path: Path) -> None:
    write(tmp_path / "labels", "g", "Labels-ball.json", rows("annotations", (1, 1000)))
    games = read_labels(tmp_path / "labels", ["g"])
    for scale, notes in ((1, 0), (0.005, 1)):
        predictions = [
            {"label": "PASS", "position": str(1000 * i), "half": "1", "confidence": str(scale * (1 - i / 10))}
            for i in range(10)
        ]
        write(tmp_path / "out", "g", "results_spotting.json", {"predictions": predictions})
        given = score_inputs(tmp_path / "out", games).notes
        assert len(given) == notes
    assert "largest confidence is 0.005; " in given[0]
    assert "which separate 10 different confidences into 1 group:" in given[0]


def test_a_path_that_does_not_exist_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    for name, message in (("none", "no such file or folder"), ("x.txt", "neither a folder nor a zip file")):
        with pytest.raises(ConfigurationError, match=message):
            read_predictions(tmp_path / name, ["g"])


@pytest.mark.parametrize("missing", ["error", "empty"])
def test_results_of_no_labelled_game_are_refused_with_what_there_is(
    tmp_path: Path, missing: Literal["error", "empty"]
) -> None:
    write(tmp_path / "out", "l/s/b", "results_spotting.json", {"predictions": []})
    nameless = zipped(tmp_path / "out").rename(tmp_path / "results")
    for path in (tmp_path / "out", zipped(tmp_path / "out"), nameless):
        with pytest.raises(AnnotationError, match=r"such as 'l/s/a'; it holds: l/s/b/results_spotting\.json"):
            read_predictions(path, ["l/s/a"], missing=missing)


def test_one_video_is_scored_with_one_label_file(tmp_path: Path) -> None:
    write(tmp_path, ".", "match.labels.json", rows("annotations", (1, 1000)))
    write(tmp_path / "out", "match", "results_spotting.json", rows("predictions", (1, 1000)))
    labels = tmp_path / "match.labels.json"
    games = games_to_score(labels)
    assert games == ["match"]
    events = read_labels(labels, games)
    for path in (tmp_path / "out", tmp_path / "out" / "match", tmp_path / "out" / "match" / "results_spotting.json"):
        assert [event.position_ms for event in score_inputs(path, events).predictions["match"]] == [1000]


@pytest.mark.parametrize("form", ["e2e-spot", "e2e-spot in gzip", "opensportslab", "table"])
def test_labels_and_predictions_of_other_programs_are_scored_as_they_are(form: str, tmp_path: Path) -> None:
    kinds = ("annotations", "Labels-ball.json", False), ("predictions", "results_spotting.json", True)
    files = []
    for name, file, predictions in kinds:
        for game, ms in (("l/a", 1020), ("l/b", 3020)):
            write(tmp_path / name, game, file, rows(name, (1, ms)))
        kind = form.split()[0]
        target = tmp_path / f"{name}.{'csv' if kind == 'table' else 'json'}"
        to = target if kind != "e2e-spot" else tmp_path / f"{name}-e2e"
        run_conversion(tmp_path / name, to, "soccernet", kind, predictions=predictions)
        files.append(target if to == target else to / "all.json")
    if form == "e2e-spot in gzip":
        files[1] = files[1].with_name("pred-test.9.recall.json.gz")
        files[1].write_bytes(gzip.compress(files[1].with_name("all.json").read_bytes()))
    labels, results = files
    games = games_to_score(labels)
    assert games == ["l/a", "l/b"]
    events = read_labels(labels, games)
    assert [event.position_ms for game in games for event in events.labels[game]] == [1020, 3020]
    scored = score_inputs(results, events).predictions
    assert [event.position_ms for game in games for event in scored[game]] == [1020, 3020]
    with pytest.raises(AnnotationError, match=r"score|confidence"):
        read_predictions(labels, games)


def test_results_of_one_video_in_a_table_need_no_name(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("time,label,confidence\n1,PASS,0.9\n")
    assert [event.position_ms for event in read_predictions(tmp_path / "mine.csv", ["match"])["match"]] == [1000]
    with pytest.raises(AnnotationError, match=r"for any of the 2 labelled games, such as 'a'; it holds: mine/results"):
        read_predictions(tmp_path / "mine.csv", ["a", "b"])


def test_commands_take_annotated_stretches_and_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "labels", "g", "Labels-ball.json", rows("annotations", (1, 1000), (2, 1000)))
    write(tmp_path / "out", "g", "results_spotting.json", rows("predictions", (1, 1000), (2, 9000)))
    (tmp_path / "map.yaml").write_text("PASS: DRIVE\n")
    options = ["-l", str(tmp_path / "labels"), "--annotated", "1/0:00-1:00", "--map", str(tmp_path / "map.yaml")]
    main(["evaluate", str(tmp_path / "out"), *options])
    printed = capsys.readouterr().out
    assert "note: 1 label outside of the annotated stretches does not count" in printed
    assert "DRIVE  100.00" in printed
    main(["report", str(tmp_path / "out"), *options, "-o", str(tmp_path / "r.html")])
    assert "note: out: 1 prediction outside of the annotated stretches does not count" in capsys.readouterr().out

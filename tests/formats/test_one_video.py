"""One video with one label file is a dataset, and labels in other formats are scored as they are."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from e2espot.cli.main import dispatch
from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.games import find_games
from e2espot.report.dataset_summary import summarise
from e2espot.report.frame_strips import find_videos
from e2espot.training.data import load_games
from tests.support.conversions import write_json
from tests.support.numbered_video import constant, write

PASS = {"gameTime": "1 - 00:01", "label": "PASS", "position": "1000"}
DRIVE = {"gameTime": "1 - 00:02", "label": "DRIVE", "position": "2000"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("video") / "v", constant(Fraction(25), 100))


@pytest.fixture
def match(tmp_path: Path, video: Path) -> Path:
    path = tmp_path / "match.mp4"
    path.symlink_to(video)
    return path


@pytest.mark.parametrize(
    ("name", "label_file"),
    [
        ("match.json", "Labels-ball.json"),
        ("match.csv", "Labels-ball.json"),
        ("Labels-ball.json", "Labels-ball.json"),
        ("mine.json", "mine.json"),
        ("match/Labels-ball.json", "Labels-ball.json"),
    ],
)
def test_video_with_labels_is_a_train_game(match: Path, name: str, label_file: str) -> None:
    file = match.parent / name
    if name.endswith(".csv"):
        file.write_text("time,label\n1,PASS\n2,DRIVE\n")
    else:
        write_json(file, {"annotations": [PASS, DRIVE]})
    (game,) = find_games(match, split="train", label_file=label_file)
    assert (game.name, game.labels_path) == ("match", file)
    assert find_games(match, split="valid") == []
    (summary,) = summarise(match, label_file=label_file).videos
    assert summary.num_labels == 2
    if label_file == "Labels-ball.json":
        (labelled,) = load_games(match, "train", LABEL_SETS["ball-2"], DEFAULT_FPS)
        assert [event.frame for event in labelled.events] == [25, 50]


def test_report_takes_the_video_of_the_only_game(match: Path, tmp_path: Path) -> None:
    assert find_videos(match, ["match"], "224p") == {("match", 1): match}
    with pytest.raises(ConfigurationError, match="one video, and there are 2 games"):
        find_videos(match, ["a", "b"], "224p")
    write_json(match.with_suffix(".json"), {"annotations": [PASS, DRIVE]})
    results = [
        {**PASS, "half": "1", "confidence": "0.9"},
        {**DRIVE, "half": "1", "position": "3000", "confidence": 0.8},
    ]
    write_json(tmp_path / "out" / "match" / "results_spotting.json", {"predictions": results})
    page = tmp_path / "report.html"
    labels = str(match.with_suffix(".json"))
    dispatch(["report", str(tmp_path / "out" / "match"), "-l", labels, "-v", str(match), "-o", str(page)])
    assert page.read_text().count("data:image/jpeg") >= 5


def table(folder: Path) -> Path:
    path = folder / "match.csv"
    path.write_text("time,label\n0:01,PASS\n0:02,DRIVE\n")
    return path


def boris(folder: Path) -> Path:
    path = folder / "events.tsv"
    path.write_text("video\ttime\tlabel\nmatch\t1\tPASS\nmatch\t2\tDRIVE\n")
    return path


def opensportslab(folder: Path) -> Path:
    events = [{"label": row["label"], "position_ms": int(row["position"])} for row in (PASS, DRIVE)]
    sample = {"id": "match", "inputs": [{"type": "video", "path": "match.mp4"}], "events": events}
    write_json(folder / "osl.json", {"version": "2.0", "data": [sample]})
    return folder / "osl.json"


@pytest.mark.parametrize("make", [table, boris, opensportslab])
def test_evaluate_scores_labels_of_other_formats(
    make: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = make(tmp_path)
    rows: list[dict[str, Any]] = [{**row, "half": "1", "confidence": 0.9} for row in (PASS, DRIVE)]
    write_json(tmp_path / "out" / "match" / "results_spotting.json", {"predictions": rows})
    dispatch(["evaluate", str(tmp_path / "out"), "-l", str(labels), "--json", str(tmp_path / "scores.json")])
    assert "over 1 game, 2 labels" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())["at1"]["mAP"] == 1


def test_evaluate_scores_with_kaggles_own_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.csv").write_text(
        "video_id,time,event,event_attributes\na_0,0.5,start,\na_0,1,challenge,['ball_action_forced']\na_0,3,end,\n"
    )
    rows = [
        {"gameTime": f"1 - 00:0{s}", "label": "challenge", "position": str(1000 * s), "half": "1", "confidence": 0.9}
        for s in (1, 4)
    ]
    write_json(tmp_path / "out" / "a_0" / "results_spotting.json", {"predictions": rows})
    dispatch(["evaluate", str(tmp_path / "out"), "-l", str(tmp_path / "train.csv"), "--metric", "dfl"])
    out = capsys.readouterr().out
    assert "1 prediction outside of the annotated stretches does not count" in out
    assert "100.00" in out

"""Classes renamed and merged by a file, in every command that reads labels."""

from fractions import Fraction
from pathlib import Path

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.label_map import read_label_map
from e2espot.formats.soccernet import read_labels
from e2espot.scoring import inputs
from tests.support.conversions import read_json, run_conversion, write_json

LABELS = ["HEADER", "pass", "OUT", "DRIVE"]
ROWS = [{"gameTime": "1 - 00:01", "label": label, "position": 1000 + n} for n, label in enumerate(LABELS)]


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    (tmp_path / "labels.yaml").write_text("HEADER: PASS\npass: PASS\nOUT: null\n")
    return tmp_path / "labels.yaml"


def test_map_applies_before_the_label_set_is_checked(map_file: Path, tmp_path: Path) -> None:
    path = write_json(tmp_path / "a" / "g" / "Labels-ball.json", {"annotations": ROWS})
    read = read_labels(path, LABEL_SETS["ball-2"], fps=Fraction(25), label_map=read_label_map(map_file))
    assert [event.label for event in read.events] == ["PASS", "PASS", "DRIVE"]


def test_map_applies_to_labels_and_predictions_that_are_scored(map_file: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", {"annotations": ROWS})
    predictions = [{**row, "half": 1, "confidence": 0.5} for row in ROWS]
    write_json(tmp_path / "out" / "g" / "results_spotting.json", {"predictions": predictions})
    label_map = read_label_map(map_file)
    games = inputs.read_labels(tmp_path / "a", ["g"], label_map=label_map)
    scored = inputs.score_inputs(tmp_path / "out", games, label_map=label_map)
    for events in (games.labels["g"], scored.predictions["g"]):
        assert [event.label for event in events] == ["PASS", "PASS", "DRIVE"]


def test_conversion_renames_and_lists_what_it_leaves_out(map_file: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", {"annotations": ROWS})
    dropped = run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "soccernet", map=map_file).dropped
    labels = [row["label"] for row in read_json(tmp_path / "b" / "g" / "Labels-ball.json")["annotations"]]
    assert labels == ["PASS", "PASS", "DRIVE"]
    assert dropped == ["1 x event of class 'OUT' (left out by the map)"]


@pytest.mark.parametrize("text", ["- PASS\n", "PASS: 7\n", "No: PASS\n", "PASS: ''\n", "a: [\n"])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"x\.yaml") as caught:
        read_label_map(tmp_path / "x.yaml")
    assert caught.value.option == "map"

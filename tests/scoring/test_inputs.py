"""Labels and results to score come from a folder or a zip, game by game."""

import json
import zipfile
from pathlib import Path

import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import ScoredEvent
from e2espot.scoring.inputs import games_to_score, read_labels, read_predictions

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
    with pytest.raises(ConfigurationError, match="a zip, which has no splits") as caught:
        games_to_score(zipped(labels), split="test")
    assert caught.value.option == "split"


def test_read_labels_gives_times_halves_teams_and_minus_one_for_not_shown(labels: Path) -> None:
    expected = ScoredEvent(half=1, position_ms=4020, label="PASS", value=-1.0, team="left")
    for path in (labels, zipped(labels)):
        assert read_labels(path, ["l/s/b"]) == {"l/s/b": [expected]}
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

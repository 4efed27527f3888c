"""A split that a dataset states without a game, such as ``"valid": []``, is still stated after a conversion."""

from pathlib import Path

import pytest

from tests.support.conversions import read_json, run_conversion, write_json

SPLITS = {"train": ["game_1"], "valid": []}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"gameTime": "1 - 00:02", "label": "PASS", "position": "2020", "team": "left", "visibility": "visible"}]
    write_json(tmp_path / "data" / "game_1" / "Labels-ball.json", {"UrlLocal": "game_1", "annotations": rows})
    write_json(tmp_path / "data" / "splits.json", SPLITS)
    return tmp_path / "data"


@pytest.mark.parametrize("way", ["soccernet", "e2e-spot", "opensportslab", "footpass"])
def test_empty_split_survives_conversion_there_and_back(way: str, data: Path, tmp_path: Path) -> None:
    there = run_conversion(data, tmp_path / "there", "soccernet", way)
    assert not any("split" in line for line in there.dropped)
    run_conversion(tmp_path / "there", tmp_path / "back", way, "soccernet")
    assert read_json(tmp_path / "back" / "splits.json") == SPLITS


@pytest.mark.parametrize(("to_format", "name"), [("table", "all.csv"), ("opensportslab", "all.json")])
def test_format_that_cannot_state_an_empty_split_reports_it(
    to_format: str, name: str, data: Path, tmp_path: Path
) -> None:
    converted = run_conversion(data, tmp_path / name, "soccernet", to_format)
    assert sum(line.startswith("1 x split without a game") for line in converted.dropped) == 1

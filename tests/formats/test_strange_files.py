"""Strange files are converted or refused in one line, and no existing file is lost."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError
from tests.support.conversions import GAME, run_conversion, write_json
from tests.support.tools import tool

EVENT = {"label": "PASS", "position": "1000", "team": "left", "visibility": "visible"}
FACTS = {"fps": 25, "num_frames": 9, "width": 8, "height": 8}
GOOD = {
    "soccernet": {"videos": {"1": {"path": "a.mp4", **FACTS}}, "annotations": [{"gameTime": "1 - 00:01", **EVENT}]},
    "opensportslab": {
        "labels": {"action": {"labels": ["PASS"]}},
        "metadata": {"split": "test"},
        "data": [
            {
                "id": "a",
                "inputs": [{"type": "video", "path": "a.mp4", "fps": 25}],
                "metadata": {"game": "a", "half": 1, "soccernet": {}, **FACTS},
                "events": [{"label": "PASS", "position_ms": 1000, "head": "action", "gameTime": "1 - 00:01"}],
            }
        ],
    },
    "e2e-spot": [{"video": "a/1", "events": [{"frame": 3, "label": "PASS", "comment": "left; visible"}], **FACTS}],
    "soccertrack-v2": {"UrlLocal": "1", "actions": [{"gameTime": "1 - 00:01", "player_id": 3, **EVENT}]},
}
NAMES = {
    "soccernet": f"{GAME}/Labels-ball.json",
    "opensportslab": "annotations_test.json",
    "e2e-spot": "test.json",
    "soccertrack-v2": "1_12_class_events.json",
}


def paths_of(value: Any, prefix: tuple = ()) -> list[tuple]:
    """Path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(path for key, child in inner for path in paths_of(child, (*prefix, key)))]


def changed(value: Any, path: tuple, new: Any) -> Any:
    if not path:
        return new
    value = copy.deepcopy(value)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return value


STRANGE = [
    None,
    True,
    -1,
    1.5,
    float("nan"),
    10**30,
    "",
    "\x00",
    "../../x",
    "/etc",
    "9 - 99:99",
    [],
    {},
    [None],
    {"a": 1},
]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_convert_accepts_or_refuses_in_one_line_any_strange_value(tmp_path: Path, name: str, strange: Any) -> None:
    for number, path in enumerate(paths_of(GOOD[name])):
        root = tmp_path / str(number)
        file = write_json(root / "a" / NAMES[name], changed(GOOD[name], path, strange))
        for way in ("soccernet", "e2e-spot", "opensportslab", "soccertrack-v2", "sn-gar"):
            try:
                run_conversion(root / "a", root / f"b {way}", name, way)
            except E2ESpotError as error:
                assert "\n" not in str(error)
                assert len(str(error)) < 400
                if isinstance(error, AnnotationError):
                    assert str(file) in str(error) or str(root / "a") in str(error) or "name of a game" in str(error)
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert all(path.is_relative_to(root) or path.is_relative_to(tmp_path) for path in written)
    assert not (tmp_path.parent / "x").exists()


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("text", ["", "{", "[[[", "\ufeff{}", "[" * 100_000, '"text"', "7"])
def test_convert_refuses_a_file_of_another_kind_in_one_line(tmp_path: Path, name: str, text: str) -> None:
    file = write_json(tmp_path / "a" / NAMES[name], text)
    with pytest.raises(AnnotationError) as caught:
        run_conversion(tmp_path / "a", tmp_path / "b", name, "soccernet")
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['"\\ud800"', "[" * 900 + "]" * 900, "NaN", '"\\u009b31m"'], ids=["half", "deep", "NaN", "C1"]
)
@pytest.mark.parametrize("field", ["label", "note", "UrlLocal"])
def test_convert_keeps_or_refuses_odd_text_in_one_line(tmp_path: Path, field: str, text: str) -> None:
    row = '{"gameTime": "1 - 00:01", "position": "1000", "label": "PASS"}'
    row = row.replace('"PASS"', text) if field == "label" else row.replace("{", f'{{"{field}": {text}, ')
    top = f'"UrlLocal": {text}, ' if field == "UrlLocal" else ""
    write_json(tmp_path / "a" / NAMES["soccernet"], f'{{{top}"annotations": [{row}]}}')
    for way in ("soccernet", "e2e-spot", "opensportslab", "soccertrack-v2", "sn-gar"):
        try:
            done = run_conversion(tmp_path / "a", tmp_path / way, "soccernet", way)
        except E2ESpotError as error:
            assert "\n" not in str(error)
        else:
            assert all(json.loads(path.read_bytes()) is not None for path in done.paths if path.suffix == ".json")


def test_convert_refuses_two_kinds_of_label_files_without_a_name(tmp_path: Path) -> None:
    for name in ("Labels-ball.json", "Labels-v2.json"):
        write_json(tmp_path / "a" / GAME / name, GOOD["soccernet"])
    with pytest.raises(ConfigurationError, match="name one of them as label_file"):
        run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "opensportslab")
    run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "opensportslab", label_file="Labels-v2.json")


def test_convert_error_names_entry_and_field(tmp_path: Path) -> None:
    bad = changed(GOOD["e2e-spot"], (0, "events", 0, "frame"), "3")
    write_json(tmp_path / "test.json", bad)
    with pytest.raises(AnnotationError, match=r"test\.json: videos\[0\]: events\[0\]: field 'frame' is '3'"):
        run_conversion(tmp_path, tmp_path / "b", "e2e-spot", "soccernet")


@pytest.mark.parametrize("name", GOOD)
def test_convert_refuses_an_empty_folder_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigurationError, match="a: no "):
        run_conversion(tmp_path / "a", tmp_path / "b", name, "soccernet")


def test_convert_without_overwrite_writes_nothing_if_one_file_exists(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / NAMES["soccernet"], GOOD["soccernet"])
    write_json(tmp_path / "b" / "test.json", "mine")
    with pytest.raises(ConfigurationError, match=r"test\.json exists with other content"):
        run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["test.json"]
    run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot", overwrite=True)
    run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot")  # the same again is no loss


def test_convert_command_reports_dropped_fields_and_errors(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / NAMES["soccernet"], GOOD["soccernet"])

    done = tool("convert", "labels", tmp_path / "a", tmp_path / "b", "--from", "soccernet", "--to", "e2e-spot")
    assert done.returncode == 0, done.stderr
    assert "1 event of 1 video -> " in done.stdout
    assert "  1 x time rounded" in done.stdout
    exact = tool("convert", "labels", tmp_path / "a", tmp_path / "c", "--from", "soccernet", "--to", "soccernet")
    assert "nothing dropped" in exact.stdout
    refused = tool("convert", "predictions", tmp_path / "a", tmp_path / "d", "--from", "soccernet", "--to", "e2e-spot")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "results_spotting.json" in refused.stderr


def test_convert_refuses_a_pipe_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "periods.json")
    write_json(tmp_path / "a" / NAMES["soccernet"], GOOD["soccernet"])
    with pytest.raises(AnnotationError, match="not a regular file"):
        run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot", periods=tmp_path / "periods.json")


def test_convert_treats_an_impossible_video_path_as_unknown(tmp_path: Path) -> None:
    content = json.loads(json.dumps(GOOD["opensportslab"]).replace("a.mp4", "a" * 300 + ".mp4"))
    write_json(tmp_path / "a.json", content)
    assert run_conversion(tmp_path / "a.json", tmp_path / "b", "opensportslab", "e2e-spot").num_videos == 1

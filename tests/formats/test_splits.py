"""Which games a split has: a file of one's own comes before SoccerNet's lists."""

import json
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.splits import (
    BALL_SPLITS,
    _v2_names,
    names_in_splits,
    names_of_split,
    soccernet_names,
    split_of_games,
)
from tests.support.strategies import ANY_VALUE


def write_splits(root: Path, content: Any) -> None:
    (root / "splits.json").write_text(json.dumps(content))


def test_names_of_split_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    for name in ("b", "a", "league/c"):
        (tmp_path / name).mkdir(parents=True)
    write_splits(tmp_path, {"train": ["b", "league/c", "a"], "test": []})
    assert names_of_split(tmp_path, "train") == ["b", "league/c", "a"]
    assert names_of_split(tmp_path, "test") == []


@pytest.mark.parametrize(("stored", "asked"), [("valid", "val"), ("val", "valid"), ("val", "val")])
def test_val_and_valid_name_the_same_split(tmp_path: Path, stored: str, asked: str) -> None:
    (tmp_path / "a").mkdir()
    write_splits(tmp_path, {stored: ["a"], "train": []})
    assert names_of_split(tmp_path, asked) == ["a"]
    assert soccernet_names(asked, BALL_SPLITS["valid"].__contains__) == list(BALL_SPLITS["valid"])


def test_names_of_split_without_a_file_are_soccernets_games_that_exist(tmp_path: Path) -> None:
    first, second = BALL_SPLITS["test"]
    (tmp_path / second).mkdir(parents=True)
    assert names_of_split(tmp_path, "test") == [second]
    (tmp_path / first).mkdir()
    assert names_of_split(tmp_path, "test") == [first, second]
    for split in ("train", "other"):
        with pytest.raises(ConfigurationError, match=r"no splits\.json and none of SoccerNet's"):
            names_of_split(tmp_path, split)


def test_games_of_soccernet_v2_are_those_of_its_package_whose_code_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "SoccerNet"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError")
    lists = {"epl": {"2014-2015": ["b", "a", "missing"]}, "liga": {"2016-2017": ["c"]}}
    (package / "data" / "SoccerNetGamesTest.json").write_text(json.dumps(lists))
    for name in ("epl/2014-2015/a", "epl/2014-2015/b", "liga/2016-2017/c", "epl/2014-2015/other"):
        (tmp_path / "data" / name).mkdir(parents=True)
    monkeypatch.delitem(sys.modules, "SoccerNet", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    _v2_names.cache_clear()
    try:
        names = ["epl/2014-2015/b", "epl/2014-2015/a", "liga/2016-2017/c"]
        assert names_of_split(tmp_path / "data", "test") == names
        assert split_of_games(tmp_path / "data")["liga/2016-2017/c"] == "test"
        with pytest.raises(ConfigurationError, match=r"none of SoccerNet's 'train' games"):
            names_of_split(tmp_path / "data", "train")
    finally:
        _v2_names.cache_clear()


def test_names_of_split_with_a_file_ignores_soccernets_games(tmp_path: Path) -> None:
    (tmp_path / BALL_SPLITS["test"][0]).mkdir(parents=True)
    write_splits(tmp_path, {"train": []})
    with pytest.raises(ConfigurationError, match=r'no split .valid.; it has .train.; move some .*write "valid": \[\]'):
        names_of_split(tmp_path, "valid")
    with pytest.raises(ConfigurationError, match=r"no split 'test'; it has 'train'$"):
        names_of_split(tmp_path, "test")


@pytest.mark.parametrize("name", ["missing", "a" * 5000])
def test_names_of_split_refuses_a_game_without_folder_and_names_its_position(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    write_splits(tmp_path, {"train": ["a", name]})
    with pytest.raises(AnnotationError, match=r"splits\.json: train\[1\]: no folder") as caught:
        names_of_split(tmp_path, "train")
    assert len(str(caught.value)) < 250 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must be an object"),
        ({"train": "a"}, "train is str; expected a list"),
        ({"train": {"a": 1}}, "train is dict; expected a list"),
        ({"train": ["a", 7]}, r"train\[1\] is 7"),
        ({"train": [""]}, r"train\[0\] is ''"),
        ({"train": ["/etc"]}, r"train\[0\] is '/etc'"),
        ({"train": ["a/../../b"]}, r"train\[0\] is"),
        ({"train": ["a\0"]}, r"train\[0\] is"),
        ({"train": ["a", "b", "a"]}, r"train\[2\]: 'a' is listed twice"),
    ],
)
def test_names_in_splits_refuses_other_content_and_names_the_entry(content: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=f"^FILE: .*{message}"):
        names_in_splits(json.dumps(content).encode(), "train", context="FILE")


@given(st.dictionaries(st.sampled_from(["train", "val", "x"]), ANY_VALUE) | ANY_VALUE)
def test_names_in_splits_of_any_json_are_relative_paths_or_an_error(content: Any) -> None:
    try:
        names = names_in_splits(json.dumps(content).encode(), "train", context="FILE")
    except (AnnotationError, ConfigurationError) as error:
        assert str(error).startswith("FILE: ")
        return
    assert len(set(names)) == len(names)
    assert all(not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts for name in names)


def test_soccernets_splits_share_no_game() -> None:
    games = [name for names in BALL_SPLITS.values() for name in names]
    assert len(set(games)) == len(games) == 9
    assert all(name.count("/") == 2 for name in games)  # league/season/game

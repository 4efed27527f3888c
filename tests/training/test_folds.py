"""How games are divided into folds."""

import shutil
from pathlib import Path

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.training.cross_validation import cross_validate
from e2espot.training.data import load_fold
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge
from tests.support.tiny_dataset import write_game


def test_the_two_videos_of_a_match_of_the_dfl_stay_in_one_fold(tmp_path: Path) -> None:
    names = ("a_0", "b_0", "b_1", "c_1")
    write_game(tmp_path / "a_0", 0, num_frames=22)
    for name in names[1:]:
        shutil.copytree(tmp_path / "a_0", tmp_path / name)
    folds = [load_fold(tmp_path, (number, 3), LABEL_SETS["ball-2"], DEFAULT_FPS) for number in (1, 2, 3)]
    assert [[game.game.name for game in valid] for _, valid in folds] == [["a_0"], ["b_0", "b_1"], ["c_1"]]
    assert [len(train) for train, _ in folds] == [3, 2, 3]
    with pytest.raises(ConfigurationError, match="3 labelled games cannot be divided into 4 folds"):
        load_fold(tmp_path, (1, 4), LABEL_SETS["ball-2"], DEFAULT_FPS)


def test_games_that_cannot_be_divided_leave_nothing_behind(tmp_path: Path) -> None:
    write_game(tmp_path / "data" / "a", 0, num_frames=22)
    with pytest.raises(ConfigurationError, match="1 labelled game cannot be divided into 2 folds"):
        cross_validate(tmp_path / "data", tmp_path / "runs", merge(Recipe(), {"label_set": "ball-2"}), 2, RunOptions())
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(ConfigurationError, match="runs is a file; name a folder"):
        cross_validate(tmp_path / "data", tmp_path / "runs", merge(Recipe(), {"label_set": "ball-2"}), 2, RunOptions())

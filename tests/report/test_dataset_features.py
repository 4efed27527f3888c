"""The summary of a dataset of features: their lengths and sizes, and what training would refuse."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.cli.main import dispatch
from e2espot.core.errors import ConfigurationError
from e2espot.report.dataset_summary import summarise


def write_game(folder: Path, halves: tuple[int, ...] = (1, 2), name: str = "ResNET_TF2_PCA512", dim: int = 512) -> None:
    """Features of a minute for each half, with a label in both."""
    folder.mkdir(parents=True)
    for half in halves:
        np.save(folder / f"{half}_{name}.npy", np.ones((120, dim), np.float16))
    labels = [
        {"gameTime": f"{half} - 00:{30 + half}", "label": "Goal", "position": str(1000 * (30 + half)), "team": "home"}
        for half in (1, 2)
    ]
    (folder / "Labels-v2.json").write_text(json.dumps({"annotations": labels}))


def test_features_are_looked_at_where_a_folder_has_no_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_game(tmp_path / "a")
    dispatch(["dataset", str(tmp_path), "--json", str(tmp_path / "numbers.json"), "-o", str(tmp_path / "page.html")])
    text = capsys.readouterr().out
    assert "1 game, 2 feature files, 2.0 minutes, 2 labels" in text
    assert "2.000   512 values" in text
    assert "nothing looks wrong" in text
    assert [video["dim"] for video in json.loads((tmp_path / "numbers.json").read_text())["videos"]] == [512, 512]
    assert "512 values" in (tmp_path / "page.html").read_text()


def test_a_half_with_labels_and_without_features_is_named(tmp_path: Path) -> None:
    write_game(tmp_path / "a", halves=(1,))
    summary = summarise(tmp_path, resolution="ResNET_TF2_PCA512", label_file="Labels-v2.json")
    assert summary.videos[0].problems == ()
    assert summary.videos[1].problems == ("labels, but no 2_ResNET_TF2_PCA512.npy",)
    # The line about a video that is missing names the features that are there.
    lines = summarise(tmp_path, label_file="Labels-v2.json").videos[0].problems
    assert lines == ("labels, but no 224p video; it has features: choose them (features='ResNET_TF2_PCA512')",)


def test_faults_of_feature_files_are_lines(tmp_path: Path) -> None:
    write_game(tmp_path / "a", name="net", dim=8)
    write_game(tmp_path / "b", name="net", dim=9)
    np.save(tmp_path / "b" / "2_net.npy", np.full((120, 8), np.nan, np.float32))
    problems = [" ".join(video.problems) for video in summarise(tmp_path, resolution="net").videos]
    assert ["give fps" in lines for lines in problems] == [True] * 4
    assert "rows of 9 values" in problems[2]
    assert "not finite" in problems[3]
    # Labels at 31 and 32 s, and 120 rows of 5 a second last 24 s, which is within ten seconds of them; 12 s are not.
    for fps, is_short in ((5, False), (10, True)):
        lines = summarise(tmp_path, resolution="net", label_file="Labels-v2.json", fps=Fraction(fps)).videos[0].problems
        assert bool(lines) == is_short


def test_of_several_features_one_must_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_game(tmp_path / "a")
    np.save(tmp_path / "a" / "1_other.npy", np.ones((120, 4), np.float32))
    with pytest.raises(ConfigurationError, match="features ResNET_TF2_PCA512, other"):
        dispatch(["dataset", str(tmp_path)])
    dispatch(["dataset", str(tmp_path), "--features", "other", "--fps", "2"])
    assert "labels, but no 2_other.npy" in capsys.readouterr().out

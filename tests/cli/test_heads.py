"""The study of heads on features."""

import json
from pathlib import Path

import pytest

from e2espot.cli.main import dispatch
from e2espot.studies.feature_study import StudyRow, study_table


def test_study_table_states_every_row_in_percent() -> None:
    rows = [StudyRow(features="frames", head="end to end", cpu_s=12.4, at1=0.5, at5=0.75)]
    assert study_table(rows).splitlines()[-1] == "| frames | end to end | 12 | 50.0 | 75.0 |"


def test_heads_trains_and_scores_every_head_on_every_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands are replaced by what they write: the plan is tested, and each command by tests of its own."""
    commands: list[tuple[str, ...]] = []

    def run(name: str, *words: object, show: bool = False) -> None:
        commands.append((name, *map(str, words)))
        if name == "train":
            (tmp_path / "runs").mkdir(exist_ok=True)
        if name == "evaluate":
            value = len(commands) / 100
            scores = {"at1": {"mAP": value}, "at5": {"mAP": value}}
            Path(commands[-1][-1]).write_text(json.dumps(scores))

    monkeypatch.setattr("e2espot.cli.heads.run_subcommand", run)
    words = ["heads", "-o", str(tmp_path), "--heads", "rows_gru", "calf", "--device", "cpu"]
    dispatch(words)
    rows = json.loads((tmp_path / "study.json").read_text())
    backbones = ("the shipped spotter's", "of the spotter on frames", "of random weights")
    expected = [("frames", "end to end"), *((name, head) for name in backbones for head in ("rows_gru", "calf"))]
    assert [(row["features"], row["head"]) for row in rows] == expected
    names = [command[0] for command in commands]
    assert [names.count(name) for name in ("render", "features", "train", "infer", "evaluate")] == [1, 3, 7, 7, 7]
    extracted = [command[command.index("--backbone") + 1] for command in commands if command[0] == "features"]
    assert len(set(extracted)) == 3
    commands.clear()
    dispatch(words)  # what was trained is taken as it is
    assert not any(command[0] == "train" for command in commands)

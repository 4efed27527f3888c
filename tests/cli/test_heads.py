"""The study of heads on features."""

import itertools
import json
import os
import signal
from pathlib import Path

import pytest

from e2espot.cli.main import dispatch
from e2espot.studies.feature_study import StudyRow, study_table


def test_study_table_states_every_row_in_percent() -> None:
    scores = {"training_s": 12.4, "at1": 0.5, "at5": 0.75}
    rows = [
        StudyRow(features="frames", head="end to end", extraction_s=0, **scores),
        StudyRow(features="features", head="calf", extraction_s=3.2, **scores),
    ]
    assert study_table(rows).splitlines()[2:] == [
        "| frames | end to end | - | 12 | 50.0 | 75.0 |",
        "| features | calf | 3 | 12 | 50.0 | 75.0 |",
    ]


def test_heads_trains_and_scores_every_head_on_every_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands are replaced by what they write: the plan is tested, and each command by tests of its own."""
    commands: list[tuple[str, ...]] = []
    budgets: list[float] = []
    interruptions: list[str] = []

    def run(name: str, *words: object, show: bool = False) -> None:
        commands.append((name, *map(str, words)))
        if name == "train" and not interruptions:
            interruptions.append(name)
            os.kill(os.getpid(), signal.SIGTERM)
        if name == "evaluate":
            value = len(commands) / 100
            scores = {"at1": {"mAP": value}, "at5": {"mAP": value}}
            scores_file = Path(commands[-1][-1])
            scores_file.parent.mkdir(parents=True, exist_ok=True)
            scores_file.write_text(json.dumps(scores))

    def clips(seconds: float, *_: object) -> int:
        budgets.append(seconds)
        return 8

    monkeypatch.setattr("e2espot.cli.heads.run_subcommand", run)
    monkeypatch.setattr("e2espot.studies.feature_study.clips_per_epoch", clips)
    times = itertools.count()
    monkeypatch.setattr("e2espot.cli.heads._children_s", lambda: next(times))
    words = ["heads", "-o", str(tmp_path), "--heads", "rows_gru", "calf", "--device", "cpu"]
    with pytest.raises(KeyboardInterrupt):
        dispatch(words)
    dispatch(words)
    rows = json.loads((tmp_path / "study.json").read_text())
    frames = [row for row in rows if row["head"] == "end to end"]
    of_features = [(row["features"], row["head"]) for row in rows if row["head"] != "end to end"]
    assert (len(frames), len(rows), len(set(of_features))) == (2, 8, 6)
    names = [command[0] for command in commands]
    assert [names.count(name) for name in ("features", "train", "infer", "evaluate")] == [3, 9, 8, 8]
    # One second for each command; the interrupted training was begun twice.
    assert [row["training_s"] for row in rows] == [1, 1, 2, 1, 1, 1, 1, 1]
    assert budgets == [3, 3]
    extracted = [command[command.index("--backbone") + 1] for command in commands if command[0] == "features"]
    assert len(set(extracted)) == 3
    commands.clear()
    dispatch(words)  # what was trained and scored is taken as it is
    assert {command[0] for command in commands} == {"render"}

"""The acting team: from the head of a spotter to results_spotting.json and to Team-mAP."""

import json
from pathlib import Path

import torch

from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import save_spotter
from tests.support import tools
from tests.support.tiny_dataset import Layout, write_game


def tool(name: str, *arguments: object) -> str:
    done = tools.tool(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_team_of_predictions_reaches_team_map(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_game(tmp_path / "data" / "a", 0, 60, layout=Layout(teams=("left", "right")))
    spec = SpotterSpec(
        feature_arch="small", temporal_arch="", classes=("PASS",), clip_len=8, fps="25", width=96, height=64, team=True
    )
    save_spotter(tmp_path / "run.safetensors", Spotter(spec).state_dict(), spec)
    tool("infer", tmp_path / "run.safetensors", tmp_path / "data", "-o", tmp_path / "out")
    predictions = json.loads((tmp_path / "out" / "a" / "results_spotting.json").read_text())["predictions"]
    assert {row["team"] for row in predictions} <= {"left", "right"}
    # Predictions equal to the labels, then with one wrong team.
    labels = json.loads((tmp_path / "data" / "a" / "Labels-ball.json").read_text())["annotations"]
    rows = [{**row, "half": "1", "confidence": "0.9"} for row in labels]
    results = []
    for sides in (("left", "right"), ("left", "left")):
        predictions = [{**row, "team": side} for row, side in zip(rows, sides, strict=True)]
        (tmp_path / "out" / "a" / "results_spotting.json").write_text(json.dumps({"predictions": predictions}))
        arguments = (
            tmp_path / "out",
            "-l",
            tmp_path / "data",
            "--metric",
            "at1",
            "--team",
            "--json",
            tmp_path / "s.json",
        )
        assert "Team-mAP at1" in tool("evaluate", *arguments)
        results.append(json.loads((tmp_path / "s.json").read_text()))
    assert [one["at1"]["mAP"] for one in results] == [1, 1]
    assert results[0]["team"]["team_mAP"] == 1
    assert results[1]["team"]["per_class"]["PASS"] < 1
    # Names of clubs are no sides: neither scored as none, nor taken for one.
    (tmp_path / "out" / "a" / "results_spotting.json").write_text(json.dumps({"predictions": rows[:1]}))
    named = [{**row, "team": team} for row, team in zip(labels, ("home", "away"), strict=True)]
    (tmp_path / "named.json").write_text(json.dumps({"annotations": named}))
    command = ("evaluate", tmp_path / "out" / "a" / "results_spotting.json", "-l", tmp_path / "named.json", "--team")
    refused = tools.tool(*command)
    assert (refused.returncode, "home (1), away (1)" in refused.stderr) == (2, True)
    assert "--team_map" in refused.stderr
    assert "Team-mAP at1" in tool(*command, "--team_map", "home=left,away=right")

"""Figures that were once wrong or misleading: what is scored without a label, by other classes, by swapped rows."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from e2espot.cli.main import dispatch
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import game_time
from e2espot.models import Spotter, SpotterSpec
from e2espot.models.weights.initial_weights import load_matching_weights
from e2espot.scoring import ScoredEvent, evaluate
from tests.support.conversions import write_json


def row(half: int, position_ms: int, label: str) -> dict[str, Any]:
    return {"gameTime": game_time(position_ms, half), "label": label, "position": str(position_ms)}


def score(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[float, str]:
    """mAP@1 in percent and what is printed."""
    scores = folder / "scores.json"
    dispatch(["evaluate", str(folder / "out"), "-l", str(folder / "data"), "--json", str(scores), *options])
    return round(100 * json.loads(scores.read_text())["at1"]["mAP"], 2), capsys.readouterr().out


@pytest.fixture
def half_1_only(tmp_path: Path) -> Path:
    """Nine labels in half 1, all of them spotted, with one false positive; half 2 is spotted as well, without labels.

    By falling confidence, H hits, f the false positive, and x what is spotted in half 2:
    H x H H x x H x H x H x x H x f H x x H.
    """
    labels = [row(1, 10_000 * n, "PASS") for n in range(1, 10)]
    write_json(tmp_path / "data" / "a" / "Labels-ball.json", {"annotations": labels})
    predictions, hits = [], iter(range(1, 10))
    for rank, kind in enumerate("HxHHxxHxHxHxxHxfHxxH"):
        half = 2 if kind == "x" else 1
        ms = 10_000 * next(hits) if kind == "H" else 9000 * rank
        confidence = str(round(0.97 - 0.04 * rank, 2))
        predictions.append({**row(half, ms, "PASS"), "half": str(half), "confidence": confidence})
    write_json(tmp_path / "out" / "a" / "results_spotting.json", {"predictions": predictions})
    return tmp_path


def test_half_that_was_not_annotated_does_not_count(half_1_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value, said = score(half_1_only, capsys)
    assert value == 64.03
    assert "predictions in halves without a single label count as false: a (half 2: 10)" in said
    value, said = score(half_1_only, capsys, "--annotated", "1/0:00-45:00")
    assert value == 97.27
    assert "10 predictions outside of the annotated stretches do not count" in said
    file = half_1_only / "data" / "a" / "Labels-ball.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotated": [{"half": "2", "stretches": []}]}))
    assert score(half_1_only, capsys)[0] == 97.27


def test_table_says_over_which_classes_the_mean_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = [
        row(1, 10_000 * n + 3000 * (label == "DRIVE"), label) for n in range(1, 11) for label in ("PASS", "DRIVE")
    ]
    spotted = [{**label, "half": "1", "confidence": f"{0.9 - n / 50}"} for n, label in enumerate(labels[:-1])]
    write_json(tmp_path / "data" / "a" / "Labels-ball.json", {"annotations": labels})
    write_json(tmp_path / "out" / "a" / "results_spotting.json", {"predictions": spotted})
    value, said = score(tmp_path, capsys)
    assert value == 95.45
    assert "classes: PASS, DRIVE (those in the label files" in said
    value, said = score(tmp_path, capsys, "--label_set", "ball-12")
    assert value == 15.91
    assert "95.45" in said
    assert "SHOT" in said.split("without a label")[-1]


PASS_MS = [10_000 * n for n in range(1, 11)]
DRIVE_MS = [ms + (400 if ms in (20_000, 80_000) else 5000) for ms in PASS_MS]
"""The second and the eighth DRIVE are 0.4 s after a PASS, so each hits a label of the other class."""


@pytest.mark.parametrize(("by_name", "wanted"), [(True, 1.0), (False, 0.114)])
def test_output_rows_taken_by_name_keep_the_score(by_name: bool, wanted: float) -> None:
    spec = SpotterSpec(feature_arch="small", temporal_arch="", classes=("PASS", "DRIVE"), clip_len=8)
    old, new = Spotter(spec), Spotter(dataclasses.replace(spec, classes=("DRIVE", "PASS")))
    name = "head._fc_out.1"
    weight = torch.zeros_like(old.state_dict()[f"{name}.weight"])
    weight[1, 0] = weight[2, 1] = 1.0  # PASS is the first feature, DRIVE the second
    state = {**old.state_dict(), f"{name}.weight": weight, f"{name}.bias": torch.zeros(3)}
    load_matching_weights(new, state, spec if by_name else new.spec)
    rows = new.state_dict()[f"{name}.weight"]
    labels, predictions = [], []
    for number, times in enumerate(zip(PASS_MS, DRIVE_MS, strict=True)):
        for feature, (label, ms) in enumerate(zip(("PASS", "DRIVE"), times, strict=True)):
            labels.append(ScoredEvent(half=1, position_ms=ms, label=label))
            seen_D = torch.zeros(rows.shape[1])
            seen_D[feature] = 4 - number / 5
            scores = torch.softmax(rows @ seen_D, 0)[1:]
            best = int(scores.argmax())
            predictions.append(
                ScoredEvent(half=1, position_ms=ms, label=new.spec.classes[best], value=float(scores[best]))
            )
    report = evaluate({"a": labels}, {"a": predictions}, LABEL_SETS["ball-2"], ("at1",))
    assert round(report.mAP("at1"), 3) == wanted

"""Weights files: what they record, what older ones lack, and what is refused."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import e2espot
from e2espot.core.errors import CheckpointError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.inference.predict import InferenceOptions, score_frames
from e2espot.models import Spotter, SpotterSpec, load_spotter
from e2espot.models.weights.checkpoint import (
    read_tensors,
    read_weights,
    save_backbone,
    save_spotter,
    shipped_spotter,
)

SPEC = SpotterSpec(feature_arch="small", temporal_arch="", classes=("PASS", "DRIVE"), clip_len=8)


def write(file: Path, fields: dict[str, Any] | str) -> Path:
    """A weights file with any description; its tensors are those of ``SPEC``."""
    text = fields if isinstance(fields, str) else json.dumps(fields)
    save_file(dict(Spotter(SPEC).state_dict()), file, metadata={"e2espot": text})
    return file


def test_shipped_spotter_loads_and_gives_scores() -> None:
    spotter = load_spotter(shipped_spotter())
    assert spotter.label_set.names == LABEL_SETS["ball-2"].names
    frames = torch.randint(0, 256, (30, 64, 96, 3), dtype=torch.uint8)
    scores_TK = score_frames(spotter, [frames], 30, InferenceOptions(precision="fp32"))
    assert scores_TK.shape == (30, 2)
    assert 0 <= scores_TK.min() <= scores_TK.max() <= 1


def test_weights_files_record_the_version_that_wrote_them(tmp_path: Path) -> None:
    save_spotter(tmp_path / "best.safetensors", Spotter(SPEC).state_dict(), SPEC)
    save_backbone(tmp_path / "start.safetensors", Spotter(SPEC).backbone.state_dict(), "small")
    for file in (tmp_path / "best.safetensors", tmp_path / "start.safetensors"):
        assert read_tensors(file)[0]["e2espot_version"] == e2espot.__version__


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    spotter = load_spotter(shipped_spotter())
    written = set()
    for _ in range(12):
        save_spotter(tmp_path / "run.safetensors", spotter.state_dict(), spotter.spec)
        written.add((tmp_path / "run.safetensors").read_bytes())
    assert len(written) == 1
    assert load_spotter(tmp_path / "run.safetensors").spec == spotter.spec


def test_weights_without_version_load(tmp_path: Path) -> None:
    file = write(tmp_path / "old.safetensors", asdict(SPEC))
    assert "e2espot_version" not in read_tensors(file)[0]
    assert load_spotter(file).spec == SPEC


def test_spec_field_full_grid_of_older_files_is_double_rate_output(tmp_path: Path) -> None:
    fields = {name: value for name, value in asdict(SPEC).items() if name != "double_rate_output"}
    file = write(tmp_path / "old.safetensors", {**fields, "full_grid": True})
    assert read_weights(file)[0].double_rate_output


@pytest.mark.parametrize(
    "change",
    [
        {"clip_len": "8"},
        {"clip_len": 8.0},
        {"clip_len": True},
        {"clip_len": 0},
        {"width": 100_001},
        {"crop_dim": -1},
        {"displacement": 1},
        {"classes": "PASS"},
        {"classes": ["PASS", 2]},
        {"classes": []},
        {"feature_arch": None},
        {"fps": "0"},
        {"unknown": 1},
    ],
)
def test_spec_with_a_field_of_wrong_type_or_range_is_refused_in_one_line(
    change: dict[str, Any], tmp_path: Path
) -> None:
    file = write(tmp_path / "bad.safetensors", {**asdict(SPEC), **change})
    with pytest.raises(CheckpointError, match="carries no e2espot description") as caught:
        load_spotter(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "3", "[]", "null", "{", '{"classes": ["PASS"]}', "[" * 100_000])
def test_spec_that_is_no_description_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="carries no e2espot description") as caught:
        load_spotter(write(tmp_path / "bad.safetensors", text))
    assert "\n" not in str(caught.value)


def test_state_dict_keys_of_the_shipped_spotter_are_those_of_the_network() -> None:
    state = load_file(shipped_spotter())
    assert set(state) == set(load_spotter(shipped_spotter()).state_dict())

"""Initial weights: rows of the output layers follow the names of classes, not their position."""

import dataclasses
from pathlib import Path

import pytest
import torch

from e2espot.core.errors import ConfigurationError
from e2espot.models import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import read_initial_weights, save_backbone, save_spotter
from e2espot.models.weights.initial_weights import TransferredWeights, load_matching_weights

OLD = SpotterSpec(feature_arch="small", temporal_arch="", classes=("PASS", "DRIVE"), clip_len=8)


def start(spec: SpotterSpec, tmp_path: Path, old: SpotterSpec = OLD) -> tuple[Spotter, Spotter, TransferredWeights]:
    """A network of ``spec`` that starts from one of ``old``: the old one, the new one, and what was taken."""
    source, spotter = Spotter(old), Spotter(spec)
    save_spotter(tmp_path / "best.safetensors", source.state_dict(), old)
    stored, state = read_initial_weights(tmp_path / "best.safetensors")
    return source, spotter, load_matching_weights(spotter, state, stored)


def rows(spotter: Spotter) -> dict[str, torch.Tensor]:
    """Row of the output layer, weights and bias, of the background and of each class."""
    weight, bias = (spotter.state_dict()[f"head._fc_out.1.{name}"] for name in ("weight", "bias"))
    table = torch.cat((weight, bias[:, None]), 1)
    return dict(zip(("background", *spotter.spec.classes), table, strict=True))


def test_classes_in_another_order_take_their_own_rows(tmp_path: Path) -> None:
    old, new, taken = start(dataclasses.replace(OLD, classes=("DRIVE", "PASS")), tmp_path)
    assert rows(old).keys() == rows(new).keys()
    assert all(torch.equal(rows(old)[name], rows(new)[name]) for name in rows(old))
    assert taken.fresh == 0
    frames = torch.randn(1, 8, 3, 32, 64)
    with torch.inference_mode():
        swapped = new.eval()(frames)[..., [0, 2, 1]]
        torch.testing.assert_close(swapped, old.eval()(frames), rtol=0, atol=1e-6)


def test_new_classes_start_fresh_and_the_log_lines_name_them(tmp_path: Path) -> None:
    spec = dataclasses.replace(OLD, classes=("SHOT", "DRIVE", "CROSS"))
    torch.manual_seed(0)
    old, new, taken = start(spec, tmp_path)
    assert torch.equal(rows(new)["DRIVE"], rows(old)["DRIVE"])
    assert torch.equal(rows(new)["background"], rows(old)["background"])
    assert not any(torch.equal(rows(new)[name], row) for name in ("SHOT", "CROSS") for row in rows(old).values())
    assert "output layer: DRIVE taken by name; fresh: SHOT, CROSS" in taken.lines()


def test_output_rows_of_as_many_other_classes_are_not_taken(tmp_path: Path) -> None:
    old, new, taken = start(dataclasses.replace(OLD, classes=("SHOT", "CROSS")), tmp_path)
    assert not any(torch.equal(row, rows(old)["background"]) for row in rows(new).values())
    assert "output layer: no class in common; fresh: SHOT, CROSS" in taken.lines()
    assert taken.fresh == 2


def test_classes_of_a_second_dataset_take_their_own_rows(tmp_path: Path) -> None:
    old, new, _ = start(
        dataclasses.replace(OLD, joint_classes=("GOAL", "FOUL")),
        tmp_path,
        dataclasses.replace(OLD, joint_classes=("FOUL",)),
    )
    assert torch.equal(new.state_dict()["joint.1.bias"][[0, 2]], old.state_dict()["joint.1.bias"])


def test_another_rate_and_modality_are_reported(tmp_path: Path) -> None:
    spec = dataclasses.replace(OLD, fps="12.5", modality="gray")
    lines = start(spec, tmp_path)[2].lines()
    assert lines[1:] == [
        "these weights were trained for 25 frames a second instead of 12.5",
        "these weights were trained for rgb frames instead of gray",
    ]


def test_output_layer_of_unknown_classes_is_not_taken(tmp_path: Path) -> None:
    source, spotter = Spotter(OLD), Spotter(OLD)
    save_backbone(tmp_path / "start.safetensors", source.state_dict(), "small")
    spec, state = read_initial_weights(tmp_path / "start.safetensors")
    assert spec is None
    assert load_matching_weights(spotter, state, spec).fresh == 2
    assert not torch.equal(rows(spotter)["PASS"], rows(source)["PASS"])


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="feature_arch"):
        start(dataclasses.replace(OLD, feature_arch="rny002"), tmp_path)

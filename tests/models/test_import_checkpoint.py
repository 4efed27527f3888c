"""Weights of other packages: which file is chosen, what it is converted to, what is refused and how."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from e2espot.core.errors import CheckpointError, E2ESpotError
from e2espot.models import load_spotter
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import read_initial_weights
from e2espot.models.weights.import_checkpoint import ImportOptions, convert_checkpoint
from e2espot.models.weights.initial_weights import load_matching_weights
from tests.support.e2e_spot_reference import State, logits, random_state, write_run
from tests.support.tools import tool

ARCHS = {"feature_arch": "rny002_gsm", "temporal_arch": "gru"}


@pytest.fixture(scope="module")
def state() -> State:
    return random_state("rny002_gsm", "gru", 3)


def test_spec_comes_from_config_json(state: State, tmp_path: Path) -> None:
    convert_checkpoint(
        str(write_run(tmp_path / "src", state, **ARCHS, dataset="soccernet_ball", clip_len=64)),
        tmp_path / "dst",
    )
    spec = load_spotter(tmp_path / "dst").spec
    assert spec.classes == ("DRIVE", "PASS")
    assert (spec.clip_len, spec.fps, spec.width, spec.height, spec.crop_dim) == (64, "25", 398, 224, 224)


def test_convert_command_makes_a_run(state: State, tmp_path: Path) -> None:
    source = write_run(tmp_path / "src", state, **ARCHS, dataset="soccernetv2")
    result = tool("convert", "checkpoint", source, tmp_path / "dst", "--fps", "25")
    assert result.returncode == 0, result.stderr
    assert "rny002_gsm + gru, 2 classes" in result.stdout
    assert load_spotter(tmp_path / "dst").spec.fps == "25"


def test_class_names_come_from_class_txt_in_run_data_folder_or_options(state: State, tmp_path: Path) -> None:
    source = write_run(tmp_path / "exp" / "src", state, **ARCHS, crop_dim=None)
    assert "class 1, class 2" in convert_checkpoint(str(source), tmp_path / "a")
    assert load_spotter(tmp_path / "a").spec.crop_dim == 0
    (tmp_path / "data" / "tennis").mkdir(parents=True)
    (tmp_path / "data" / "tennis" / "class.txt").write_text("near\nfar\n")
    assert "near, far" in convert_checkpoint(str(source), tmp_path / "b")
    (tmp_path / "mine.txt").write_text("one\ntwo\n")
    assert "one, two" in convert_checkpoint(str(source), tmp_path / "c", ImportOptions(classes=tmp_path / "mine.txt"))
    (source / "class.txt").write_text("only\n")
    with pytest.raises(CheckpointError, match="names 1 class, but the weights have 2"):
        convert_checkpoint(str(source), tmp_path / "d")


@pytest.mark.parametrize(
    ("rows", "requested", "epoch"),
    [
        (None, None, 9),
        ([(3, 1.0, 0.2), (5, 0.5, 0.4), (9, 0.9, 0.1)], None, 5),
        ([(3, 1.0, 0), (5, 0.5, 0), (9, 0.9, 0)], None, 5),
        ([(3, 1.0, 0.4), (5, 0.5, 0.4)], None, 3),
        ([(3, 1.0, 0.2), (5, 0.5, 0.4)], 9, 9),
    ],
)
def test_epoch_is_e2e_spots_choice_unless_requested(rows, requested, epoch, state: State, tmp_path: Path) -> None:
    source = write_run(tmp_path / "src", state, **ARCHS)
    for number in (3, 5, 9):
        (source / f"checkpoint_{number:03d}.pt").symlink_to(source / "checkpoint_007.pt")
    if rows is not None:
        losses = [{"epoch": e, "train": 1, "val": v, "val_mAP": m} for e, v, m in rows]
        (source / "loss.json").write_text(json.dumps(losses))
    assert f"checkpoint_{epoch:03d}.pt" in convert_checkpoint(
        str(source), tmp_path / "dst", ImportOptions(epoch=requested)
    )


def test_missing_epoch_is_refused_with_those_there_are(state: State, tmp_path: Path) -> None:
    source = write_run(tmp_path / "src", state, **ARCHS)
    with pytest.raises(CheckpointError, match=r"no checkpoint of epoch 4; choose from 7") as caught:
        convert_checkpoint(str(source), tmp_path / "dst", ImportOptions(epoch=4))
    assert caught.value.option == "epoch"


@pytest.mark.parametrize("key", ["temporal_arch", "feature_arch", "modality"])
@pytest.mark.parametrize("value", ["mstcn", "asformer", "convnextt_gsm", "flow"])
def test_unsupported_architecture_or_modality_is_refused_in_one_line(key, value, state: State, tmp_path: Path) -> None:
    source = write_run(tmp_path / "src", {}, **{**ARCHS, key: value})
    with pytest.raises(E2ESpotError) as caught:
        convert_checkpoint(str(source), tmp_path / "dst")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "dst").exists()


def test_config_that_contradicts_the_weights_is_refused(state: State, tmp_path: Path) -> None:
    source = write_run(tmp_path / "src", state, feature_arch="rny008_gsm", temporal_arch="gru")
    with pytest.raises(
        CheckpointError, match=r"feature_arch is 'rny008_gsm', but checkpoint_007.pt holds 'rny002_gsm'"
    ):
        convert_checkpoint(str(source), tmp_path / "dst")


class _Malicious:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize("kind", ["torch", "legacy", "plain"])
def test_malicious_pickle_is_refused_without_running(kind: str, tmp_path: Path) -> None:
    source = write_run(tmp_path / "src", {}, **ARCHS)
    bad = {"_features.stem.conv.weight": _Malicious(tmp_path / "proof")}
    if kind == "plain":
        (source / "checkpoint_007.pt").write_bytes(pickle.dumps(bad))
    else:
        torch.save(bad, source / "checkpoint_007.pt", _use_new_zipfile_serialization=kind == "torch")
    result = tool("convert", "checkpoint", source, tmp_path / "dst")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "nothing in it was executed" in result.stderr
    assert not (tmp_path / "proof").exists()
    assert not (tmp_path / "dst").exists()


@pytest.mark.parametrize("damage", ["shape", "missing", "nan", "truncated", "empty", "list"])
def test_damaged_weights_are_refused_in_one_line(damage: str, state: State, tmp_path: Path) -> None:
    broken: object = dict(state)
    key = "_features.s2.b1.conv2.conv.weight"
    if damage == "shape":
        broken[key] = state[key][:3]
    elif damage == "missing":
        del broken[key]
    elif damage == "nan":
        broken[key] = state[key] * float("nan")
    elif damage == "list":
        broken = [1, 2]
    source = write_run(tmp_path / "src", broken, **ARCHS)
    file = source / "checkpoint_007.pt"
    if damage in ("truncated", "empty"):
        file.write_bytes(file.read_bytes()[: 5000 if damage == "truncated" else 0])
    with pytest.raises(CheckpointError) as caught:
        convert_checkpoint(str(source), tmp_path / "dst")
    assert "\n" not in str(caught.value)
    assert file.name in str(caught.value)
    assert not (tmp_path / "dst").exists()


def test_opensportslib_weights_give_the_same_network(state: State, tmp_path: Path) -> None:
    """Names behind ``backbone.`` and ``head.``, wrapped, next to a numpy number, and the classes in a config."""
    renamed = {("backbone." if n.startswith("_features") else "head.") + n: v for n, v in state.items()}
    renamed = {f"module.{name}": value for name, value in renamed.items()}
    (tmp_path / "osl").mkdir()
    torch.save(
        {"epoch": 3, "model_state_dict": renamed, "best_criterion_valid": np.float64(0.4)},
        tmp_path / "osl" / "best_checkpoint.pt",
    )
    (tmp_path / "osl" / "config.yaml").write_text(
        "DATA:\n  common:\n    classes: [PASS, DRIVE]\n  inputs:\n    video:\n      sampling: {clip_len: 50, "
        "input_fps: 25, extract_fps: 2}\n      transform: {resize: {height: 224, width: 398}}\n      params: "
        "{crop_dim: -1}\nMODEL: {components: {task_head: {source: {name: gru}}}}\n"
    )
    for source in (tmp_path / "osl", tmp_path / "osl" / "best_checkpoint.pt"):
        convert_checkpoint(str(source), tmp_path / "dst")
        spotter = load_spotter(tmp_path / "dst")
        assert spotter.spec.classes == ("PASS", "DRIVE")
        assert (spotter.spec.clip_len, spotter.spec.fps, spotter.spec.crop_dim) == (50, "25/12", 0)
    frames = torch.randn(1, 4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(spotter(frames), logits(state, 50, frames), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_imagenet_backbone_is_a_start_for_training_only(ending: str, tmp_path: Path) -> None:
    network = timm.create_model("regnety_002")
    file = tmp_path / f"model.{ending}"
    save_file(network.state_dict(), file) if ending == "safetensors" else torch.save(network.state_dict(), file)
    assert "(init_from)" in convert_checkpoint(str(file), tmp_path / "start.safetensors")
    with pytest.raises(CheckpointError, match="init_from"):
        load_spotter(tmp_path / "start.safetensors")
    spotter = Spotter(SpotterSpec(feature_arch="rny002_gsm", temporal_arch="gru", classes=("PASS",)))
    spec, state = read_initial_weights(tmp_path / "start.safetensors")
    load_matching_weights(spotter, state, spec)
    weights = spotter.state_dict()
    for name in ("s1.b1.conv1.conv.weight", "s4.b7.conv3.bn.weight", "stem.conv.weight"):
        ours = name.replace("conv1.", "conv1.net.")
        assert torch.equal(weights[f"backbone._features.{ours}"], network.state_dict()[name]), name


def test_gray_stem_takes_the_sum_of_a_colour_stem(tmp_path: Path) -> None:
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    convert_checkpoint(str(tmp_path / "resnet18.pth"), tmp_path / "start.safetensors")
    spec = SpotterSpec(feature_arch="rn18_tsm", temporal_arch="", classes=("PASS",), modality="gray")
    spotter = Spotter(spec)
    spec, state = read_initial_weights(tmp_path / "start.safetensors")
    assert load_matching_weights(spotter, state, spec).fresh == 2  # the output layer
    stem = spotter.state_dict()["backbone._features.conv1.weight"]
    torch.testing.assert_close(stem, network.conv1.weight.sum(1, keepdim=True))


def test_loading_foreign_weights_names_the_convert_command(state: State, tmp_path: Path) -> None:
    source = write_run(tmp_path / "src", state, **ARCHS)
    for path in (source, source / "checkpoint_007.pt"):
        with pytest.raises(CheckpointError, match="e2espot convert checkpoint"):
            load_spotter(path)

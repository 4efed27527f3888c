"""Weights between those of two spotters."""

from pathlib import Path

import pytest
import torch

from e2espot.core.errors import CheckpointError
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.blend import blend
from e2espot.models.weights.checkpoint import load_spotter, read_tensors, save_spotter

SPEC = SpotterSpec(feature_arch="small_gsm", temporal_arch="gru", classes=("PASS",), clip_len=16, width=96, height=64)


def spotter_file(path: Path, seed: int, spec: SpotterSpec = SPEC) -> Path:
    torch.manual_seed(seed)
    save_spotter(path, Spotter(spec).state_dict(), spec)
    return path


def test_blend_writes_a_spotter_between_the_two(tmp_path: Path) -> None:
    before, after = spotter_file(tmp_path / "a.safetensors", 0), spotter_file(tmp_path / "b.safetensors", 1)
    out = tmp_path / "c.safetensors"
    blend(before, after, out, 0.25)
    first, second, blended = (read_tensors(file)[1] for file in (before, after, out))
    name = "backbone.stem.0.weight"
    torch.testing.assert_close(blended[name], 0.75 * first[name] + 0.25 * second[name])
    assert not torch.equal(blended[name], first[name])
    assert load_spotter(out).spec == SPEC


@pytest.mark.parametrize(("share", "same"), [(0.0, "a"), (1.0, "b")])
def test_blend_gives_either_spotter_at_the_ends(tmp_path: Path, share: float, same: str) -> None:
    files = {name: spotter_file(tmp_path / f"{name}.safetensors", seed) for seed, name in enumerate("ab")}
    blend(files["a"], files["b"], tmp_path / "c.safetensors", share)
    blended, expected = read_tensors(tmp_path / "c.safetensors")[1], read_tensors(files[same])[1]
    assert all(torch.equal(blended[name], expected[name]) for name in expected)


def test_blend_refuses_spotters_of_different_specifications_and_shares_out_of_range(tmp_path: Path) -> None:
    before = spotter_file(tmp_path / "a.safetensors", 0)
    other = SpotterSpec(feature_arch="small_gsm", temporal_arch="gru", classes=("PASS", "DRIVE"), clip_len=16)
    after = spotter_file(tmp_path / "b.safetensors", 1, other)
    for pair, share in (((before, after), 0.5), ((before, before), 1.5)):
        with pytest.raises(CheckpointError, match="cannot be blended"):
            blend(*pair, tmp_path / "c.safetensors", share)
    assert not (tmp_path / "c.safetensors").exists()

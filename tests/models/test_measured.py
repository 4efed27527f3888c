"""The record of real footage in a weights file."""

from pathlib import Path

import pytest
import torch

from e2espot.core.errors import CheckpointError
from e2espot.models.weights.checkpoint import load_spotter, read_tensors, shipped_spotter
from e2espot.models.weights.measured import RealFootageScore, read_measured, write_measured

SCORE = RealFootageScore(at1=0.26, low=0.21, high=0.34, clips=30, events=101)


def test_write_measured_changes_nothing_but_the_record(tmp_path: Path) -> None:
    file = tmp_path / "spotter.safetensors"
    file.write_bytes(shipped_spotter().read_bytes())
    write_measured(file, SCORE)
    assert read_measured(file) == SCORE
    (metadata, before), (new_metadata, after) = read_tensors(shipped_spotter()), read_tensors(file)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert load_spotter(file).spec == load_spotter(shipped_spotter()).spec
    assert new_metadata["e2espot_version"] == metadata["e2espot_version"]
    once = file.read_bytes()
    write_measured(file, SCORE)
    assert file.read_bytes() == once


def test_shipped_weights_state_what_they_score_on_real_footage() -> None:
    measured = read_measured(shipped_spotter())
    assert measured is not None, "measure new weights: e2espot bench real FOLDER... --record"
    assert measured.clips >= 30 and measured.events >= 100


@pytest.mark.parametrize(
    "data",
    [b"", b"\x10\0\0\0\0\0\0\0{}", b"\xff" * 16, b"\x04\0\0\0\0\0\0\0[1] "],
    ids=["empty", "short", "long", "list"],
)
def test_read_measured_refuses_a_damaged_file(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "spotter.safetensors"
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_measured(file)

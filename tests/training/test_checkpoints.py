"""The latest readable state can always be loaded."""

import json
import logging
from pathlib import Path

import pytest
import torch

from e2espot.core.errors import CheckpointError
from e2espot.training.checkpoints import add_preparations, load_state, save_state, sweep_run


def test_load_state_falls_back_to_the_previous_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_state(tmp_path) is None
    for step in range(3):
        save_state(tmp_path, {"step": step, "weight": torch.full((4,), float(step))})
    assert load_state(tmp_path)["step"] == 2
    damaged = (tmp_path / "last" / "state.pt").read_bytes()[:500]
    (tmp_path / "last" / "state.pt").write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        assert load_state(tmp_path)["step"] == 1
    assert "state.pt: cannot be read" in caplog.text
    assert "continuing from" in caplog.text
    (tmp_path / "last" / "before.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"before\.pt.*to start again"):
        load_state(tmp_path)


def test_sweep_run_removes_half_written_files_only(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 0})
    for left in (tmp_path / "last" / ".state.pt.abc.part", tmp_path / ".best.safetensors.abc.part"):
        left.write_bytes(b"half")
    (tmp_path / "mine.part").write_bytes(b"not ours")
    sweep_run(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["mine.part", "state.pt"]


def test_add_preparations_keeps_what_is_recorded_and_writes_no_file_without_any(tmp_path: Path) -> None:
    add_preparations(tmp_path, {})
    assert not (tmp_path / "preparations.json").exists()
    add_preparations(tmp_path, {"a.mp4": {"tone_mapped": "pq"}})
    add_preparations(tmp_path, {"b.mp4": {"cropped_to": "320:240:0:60"}})
    assert json.loads((tmp_path / "preparations.json").read_text()) == {
        "a.mp4": {"tone_mapped": "pq"},
        "b.mp4": {"cropped_to": "320:240:0:60"},
    }

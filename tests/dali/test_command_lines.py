"""Commands through DALI's CPU backend, as a user types them."""

import json
from pathlib import Path

import pytest

from tests.support.tiny_dataset import write_game
from tests.support.tools import tool

SMALL = ("--size", "96x64", "--clip_len", "16", "--epoch_clips", "8", "--num_epochs", "1")


def write_data(root: Path, codec: str) -> Path:
    for seed, name in enumerate("ab"):
        write_game(root / "toy" / name, seed, codec=codec)
    splits = {"train": ["toy/a"], "valid": ["toy/b"], "test": ["toy/b"]}
    (root / "splits.json").write_text(json.dumps(splits))
    return root


@pytest.mark.slow
def test_train_and_infer_with_reader_dali(tmp_path: Path) -> None:
    data, run = write_data(tmp_path / "data", "libvpx-vp9"), tmp_path / "run"
    done = tool("train", data, "-s", run, "--recipe", "laptop-fast", "--reader", "dali", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "reader dali: asked for" in done.stderr
    assert (run / "best.safetensors").is_file()
    predictions = {}
    for reader in ("dali", "auto"):
        done = tool("infer", run, data, "-s", "test", "-o", tmp_path / reader, "--reader", reader)
        assert done.returncode == 0, done.stderr
        file = tmp_path / reader / "toy" / "b" / "results_spotting.json"
        predictions[reader] = json.loads(file.read_text())["predictions"]
    strong = [
        {(row["label"], row["position"]) for row in rows if float(row["confidence"]) > 0.2}
        for rows in predictions.values()
    ]
    assert len(strong[0] ^ strong[1]) <= max(2, len(strong[0] | strong[1]) // 5)


def test_train_refuses_h264_on_the_cpu_before_writing_anything(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", "libx264")
    done = tool(
        "train", data, "-s", tmp_path / "run", "--recipe", "laptop-fast", "--reader", "dali", "--device", "cpu", *SMALL
    )
    assert done.returncode == 2
    assert "does not decode h264" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()

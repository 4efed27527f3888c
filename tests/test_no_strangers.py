"""Training, inference and scoring use neither the network nor the SoccerNet package, which reports its use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny_dataset import write_game

ROOT = Path(__file__).parents[1]

# Runs a tool as its command line does, in every process it starts too, and reports who was called.
WATCHED = """
import atexit, os, runpy, socket, sys

def report(what):
    with open(os.environ["CALLED"], "a") as file:
        file.write(what + "\\n")

def watch(event, arguments):
    if event == "socket.connect" and arguments[0].family in (socket.AF_INET, socket.AF_INET6):
        report(f"connects to {arguments[1]}")
    if event == "socket.getaddrinfo":
        report(f"looks up {arguments[0]}")
    if event == "import" and arguments[0].split(".")[0] in ("SoccerNet", "google_measurement_protocol", "boto3"):
        report(f"imports {arguments[0]}")

sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Path:
    """A folder whose sitecustomize watches every Python that has it on its path."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "sitecustomize.py").write_text(WATCHED)
    return folder


def called(watched: Path, log: Path, *command: object) -> list[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(log.parent), "CALLED": str(log)}
    environment["PYTHONPATH"] = f"{watched}:{ROOT}"
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return log.read_text().splitlines() if log.exists() else []


def test_audit_hook_reports_imports_and_connections(watched: Path, tmp_path: Path) -> None:
    attempt = """
import contextlib, socket, SoccerNet
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9))
"""
    pytest.importorskip("SoccerNet")
    seen = called(watched, tmp_path / "log", "-c", attempt)
    assert any("imports SoccerNet" in line for line in seen)
    assert any("connects to ('127.0.0.1', 9)" in line for line in seen)


def test_train_infer_evaluate_and_convert_use_no_network(watched: Path, tmp_path: Path) -> None:
    data, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "out"
    write_game(data / "toy" / "a", 0)
    (data / "splits.json").write_text(json.dumps({split: ["toy/a"] for split in ("train", "valid", "test")}))
    small = ["--size", "96x64", "--clip_len", "16", "--epoch_clips", "4", "--num_epochs", "1"]
    lines = [
        ["train", data, "-s", run, "--recipe", "laptop-fast", *small],
        ["infer", run, data, "-s", "test", "-o", out],
        ["evaluate", out, "-l", data, "-s", "test"],
        ["convert", "predictions", out, tmp_path / "c.json", "--from", "soccernet", "--to", "opensportslab"],
    ]
    words = [list(map(str, line)) for line in lines]
    in_turn = f"from e2espot.cli.main import main\nif __name__ == '__main__':\n    [main(line) for line in {words!r}]"
    (tmp_path / "commands.py").write_text(in_turn)
    assert called(watched, tmp_path / "log", tmp_path / "commands.py") == []
    assert (tmp_path / "c.json").is_file()

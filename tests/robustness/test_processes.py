"""Two processes train like one with the same batches; a process that dies half-way is started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.budget import LONG, print_figure, sized
from tests.support.forked import fork
from tests.support.tiny_dataset import write_game
from tests.support.train_in_double import train

STEPS = sized(2, 20)
CASES: dict[str, dict[str, object]] = {
    "plain": {},
    "frozen": {},
    "regnet": {"feature_arch": "rny002_gsm", "init_from": "none", "mixup": True},
    "mixup": {"mixup": True, "acc_grad_iter": 2, "displacement": 2, "team": True, "shuffle_frames": True},
}
"""Recipe fields; "frozen" also keeps its batch statistics fixed."""
SMALLER = {} if LONG else {"size": "64x48", "clip_len": 8}
"""Frames of the sample: a quarter of the work, in every layer."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(600, 7200))]

SCRIPT = Path(__file__).parents[1] / "support" / "train_in_double.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("equality")
    write_game(root / "data" / "toy" / "a", 0)
    write_game(root / "data" / "toy" / "b", 1, num_frames=30)
    (root / "data" / "splits.json").write_text(json.dumps({"train": ["toy/a"], "valid": ["toy/b"]}))
    return root


def trained_alone(folder: Path, name: str, case: str) -> dict[str, Any]:
    """Weights and losses of this process."""
    out = folder / f"{name}.pt"
    with pytest.MonkeyPatch.context() as patch:
        train(folder / "data", folder / name, out, CASES[case] | SMALLER, STEPS, replace=patch.setattr)
    return torch.load(out, weights_only=True)  # type: ignore[no-any-return]


def trained_by_two(folder: Path, name: str, case: str) -> dict[str, Any]:
    """Weights and losses of two processes; ``torchrun`` starts those of tests/training/test_distributed.py."""
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    arguments = folder / "data", folder / name, folder / f"{name}.pt", CASES[case] | SMALLER, STEPS
    ranks = {
        folder / f"{name}.stderr.{rank}": group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)
    }
    processes = {errors: fork(train, *arguments, errors=errors, environment=rank) for errors, rank in ranks.items()}
    for errors, process in processes.items():
        process.join(500)
        assert process.exitcode == 0, errors.read_text()
    return torch.load(folder / f"{name}.pt", weights_only=True)  # type: ignore[no-any-return]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, name: str, case: str, pause_s: float = 0, *, restarts: int = 0) -> subprocess.Popen[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    launch += ["--max_restarts", str(restarts)]
    words = [SCRIPT, folder / "data", folder / name, folder / f"{name}.pt"]
    words += [json.dumps({**CASES[case], **SMALLER}), STEPS, pause_s]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*launch, *map(str, words)], stderr=subprocess.PIPE, text=True, env=environment)


def start_machine(folder: Path, name: str, address: str) -> subprocess.Popen[str]:
    """One of two torchrun agents, which stand for two machines with one process each."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    launch += ["--rdzv_backend", "c10d", "--rdzv_endpoint", address, "--rdzv_id", name, "--max_restarts", "2"]
    words = [SCRIPT, folder / "data", folder / name, folder / f"{name}.pt", json.dumps(CASES["mixup"])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*launch, *map(str, [*words, STEPS, 0.2])], stderr=subprocess.PIPE, text=True, env=environment
    )


def ended(process: subprocess.Popen[str], folder: Path, name: str) -> dict:
    _, stderr = process.communicate(timeout=500)
    assert process.returncode == 0, stderr
    return torch.load(folder / f"{name}.pt", weights_only=True)


def largest_difference(one: dict, two: dict) -> float:
    return max(float((one["weights"][name] - two["weights"][name]).abs().max()) for name in one["weights"])


@pytest.mark.parametrize("case", CASES if LONG else ["regnet"])
def test_two_processes_train_like_one(case: str, folder: Path) -> None:
    alone, both = trained_alone(folder, f"one_{case}", case), trained_by_two(folder, f"two_{case}", case)
    assert abs(alone["losses"][0] - both["losses"][0]) < 1e-5
    print_figure(f"{case}: largest difference of weights {largest_difference(alone, both):.1e}")
    assert largest_difference(alone, both) < 1e-5


@pytest.mark.skipif(not LONG, reason="takes a minute; make stress runs it")
def test_killed_process_is_restarted_with_equal_results(folder: Path) -> None:
    whole = ended(start(folder, "whole", "mixup"), folder, "whole")
    process = start(folder, "killed", "mixup", 0.2, restarts=1)
    state, end = folder / "killed" / "last" / "state.pt", time.monotonic() + 200
    while not state.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    again = ended(process, folder, "killed")
    assert largest_difference(whole, again) == 0
    assert whole["losses"] == again["losses"]


@pytest.mark.skipif(not LONG, reason="takes a minute; make stress runs it")
def test_two_agents_recover_when_one_loses_its_process(folder: Path) -> None:
    """Agents whose counts of restarts differ are tested in tests/training/test_distributed.py."""
    whole = ended(start(folder, "one_machine", "mixup"), folder, "one_machine")
    address = f"127.0.0.1:{free_port()}"
    machines = [start_machine(folder, "machines", address) for _ in range(2)]
    state, end = folder / "machines" / "last" / "state.pt", time.monotonic() + 200
    while not state.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    children = Path(f"/proc/{machines[1].pid}/task/{machines[1].pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    again = [ended(machine, folder, "machines") for machine in machines][-1]
    assert largest_difference(whole, again) == 0

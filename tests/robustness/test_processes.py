"""Two processes end where one does with the same batches; one that dies half way costs nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.support.budget import LONG, sized, tell
from tests.support.tiny_dataset import write_game

STEPS = sized(3, 20)
CASES: dict[str, dict[str, object]] = {
    "plain": {},
    "frozen": {},
    "regnet": {"feature_arch": "rny002_gsm", "init_from": "none", "mixup": True},
    "mixup": {"mixup": True, "acc_grad_iter": 2, "displacement": 2, "team": True, "shuffle_frames": True},
}
"""Recipe fields; "frozen" keeps its batch statistics as well."""
pytestmark = pytest.mark.timeout(sized(600, 7200))

_SCRIPT = """
import json
import sys
from pathlib import Path
import torch
from e2espot.models.spotter import Spotter
from e2espot.training import fit as module
from e2espot.training.distributed import leave_ranks
from e2espot.training.recipe import Recipe, merge, read_recipe
from e2espot.training import setup as made
data, folder, told, fields, steps, pause_s = sys.argv[1:]
small = dict(size="96x64", clip_len=16, batch_size=4, epoch_clips=4 * int(steps), num_epochs=1, save_every=5,
    num_workers=0, precision="fp32", warm_up_epochs=0, **json.loads(fields))
recipe = merge(merge(Recipe(), read_recipe("laptop")), small)
restore = made._restore
def restore_in_double(run, state):
    run.spotter.double()
    restore(run, state)
made._restore = restore_in_double
run = made.setup(Path(data), Path(folder), recipe, resume=(Path(folder) / "last").exists(), device="cpu")
for layer in run.spotter.modules():
    if isinstance(layer, torch.nn.Dropout):
        layer.p = 0.0  # which draws another mask for each process
# Adam divides gradients by their size: where one is all rounding, so is the step. In double nothing is.
run.spotter.double()
run.averaged = {name: value.double() if value.is_floating_point() else value for name, value in run.averaged.items()}
features = Spotter.features
Spotter.features = lambda self, frames: features(self, frames.double())
read = run.spotter.head.read
run.spotter.head.read = lambda seen: read(seen.double())
module._judge = lambda run: None
if "frozen" in folder:
    train = Spotter.train
    def frozen(self, mode=True):
        train(self, mode)
        for layer in self.modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.eval()
        return self
    Spotter.train = frozen
step = module._step
def slow(run, batch):
    import time
    time.sleep(float(pause_s))
    return step(run, batch)
module._step = slow
module.fit(run)
if run.ranks.is_first:
    torch.save({"weights": run.spotter.state_dict(), "losses": [row["loss"] for row in run.progress.rows]}, told)
leave_ranks()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("equality")
    write_game(root / "data" / "toy" / "a", 0)
    write_game(root / "data" / "toy" / "b", 1, num_frames=30)
    (root / "data" / "splits.json").write_text(json.dumps({"train": ["toy/a"], "valid": ["toy/b"]}))
    (root / "script.py").write_text(_SCRIPT)
    return root


def start(
    folder: Path, name: str, count: int, case: str, pause_s: float = 0, *, restarts: int = 0
) -> subprocess.Popen[str]:
    launch = [sys.executable]
    if count > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
        launch += ["--max_restarts", str(restarts)]
    words = [folder / "script.py", folder / "data", folder / name, folder / f"{name}.pt"]
    words += [json.dumps(CASES[case]), STEPS, pause_s]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*launch, *map(str, words)], stderr=subprocess.PIPE, text=True, env=environment)


def start_machine(folder: Path, name: str, address: str) -> subprocess.Popen[str]:
    """One of two that together are a run of two processes, as far as torchrun can tell."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    launch += ["--rdzv_backend", "c10d", "--rdzv_endpoint", address, "--rdzv_id", name, "--max_restarts", "2"]
    words = [folder / "script.py", folder / "data", folder / name, folder / f"{name}.pt", json.dumps(CASES["mixup"])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*launch, *map(str, [*words, STEPS, 0.2])], stderr=subprocess.PIPE, text=True, env=environment
    )


def ended(process: subprocess.Popen[str], folder: Path, name: str) -> dict:
    _, told = process.communicate(timeout=500)
    assert process.returncode == 0, told
    return torch.load(folder / f"{name}.pt", weights_only=True)


def farthest(one: dict, two: dict) -> float:
    return max(float((one["weights"][name] - two["weights"][name]).abs().max()) for name in one["weights"])


@pytest.mark.parametrize("case", CASES if LONG else ["regnet"])
def test_two_processes_equal_one(case: str, folder: Path) -> None:
    alone = ended(start(folder, f"one_{case}", 1, case), folder, f"one_{case}")
    both = ended(start(folder, f"two_{case}", 2, case), folder, f"two_{case}")
    assert abs(alone["losses"][0] - both["losses"][0]) < 1e-5
    tell(f"{case}: the farthest weights are {farthest(alone, both):.1e} apart")
    assert farthest(alone, both) < 1e-5


@pytest.mark.skipif(not LONG, reason="takes a minute; make trust runs it")
def test_a_process_killed_half_way_is_started_again(folder: Path) -> None:
    whole = ended(start(folder, "whole", 2, "mixup"), folder, "whole")
    process = start(folder, "killed", 2, "mixup", 0.2, restarts=1)
    state, end = folder / "killed" / "last" / "state.pt", time.monotonic() + 200
    while not state.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    again = ended(process, folder, "killed")
    assert farthest(whole, again) == 0
    assert whole["losses"] == again["losses"]


@pytest.mark.skipif(not LONG, reason="takes a minute; make trust runs it")
def test_two_machines_go_on_when_one_of_them_loses_its_process(folder: Path) -> None:
    """Where their counts of restarts differ, which here they need not, is for tests/training/test_distributed.py."""
    whole = ended(start(folder, "one_machine", 2, "mixup"), folder, "one_machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    machines = [start_machine(folder, "machines", address) for _ in range(2)]
    state, end = folder / "machines" / "last" / "state.pt", time.monotonic() + 200
    while not state.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    children = Path(f"/proc/{machines[1].pid}/task/{machines[1].pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    again = [ended(machine, folder, "machines") for machine in machines][-1]
    assert farthest(whole, again) == 0

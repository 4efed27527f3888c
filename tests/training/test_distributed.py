"""Several processes are one run: the same batches dealt out, the same weights everywhere."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed import HashStore

from e2espot.core.errors import ConfigurationError
from e2espot.models.backbones.registry import build_backbone
from e2espot.training.distributed import ProcessGroup, init_process_group, plan_exchange, rendezvous_prefix
from e2espot.training.sync_batch_norm import convert_sync_batchnorm, count_unsynced
from tests.support.tiny_dataset import write_game


@given(st.integers(1, 8), st.integers(1, 8))
def test_local_slots_partition_every_batch(count: int, each: int) -> None:
    shares = [list(ProcessGroup(rank=rank, world_size=count).local_slots(count * each)) for rank in range(count)]
    assert sorted(slot for share in shares for slot in share) == list(range(count * each))
    assert {len(share) for share in shares} == {each}


@given(st.integers(1, 5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_plan_exchange_brings_every_row_to_its_slot(count: int, each: int, random: Random) -> None:
    source = list(range(count * each))
    random.shuffle(source)
    plans = [plan_exchange(np.array(source), rank, count) for rank in range(count)]
    bundles = [np.split(plan.send_rows * count + rank, np.cumsum(plan.num_to)[:-1]) for rank, plan in enumerate(plans)]
    for rank, plan in enumerate(plans):
        parts = [sent[rank] for sent in bundles]
        assert [len(part) for part in parts] == plan.num_from.tolist()
        assert np.concatenate(parts)[plan.order].tolist() == source[rank::count]


def test_local_slots_refuses_a_batch_that_cannot_be_divided() -> None:
    with pytest.raises(ConfigurationError, match="batch_size 5"):
        ProcessGroup(rank=0, world_size=2).local_slots(5)


def test_init_process_group_refuses_world_size_without_master_addr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigurationError, match=r"MASTER_ADDR.*torchrun"):
        init_process_group("cpu")


@pytest.mark.parametrize("arch", ["rny002_gsm", "rn18_gsm", "small_gsm"])
def test_convert_sync_batchnorm_converts_every_norm_and_keeps_outputs(arch: str) -> None:
    backbone, frames = build_backbone(arch).eval(), torch.randn(1, 3, 3, 32, 32)
    assert count_unsynced(backbone) > 0
    with torch.no_grad():
        before, names = backbone(frames).features_BTD, list(backbone.state_dict())
        convert_sync_batchnorm(backbone)
        assert torch.equal(backbone(frames).features_BTD, before)
    assert count_unsynced(backbone) == 0
    assert list(backbone.state_dict()) == names


def test_rendezvous_prefix_of_restarted_processes_is_not_that_of_dead_ones() -> None:
    store = HashStore()
    store.set_timeout(timedelta(seconds=200))
    store.set("room", "dead")  # of an earlier start of three processes, all of which had registered
    store.set("dead/1", "a")
    store.set("dead/roll", "a b")

    def join(rank: int) -> str:
        return rendezvous_prefix(store, ProcessGroup(rank=rank, world_size=3))

    with ThreadPoolExecutor(3) as pool:
        joining = [pool.submit(join, rank) for rank in (1, 2)]
        time.sleep(0.3)
        joining.append(pool.submit(join, 0))
        prefixes = {joined.result(timeout=300) for joined in joining}
    assert len(prefixes) == 1 and prefixes != {"dead"}


_SCRIPT = """
import sys, json, torch
from pathlib import Path
from e2espot.training.config import resolve
from e2espot.training.fit import fit
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe
from e2espot.training.setup import setup
small = dict(size="64x48", clip_len=8, batch_size=4, clips_per_epoch=8, num_epochs=2, save_every=1, num_workers=0)
recipe = merge(merge(Recipe(), read_recipe("laptop-fast")), small)
seen = []
import e2espot.training.fit as module
step = module.take_step
def watched(run, batch):
    seen.append(list(batch.indexes))
    return step(run, batch)
module.take_step = watched
run = setup(resolve(recipe, Path(sys.argv[1]), Path(sys.argv[2]), RunOptions(resume=len(sys.argv) > 4)))
fit(run)
weights = float(sum(w.double().abs().sum() for w in run.spotter.parameters()))
Path(sys.argv[3] + f".{run.group.rank}").write_text(json.dumps({"weights": weights, "seen": seen}))
"""


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        write_game(tmp_path / "data" / "toy" / name, seed)
    (tmp_path / "data" / "splits.json").write_text(json.dumps({"train": ["toy/a"], "valid": ["toy/b"], "test": []}))
    (tmp_path / "script.py").write_text(_SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(tmp_path / "script.py"), str(tmp_path / "data"), str(tmp_path / "run"), str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"out.{rank}").read_text()) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert [sorted(a + b) for a, b in zip(first["seen"], second["seen"], strict=True)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ] * 2
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in rows)

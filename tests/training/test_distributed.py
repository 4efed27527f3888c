"""Several processes are one run: the same batches shared out, the same weights everywhere."""

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
from e2espot.training.distributed import Ranks, common_room, join_ranks, route_of
from e2espot.training.sync_batch_norm import share_batch_norms, unshared
from tests.support.tiny_dataset import write_game


@given(st.integers(1, 8), st.integers(1, 8))
def test_slots_are_shared_out_whole(count: int, each: int) -> None:
    shares = [list(Ranks(rank=rank, count=count).slots(count * each)) for rank in range(count)]
    assert sorted(slot for share in shares for slot in share) == list(range(count * each))
    assert {len(share) for share in shares} == {each}


@given(st.integers(1, 5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_slots_change_places_between_processes(count: int, each: int, random: Random) -> None:
    source = list(range(count * each))
    random.shuffle(source)
    routes = [route_of(np.array(source), rank, count) for rank in range(count)]
    bundles = [np.split(route.sent * count + rank, np.cumsum(route.num_to)[:-1]) for rank, route in enumerate(routes)]
    for rank, route in enumerate(routes):
        parts = [sent[rank] for sent in bundles]
        assert [len(part) for part in parts] == route.num_from.tolist()
        assert np.concatenate(parts)[route.order].tolist() == source[rank::count]


def test_an_uneven_batch_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--batch_size 5"):
        Ranks(rank=0, count=2).slots(5)


def test_a_world_without_a_meeting_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigurationError, match=r"MASTER_ADDR.*torchrun"):
        join_ranks("cpu")


@pytest.mark.parametrize("arch", ["rny002_gsm", "rn18_gsm", "small_gsm"])
def test_every_norm_of_a_trunk_is_shared(arch: str) -> None:
    trunk, frames = build_backbone(arch).eval(), torch.randn(1, 3, 3, 32, 32)
    assert unshared(trunk) > 0
    with torch.no_grad():
        before, names = trunk(frames).features_BTD, list(trunk.state_dict())
        share_batch_norms(trunk)
        assert torch.equal(trunk(frames).features_BTD, before)
    assert unshared(trunk) == 0
    assert list(trunk.state_dict()) == names


def test_those_started_again_meet_each_other_and_not_the_dead() -> None:
    store = HashStore()
    store.set_timeout(timedelta(seconds=20))
    store.set("room", "dead")  # of a start in which the first of three had called the roll
    store.set("dead/1", "a")
    store.set("dead/roll", "a b")

    def join(rank: int) -> str:
        return common_room(store, Ranks(rank=rank, count=3))

    with ThreadPoolExecutor(3) as pool:
        joining = [pool.submit(join, rank) for rank in (1, 2)]
        time.sleep(0.3)
        joining.append(pool.submit(join, 0))
        rooms = {joined.result(timeout=30) for joined in joining}
    assert len(rooms) == 1 and rooms != {"dead"}


_SCRIPT = """
import sys, json, torch
from pathlib import Path
from e2espot.training.fit import fit
from e2espot.training.recipe import Recipe, merge, read_recipe
from e2espot.training.setup import setup
small = dict(size="96x64", clip_len=16, batch_size=4, epoch_clips=8, num_epochs=2, save_every=1, num_workers=0)
recipe = merge(merge(Recipe(), read_recipe("laptop")), small)
seen = []
import e2espot.training.fit as module
step = module._step
def watched(run, batch):
    seen.append(list(batch.indexes))
    return step(run, batch)
module._step = watched
run = setup(Path(sys.argv[1]), Path(sys.argv[2]), recipe, resume=len(sys.argv) > 4)
fit(run)
weights = float(sum(w.double().abs().sum() for w in run.spotter.parameters()))
Path(sys.argv[3] + f".{run.ranks.rank}").write_text(json.dumps({"weights": weights, "seen": seen}))
"""


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        write_game(tmp_path / "data" / "toy" / name, seed)
    (tmp_path / "data" / "splits.json").write_text(json.dumps({"train": ["toy/a"], "valid": ["toy/b"], "test": []}))
    (tmp_path / "script.py").write_text(_SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29613"]
    command += [str(tmp_path / "script.py"), str(tmp_path / "data"), str(tmp_path / "run"), str(tmp_path / "told")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"told.{rank}").read_text()) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert [sorted(a + b) for a, b in zip(first["seen"], second["seen"], strict=True)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ] * 2
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert all(torch.isfinite(torch.tensor(row["loss"])) for row in rows)

"""Killed at any instant and resumed is the same as never killed: same weights, same predictions, nothing left over."""

import json
import random
from pathlib import Path

import pytest
import torch

from tests.support.budget import sized, tell
from tests.support.kill_harness import Blow, Fate, draw_blow, run_until, tool
from tests.support.tiny_dataset import write_game

GAMES = sized(2, 4)

pytestmark = pytest.mark.timeout(sized(600, 7200))
CLIPS = str(sized(8, 24))
SMALL = ("--size", "96x64", "--clip_len", "16", "--epoch_clips", CLIPS, "--num_epochs", "2", "--save_every", "1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    names = [f"toy/{letter}" for letter in "abcd"[:GAMES]]
    for seed, name in enumerate(names):
        write_game(root / name, seed, num_frames=100)
    (root / "splits.json").write_text(json.dumps({"train": names[:1], "valid": names[1:2], "test": names}))
    return root


def train(data: Path, run: Path, blow: Blow | None = None, *, resume: bool = False) -> Fate:
    more = ["--resume"] if resume else ["--recipe", "laptop", *SMALL, "--num_workers", "1"]
    return run_until(tool("train", data, "-s", run, "--device", "cpu", *more), [run, run / "last"], blow)


def infer(run: Path, data: Path, out: Path, blow: Blow | None = None) -> Fate:
    folders = [out / "toy" / letter for letter in "abcd"[:GAMES]]
    command = tool("infer", run, data, "-s", "test", "-o", out, "--save_scores", "--device", "cpu", "--resume")
    return run_until(command, folders, blow)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = train(data, folder / "run")
    assert done.code == 0, done.stderr
    done = infer(folder / "run", data, folder / "out")
    assert done.code == 0, done.stderr
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_state(one: object, two: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and torch.equal(one, two)
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same_state(value, two[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(same_state(a, b) for a, b in zip(one, two, strict=True))
    return one == two


def assert_same_run(run: Path, whole: Path) -> None:
    one, two = contents(run), contents(whole)
    assert one.keys() == two.keys()
    for name in ("best.safetensors", "calibration.json", "config.yaml"):
        assert one[name] == two[name], name
    rows = [[json.loads(line) for line in found["metrics.jsonl"].splitlines()] for found in (one, two)]
    states = [torch.load(folder / "last" / "state.pt", weights_only=True) for folder in (run, whole)]
    for row in [row for found in (*rows, *(state["progress"]["rows"] for state in states)) for row in found]:
        assert row.pop("clips_per_s") > 0
        assert row.pop("waiting") >= 0
    assert rows[0] == rows[1]
    assert same_state(states[0], states[1])


def report(what: str, fates: list[Fate]) -> None:
    kills = [fate for fate in fates if fate.killed]
    hit = [name for fate in kills for name in fate.hit]
    kinds = {name.split(".")[1] for name in hit}
    tell(f"{what}: {len(kills)} kills, {len(hit)} inside a write ({', '.join(sorted(kinds))})")
    for number, fate in enumerate(kills):
        tell(f"  {number:3d}: after {fate.writes} writes, in {', '.join(fate.hit) or 'none'}")


def all_done(fates: list[Fate], kills: int, inside: int) -> bool:
    return sum(fate.killed for fate in fates) >= kills and sum(bool(fate.hit) for fate in fates) >= inside


def test_training_killed_and_resumed(data: Path, whole: Path, tmp_path: Path) -> None:
    rng, fates, life = random.Random(0), [], 0
    goal = sized(2, 36), sized(1, 12)
    while not all_done(fates, *goal):
        life += 1
        run, resume = tmp_path / f"run{life}" / "run", False
        while True:
            fate = train(data, run, None if all_done(fates, *goal) else draw_blow(rng, 4), resume=resume)
            fates.append(fate)
            assert fate.killed or fate.code == 0, fate.stderr
            if not fate.killed:
                break
            resume = (run / "config.yaml").exists()
        assert_same_run(run, whole / "run")
    report("training", fates)


def test_inference_killed_and_resumed(data: Path, whole: Path, tmp_path: Path) -> None:
    rng, fates, life = random.Random(1), [], 0
    goal = sized(2, 20), sized(1, 6)
    expected = contents(whole / "out")
    assert len(expected) == 2 * GAMES
    while not all_done(fates, *goal):
        life += 1
        out = tmp_path / f"out{life}"
        while True:
            fate = infer(whole / "run", data, out, None if all_done(fates, *goal) else draw_blow(rng, 2))
            fates.append(fate)
            assert fate.killed or fate.code == 0, fate.stderr
            if not fate.killed:
                break
        assert contents(out) == expected
    report("inference", fates)

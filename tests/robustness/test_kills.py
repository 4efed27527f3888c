"""A run killed at any time and resumed equals a run left alone: same weights, same predictions, no files left over."""

import json
import random
from pathlib import Path

import pytest
import torch

from tests.support.budget import print_figure, sized
from tests.support.kill_harness import KillTime, Outcome, draw_kill_time, run_until
from tests.support.tiny_dataset import write_game
from tests.support.tools import tool

GAMES = sized(2, 4)
SEED = sized(170, 0)
"""That of the sample kills between two writes first, then inside one."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sized(600, 7200))]
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


def train_words(data: Path, run: Path, *, resume: bool = False) -> list[str]:
    more = ["--resume"] if resume else ["--recipe", "laptop-fast", *SMALL, "--num_workers", "1"]
    return ["train", str(data), "-s", str(run), "--device", "cpu", *more]


def infer_words(run: Path, data: Path, out: Path) -> list[str]:
    return ["infer", str(run), str(data), "-s", "test", "-o", str(out), "--save_scores", "--device", "cpu", "--resume"]


def train(data: Path, run: Path, kill_time: KillTime | None, *, resume: bool) -> Outcome:
    return run_until(train_words(data, run, resume=resume), [run, run / "last"], kill_time)


def infer(run: Path, data: Path, out: Path, kill_time: KillTime | None) -> Outcome:
    folders = [out / "toy" / letter for letter in "abcd"[:GAMES]]
    return run_until(infer_words(run, data, out), folders, kill_time)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for words in (train_words(data, folder / "run"), infer_words(folder / "run", data, folder / "out")):
        done = tool(*words)
        assert done.returncode == 0, done.stderr
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
    rows = [[json.loads(line) for line in files["metrics.jsonl"].splitlines()] for files in (one, two)]
    states = [torch.load(folder / "last" / "state.pt", weights_only=True) for folder in (run, whole)]
    for row in [row for records in (*rows, *(state["progress"]["rows"] for state in states)) for row in records]:
        assert row.pop("clips_per_s") > 0
        assert row.pop("waiting") >= 0
    assert rows[0] == rows[1]
    assert same_state(states[0], states[1])


def report(what: str, outcomes: list[Outcome]) -> None:
    kills = [outcome for outcome in outcomes if outcome.killed]
    hit = [name for outcome in kills for name in outcome.hit]
    kinds = {name.split(".")[1] for name in hit}
    print_figure(f"{what}: {len(kills)} kills, {len(hit)} inside a write ({', '.join(sorted(kinds))})")
    for number, outcome in enumerate(kills):
        print_figure(f"  {number:3d}: after {outcome.writes} writes, in {', '.join(outcome.hit) or 'none'}")


def all_done(outcomes: list[Outcome], kills: int, inside: int) -> bool:
    return (
        sum(outcome.killed for outcome in outcomes) >= kills
        and sum(bool(outcome.hit) for outcome in outcomes) >= inside
    )


def test_training_resumes_after_kills_with_equal_results(data: Path, whole: Path, tmp_path: Path) -> None:
    rng, outcomes, attempt = random.Random(SEED), [], 0
    goal = sized(2, 36), sized(1, 12)
    while not all_done(outcomes, *goal):
        attempt += 1
        run, resume = tmp_path / f"run{attempt}" / "run", False
        while True:
            outcome = train(data, run, None if all_done(outcomes, *goal) else draw_kill_time(rng, 4), resume=resume)
            outcomes.append(outcome)
            assert outcome.killed or outcome.code == 0, outcome.stderr
            if not outcome.killed:
                break
            resume = (run / "config.yaml").exists()
        assert_same_run(run, whole / "run")
    report("training", outcomes)


def test_inference_resumes_after_kills_with_equal_results(data: Path, whole: Path, tmp_path: Path) -> None:
    rng, outcomes, attempt = random.Random(1), [], 0
    goal = sized(2, 20), sized(1, 6)
    expected = contents(whole / "out")
    assert len(expected) == 2 * GAMES
    while not all_done(outcomes, *goal):
        attempt += 1
        out = tmp_path / f"out{attempt}"
        while True:
            outcome = infer(whole / "run", data, out, None if all_done(outcomes, *goal) else draw_kill_time(rng, 2))
            outcomes.append(outcome)
            assert outcome.killed or outcome.code == 0, outcome.stderr
            if not outcome.killed:
                break
        assert contents(out) == expected
    report("inference", outcomes)

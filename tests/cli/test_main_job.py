"""The loop a user runs: train from raw video, infer on a file, score; all through the command lines."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from e2espot.clips.dataset import ClipBatch, load_clips
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.version import __version__
from e2espot.training import checkpoints
from e2espot.training.config import resolve
from e2espot.training.fit import fit, save
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe
from e2espot.training.setup import setup
from e2espot.training.state import Run
from e2espot.training.step import take_step
from tests.support.tiny_dataset import TOY_SPEC, write_game, write_spotter
from tests.support.tools import tool

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("a", "b")):
        write_game(root / "toy" / name, seed)
    (root / "splits.json").write_text(json.dumps({"train": ["toy/a"], "valid": ["toy/b"], "test": ["toy/b"]}))
    return root


SMALL = shlex.split("--size 96x64 --clip_len 16 --epoch_clips 8 --num_epochs 2 --save_every 1 -j 0")
"""Without a worker process to decode: one takes seconds to start."""


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = tool("train", data, "-s", folder, "--recipe", "laptop-fast", *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


def test_train_writes_weights_config_and_metrics(run: Path) -> None:
    assert (run / "best.safetensors").is_file()
    assert (run / "config.yaml").is_file()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert all(0 <= row["valid_mAP@1"] <= 1 for row in rows)
    assert yaml.safe_load((run / "config.yaml").read_text())["e2espot_version"] == __version__


def test_infer_with_an_ensemble_of_one_run_twice_equals_that_run(run: Path, data: Path, tmp_path: Path) -> None:
    results = []
    for name, more in (("one", []), ("two", ["--ensemble", run])):
        done = tool("infer", run, data, "-s", "test", "-o", tmp_path / name, *more)
        assert done.returncode == 0, done.stderr
        results.append(json.loads((tmp_path / name / "toy" / "b" / "results_spotting.json").read_text())["predictions"])
    assert results[0] == results[1]


def test_infer_refuses_an_ensemble_with_other_classes(run: Path, data: Path, tmp_path: Path) -> None:
    other = write_spotter(tmp_path / "other.safetensors", replace(TOY_SPEC, classes=("GOAL",)))
    done = tool("infer", run, data, "-s", "test", "-o", tmp_path / "out", "--ensemble", other)
    assert done.returncode == 2
    assert "same classes and rate" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_infer_and_evaluate_write_their_files(run: Path, data: Path, tmp_path: Path) -> None:
    done = tool("infer", run, data, "-s", "test", "-o", tmp_path / "out", "--save_scores")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "toy" / "b" / "results_spotting.json").read_text())
    assert result["UrlLocal"] == "toy/b"
    assert set(result["predictions"][0]) == {"gameTime", "label", "position", "half", "confidence"}
    with np.load(tmp_path / "out" / "toy" / "b" / "scores.npz") as scores:
        assert scores["scores_TK"].shape == (75, 2)
    scored = tool("evaluate", tmp_path / "out", "-l", data, "-s", "test", "--json", tmp_path / "scores.json")
    assert scored.returncode == 0, scored.stderr
    assert set(json.loads((tmp_path / "scores.json").read_text())) == {"at1", "at2", "at3", "at4", "at5"}


def test_infer_accepts_a_loose_video_and_refuses_broken_ones(run: Path, data: Path, tmp_path: Path) -> None:
    video = data / "toy" / "b" / "224p.mp4"
    assert tool("infer", run, video, "-o", tmp_path).returncode == 0
    assert (tmp_path / "224p" / "results_spotting.json").is_file()
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for wrong in (tmp_path / "none.mp4", tmp_path / "text.mp4", tmp_path / "empty.mp4"):
        refused = tool("infer", run, wrong, "-o", tmp_path / "bad")
        assert refused.returncode == 2
        assert refused.stderr.count("error:") == 1
        assert "Traceback" not in refused.stderr
        assert wrong.name in refused.stderr
    assert not (tmp_path / "bad").exists()
    same_stem = tool("infer", run, video, data / "toy" / "a" / "224p.mp4", "-o", tmp_path / "same_stem")
    assert same_stem.returncode == 2
    assert "overwrite" in same_stem.stderr
    assert tool("train", data, "-s", run, "--recipe", "laptop-fast").returncode == 2


def test_train_refuses_to_resume_with_other_classes(run: Path, data: Path) -> None:
    before = (run / "config.yaml").read_bytes()
    refused = tool("train", data, "-s", run, "--resume", "--label_set", "ball-12")
    assert refused.returncode == 2
    assert "does not fit these settings" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (run / "config.yaml").read_bytes() == before


def test_infer_uses_a_truncated_video_only_with_allow_truncated(run: Path, data: Path, tmp_path: Path) -> None:
    whole = (data / "toy" / "b" / "224p.mp4").read_bytes()
    with av.open(str(tmp_path / "whole.mkv"), "w") as target, av.open(str(data / "toy" / "b" / "224p.mp4")) as source:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    part = tmp_path / "part.mkv"
    part.write_bytes((tmp_path / "whole.mkv").read_bytes()[: len(whole) * 2 // 3])
    refused = tool("infer", run, part, "-o", tmp_path / "out")
    assert refused.returncode == 2
    assert "--allow_truncated" in refused.stderr
    allowed = tool("infer", run, part, "-o", tmp_path / "out", "--allow_truncated")
    assert allowed.returncode == 0, allowed.stderr
    assert (tmp_path / "out" / "part" / "results_spotting.json").is_file()


def test_train_names_file_entry_and_field_of_an_unknown_class(data: Path, tmp_path: Path) -> None:
    (tmp_path / "class.txt").write_text("GOAL\n")
    done = tool("train", data, "-s", tmp_path / "run", "--label_set", tmp_path / "class.txt")
    assert done.returncode == 2
    assert "Labels-ball.json: annotations[0]: unknown label 'PASS'" in done.stderr
    assert "(give a label_set that has it, such as your class.txt, or a map" in done.stderr


def test_resumed_run_equals_uninterrupted_run(data: Path, tmp_path: Path) -> None:
    """An uninterrupted run, and one stopped after a step and resumed, end with the same bytes."""
    recipe = merge(
        merge(Recipe(), read_recipe("laptop-fast")),
        {"size": "96x64", "clip_len": 16, "clips_per_epoch": 8, "num_epochs": 2, "num_workers": 0},
    )
    fit(setup(resolve(recipe, data, tmp_path / "whole")))
    half = setup(resolve(recipe, data, tmp_path / "half"))
    take_step(half, next(load_clips(half.dataset, epoch=0, batch_size=recipe.optimisation.batch_size, num_workers=0)))
    half.progress.step = 1
    save(half)
    again = resolve(recipe, data, tmp_path / "half", RunOptions(resume=True))
    with pytest.raises(ConfigurationError, match="half: another training works in this folder"):
        setup(again)
    assert half.lock is not None
    half.lock.release()
    resumed = setup(again)
    assert resumed.progress.step == 1
    fit(resumed)
    one, two = (checkpoints.load_state(tmp_path / name) for name in ("whole", "half"))
    assert one is not None
    assert two is not None
    for name, value in one["spotter"].items():
        assert np.array_equal(value.numpy(), two["spotter"][name].numpy()), name
    best = "best.safetensors"
    assert (tmp_path / "whole" / best).read_bytes() == (tmp_path / "half" / best).read_bytes()
    assert {file.name for file in (tmp_path / "half").iterdir()} == {
        file.name for file in (tmp_path / "whole").iterdir()
    }


def test_resumed_run_keeps_its_flags(data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        game = tmp_path / "data" / "toy" / name
        shutil.copytree(data / "toy" / name, game)
        (game / "Labels-ball.json").rename(game / "clean.json")
    shutil.copy(data / "splits.json", tmp_path / "data")
    flags = ["--label_file", "clean.json", "--bad_labels", "skip", "--num_epochs", "1"]
    started = tool("train", tmp_path / "data", "-s", tmp_path / "run", "--recipe", "laptop-fast", *SMALL, *flags)
    assert started.returncode == 0, started.stderr
    again = tool("train", tmp_path / "data", "-s", tmp_path / "run", "--resume", "--num_epochs", "2")
    assert again.returncode == 0, again.stderr
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert [config[name] for name in ("label_file", "bad_labels", "num_epochs")] == ["clean.json", "skip", 2]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_worker_that_dies_of_the_signal_to_all_is_an_interruption(
    data: Path, tmp_path: Path, end: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = merge(merge(Recipe(), read_recipe("laptop-fast")), {"size": "96x64", "clip_len": 16, "num_workers": 0})
    run = setup(resolve(recipe, data, tmp_path / "run"))

    def dying(*_: int) -> Iterator[ClipBatch]:
        os.kill(os.getpid(), end)
        raise VideoError("a process that decodes them died")
        yield

    monkeypatch.setattr(Run, "batches", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert checkpoints.load_state(tmp_path / "run") is not None


def test_signal_to_all_processes_stops_the_run_at_a_step_boundary(data: Path, tmp_path: Path) -> None:
    """A terminal or a scheduler signals the whole process group, workers included."""
    flags = ["--recipe", "laptop-fast", *SMALL, "-j", "1", "--epoch_clips", "4000", "--save_every", "2"]
    command = [sys.executable, ROOT / "tools" / "train.py", data, "-s", tmp_path / "my run", *flags]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*map(str, command)], stderr=log, stdout=log, start_new_session=True)
        while not (tmp_path / "my run" / "last" / "state.pt").exists():  # until two steps have been taken
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait() == 130
    log_text = (tmp_path / "log").read_text()
    assert "died" not in log_text
    (line,) = re.findall("continue with: (.*)", log_text)
    assert shlex.split(line) == ["e2espot", "train", str(data), "-s", str(tmp_path / "my run"), "--resume"]
    assert checkpoints.load_state(tmp_path / "my run") is not None

"""A folder with a small example of everything that a command line can name."""

import json
import os
import re
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.scores import Scores
from e2espot.formats.scores import write_scores
from e2espot.formats.soccernet import write_predictions
from e2espot.formats.splits import BALL_SPLITS
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import save_spotter
from e2espot.suppression.calibration import Calibration
from e2espot.training.checkpoints import save_config
from e2espot.training.recipe import Recipe, merge, read_recipe
from tests.support.tiny_dataset import Layout, write_game

BALL = LABEL_SETS["ball-2"]
SMALL = SpotterSpec(
    feature_arch="small", temporal_arch="gru", classes=BALL.names, clip_len=16, fps="12.5", width=64, height=32
)
NUM_FRAMES = 50


def build_sandbox(root: Path) -> None:
    """Write games, predictions, scores, weights of this library and of others, and files that are none of these."""
    for seed, split in enumerate(("train", "valid", "test")):
        write_game(root / "data" / split / "game", seed, NUM_FRAMES, layout=Layout(classes=BALL.names))
    splits = {split: [f"{split}/game"] for split in ("train", "valid", "test")}
    (root / "data" / "splits.json").write_text(json.dumps(splits))
    _predict(root)
    _clips(root)
    _weights(root)
    _foreign(root / "foreign")
    _odd(root / "odd")
    (root / "here").mkdir()
    (root / "demo").mkdir()
    (root / "demo" / "scores.json").write_text(json.dumps({"at1": {"mAP": 0.5}}))


def _predict(root: Path) -> None:
    events = [
        Event(frame=frame, label=label, confidence=0.9, team="left")
        for frame, label in ((20, "PASS"), (40, "DRIVE"), (45, "PASS"))
    ]
    scores_TK = np.random.default_rng(0).uniform(0, 1, (NUM_FRAMES, 2)).astype(np.float32)
    for game in ("train/game", "valid/game", "test/game"):
        folder = root / "predictions" / game
        write_predictions(folder / "results_spotting.json", url_local=game, events=events, fps=Fraction(25))
        write_scores(folder / "scores.npz", Scores(scores_TK=scores_TK, label_set=BALL))
    for game in BALL_SPLITS["test"]:
        file = root / "results" / game / "results_spotting.json"
        write_predictions(file, url_local=game, events=events, fps=Fraction(25))
    for name, packed in (("results", "results.zip"), ("predictions", "packed.zip")):
        with zipfile.ZipFile(root / packed, "w") as archive:
            for file in sorted((root / name).rglob("*.json")):
                archive.write(file, file.relative_to(root / name).as_posix())
    with zipfile.ZipFile(root / "labels.zip", "w") as archive:
        for file in sorted((root / "data").rglob("Labels-ball.json")):
            archive.write(file, file.relative_to(root / "data").as_posix())


def _clips(root: Path) -> None:
    """A labelled clip."""
    (root / "clips").mkdir()
    game = root / "data" / "test" / "game"
    (root / "clips" / "clip.mp4").write_bytes((game / "224p.mp4").read_bytes())
    content = json.loads((game / "Labels-ball.json").read_text())
    content["ball"] = [{"frame": 3, "xy": [20.0, 10.0]}, {"frame": 9, "xy": None}]
    (root / "clips" / "clip.labels.json").write_text(json.dumps(content))


def _weights(root: Path) -> None:
    torch.manual_seed(0)
    run = root / "run"
    save_spotter(run / "best.safetensors", Spotter(SMALL).state_dict(), SMALL)
    save_config(run, {**merge(Recipe(), read_recipe("laptop-fast")).to_fields(), "start": "x"})
    content = Calibration(map_from=(0.0, 1.0), map_to=(0.1, 0.9), shift_s={"PASS": 0.1}).to_json()
    (run / "calibration.json").write_text(json.dumps(content))


def _foreign(folder: Path) -> None:
    """A folder as E2E-Spot writes it."""
    folder.mkdir()
    spec = SpotterSpec(feature_arch="rny002", temporal_arch="", classes=BALL.names)
    state = {e2e_spot_name(name): value for name, value in Spotter(spec).state_dict().items()}
    torch.save(state, folder / "checkpoint_003.pt")
    config = {"feature_arch": "rny002", "temporal_arch": "", "dataset": "soccernet_ball", "clip_len": 100}
    (folder / "config.json").write_text(json.dumps({**config, "crop_dim": 224, "modality": "rgb"}))
    (folder / "loss.json").write_text(json.dumps([{"epoch": 3, "train": 1.0, "val": 1.0, "val_mAP": 0.5}]))


def e2e_spot_name(name: str) -> str:
    """E2E-Spot's name for a tensor of a spotter with a linear head."""
    return re.sub(r"^head\._fc_out\.1\.", "_pred_fine._fc_out.", re.sub(r"^backbone\.", "", name))


def _odd(folder: Path) -> None:
    """Files and folders that no command expects."""
    (folder / "folder").mkdir(parents=True)
    (folder / "empty").touch()
    (folder / "bytes.json").write_bytes(bytes(range(256)))
    (folder / "bytes.mp4").write_bytes(bytes(range(256)) * 9)
    (folder / "list.json").write_text("[1]")
    (folder / "object.json").write_text("{}")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "class.txt").write_text("PASS\nDRIVE\n")
    (folder / "strange.yaml").write_text("a: [1, &x [*x]]\n")
    (folder / "recipe.yaml").write_text("clip_len: 16\n")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")

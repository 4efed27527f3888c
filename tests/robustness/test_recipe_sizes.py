"""Every shipped recipe at its own frame size: two steps of training, validation and inference."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.label_sets import LABEL_SETS
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models import load_spotter
from e2espot.training.config import resolve
from e2espot.training.fit import fit
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe, recipe_names
from e2espot.training.setup import setup
from e2espot.video import probe
from tests.support.budget import LONG, print_figure
from tests.support.tiny_dataset import Layout, write_game

pytestmark = [
    pytest.mark.skipif(not LONG, reason="full-size networks take minutes on a CPU; make stress runs it"),
    pytest.mark.timeout(900),
]
CLIP_LEN, BATCH_SIZE = 8, 2
"""What limits the memory of a training step; the frame size stays that of the recipe."""
SHORT = {
    **{"clip_len": CLIP_LEN, "batch_size": BATCH_SIZE, "clips_per_epoch": 2 * BATCH_SIZE, "num_epochs": 1},
    **{"warm_up_epochs": 0, "num_workers": 0, "init_from": "none", "start_val_epoch": 0, "save_every": 100},
}


def write_dataset(root: Path, label_set: str, resolution: str) -> Path:
    """A game to train on and one to validate on, of 80 pictures each: longer than a chunk of frames."""
    is_v2 = label_set == "soccernet-v2-17"
    layout = Layout(
        videos=(f"1_{resolution}.mkv",),
        labels="Labels-v2.json" if is_v2 else "Labels-ball.json",
        classes=LABEL_SETS[label_set].names,
        teams=("home", "away") if is_v2 else ("left", "right"),
    )
    for seed, game in enumerate(("a", "b")):
        write_game(root / "league" / "season" / game, seed, num_frames=80, layout=layout)
    (root / "splits.json").write_text(json.dumps({"train": ["league/season/a"], "valid": ["league/season/b"]}))
    return root


@pytest.mark.parametrize("name", [name for name in recipe_names() if not read_recipe(name).get("features")])
def test_recipe_trains_validates_and_infers_at_its_own_size(name: str, tmp_path: Path) -> None:
    began = time.monotonic()
    shipped = merge(Recipe(), read_recipe(name))
    recipe = merge(shipped, SHORT)
    width, height = recipe.data.frame_size()
    resolution = "720p" if height > 224 else "224p"
    root = write_dataset(tmp_path / "data", recipe.data.label_set, resolution)
    joint_label_set = recipe.data.joint_label_set
    joint = write_dataset(tmp_path / "joint", joint_label_set, "224p") if joint_label_set else None
    fit(setup(resolve(recipe, root, tmp_path / "run", RunOptions(resolution=resolution, joint_data=joint))))
    trained_s = time.monotonic() - began
    (epoch,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    validated = [value for key, value in epoch.items() if key.startswith(("mAP", "valid"))]
    assert validated and np.isfinite(np.array(validated, dtype=float)).all(), epoch
    spotter = load_spotter(tmp_path / "run")
    assert (spotter.spec.width, spotter.spec.height) == (width, height)
    video = root / "league" / "season" / "b" / f"1_{resolution}.mkv"
    scores = spot_video(spotter, video, InferenceOptions(precision="fp32"))
    assert len(scores.scores_TK) == probe(video, spotter.grid_fps).num_frames
    assert np.isfinite(scores.scores_TK).all()
    spent_s = time.monotonic() - began
    print_figure(
        f"{name}: {width}x{height}, {trained_s:.0f} s to train and validate, {spent_s - trained_s:.0f} s to infer"
    )

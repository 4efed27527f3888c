"""Every recipe reads the layout and classes of its dataset, builds its network, learns two steps, and infers."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.clips.sampler import LabelledVideo
from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import parse_fps
from e2espot.formats.scores import read_scores, write_scores
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models import load_spotter
from e2espot.models.unfamiliar import IMAGE, set_with_image
from e2espot.models.weights.checkpoint import read_tensors, shipped_spotter
from e2espot.training.config import resolve
from e2espot.training.cross_validation import cross_validate
from e2espot.training.fit import fit
from e2espot.training.hard_negatives import add_false_positives
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe, recipe_names
from e2espot.training.setup import setup
from e2espot.video import probe
from tests.support.tiny_dataset import Layout, write_game

BALL_12, V2 = LABEL_SETS["ball-12"].names, LABEL_SETS["soccernet-v2-17"].names
pytestmark = pytest.mark.slow
LAYOUTS = {
    "ball-2": Layout(videos=("1_{}.mkv", "2_{}.mkv"), classes=("PASS", "DRIVE")),
    "ball-12": Layout(videos=("{}.mp4",), classes=BALL_12, teams=("left", "right", "right")),
    "footpass": Layout(classes=LABEL_SETS["footpass"].names, teams=("left", "right", "right")),
    "soccernet-v2-17": Layout(
        videos=("1_{}.mkv", "2_{}.mkv"), labels="Labels-v2.json", classes=V2, teams=("home", "away")
    ),
}
SHRUNK = {
    **{"size": "64x48", "clip_len": 8, "batch_size": 4, "clips_per_epoch": 8, "num_epochs": 1, "warm_up_epochs": 0},
    **{"num_workers": 0, "init_from": "none", "start_val_epoch": 0, "save_every": 100},
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A dataset for every label set, and in 720p where a recipe asks for that."""
    roots = {}
    for name, resolution in [*((name, "224p") for name in LAYOUTS), ("ball-2", "720p")]:
        root = tmp_path_factory.mktemp("data")
        for seed, game in enumerate(("a", "b", "c")):
            layout = LAYOUTS[name]
            videos = tuple(video.format(resolution) for video in layout.videos)
            formatted = Layout(videos=videos, labels=layout.labels, classes=layout.classes, teams=layout.teams)
            write_game(root / "league" / "season" / game, seed, num_frames=100 if game == "a" else 31, layout=formatted)
        splits = {"train": ["league/season/a"], "valid": []}
        (root / "splits.json").write_text(json.dumps(splits))
        roots[name, resolution] = root
    return roots


def write_features(root: Path, name: str, rate: float) -> None:
    """Feature files of 512 values a row next to each video, as long as it."""
    for number, video in enumerate(sorted(root.glob("*/*/*/*224p*"))):
        num_rows = round(float(probe(video).duration_s) * rate)
        rows_ND = np.random.default_rng(number).normal(size=(num_rows, 512)).astype(np.float32)
        np.save(video.with_name(f"{video.stem.removesuffix('224p')}{name}.npy"), rows_ND)


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_learns_two_steps_on_a_tiny_dataset(
    name: str, datasets: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    shipped = merge(Recipe(), read_recipe(name))
    recipe = merge(shipped, SHRUNK)
    resolution = "720p" if shipped.data.frame_size()[1] > 224 else "224p"
    label_set, joint_label_set = recipe.data.label_set, recipe.data.joint_label_set
    root = datasets[label_set, resolution]
    if recipe.data.features:
        recipe = merge(recipe, {"clip_len": 24})  # the shortest that CALF takes
        write_features(root, recipe.data.features, float(parse_fps(recipe.data.fps)))
    joint = datasets[joint_label_set, "224p"] if joint_label_set else None
    options = RunOptions(resolution=resolution, joint_data=joint)
    config = resolve(recipe, root, tmp_path / "run", options)
    assert config.labels.label_file == LAYOUTS[label_set].labels
    run = setup(config)
    # Biases and norms have no weight decay: only gradients change them.
    plain = {
        key: value.clone() for key, value in run.spotter.named_parameters() if value.ndim == 1 and value.requires_grad
    }
    fit(run)
    changed = {
        key for key, value in run.spotter.named_parameters() if key in plain and not torch.equal(value, plain[key])
    }
    assert len(changed) > 0.8 * len(plain)  # squeezing layers wait behind norms that start at zero
    for head in ("displacement", "team", "joint.1"):
        module = getattr(run.spotter, head.partition(".")[0])
        assert module is None or f"{head}.bias" in changed, f"the {head} head has not learnt"
    spotter = load_spotter(tmp_path / "run")
    assert spotter.spec.classes == LABEL_SETS[label_set].names
    source = next((root / "league" / "season" / "b").glob(f"*{recipe.data.features or resolution}*"))
    scores = spot_video(spotter, source, InferenceOptions(precision="fp32", adapt="none"))
    count = len(np.load(source)) if recipe.data.features else probe(source, spotter.grid_fps).num_frames
    assert len(scores.scores_TK) == count
    assert np.isfinite(scores.scores_TK).all()
    assert (scores.right_T is None) != recipe.network.team


def test_run_on_one_dataset_initialises_a_run_on_another(datasets: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    root = datasets["soccernet-v2-17", "224p"]
    pretrain = merge(merge(Recipe(), read_recipe("v2-pretrain")), SHRUNK)
    first = setup(resolve(pretrain, root, tmp_path / "v2"))
    fit(first)
    tune = merge(merge(Recipe(), read_recipe("ball-finetune")), {**SHRUNK, "init_from": str(tmp_path / "v2")})
    second = setup(resolve(tune, datasets["ball-2", "224p"], tmp_path / "ball"))
    given, taken = load_spotter(tmp_path / "v2").state_dict(), second.spotter.state_dict()
    same = {
        name for name, value in taken.items() if given[name].shape == value.shape and torch.equal(given[name], value)
    }
    assert set(taken) - same == {"head._fc_out.1.weight", "head._fc_out.1.bias"}


def test_ball_actions_start_from_footpass_with_its_output_rows(
    datasets: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    pretrain = merge(merge(Recipe(), read_recipe("footpass-pretrain")), SHRUNK)
    first = setup(resolve(pretrain, datasets["footpass", "224p"], tmp_path / "first"))
    fit(first)
    tune = merge(merge(Recipe(), read_recipe("ball-finetune")), {**SHRUNK, "init_from": str(tmp_path / "first")})
    second = setup(resolve(tune, datasets["ball-2", "224p"], tmp_path / "ball"))
    given, taken = (
        spotter.state_dict()["head._fc_out.1.weight"]
        for spotter in (load_spotter(tmp_path / "first"), second.spotter.cpu())
    )
    assert LABEL_SETS["footpass"].names[:2] == LABEL_SETS["ball-2"].names
    per_frame = len(taken) // 3
    assert len(given) == per_frame * 9
    for frame in range(per_frame):  # background, PASS, DRIVE
        assert torch.equal(taken[3 * frame : 3 * frame + 3], given[9 * frame : 9 * frame + 3])


def test_lite_starts_with_the_shipped_image_network_and_keeps_it(
    datasets: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    small = merge(merge(Recipe(), read_recipe("laptop-fast")), {**SHRUNK, "init_from": "auto"})
    fit(setup(resolve(small, datasets["ball-2", "224p"], tmp_path / "small")))
    shipped = set_with_image(read_tensors(shipped_spotter())[1])
    for start in ("none", "auto", str(tmp_path / "small")):  # no file, one with an image network, one without
        lite = merge(small, {"feature_arch": "lite_gsm", "init_from": start})
        folder = tmp_path / f"lite_{Path(start).name}"
        fit(setup(resolve(lite, datasets["ball-2", "224p"], folder)))
        trained = load_spotter(folder).state_dict()
        image = [name for name in trained if name.startswith(IMAGE)]
        assert image and all(torch.equal(trained[name], shipped[name].float()) for name in image)


def test_cross_validate_scores_every_game_out_of_fold(
    datasets: dict[tuple[str, str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = Path(shutil.copytree(datasets["ball-12", "224p"], tmp_path / "data"))
    # The valid game of the third fold has no label, so it chooses nothing there.
    (root / "league" / "season" / "c" / "Labels-ball.json").write_text('{"annotations": []}')
    small = {"feature_arch": "small", "label_set": "ball-12", "size": "64x64"}
    recipe = merge(merge(Recipe(), read_recipe("ball-2023-folds")), {**SHRUNK, **small})
    report, calibration = cross_validate(root, tmp_path / "runs", recipe, 3, RunOptions())
    messages = [record.getMessage() for record in caplog.records]
    assert sum(message.startswith("none of the 1 valid games has a label") for message in messages) == 1
    for other, folds in ((recipe, 2), (merge(recipe, {"learning_rate": 0.1}), 3)):
        with pytest.raises(ConfigurationError, match=r"was started with other (folds|learning_rate) "):
            cross_validate(root, tmp_path / "runs", other, folds, RunOptions())
    assert 0 <= report.mAP() <= 1
    for number in (1, 2, 3):
        assert (
            json.loads((tmp_path / "runs" / f"fold_{number}" / "calibration.json").read_text()) == calibration.to_json()
        )
    scores = sorted((tmp_path / "runs" / "oof").rglob("scores.npz"))
    assert [file.parent.name for file in scores] == ["a", "b", "c"]
    again = merge(recipe, {"hard_negatives": str(tmp_path / "runs" / "oof"), "negative_fraction": 0.5})
    run = setup(resolve(again, root, tmp_path / "second"))
    stored = read_scores(scores[0])
    scores_TK = np.zeros_like(stored.scores_TK)
    scores_TK[[10, 80, 90], [3, 3, 4]] = 0.9, 0.8, 0.1  # near a label, far from it, unsure; at 25 fps
    write_scores(scores[0], dataclasses.replace(stored, scores_TK=scores_TK))
    known = LabelledVideo(num_frames=50, event_frames=(8,), event_targets=(1,))  # at 12.5 fps
    (fps,) = {game.fps for game in run.train_games}
    video = add_false_positives(known, scores[0], fps)
    assert video.negative_frames == (40,)
    assert video.negative_weights == pytest.approx((0.8,))
    unsure = dataclasses.replace(known, unsure=(range(35, 45),))  # what is seen there may be an event
    assert add_false_positives(unsure, scores[0], fps).negative_frames == ()

"""Classes that games do not annotate: out of the loss, of validation and of the calibration."""

import json
import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.clips.dataset import load_clips
from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS, LabelSet
from e2espot.core.scores import Scores
from e2espot.formats.game import Game
from e2espot.suppression.calibration import Calibration
from e2espot.training.config import TrainingConfig, resolve
from e2espot.training.data import LabelledGame
from e2espot.training.fit_calibration import fit_calibration
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge
from e2espot.training.setup import setup
from e2espot.training.state import Run
from e2espot.training.step import loss_of, take_step
from e2espot.training.validation import score_predictions
from tests.support.tiny_dataset import Layout, write_game

SMALL = {
    **{"feature_arch": "small", "temporal_arch": "", "size": "64x48", "clip_len": 8, "batch_size": 2, "num_epochs": 1},
    **{"clips_per_epoch": 2, "warm_up_epochs": 0, "num_workers": 0, "init_from": "none", "augment": False},
}
LAYOUT = Layout(classes=("PASS", "DRIVE"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("annotated classes")
    for name in ("data", "joint"):
        write_game(root / name / "a", 0, num_frames=60, layout=LAYOUT)
        (root / name / "splits.json").write_text(json.dumps({"train": ["a"], "valid": []}))
    return root


def run_of(root: Path, to: Path, recipe: dict[str, object] | None = None, **options: object) -> Run:
    merged = merge(merge(Recipe(), SMALL), recipe or {})
    config: TrainingConfig = resolve(merged, root / "data", to, RunOptions(**options))
    return setup(config)


def first_batch(run: Run):
    return next(load_clips(run.dataset, epoch=0, batch_size=2, num_workers=0))


def output_gradient(run: Run, layer: str) -> torch.Tensor:
    """Gradient of the biases of an output layer."""
    loss_of(run, first_batch(run), slice(0, 2)).backward()
    (bias,) = (value for name, value in run.spotter.named_parameters() if name == layer)
    assert bias.grad is not None
    return bias.grad


def output_layer(run: Run, num_classes: int, prefix: str) -> str:
    """Name of the biases of the last layer that answers for the classes."""
    return next(
        name
        for name, value in run.spotter.named_parameters()
        if value.shape == (num_classes,) and name.startswith(prefix) and name.endswith("bias")
    )


@pytest.mark.parametrize("mixup", [False, True])
def test_class_that_no_clip_annotates_learns_nothing_and_one_left_alone_learns_as_always(
    root: Path, tmp_path: Path, mixup: bool, caplog: pytest.LogCaptureFixture
) -> None:
    plain = run_of(root, tmp_path / "plain", {"mixup": mixup})
    named = run_of(root, tmp_path / "named", {"mixup": mixup, "annotated_classes": "PASS,DRIVE"})
    # Where every class is annotated, said or not, a step is the same to the last bit.
    assert take_step(plain, first_batch(plain)) == take_step(named, first_batch(named))
    values = (run.spotter.state_dict().items() for run in (plain, named))
    assert all(torch.equal(value, other) for (_, value), (_, other) in zip(*values, strict=True))
    layer = output_layer(plain, 3, "head")
    assert output_gradient(plain, layer)[2] != 0
    with caplog.at_level(logging.INFO):
        masked = run_of(root, tmp_path / "masked", {"mixup": mixup, "annotated_classes": "PASS"})
    lines = [record.getMessage() for record in caplog.records]
    assert any("left out 1 label of classes that the game does not annotate" in line for line in lines)
    assert any(line.endswith("the others teach nothing: DRIVE (not in 1)") for line in lines)
    gradient = output_gradient(masked, layer)
    assert gradient[2] == 0
    assert gradient[:2].all()


def test_two_datasets_are_masked_by_their_own_classes(root: Path, tmp_path: Path) -> None:
    recipe = {
        **{"joint_label_set": "ball-12", "joint_label_file": "Labels-ball.json", "joint_fraction": 0.5},
        **{"joint_annotated_classes": "PASS,GOAL", "clips_per_epoch": 4, "batch_size": 4},
    }
    run = run_of(root, tmp_path / "run", recipe, joint_data=root / "joint")
    batch = next(load_clips(run.dataset, epoch=0, batch_size=4, num_workers=0))
    assert batch.targets.joint_B.any() and not batch.targets.joint_B.all()
    loss_of(run, batch, slice(0, 4)).backward()
    gradients = {name: value.grad for name, value in run.spotter.named_parameters()}
    first = gradients[output_layer(run, 3, "head")]
    second = gradients[output_layer(run, 13, "joint")]
    assert first is not None and second is not None
    assert first.all()
    annotated = [0, 1, 12]  # background, PASS, GOAL
    assert second[annotated].all()
    assert not np.delete(second.numpy(), annotated).any()


def test_classes_that_the_label_set_does_not_have_are_refused(root: Path, tmp_path: Path) -> None:
    for field in ("annotated_classes", "joint_annotated_classes"):
        with pytest.raises(ConfigurationError, match=f"{field} names 'GOAL'") as caught:
            run_of(root, tmp_path, {field: "PASS,GOAL"})
        assert caught.value.option == field


FPS = Fraction(25)
AB = LabelSet(("PASS", "DRIVE"))


def game_of(name: str, *classes: str) -> LabelledGame:
    """A game of 40 s with an event of each class every other second."""
    events = tuple(
        Event(frame=25 + 50 * number + 20 * AB.names.index(label), label=label, fps=FPS)
        for label in classes
        for number in range(15)
    )
    return LabelledGame(
        game=Game(name=name, folder=Path(name), videos=(), labels_path=None),
        num_frames={1: 1000},
        events=events,
        fps=FPS,
        classes=frozenset(classes),
    )


def scores_with(*games: LabelledGame, noise: float) -> dict[str, dict[int, Scores]]:
    """Scores that are right about the labels, and see a DRIVE of score ``noise`` every second in every game."""
    stored = {}
    for game in games:
        scores_TK = np.zeros((1000, 2), dtype=np.float32)
        scores_TK[12::25, 1] = noise
        for event in game.events:
            scores_TK[event.frame, AB.names.index(event.label)] = 0.8
        stored[game.game.name] = {1: Scores(scores_TK=scores_TK, label_set=AB, fps=FPS)}
    return stored


def test_predictions_count_where_their_class_is_annotated_alone() -> None:
    both, passes = game_of("both", "PASS", "DRIVE"), game_of("passes", "PASS")
    scores = {**scores_with(both, noise=0.0), **scores_with(passes, noise=0.9)}
    report = score_predictions(scores, [both, passes], Calibration(), AB)
    assert report.mAP() == 1
    taken_for_background = replace(passes, classes=None)
    assert score_predictions(scores, [both, taken_for_background], Calibration(), AB).mAP() < 0.8
    report = score_predictions(scores_with(passes, noise=0.9), [passes], Calibration(), AB)
    assert report.mAP() == 1
    assert report.results["at1"].per_class == {"PASS": 1}
    assert report.table().endswith("mean over 1 annotated class; no game annotates DRIVE")


def test_calibration_is_not_fitted_to_what_a_game_does_not_annotate() -> None:
    both, passes = game_of("both", "PASS", "DRIVE"), game_of("passes", "PASS")
    alone = scores_with(both, noise=0.0)
    scores = {**alone, **scores_with(passes, noise=0.9)}
    scores["passes"] = {1: replace(scores["passes"][1], scores_TK=scores["passes"][1].scores_TK * [0, 1])}
    labels = {"both": list(both.events), "passes": []}
    expected = fit_calibration(alone, {"both": list(both.events)}, AB)
    assert fit_calibration(scores, labels, AB, {"both": None, "passes": frozenset({"PASS"})}) == expected
    assert LABEL_SETS["ball-2"].names == AB.names

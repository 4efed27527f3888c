"""Targets of clips: offsets, teams, two datasets; and the losses that read them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from e2espot.clips.dataset import load_clips
from e2espot.clips.sampler import ClipSpec, LabelledVideo
from e2espot.clips.targets import clip_targets
from e2espot.core.errors import ConfigurationError
from e2espot.training.batch import build_batch, mixup_partners
from e2espot.training.config import resolve
from e2espot.training.losses import class_weights, offset_loss, spotting_loss, team_loss
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe
from e2espot.training.setup import setup
from e2espot.training.state import Run
from e2espot.training.step import loss_of
from tests.support.tiny_dataset import write_game

VIDEO = LabelledVideo(
    num_frames=60, event_frames=(30, 12, 33), event_targets=(2, 1, 1), event_teams=("right", "left", "home")
)


def test_clip_targets_offset_is_known_where_a_class_is() -> None:
    targets = clip_targets(ClipSpec(video=0, start=-2, length=64), VIDEO, label_radius=2)
    offset_T = targets.offset_T
    assert (np.isfinite(offset_T) == (targets.class_T > 0)).all()
    known = {int(t) - 2: offset for t, offset in enumerate(offset_T) if np.isfinite(offset)}
    assert known[10] == -2
    assert known[12] == 0
    assert (known[31], known[32]) == (1, -1)  # the nearer of 30 and 33
    for frame, offset in known.items():
        assert frame - offset in VIDEO.event_frames


def test_clip_targets_team_is_left_right_or_unknown() -> None:
    clip = ClipSpec(video=0, start=0, length=60)
    team_T = clip_targets(clip, VIDEO, label_radius=1).team_T
    assert (team_T[12], team_T[30]) == (0, 1)
    assert np.isnan(team_T[33])
    assert np.isnan(team_T[:11]).all()
    without_teams = dataclasses.replace(VIDEO, event_teams=())
    assert np.isnan(clip_targets(clip, without_teams, label_radius=1).team_T).all()


def test_spotting_loss_is_e2e_spots_weighted_mean() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 5, 4), torch.randint(0, 4, (2, 5))
    weights = class_weights([9, 1, 40], 5.0, 0.0)
    assert weights.tolist() == pytest.approx([1, 5, 5, 5])
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), weight=weights)
    soft = torch.nn.functional.one_hot(targets, 4).float()
    got = spotting_loss(logits, soft, torch.ones(2, 5, dtype=torch.bool), weights)
    assert got == pytest.approx(float(expected), rel=1e-6)


def test_class_weights_lift_rare_classes_and_keep_the_mean() -> None:
    counts = [4955, 756, 13]
    weights = class_weights(counts, 5.0, 1.0)
    assert weights[0] == 1
    assert weights[1] < weights[2] < weights[3]
    mean = sum(float(w) * n for w, n in zip(weights[1:], counts, strict=True)) / sum(counts)
    assert mean == pytest.approx(5.0, rel=1e-5)
    half = class_weights(counts, 5.0, 0.5)
    assert half[3] / half[1] == pytest.approx((4955 / 13) ** 0.5, rel=1e-4)
    assert torch.isfinite(class_weights([5, 0], 5.0, 1.0)).all()


def test_focal_loss_down_weights_well_classified_frames() -> None:
    soft = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    logits = torch.tensor([[[0.0, 4.0], [0.0, -1.0]]], requires_grad=True)
    valid, weights = torch.ones(1, 2, dtype=torch.bool), torch.ones(2)
    pull = {}
    for gamma in (0.0, 2.0):
        (grad,) = torch.autograd.grad(spotting_loss(logits, soft, valid, weights, gamma), logits)
        pull[gamma] = (grad[0, 0].abs().sum() / grad[0, 1].abs().sum()).item()
    assert pull[2.0] < 0.1 * pull[0.0]


def test_unknown_offsets_and_teams_cost_nothing() -> None:
    outputs, nothing, one = torch.randn(2, 5), torch.full((2, 5), float("nan")), torch.ones(2)
    for loss in (offset_loss, team_loss):
        assert loss(outputs, nothing, one) == 0
        wanted = nothing.clone()
        wanted[1, 3] = 1.0
        assert loss(outputs, wanted, one) > 0
        assert loss(outputs, wanted, torch.tensor((1.0, 0.0))) == 0


SMALL = {"size": "96x64", "clip_len": 16, "batch_size": 4, "clips_per_epoch": 8, "num_epochs": 1, "num_workers": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("a", "b", "c")):
        write_game(root / "toy" / name, seed)
    (root / "splits.json").write_text(json.dumps({"train": ["toy/a"], "valid": ["toy/b"]}))
    return root


def run_of(data: Path, folder: Path, joint: Path | None = None, **fields: object) -> Run:
    recipe = merge(merge(Recipe(), read_recipe("laptop-fast")), {**SMALL, **fields})
    return setup(resolve(recipe, data, folder, RunOptions(joint_data=joint)))


def test_joint_dataset_learns_its_own_output_layer_only(data: Path, tmp_path: Path) -> None:
    (tmp_path / "class.txt").write_text("GOAL\nPASS\n")
    fields = {"joint_label_set": str(tmp_path / "class.txt"), "joint_label_file": "Labels-ball.json", "mixup": True}
    run = run_of(data, tmp_path / "run", data, **fields, joint_fraction=0.5, batch_size=8, clips_per_epoch=8)
    batch = next(load_clips(run.dataset, epoch=0, batch_size=8, num_workers=0))
    built = build_batch(run, batch, slice(0, 8))
    joint_B, partner_targets = built.targets.joint_B, built.partner_targets
    assert partner_targets is not None
    assert 0 < int(joint_B.sum()) < 8
    for joint, classes in ((False, {0, 1, 2}), (True, {0, 2})):
        assert set(partner_targets.class_BT[joint_B == joint].unique().tolist()) <= classes
    assert set(built.targets.class_BT[joint_B].unique().tolist()) <= {0, 2}
    loss_of(run, batch, slice(0, 8)).backward()
    assert run.spotter.joint is not None
    assert run.spotter.joint[1].weight.grad.abs().sum() > 0
    only_first = [b for b in range(8) if not joint_B[b]][:1]
    run.spotter.zero_grad()
    loss_of(run, batch, slice(only_first[0], only_first[0] + 1)).backward()
    assert run.spotter.joint[1].weight.grad.abs().sum() == 0


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_mixup_partners_are_a_ring_within_each_dataset(joint: list[bool]) -> None:
    partner_G = mixup_partners(joint)
    assert sorted(partner_G) == list(range(len(joint)))
    assert [joint[partner] for partner in partner_G] == joint
    for slot, partner in enumerate(partner_G):
        assert partner != slot or joint.count(joint[slot]) == 1


def test_resolve_refuses_a_second_dataset_without_folder_or_label_set(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="joint_data"):
        run_of(data, tmp_path / "a", data)
    with pytest.raises(ConfigurationError, match="joint_data"):
        run_of(data, tmp_path / "b", joint_label_set="ball-2")


def test_folds_divide_all_labelled_games(data: Path, tmp_path: Path) -> None:
    seen = []
    for number in (1, 2, 3):
        run = run_of(data, tmp_path / str(number), fold=f"{number}/3")
        seen.append([game.game.name for game in run.valid_games])
        assert len(run.train_games) == 2
        assert not {game.game.name for game in run.train_games} & set(seen[-1])
    assert sorted(name for names in seen for name in names) == ["toy/a", "toy/b", "toy/c"]
    for wrong in ("0/3", "4/3", "1", "a/b", "1/9"):
        with pytest.raises(ConfigurationError, match=r"fold"):
            run_of(data, tmp_path / "wrong", fold=wrong)


def test_invalid_frames_teach_no_offset(data: Path, tmp_path: Path) -> None:
    run = run_of(data, tmp_path / "run", displacement=2)
    batch = next(load_clips(run.dataset, epoch=0, batch_size=4, num_workers=0))
    known_BT = torch.isfinite(build_batch(run, batch, slice(0, 4)).targets.offset_BT)
    assert known_BT.any()
    targets = dataclasses.replace(batch.targets, valid_BT=batch.targets.valid_BT & ~known_BT)
    blind = dataclasses.replace(batch, targets=targets)
    built = build_batch(run, blind, slice(0, 4))
    assert not torch.isfinite(built.targets.offset_BT).any()
    assert not built.frames_BTCHW[known_BT].any()


def test_crop_dim_cuts_the_same_square_every_time(data: Path, tmp_path: Path) -> None:
    run = run_of(data, tmp_path / "run", crop_dim=48)
    batch = next(load_clips(run.dataset, epoch=0, batch_size=4, num_workers=0))
    built = build_batch(run, batch, slice(0, 4))
    assert built.frames_BTCHW.shape == (4, 16, 3, 48, 48)
    assert torch.equal(built.frames_BTCHW, build_batch(run, batch, slice(0, 4)).frames_BTCHW)
    assert run.spotter.spec.crop_dim == 48

"""Targets go to the nearest event on both sides, and two classes at one frame have half a target each."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from e2espot.clips.sampler import ClipSpec, LabelledVideo
from e2espot.clips.targets import TargetBatch, clip_targets
from e2espot.training import step
from e2espot.training.batch import TrainingBatch
from e2espot.training.recipe import LossSettings


def run_of(loss: LossSettings) -> Any:
    """What the loss reads of a run with two classes, all of weight 1."""
    return SimpleNamespace(
        class_weights=torch.ones(3),
        recipe=SimpleNamespace(loss=loss),
        group=SimpleNamespace(normalizer=lambda total, minimum: total.clamp_min(minimum)),
    )


def video(*events: tuple[int, int]) -> LabelledVideo:
    frames, targets = zip(*events, strict=True)
    return LabelledVideo(num_frames=40, event_frames=frames, event_targets=targets, event_teams=())


@pytest.mark.parametrize(
    ("events", "classes", "seconds"),
    [
        ([(5, 1), (8, 2)], "0001111222200", "0000000000000"),  # the nearer one
        ([(5, 1), (9, 2)], "0001111122220", "0000000000000"),  # at equal distance the earlier one
        ([(9, 2), (5, 1)], "0001111122220", "0000000000000"),  # in whatever order they are listed
        ([(6, 2), (6, 1)], "0000222220000", "0000111110000"),  # of one frame the first, on both sides
        ([(6, 1), (6, 1), (6, 3), (6, 2)], "0000111110000", "0000333330000"),
        ([(6, 2), (6, 1), (8, 3)], "0000222233300", "0000111100000"),
    ],
)
def test_every_frame_belongs_to_the_nearest_event(events: list[Any], classes: str, seconds: str) -> None:
    targets = clip_targets(ClipSpec(video=0, start=0, length=13), video(*events), label_radius=2)
    assert "".join(map(str, targets.class_T)) == classes
    assert "".join(map(str, targets.second_T)) == seconds


@pytest.mark.parametrize(("shared", "target"), [(True, [0, 0.5, 0.5]), (False, [0, 0, 1])])
def test_loss_is_least_where_both_classes_have_half(shared: bool, target: list[float]) -> None:
    clip = clip_targets(ClipSpec(video=0, start=6, length=1), video((6, 2), (6, 1)), label_radius=0)
    targets = TargetBatch.stack([clip])
    batch = TrainingBatch(frames_BTCHW=torch.zeros(1), targets=targets, partner_targets=None, weight_B=torch.ones(1))

    logits_BTK = torch.zeros(1, 1, 3, requires_grad=True)
    step._class_loss(run_of(LossSettings(shared_frames=shared)), batch, logits_BTK, joint=False).backward()
    assert logits_BTK.grad is not None
    # The gradient of cross-entropy is the softmax less the target.
    assert (1 / 3 - logits_BTK.grad[0, 0]).tolist() == pytest.approx(target, abs=1e-6)


@pytest.mark.parametrize("weight", [1.0, 5.0])
def test_background_at_a_hard_negative_weighs_more(weight: float) -> None:
    near = dataclasses.replace(video((5, 1)), negative_frames=(8, 30), negative_weights=(1.0, 1.0))
    clip = clip_targets(ClipSpec(video=0, start=0, length=13), near, label_radius=2)
    # Frames 6 and 7 are as near to the hard negative as 8 is, and belong to the event.
    assert "".join(map(str, clip.class_T)) == "0001111100000"
    assert "".join(map(str, clip.hard_T.astype(int))) == "0000000011100"
    targets = TargetBatch.stack([clip])
    batch = TrainingBatch(frames_BTCHW=torch.zeros(1), targets=targets, partner_targets=None, weight_B=torch.ones(1))
    logits_BTK = torch.zeros(1, 13, 3, requires_grad=True)
    step._class_loss(run_of(LossSettings(negative_weight=weight)), batch, logits_BTK, joint=False).backward()
    assert logits_BTK.grad is not None
    steepness_T = logits_BTK.grad[0].abs().sum(-1)
    assert (steepness_T / steepness_T[0]).tolist() == pytest.approx([1.0] * 8 + [weight] * 3 + [1.0] * 2, abs=1e-6)


def test_of_two_blended_clips_only_the_hard_one_weighs_more() -> None:
    hard = dataclasses.replace(video((30, 1)), negative_frames=(0,), negative_weights=(1.0,))
    spec = ClipSpec(video=0, start=0, length=1)
    first, second = (
        TargetBatch.stack([clip_targets(spec, labelled, label_radius=0)]) for labelled in (hard, video((0, 1)))
    )
    batch = TrainingBatch(
        frames_BTCHW=torch.zeros(1), targets=first, partner_targets=second, weight_B=torch.tensor([0.75])
    )
    logits_BTK = torch.zeros(1, 1, 3, requires_grad=True)
    step._class_loss(run_of(LossSettings(negative_weight=4.0)), batch, logits_BTK, joint=False).backward()
    assert logits_BTK.grad is not None
    # 0.75 of background that counts four times, 0.25 of the class: targets 3 and 0.25 of 3.25
    expected = [1 / 3 - 3 / 3.25, 1 / 3 - 0.25 / 3.25, 1 / 3]
    assert logits_BTK.grad[0, 0].tolist() == pytest.approx(expected, abs=1e-6)

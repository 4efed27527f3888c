"""Targets go to the nearest event on both sides, and two classes at one frame have half a target each."""

import dataclasses
from typing import Any

import pytest
import torch

from e2espot.clips.sampler import ClipSpec, LabelledVideo
from e2espot.clips.targets import TargetBatch, clip_targets
from e2espot.training import step
from e2espot.training.batch import TrainingBatch


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

    class FakeRun:
        class_weights = torch.ones(3)
        recipe = dataclasses.make_dataclass("R", ["loss"])(
            dataclasses.make_dataclass("L", ["shared_frames", "focal_gamma"])(shared, 0.0)
        )
        group = dataclasses.make_dataclass("G", ["normalizer"])(lambda total, minimum: total.clamp_min(minimum))

    run: Any = FakeRun()
    logits_BTK = torch.zeros(1, 1, 3, requires_grad=True)
    step._class_loss(run, batch, logits_BTK, joint=False).backward()
    assert logits_BTK.grad is not None
    # The gradient of cross-entropy is the softmax less the target.
    assert (1 / 3 - logits_BTK.grad[0, 0]).tolist() == pytest.approx(target, abs=1e-6)

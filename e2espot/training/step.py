"""One optimizer step: loss, gradients, clipping, learning rate, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from e2espot.clips.dataset import ClipBatch
from e2espot.clips.device_batch import ReadyBatch
from e2espot.core.errors import TrainingError
from e2espot.training.batch import Lesson, lesson_of
from e2espot.training.losses import ball_loss, offset_loss, spotting_loss, team_loss
from e2espot.training.state import Run


def loss_of(run: Run, batch: ClipBatch | ReadyBatch, clips: slice) -> Tensor:
    """Weighted sum of what every head of the spotter has to answer for."""
    recipe = run.recipe
    with torch.autocast(run.device.type, dtype=run.dtype, enabled=run.dtype != torch.float32):
        lesson = lesson_of(run, batch, clips)
        seen = run.spotter.features(lesson.frames_BTCHW)
    told = run.spotter.tell(seen.features_BTD)
    loss = _class_loss(run, lesson, told.logits_BTK, joint=False)
    if told.joint_BTK is not None:
        loss = loss + _class_loss(run, lesson, told.joint_BTK, joint=True)
    own = (lesson.offset_BT, lesson.side_BT, lesson.share_B)
    other = (lesson.other_offset_BT, lesson.other_side_BT, 1 - lesson.share_B)
    for offset_BT, side_BT, weight_B in (own, other) if recipe.mixup else (own,):
        if told.offset_BT is not None:
            wanted = offset_loss(told.offset_BT, offset_BT, weight_B, run.ranks.share)
            loss = loss + recipe.displacement_weight * wanted
        if told.team_BT is not None:
            loss = loss + recipe.team_weight * team_loss(told.team_BT, side_BT, weight_B, run.ranks.share)
    if seen.heat_BTHW is not None and recipe.ball_weight:
        loss = loss + recipe.ball_weight * ball_loss(seen.heat_BTHW, lesson.ball_BT2, run.ranks.share)
    return loss


def _class_loss(run: Run, lesson: Lesson, logits_BTK: Tensor, *, joint: bool) -> Tensor:
    """Loss of one data set's clips under its own classes, by their share of the batch."""
    rows = torch.nonzero(lesson.joint_B == joint).flatten()
    weights_K = run.joint_weights if joint else run.class_weights

    def one_hot(targets_BT: Tensor) -> Tensor:
        return functional.one_hot(targets_BT[rows], len(weights_K)).float()

    share_B11 = lesson.share_B[rows, None, None]
    soft_BTK = share_B11 * one_hot(lesson.targets_BT) + (1 - share_B11) * one_hot(lesson.other_targets_BT)
    valid_BT, gamma = lesson.valid_BT[rows], run.recipe.focal_gamma
    loss = spotting_loss(logits_BTK[rows], soft_BTK, valid_BT, weights_K, gamma, run.ranks.share)
    return loss * run.ranks.share(rows.new_tensor(len(rows), dtype=torch.float32), 0) / len(lesson.joint_B)


def learning_rate_share(step: int, warm_up_steps: float, total_steps: int) -> float:
    """Share of the highest rate at ``step``: a line up, then a cosine that reaches zero at the very last step."""
    if step < warm_up_steps:
        return (step + 1) / (warm_up_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up_steps) / max(1, total_steps - warm_up_steps)))


def take_step(run: Run, batch: ClipBatch | ReadyBatch) -> float:
    """One optimizer step; the mean loss."""
    recipe, progress = run.recipe, run.progress
    number = progress.epoch * run.steps_per_epoch + progress.step
    # Other clips are to be left out of other neurons, whichever process holds them.
    torch.manual_seed((hash((recipe.seed, number)) + run.ranks.rank) % 2**63)
    share = learning_rate_share(
        number, recipe.warm_up_epochs * run.steps_per_epoch, recipe.num_epochs * run.steps_per_epoch
    )
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share
    run.spotter.train()
    run.optimizer.zero_grad(set_to_none=True)
    total, parts, clips = 0.0, recipe.acc_grad_iter, len(batch.indexes)
    for part in range(parts):
        own = slice(part * clips // parts, (part + 1) * clips // parts)
        loss = loss_of(run, batch, own) / parts
        value = loss.detach().clone()
        run.ranks.average([value])
        if not bool(torch.isfinite(value)):
            raise TrainingError(
                f"the loss is {float(value)} in epoch {batch.epoch}, clips {list(batch.indexes[own])}; nothing was "
                "changed by this step. Lower --learning_rate or set --precision fp32, then go on with --resume"
            )
        run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += float(value)
    run.ranks.average(weight.grad for weight in run.spotter.parameters() if weight.grad is not None)
    run.scaler.unscale_(run.optimizer)
    torch.nn.utils.clip_grad_norm_(run.spotter.parameters(), 5.0)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    _average(run, number)
    return total


def _average(run: Run, number: int) -> None:
    """Exponential mean of the weights, quick at first so that a short run is not held back by its start."""
    decay = min(run.recipe.ema_decay, (1 + number) / (10 + number))
    with torch.no_grad():
        for name, value in run.spotter.state_dict().items():
            mean = run.averaged[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

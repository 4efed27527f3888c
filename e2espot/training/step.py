"""One optimizer step: loss, gradients, clipping, learning rate, and the moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from e2espot.clips.dataset import ClipBatch
from e2espot.clips.device_batch import DeviceBatch
from e2espot.clips.feature_clips import FeatureBatch
from e2espot.clips.targets import TargetBatch
from e2espot.core.errors import TrainingError
from e2espot.training.batch import TrainingBatch, build_batch
from e2espot.training.chunk_losses import chunk_loss
from e2espot.training.losses import ball_loss, offset_loss, spotting_loss, team_loss
from e2espot.training.schedule import lr_factor
from e2espot.training.state import Run


def loss_of(run: Run, clip_batch: ClipBatch | DeviceBatch | FeatureBatch, clips: slice) -> Tensor:
    """Weighted sum of the losses of all heads on some clips of a batch."""
    if run.spotter.chunk_head is not None:
        assert isinstance(clip_batch, FeatureBatch)
        return chunk_loss(run, clip_batch, clips)
    weights, normalizer = run.recipe.loss, run.group.normalizer
    with torch.autocast(run.device.type, dtype=run.config.dtype, enabled=run.config.dtype != torch.float32):
        batch = build_batch(run, clip_batch, clips)
        features = run.spotter.features(batch.frames_BTCHW)
    outputs = run.spotter.forward_heads(features.features_BTD, batch.look_ahead_B)
    loss = _class_loss(run, batch, outputs.logits_BTK, joint=False)
    if outputs.joint_BTK is not None:
        loss = loss + _class_loss(run, batch, outputs.joint_BTK, joint=True)
    # With mixup a clip answers for its own offsets and teams and for its partner's, each by its proportion.
    pairs = [(batch.targets, batch.weight_B)]
    if batch.partner_targets is not None:
        pairs.append((batch.partner_targets, 1 - batch.weight_B))
    for targets, weight_B in pairs:
        if outputs.offset_BT is not None:
            offset = offset_loss(outputs.offset_BT, targets.offset_BT, weight_B, normalizer)
            loss = loss + weights.displacement_weight * offset
        if outputs.team_BT is not None:
            loss = loss + weights.team_weight * team_loss(outputs.team_BT, targets.team_BT, weight_B, normalizer)
    if features.heat_BTHW is not None and weights.ball_weight:
        # The smoothed map is to be right, and that of each frame alone, of which inference makes other smoothed ones.
        maps = [heat for heat in (features.heat_BTHW, features.smoothed_BTHW) if heat is not None]
        for heat_BTHW in maps:
            ball = ball_loss(heat_BTHW, batch.targets.ball_BT2, normalizer)
            loss = loss + weights.ball_weight * ball / len(maps)
    return loss


def _class_loss(run: Run, batch: TrainingBatch, logits_BTK: Tensor, *, joint: bool) -> Tensor:
    """Loss of one dataset's clips under its own classes, weighted by their fraction of the batch."""
    rows = torch.nonzero(batch.targets.joint_B == joint).flatten()
    weights_K = run.joint_weights if joint else run.class_weights

    def soft(targets: TargetBatch) -> Tensor:
        """Targets that sum to 1, at hard negatives to their weight: two classes at one frame have one half each."""
        soft_BTK = functional.one_hot(targets.class_BT[rows], len(weights_K)).float()
        # As frame weights: of two blended clips, one of which has a hard negative, only that one's share counts more.
        soft_BTK[..., 0] *= torch.where(targets.hard_BT[rows], run.recipe.loss.negative_weight, 1.0)
        if not run.recipe.loss.shared_frames:
            return soft_BTK
        second_BT = targets.second_BT[rows]
        both_BTK = (soft_BTK + functional.one_hot(second_BT, len(weights_K))) / 2
        return torch.where(second_BT[..., None] > 0, both_BTK, soft_BTK)

    soft_BTK = soft(batch.targets)
    if batch.partner_targets is not None:
        weight_B11 = batch.weight_B[rows, None, None]
        soft_BTK = weight_B11 * soft_BTK + (1 - weight_B11) * soft(batch.partner_targets)
    valid_BT, gamma = batch.targets.teaches()[rows], run.recipe.loss.focal_gamma
    unannotated_BK = _unannotated(batch.targets.unannotated_BW[rows], len(weights_K))
    loss = spotting_loss(logits_BTK[rows], soft_BTK, valid_BT, weights_K, gamma, run.group.normalizer, unannotated_BK)
    num_clips = run.group.normalizer(rows.new_tensor(len(rows), dtype=torch.float32), 0)
    return loss * num_clips / len(batch.targets.joint_B)


def _unannotated(unannotated_BW: Tensor, num_classes: int) -> Tensor | None:
    """The mask over the classes of one dataset, background first; None if every video annotates every class.

    Of two datasets the larger number decides W. Numbers beyond a dataset's own classes are False in its clips.
    """
    # Decided by the shape, which is the same in every batch: looking into the mask would wait for the GPU.
    num_numbers = unannotated_BW.shape[1]
    return None if num_numbers == 1 else functional.pad(unannotated_BW, (0, num_classes - num_numbers))


def take_step(run: Run, batch: ClipBatch | DeviceBatch | FeatureBatch) -> float:
    """One optimizer step.

    Returns:
        The mean loss over the parts of the batch.

    Raises:
        TrainingError: the loss is not finite; nothing was changed by the step.
    """
    settings, progress, steps = run.recipe.optimisation, run.progress, run.config.steps_per_epoch
    number = progress.epoch * steps + progress.step
    # Dropout masks differ between steps and between processes, and do not depend on what ran before.
    torch.manual_seed((hash((run.recipe.sampling.seed, number)) + run.group.rank) % 2**63)
    factor = lr_factor(number, settings.warm_up_epochs * steps, settings.num_epochs * steps)
    for param_group in run.optimizer.param_groups:
        param_group["lr"] = settings.learning_rate * factor
    run.spotter.train()
    run.optimizer.zero_grad(set_to_none=True)
    total, parts, num_clips = 0.0, settings.acc_grad_iter, len(batch.indexes)
    for part in range(parts):
        # 8 clips in 2 parts: [0, 4), [4, 8)
        clips = slice(part * num_clips // parts, (part + 1) * num_clips // parts)
        loss = loss_of(run, batch, clips) / parts
        value = loss.detach().clone()
        run.group.average([value])
        if not bool(torch.isfinite(value)):
            raise TrainingError(
                f"the loss is {float(value)} in epoch {batch.epoch}, clips {list(batch.indexes[clips])}; nothing was "
                "changed by this step. Lower learning_rate or set precision to fp32, then resume the run",
                option="learning_rate",
            )
        run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += float(value)
    run.group.average(weight.grad for weight in run.spotter.parameters() if weight.grad is not None)
    run.scaler.unscale_(run.optimizer)
    torch.nn.utils.clip_grad_norm_(run.spotter.parameters(), 5.0)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    _update_ema(run, number)
    return total


def _update_ema(run: Run, number: int) -> None:
    """Update the moving average; its decay is small at first, so that a short run is not held back by its start."""
    decay = min(run.recipe.optimisation.ema_decay, (1 + number) / (10 + number))
    with torch.no_grad():
        for name, value in run.spotter.state_dict().items():
            mean = run.ema[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

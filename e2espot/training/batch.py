"""From a batch of clips to what the loss reads: augmented, cropped, perhaps shuffled and blended.

    ClipBatch | DeviceBatch -> to_device (augmentation) -> crop -> shuffle -> mixup -> TrainingBatch

Shapes: B clips of this process, G clips of all processes, T frames, C channels, H x W pixels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from e2espot.clips.dataset import ClipBatch
from e2espot.clips.device_batch import DeviceBatch, to_device
from e2espot.clips.feature_clips import FeatureBatch
from e2espot.clips.targets import TargetBatch
from e2espot.core.pixels import centre_crop_offset
from e2espot.training.config import TrainingConfig
from e2espot.training.state import Run


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingBatch:
    """A batch as the loss reads it."""

    frames_BTCHW: Tensor
    """Normalised, augmented and, with mixup, blended; ``(B, T, D)`` where the network reads features."""
    targets: TargetBatch
    """What the network should answer; with mixup, valid and annotated where both clips of a pair are."""
    partner_targets: TargetBatch | None
    """Targets of the clips that were blended in; None without mixup."""
    weight_B: Tensor
    """Proportion of the clip itself in the blend, 1 without mixup; the rest is its partner's."""
    look_ahead_B: tuple[int, ...] | None = None
    """Frames after a frame that its scores may depend on, for each clip; None for all."""


def build_batch(run: Run, batch: ClipBatch | DeviceBatch | FeatureBatch, clips: slice) -> TrainingBatch:
    """Some clips of a batch for the loss; the same (seed, epoch, indexes) always gives the same."""
    sampling = run.recipe.sampling
    indexes = batch.indexes[clips]
    if isinstance(batch, FeatureBatch):
        ready = _features_to_device(run, batch, clips)
    else:
        ready = to_device(batch, clips, run.augmentation_params(batch.epoch, indexes), run.device)
    if run.config.crop_side:
        ready = _crop(run, ready)
    frames_BTCHW, targets = ready.frames_BTCHW, ready.targets
    global_indexes = run.group.global_indexes(indexes)
    rng = np.random.default_rng((sampling.seed, batch.epoch, global_indexes[0], 2))
    if sampling.shuffle_frames:
        order_T = torch.from_numpy(rng.permutation(frames_BTCHW.shape[1]))
        frames_BTCHW, targets = frames_BTCHW[:, order_T], targets.reorder_frames(order_T)
    single = TrainingBatch(
        frames_BTCHW=frames_BTCHW,
        targets=targets,
        partner_targets=None,
        weight_B=torch.ones(len(indexes), device=run.device),
        look_ahead_B=look_aheads(run.config, batch.epoch, indexes),
    )
    return _mixup(run, single, len(global_indexes), rng) if sampling.mixup else single


def look_aheads(config: TrainingConfig, epoch: int, indexes: Sequence[int]) -> tuple[int, ...] | None:
    """Look-ahead of each of some clips, in frames; None where no clip is cut.

    As in the training of speech recognisers that answer both at once and at the end, a part of the clips is seen as
    a whole and each of the others with a context drawn for it (Zhang et al., "Unified Streaming and Non-streaming
    Two-pass End-to-end Model for Speech Recognition", 2020). It is log-uniform: 0.5 to 1 s is as frequent as 2 to
    4 s, because the shorter it is, the more each frame of it counts.
    """
    if config.look_ahead is None:
        return None
    shortest, longest = (math.log(length + 1) for length in config.look_ahead)
    drawn = []
    for index in indexes:
        rng = np.random.default_rng((config.recipe.sampling.seed, epoch, index, 9))
        is_cut, length = rng.random() < config.recipe.sampling.look_ahead_fraction, rng.uniform(shortest, longest)
        drawn.append(round(math.exp(length)) - 1 if is_cut else config.recipe.sampling.clip_len)
    return tuple(drawn)


def _features_to_device(run: Run, batch: FeatureBatch, clips: slice) -> DeviceBatch:
    """Some clips of features; there is nothing to augment."""
    assert batch.targets is not None
    return DeviceBatch(
        frames_BTCHW=batch.rows_BTD[clips].to(run.device, non_blocking=True),
        targets=batch.targets.clips(clips).to(run.device).without_invalid(),
        epoch=batch.epoch,
        indexes=batch.indexes[clips],
    )


def _crop(run: Run, batch: DeviceBatch) -> DeviceBatch:
    """A square of each clip: anywhere with augmentation, in the middle without; E2E-Spot's ``crop_dim``."""
    side, (height, width) = run.config.crop_side, batch.frames_BTCHW.shape[-2:]
    frames, balls = [], []
    for b, index in enumerate(batch.indexes):
        rng = np.random.default_rng((run.recipe.sampling.seed, batch.epoch, index, 4))
        top, left = (int(rng.integers(extent - side + 1)) for extent in (height, width))
        if not run.recipe.sampling.augment:
            top, left = (centre_crop_offset(extent, side) for extent in (height, width))
        frames.append(batch.frames_BTCHW[b, :, :, top : top + side, left : left + side])
        # 96 x 64 pixels, side 48, left 24, top 8: ball (0.5, 0.5) is pixel (48, 32) -> (24, 24) -> (0.5, 0.5).
        ball_BT2 = batch.targets.ball_BT2
        extent, corner = ball_BT2.new_tensor((width, height)), ball_BT2.new_tensor((left, top))
        ball_T2 = (ball_BT2[b] * extent - corner) / side
        ball_T2[((ball_T2 < 0) | (ball_T2 >= 1)).any(-1)] = float("nan")
        balls.append(ball_T2)
    targets = dataclasses.replace(batch.targets, ball_BT2=torch.stack(balls))
    return dataclasses.replace(batch, frames_BTCHW=torch.stack(frames), targets=targets)


def mixup_partners(joint_G: Sequence[bool]) -> np.ndarray:
    """Slot of the clip that each clip of a batch is blended with: the previous one of its dataset, in a ring.

    # datasets     A B A A B
    # slots        0 1 2 3 4
    # partners     3 4 0 2 1
    """
    joint, partner_G = np.asarray(joint_G, dtype=bool), np.arange(len(joint_G))
    for slots in (np.flatnonzero(~joint), np.flatnonzero(joint)):
        partner_G[slots] = np.roll(slots, 1)
    return partner_G


def _mixup(run: Run, batch: TrainingBatch, num_clips: int, rng: np.random.Generator) -> TrainingBatch:
    """Blend each clip with its partner (Zhang et al., "mixup", ICLR 2018), whichever process holds it.

    Partners and proportions are drawn for the ``num_clips`` clips of all processes, so they do not depend on the
    number of processes.
    """
    targets = batch.targets
    partner_G = mixup_partners(run.group.gather(targets.joint_B.byte()).tolist())
    weight_G = rng.beta(0.2, 0.2, num_clips)
    weight_B = torch.tensor(weight_G[list(run.group.local_slots(num_clips))], dtype=torch.float32, device=run.device)

    def of_partner(local_B: Tensor) -> Tensor:
        return run.group.permute(local_B, partner_G)

    weight_B1111 = weight_B.to(batch.frames_BTCHW.dtype).view(-1, *[1] * (batch.frames_BTCHW.ndim - 1))
    # Exchanged as they are in memory, channels last, and so that the result is channels last again.
    partner_BTCHW = of_partner(batch.frames_BTCHW.movedim(2, -1)).movedim(-1, 2)
    partner_targets = targets.permute_clips(of_partner)
    return dataclasses.replace(
        batch,
        frames_BTCHW=weight_B1111 * batch.frames_BTCHW + (1 - weight_B1111) * partner_BTCHW,
        targets=dataclasses.replace(
            targets,
            valid_BT=targets.valid_BT & partner_targets.valid_BT,
            annotated_BT=targets.annotated_BT & partner_targets.annotated_BT,
            unannotated_BW=targets.unannotated_BW | partner_targets.unannotated_BW,
            ball_BT2=torch.full_like(targets.ball_BT2, float("nan")),  # a blend shows two balls
        ),
        partner_targets=partner_targets,
        weight_B=weight_B,
    )

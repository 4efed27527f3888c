"""Clips on the device of the network: normalised, augmented, whichever backend decoded them.

ClipBatch (uint8, host) -> to_device -> DeviceBatch (float, device)
DALI's graphs                        -> DeviceBatch
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from e2espot.clips.augmentation import augment_frames, augment_targets
from e2espot.clips.augmentation_params import AugmentationParams
from e2espot.clips.targets import TargetBatch

if TYPE_CHECKING:
    import torch

    from e2espot.clips.dataset import ClipBatch


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceBatch:
    """A batch of clips as the network reads it."""

    frames_BTCHW: Tensor
    """Float, normalised, channels-last memory; exact zeros where invalid."""
    targets: TargetBatch
    """Targets of the augmented clips."""
    epoch: int
    """Epoch of the clips."""
    indexes: tuple[int, ...]
    """Index of each clip in the epoch."""


def to_device(
    batch: ClipBatch | DeviceBatch, clips: slice, params: list[AugmentationParams], device: torch.device
) -> DeviceBatch:
    """Some clips of a batch on ``device``, augmented by ``params`` unless the backend has done so."""
    targets = batch.targets.clips(clips).to(device)
    if isinstance(batch, DeviceBatch):
        frames_BTCHW = batch.frames_BTCHW[clips].to(device)
    else:
        frames_BTHWC = batch.frames_BTHWC[clips].to(device, non_blocking=True)
        frames_BTCHW = augment_frames(frames_BTHWC, targets.valid_BT, params)
        targets = augment_targets(targets, params)
    return DeviceBatch(
        frames_BTCHW=frames_BTCHW,
        targets=targets.without_invalid(),
        epoch=batch.epoch,
        indexes=batch.indexes[clips],
    )

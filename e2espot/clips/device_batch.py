"""What the network eats: clips normalised, changed and on its device, whichever reader they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from e2espot.clips.augmentation import augment_clips
from e2espot.clips.augmentation_params import ClipChange

if TYPE_CHECKING:
    import torch

    from e2espot.clips.dataset import ClipBatch


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadyBatch:
    """A batch of clips for one training step."""

    frames_BTCHW: Tensor
    """Float, normalised, channels-last memory; exact zeros where invalid."""
    targets_BT: Tensor
    """int64 class of each frame, 0 = background."""
    valid_BT: Tensor
    """bool, False outside the video."""
    ball_BT2: Tensor
    """float32 place of the ball as shares of width and height; NaN where unknown."""
    epoch: int
    """Epoch the clips belong to."""
    indexes: tuple[int, ...]
    """Index of each clip in the epoch."""


def make_ready(
    batch: ClipBatch | ReadyBatch, own: slice, changes: list[ClipChange], device: torch.device
) -> ReadyBatch:
    """The clips ``own`` of a batch, changed by ``changes`` unless they have been already."""
    targets_BT, valid_BT = batch.targets_BT[own].to(device), batch.valid_BT[own].to(device)
    ball_BT2 = batch.ball_BT2[own].to(device)
    if isinstance(batch, ReadyBatch):
        frames_BTCHW = batch.frames_BTCHW[own].to(device)
    else:
        frames_BTHWC = batch.frames_BTHWC[own].to(device, non_blocking=True)
        frames_BTCHW, ball_BT2 = augment_clips(frames_BTHWC, valid_BT, ball_BT2, changes)
    return ReadyBatch(
        frames_BTCHW=frames_BTCHW,
        targets_BT=targets_BT,
        valid_BT=valid_BT,
        ball_BT2=ball_BT2,
        epoch=batch.epoch,
        indexes=batch.indexes[own],
    )

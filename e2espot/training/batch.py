"""What one training step learns from: a batch on the device, with every target that its heads need.

Targets beyond the class of a frame follow from the sampler's arithmetic, so no reader has to carry them.

Shapes: B clips, T frames, C channels, H height, W width, K classes with background.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from e2espot.clips.dataset import ClipBatch
from e2espot.clips.device_batch import ReadyBatch, make_ready
from e2espot.clips.targets import event_offsets, event_sides
from e2espot.training.state import Run


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """A batch as the loss sees it."""

    frames_BTCHW: Tensor
    """Normalised, changed, perhaps blended."""
    targets_BT: Tensor
    """Class of each frame, by the label set of its data set."""
    valid_BT: Tensor
    """False outside the video, and where it is damaged."""
    ball_BT2: Tensor
    """Place of the ball; NaN where unknown."""
    joint_B: Tensor
    """Whether a clip is of the second data set."""
    offset_BT: Tensor
    """Frames since the event; NaN where there is none."""
    side_BT: Tensor
    """0 for left, 1 for right; NaN where unknown."""
    share_B: Tensor
    """Share of the clip itself in the blend; the rest is its partner's, which without mixup is nothing."""
    other_targets_BT: Tensor
    """Its partner's classes."""
    other_offset_BT: Tensor
    """Its partner's offsets."""
    other_side_BT: Tensor
    """Its partner's sides."""


def lesson_of(run: Run, batch: ClipBatch | ReadyBatch, own: slice) -> Lesson:
    """The clips ``own`` of a batch with all targets; the same (seed, epoch, clips) give the same."""
    recipe = run.recipe
    clips = make_ready(batch, own, run.changes(batch.epoch, batch.indexes[own]), run.device)
    if recipe.crop_side:
        frames_BTCHW, ball_BT2 = _cropped(run, clips)
        clips = dataclasses.replace(clips, frames_BTCHW=frames_BTCHW, ball_BT2=ball_BT2)
    offset_BT, side_BT, joint_B = _more_targets(run, clips)
    lesson = Lesson(
        frames_BTCHW=clips.frames_BTCHW,
        targets_BT=clips.targets_BT,
        valid_BT=clips.valid_BT,
        ball_BT2=clips.ball_BT2,
        joint_B=joint_B,
        offset_BT=offset_BT,
        side_BT=side_BT,
        share_B=torch.ones(len(clips.indexes), device=run.device),
        other_targets_BT=clips.targets_BT,
        other_offset_BT=offset_BT,
        other_side_BT=side_BT,
    )
    together = run.ranks.indexes(clips.indexes)
    rng = np.random.default_rng((recipe.seed, batch.epoch, together[0], 2))
    if recipe.shuffle_frames:
        lesson = _shuffled(lesson, torch.from_numpy(rng.permutation(clips.targets_BT.shape[1])))
    return _mixed(run, lesson, batch.epoch, together, rng) if recipe.mixup else lesson


def _more_targets(run: Run, clips: ReadyBatch) -> tuple[Tensor, Tensor, Tensor]:
    offsets, sides = [], []
    changes = run.changes(clips.epoch, clips.indexes)
    for index, change in zip(clips.indexes, changes, strict=True):
        clip = run.dataset.sampler.clip(clips.epoch, index)
        video = run.dataset.videos[clip.video]
        reach = run.recipe.reach
        offsets.append(event_offsets(clip, video.labelled, reach=reach))
        sides.append(event_sides(clip, video.labelled, reach=reach, flip=change.flip))
    offset_BT, side_BT = (torch.from_numpy(np.stack(rows)).to(run.device) for rows in (offsets, sides))
    for known_BT in (offset_BT, side_BT):
        known_BT[~clips.valid_BT] = float("nan")
    return offset_BT, side_BT, torch.tensor(_joint(run, clips.epoch, clips.indexes), device=run.device)


def _joint(run: Run, epoch: int, indexes: Iterable[int]) -> list[bool]:
    """Which clips are of the second data set."""
    return [run.dataset.videos[run.dataset.sampler.clip(epoch, index).video].joint for index in indexes]


def _cropped(run: Run, clips: ReadyBatch) -> tuple[Tensor, Tensor]:
    """A square of each clip, anywhere in training with changes, in the middle without; E2E-Spot's ``crop_dim``."""
    side, (height, width) = run.recipe.crop_side, clips.frames_BTCHW.shape[-2:]
    pieces, balls = [], []
    for b, index in enumerate(clips.indexes):
        rng = np.random.default_rng((run.recipe.seed, clips.epoch, index, 4))
        top, left = (int(rng.integers(extent - side + 1)) for extent in (height, width))
        if not run.recipe.augment:
            top, left = (round((extent - side) / 2) for extent in (height, width))
        pieces.append(clips.frames_BTCHW[b, :, :, top : top + side, left : left + side])
        extent, corner = clips.ball_BT2.new_tensor((width, height)), clips.ball_BT2.new_tensor((left, top))
        ball_T2 = (clips.ball_BT2[b] * extent - corner) / side
        ball_T2[((ball_T2 < 0) | (ball_T2 >= 1)).any(-1)] = float("nan")
        balls.append(ball_T2)
    return torch.stack(pieces), torch.stack(balls)


def _shuffled(lesson: Lesson, order: Tensor) -> Lesson:
    names = [field.name for field in dataclasses.fields(lesson) if "_BT" in field.name]
    return dataclasses.replace(lesson, **{name: getattr(lesson, name)[:, order] for name in names})


def partners(joint_G: Sequence[bool]) -> np.ndarray:
    """Slot of the clip that each clip of a batch is blended with: the one before it in its data set, in a ring."""
    joint, partner_G = np.asarray(joint_G, dtype=bool), np.arange(len(joint_G))
    for rows in (np.flatnonzero(~joint), np.flatnonzero(joint)):
        partner_G[rows] = np.roll(rows, 1)
    return partner_G


def _mixed(run: Run, lesson: Lesson, epoch: int, together: range, rng: np.random.Generator) -> Lesson:
    """Blend each clip with its partner (Zhang et al., "mixup", ICLR 2018), whichever process holds that.

    Partners and shares are drawn over the clips of all processes, so they do not depend on how many there are.
    """
    partner_G, share_G = partners(_joint(run, epoch, together)), rng.beta(0.2, 0.2, len(together))
    own = run.ranks.slots(len(together))
    share_B = torch.tensor(share_G[list(own)], dtype=torch.float32, device=run.device)

    def of_partner(own_B: Tensor) -> Tensor:
        return run.ranks.fetch(own_B, partner_G)

    pixels = share_B.to(lesson.frames_BTCHW.dtype)[:, None, None, None, None]
    # Moved as they lie in memory, channels last, and so that they come to lie like that again.
    other_BTCHW = of_partner(lesson.frames_BTCHW.movedim(2, -1)).movedim(-1, 2)
    return dataclasses.replace(
        lesson,
        frames_BTCHW=pixels * lesson.frames_BTCHW + (1 - pixels) * other_BTCHW,
        valid_BT=lesson.valid_BT & of_partner(lesson.valid_BT),
        ball_BT2=torch.full_like(lesson.ball_BT2, float("nan")),
        share_B=share_B,
        other_targets_BT=of_partner(lesson.targets_BT),
        other_offset_BT=of_partner(lesson.offset_BT),
        other_side_BT=of_partner(lesson.side_BT),
    )

"""What one training step learns from: a batch on the device, with every target that its heads need.

Targets beyond the class of a frame follow from the sampler's arithmetic, so no reader has to carry them.

Shapes: B clips, T frames, C channels, H height, W width, K classes with background.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from e2espot.clips.loader import ClipBatch
from e2espot.clips.ready import ReadyBatch, make_ready
from e2espot.clips.targets import event_offsets, event_sides
from e2espot.training.losses import ball_loss, offset_loss, spotting_loss, team_loss
from e2espot.training.run import Run


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """A batch as the loss sees it."""

    frames_BTCHW: Tensor
    """Normalised, changed, perhaps blended."""
    targets_BT: Tensor
    """Class of each frame, by the label set of its data set."""
    valid_BT: Tensor
    """False outside the video."""
    ball_BT2: Tensor
    """Place of the ball; NaN where unknown."""
    joint_B: Tensor
    """Whether a clip is of the second data set."""
    offset_BT: Tensor
    """Frames since the event; NaN where there is none."""
    side_BT: Tensor
    """0 for left, 1 for right; NaN where unknown."""
    partner_B: Tensor
    """Clip that each clip is blended with, itself without mixup."""
    share_B: Tensor
    """Share of the clip itself in the blend."""


def lesson_of(run: Run, batch: ClipBatch | ReadyBatch, own: slice) -> Lesson:
    """The clips ``own`` of a batch with all targets; the same (seed, epoch, clips) give the same."""
    recipe = run.recipe
    clips = make_ready(batch, own, run.changes(batch.epoch, batch.indexes[own]), run.device)
    if recipe.crop_side:
        frames_BTCHW, ball_BT2 = _cropped(run, clips)
        clips = dataclasses.replace(clips, frames_BTCHW=frames_BTCHW, ball_BT2=ball_BT2)
    count = len(clips.indexes)
    offset_BT, side_BT, joint_B = _more_targets(run, clips)
    lesson = Lesson(
        frames_BTCHW=clips.frames_BTCHW,
        targets_BT=clips.targets_BT,
        valid_BT=clips.valid_BT,
        ball_BT2=clips.ball_BT2,
        joint_B=joint_B,
        offset_BT=offset_BT,
        side_BT=side_BT,
        partner_B=torch.arange(count, device=run.device),
        share_B=torch.ones(count, device=run.device),
    )
    rng = np.random.default_rng((recipe.seed, batch.epoch, clips.indexes[0], 2))
    if recipe.shuffle_frames:
        lesson = _shuffled(lesson, torch.from_numpy(rng.permutation(clips.targets_BT.shape[1])))
    return _mixed(lesson, rng) if recipe.mixup else lesson


def _more_targets(run: Run, clips: ReadyBatch) -> tuple[Tensor, Tensor, Tensor]:
    offsets, sides, joint = [], [], []
    changes = run.changes(clips.epoch, clips.indexes)
    for index, change in zip(clips.indexes, changes, strict=True):
        clip = run.dataset.sampler.clip(clips.epoch, index)
        video = run.dataset.videos[clip.video]
        reach = run.recipe.reach
        offsets.append(event_offsets(clip, video.labelled, reach=reach))
        sides.append(event_sides(clip, video.labelled, reach=reach, flip=change.flip))
        joint.append(video.joint)
    offset_BT, side_BT = (torch.from_numpy(np.stack(rows)).to(run.device) for rows in (offsets, sides))
    return offset_BT, side_BT, torch.tensor(joint, device=run.device)


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
    names = ("frames_BTCHW", "targets_BT", "valid_BT", "ball_BT2", "offset_BT", "side_BT")
    return dataclasses.replace(lesson, **{name: getattr(lesson, name)[:, order] for name in names})


def _mixed(lesson: Lesson, rng: np.random.Generator) -> Lesson:
    """Blend each clip with the next one of its data set (Zhang et al., "mixup", ICLR 2018)."""
    frames_BTCHW, device = lesson.frames_BTCHW, lesson.frames_BTCHW.device
    share_B = torch.tensor(rng.beta(0.2, 0.2, len(frames_BTCHW)), dtype=torch.float32, device=device)
    partner_B = lesson.partner_B.clone()
    for joint in (False, True):
        rows = torch.nonzero(lesson.joint_B == joint).flatten()
        partner_B[rows] = rows.roll(1)
    pixels = share_B.to(frames_BTCHW.dtype)[:, None, None, None, None]
    return dataclasses.replace(
        lesson,
        frames_BTCHW=pixels * frames_BTCHW + (1 - pixels) * frames_BTCHW[partner_B],
        valid_BT=lesson.valid_BT & lesson.valid_BT[partner_B],
        ball_BT2=torch.full_like(lesson.ball_BT2, float("nan")),
        partner_B=partner_B,
        share_B=share_B,
    )


def loss_of(run: Run, batch: ClipBatch | ReadyBatch, own: slice) -> Tensor:
    """Weighted sum of what every head of the spotter has to answer for."""
    recipe = run.recipe
    with torch.autocast(run.device.type, dtype=run.dtype, enabled=run.dtype != torch.float32):
        lesson = lesson_of(run, batch, own)
        seen = run.spotter.features(lesson.frames_BTCHW)
    told = run.spotter.tell(seen.features_BTD)
    loss = _class_loss(run, lesson, told.logits_BTK, joint=False)
    if told.joint_BTK is not None:
        loss = loss + _class_loss(run, lesson, told.joint_BTK, joint=True)
    for rows_B, weight_B in ((slice(None), lesson.share_B), (lesson.partner_B, 1 - lesson.share_B)):
        if told.offset_BT is not None:
            wanted = offset_loss(told.offset_BT, lesson.offset_BT[rows_B], weight_B, run.ranks.share)
            loss = loss + recipe.displacement_weight * wanted
        if told.team_BT is not None:
            loss = loss + recipe.team_weight * team_loss(
                told.team_BT, lesson.side_BT[rows_B], weight_B, run.ranks.share
            )
        if not recipe.mixup:
            break
    if seen.heat_BTHW is not None and recipe.ball_weight:
        loss = loss + recipe.ball_weight * ball_loss(seen.heat_BTHW, lesson.ball_BT2, run.ranks.share)
    return loss


def _class_loss(run: Run, lesson: Lesson, logits_BTK: Tensor, *, joint: bool) -> Tensor:
    """Loss of one data set's clips under its own classes, by their share of the batch."""
    rows = torch.nonzero(lesson.joint_B == joint).flatten()
    weights_K = run.joint_weights if joint else run.class_weights

    def one_hot(clips: Tensor) -> Tensor:
        return functional.one_hot(lesson.targets_BT[clips], len(weights_K)).float()

    share_B11 = lesson.share_B[rows, None, None]
    soft_BTK = share_B11 * one_hot(rows) + (1 - share_B11) * one_hot(lesson.partner_B[rows])
    valid_BT, gamma = lesson.valid_BT[rows], run.recipe.focal_gamma
    loss = spotting_loss(logits_BTK[rows], soft_BTK, valid_BT, weights_K, gamma, run.ranks.share)
    return loss * run.ranks.share(rows.new_tensor(len(rows), dtype=torch.float32), 0) / len(lesson.joint_B)

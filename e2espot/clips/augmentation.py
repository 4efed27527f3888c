"""Augmentation of clips by torch on the training device: one set of parameters per clip.

The parameters are sampled first (``clips.augmentation_params``); DALI applies the same ones in its own graph.

Shapes: B clips, T frames, C channels, H x W pixels.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from e2espot.clips.augmentation_params import BLUR_TAPS, AugmentationParams
from e2espot.clips.targets import TargetBatch

_PIXELS_AT_ONCE = 8
"""Pixels whose colours a CPU changes as one row of a matrix product."""


def transform_points(points_T2: Tensor, params: AugmentationParams) -> Tensor:
    """Points, as fractions of width and height, after the crop and the flip; NaN where they are cut off.

    # window (0.5, 0, 1, 0.5), no flip: (0.75, 0.25) -> (0.5, 0.5); (0.4, 0.2) -> NaN
    """
    left, top, right, bottom = params.window
    corner, extent = points_T2.new_tensor((left, top)), points_T2.new_tensor((right - left, bottom - top))
    moved_T2 = (points_T2 - corner) / extent
    moved_T2[((moved_T2 < 0) | (moved_T2 >= 1)).any(-1)] = float("nan")
    if params.flip:
        moved_T2[:, 0] = 1 - moved_T2[:, 0]
    return moved_T2


def augment_targets(targets: TargetBatch, params: list[AugmentationParams]) -> TargetBatch:
    """Targets of the augmented clips: the ball moves with the pixels, a mirror image swaps the teams."""
    flip_B1 = torch.tensor([[clip.flip] for clip in params], device=targets.team_BT.device)
    return dataclasses.replace(
        targets,
        team_BT=torch.where(flip_B1, 1 - targets.team_BT, targets.team_BT),
        ball_BT2=torch.stack([transform_points(targets.ball_BT2[b], clip) for b, clip in enumerate(params)]),
    )


def augment_frames(frames_BTHWC: Tensor, valid_BT: Tensor, params: list[AugmentationParams]) -> Tensor:
    """Normalised, augmented frames.

    Args:
        frames_BTHWC: uint8 RGB.
        valid_BT: False for frames that become exact zeros (the mean colour), as padding is in inference.
        params: One per clip.

    Returns:
        Float frames ``BTCHW`` in channels-last memory, in the autocast dtype where autocast is on.
    """
    kind = frames_BTHWC.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    clips, num_frames, height, width, _ = frames_BTHWC.shape
    out = torch.empty(clips, num_frames, height, width, 3, dtype=dtype, device=frames_BTHWC.device)
    for b, clip in enumerate(params):
        matrix_33, offset_3 = (torch.from_numpy(array).to(out) for array in (clip.matrix_33.T, clip.offset_3))
        pixels = _mixed_colours(frames_BTHWC[b].to(dtype), matrix_33, offset_3)
        pixels = _blurred(_cropped(pixels, clip), clip)
        out[b] = pixels.flip(2) if clip.flip else pixels
        if not bool(valid_BT[b].all()):
            out[b, ~valid_BT[b]] = 0
    return out.movedim(-1, 2)


def _mixed_colours(frames_THWC: Tensor, matrix_33: Tensor, offset_3: Tensor) -> Tensor:
    """``pixel @ matrix + offset`` of every pixel."""
    # One fused product: a separate sum over a last axis of three took a seventh of a training step. A CPU wants wider
    # rows than three, so it takes eight pixels at once where they divide the frames: eight matrices along a diagonal.
    divides = frames_THWC.numel() % (3 * _PIXELS_AT_ONCE) == 0
    at_once = _PIXELS_AT_ONCE if divides and frames_THWC.device.type == "cpu" else 1
    rows = frames_THWC.reshape(-1, 3 * at_once)
    return torch.addmm(offset_3.repeat(at_once), rows, torch.block_diag(*[matrix_33] * at_once)).view(frames_THWC.shape)


def _cropped(frames_THWC: Tensor, params: AugmentationParams) -> Tensor:
    """The pixels inside the window, resized to the whole frame."""
    if params.window == AugmentationParams.window:
        return frames_THWC
    # affine_grid counts from -1 to 1: window (0.5, 0, 1, 1) -> x from 0 to 1, scale 0.5, centre 0.5.
    left, top, right, bottom = (2 * edge - 1 for edge in params.window)
    affine_23 = frames_THWC.new_tensor(
        [[(right - left) / 2, 0, (left + right) / 2], [0, (bottom - top) / 2, (top + bottom) / 2]]
    )
    frames_TCHW = frames_THWC.movedim(-1, 1)
    grid = functional.affine_grid(affine_23.float().expand(len(frames_TCHW), 2, 3), list(frames_TCHW.shape), False)
    out_TCHW = functional.grid_sample(frames_TCHW.float(), grid, padding_mode="border", align_corners=False)
    return out_TCHW.to(frames_THWC.dtype).movedim(1, -1)


def _blurred(frames_THWC: Tensor, params: AugmentationParams) -> Tensor:
    if not params.blur_sigma:
        return frames_THWC
    distance = torch.arange(BLUR_TAPS, device=frames_THWC.device) - BLUR_TAPS // 2
    taps = torch.exp(-0.5 * (distance / params.blur_sigma) ** 2)
    taps = (taps / taps.sum()).to(frames_THWC.dtype)
    out_TCHW = functional.pad(frames_THWC.movedim(-1, 1), (BLUR_TAPS // 2,) * 4, mode="reflect")
    out_TCHW = functional.conv2d(out_TCHW, taps.view(1, 1, 1, -1).repeat(3, 1, 1, 1), groups=3)
    return functional.conv2d(out_TCHW, taps.view(1, 1, -1, 1).repeat(3, 1, 1, 1), groups=3).movedim(1, -1)

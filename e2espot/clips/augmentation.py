"""Changes to clips carried out by torch, on the training device: the same over a clip, different between clips.

What is changed is drawn first (``clips.changes``); DALI carries the same values out in its own graph.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from e2espot.clips.augmentation_params import BLUR_TAPS, ClipChange


def move_points(points_T2: Tensor, change: ClipChange) -> Tensor:
    """Where places, as shares of width and height, come to lie; NaN where they are cut off."""
    left, top, right, bottom = change.window
    corner, extent = points_T2.new_tensor((left, top)), points_T2.new_tensor((right - left, bottom - top))
    moved = (points_T2 - corner) / extent
    moved[((moved < 0) | (moved >= 1)).any(-1)] = float("nan")
    if change.flip:
        moved[:, 0] = 1 - moved[:, 0]
    return moved


def augment_clips(
    frames_BTHWC: Tensor, valid_BT: Tensor, ball_BT2: Tensor, changes: list[ClipChange]
) -> tuple[Tensor, Tensor]:
    """Normalised, changed frames and the ball's places that go with them.

    Args:
        frames_BTHWC: uint8 RGB.
        valid_BT: Frames outside the video become exact zeros (the mean colour), as in inference.
        ball_BT2: Places as shares of width and height.
        changes: One a clip.

    Returns:
        Float frames ``BTCHW`` (channels-last memory) and ``ball_BT2``.
    """
    kind = frames_BTHWC.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    clips, num_frames, height, width, _ = frames_BTHWC.shape
    out = torch.empty(clips, num_frames, height, width, 3, dtype=dtype, device=frames_BTHWC.device)
    for b, change in enumerate(changes):
        # One fused product: a separate sum over a last axis of three took a seventh of a training step.
        pixels = torch.addmm(
            torch.from_numpy(change.offset_3).to(out),
            frames_BTHWC[b].view(-1, 3).to(dtype),
            torch.from_numpy(change.matrix_33.T).to(out),
        ).view(frames_BTHWC.shape[1:])
        pixels = _blurred(_cropped(pixels, change), change)
        out[b] = pixels.flip(2) if change.flip else pixels
        if not bool(valid_BT[b].all()):
            out[b, ~valid_BT[b]] = 0
    return out.movedim(-1, 2), torch.stack([move_points(ball_BT2[b], change) for b, change in enumerate(changes)])


def _cropped(frames_THWC: Tensor, change: ClipChange) -> Tensor:
    """What is seen through the window, at the size of the whole."""
    if change.window == ClipChange.window:
        return frames_THWC
    left, top, right, bottom = (2 * edge - 1 for edge in change.window)
    turn = frames_THWC.new_tensor(
        [[(right - left) / 2, 0, (left + right) / 2], [0, (bottom - top) / 2, (top + bottom) / 2]]
    )
    frames_TCHW = frames_THWC.movedim(-1, 1)
    grid = functional.affine_grid(turn.float().expand(len(frames_TCHW), 2, 3), list(frames_TCHW.shape), False)
    seen = functional.grid_sample(frames_TCHW.float(), grid, padding_mode="border", align_corners=False)
    return seen.to(frames_THWC.dtype).movedim(1, -1)


def _blurred(frames_THWC: Tensor, change: ClipChange) -> Tensor:
    if not change.blur_sigma:
        return frames_THWC
    away = torch.arange(BLUR_TAPS, device=frames_THWC.device) - BLUR_TAPS // 2
    taps = torch.exp(-0.5 * (away / change.blur_sigma) ** 2)
    taps = (taps / taps.sum()).to(frames_THWC.dtype)
    seen = functional.pad(frames_THWC.movedim(-1, 1), (BLUR_TAPS // 2,) * 4, mode="reflect")
    seen = functional.conv2d(seen, taps.view(1, 1, 1, -1).repeat(3, 1, 1, 1), groups=3)
    return functional.conv2d(seen, taps.view(1, 1, -1, 1).repeat(3, 1, 1, 1), groups=3).movedim(1, -1)

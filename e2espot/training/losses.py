"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def spotting_loss(logits_BTK: Tensor, soft_targets_BTK: Tensor, valid_BT: Tensor, fg_weight: float) -> Tensor:
    """Cross-entropy a frame with soft targets, foreground classes weighted, padding left out.

    Equals E2E-Spot's weighted mean (class weight 1 for background, ``fg_weight`` for the rest)
    when the targets are one-hot.
    """
    weights = torch.full((logits_BTK.shape[-1],), fg_weight, device=logits_BTK.device)
    weights[0] = 1
    weighted_BTK = soft_targets_BTK * weights * valid_BT[..., None]
    return -(weighted_BTK * logits_BTK.float().log_softmax(-1)).sum() / weighted_BTK.sum().clamp_min(1e-6)


def ball_loss(heat_BTHW: Tensor, ball_BT2: Tensor) -> Tensor:
    """Cross-entropy of a map over places against the ball's place, over frames where it is known.

    Args:
        heat_BTHW: Logits over the cells of a map.
        ball_BT2: Place as shares of width and height; NaN where unknown.

    Returns:
        Mean over the known frames in nats, exactly zero when there is none.
    """
    height, width = heat_BTHW.shape[-2:]
    known = torch.isfinite(ball_BT2).all(-1)
    if not bool(known.any()):
        return heat_BTHW.sum() * 0
    place = ball_BT2[known].clamp(0, 1 - 1e-6)
    column = (place[:, 0] * width).long()
    row = (place[:, 1] * height).long()
    return functional.cross_entropy(heat_BTHW[known].float().flatten(1), row * width + column, label_smoothing=0.05)

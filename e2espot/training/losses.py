"""What training minimises."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Share = Callable[[Tensor, float], Tensor]
"""What a sum of losses is divided by: a total over all processes, at least so large, divided by their number."""


def own_share(total: Tensor, least: float) -> Tensor:
    """The share of one process alone."""
    return total.clamp_min(least)


def spotting_loss(
    logits_BTK: Tensor,
    soft_targets_BTK: Tensor,
    valid_BT: Tensor,
    weights_K: Tensor,
    focal_gamma: float = 0.0,
    share: Share = own_share,
) -> Tensor:
    """Cross-entropy a frame with soft targets, classes weighted, padding left out.

    Equals E2E-Spot's weighted mean (class weight 1 for background, 5 for the rest) when the targets are one-hot.

    Args:
        logits_BTK: Classes, background first.
        soft_targets_BTK: Shares that sum to 1.
        valid_BT: False outside the video.
        weights_K: One a class; see :func:`class_weights`.
        focal_gamma: Frames that are told well count for less, by (1 - p)^gamma (Lin et al., "Focal Loss for
            Dense Object Detection", ICCV 2017); 0 for plain cross-entropy.
        share: See :data:`Share`.
    """
    log_BTK = logits_BTK.float().log_softmax(-1)
    weighted_BTK = soft_targets_BTK * weights_K.to(log_BTK.device) * valid_BT[..., None]
    missed_BTK = (1 - log_BTK.exp()).clamp_min(0) ** focal_gamma if focal_gamma else 1.0
    return -(weighted_BTK * missed_BTK * log_BTK).sum() / share(weighted_BTK.sum(dtype=torch.float64), 1e-6)


def class_weights(counts: Sequence[int], fg_weight: float, balance: float) -> Tensor:
    """Weights of background and classes: 1, and ``fg_weight`` on the mean over all events.

    Args:
        counts: Events of each class.
        fg_weight: Weight of an event against a frame of background.
        balance: 0 for every event alike, 1 for every class alike: a class of n events weighs as n^-balance, at most
            ten times as much or as little as the classes' geometric mean.
    """
    seen = torch.tensor(counts, dtype=torch.float64).clamp_min(1)
    raw = seen**-balance
    raw = (raw / raw.log().mean().exp()).clamp(0.1, 10)
    raw = raw * seen.sum() / (raw * seen).sum()
    return torch.cat((torch.ones(1), fg_weight * raw.float()))


def offset_loss(offset_BT: Tensor, wanted_BT: Tensor, weight_B: Tensor, share: Share = own_share) -> Tensor:
    """Mean squared error in frames where a distance is wanted; zero where none is."""
    known = torch.isfinite(wanted_BT)
    weight_BT = weight_B[:, None] * known
    error_BT = (offset_BT.float() - wanted_BT.nan_to_num()) ** 2
    return (weight_BT * error_BT).sum() / share(known.sum(), 1)


def team_loss(team_BT: Tensor, wanted_BT: Tensor, weight_B: Tensor, share: Share = own_share) -> Tensor:
    """Binary cross-entropy in frames where a side is wanted; zero where none is."""
    known = torch.isfinite(wanted_BT)
    error_BT = functional.binary_cross_entropy_with_logits(team_BT.float(), wanted_BT.nan_to_num(), reduction="none")
    return (weight_B[:, None] * known * error_BT).sum() / share(known.sum(), 1)


def ball_loss(heat_BTHW: Tensor, ball_BT2: Tensor, share: Share = own_share) -> Tensor:
    """Cross-entropy of a map over places against the ball's place, over frames where it is known.

    Args:
        heat_BTHW: Logits over the cells of a map.
        ball_BT2: Place as shares of width and height; NaN where unknown.
        share: See :data:`Share`.

    Returns:
        Mean over the known frames in nats, exactly zero when there is none.
    """
    height, width = heat_BTHW.shape[-2:]
    known = torch.isfinite(ball_BT2).all(-1)
    count = share(known.sum(), 1)
    if not bool(known.any()):
        return heat_BTHW.sum() * 0
    place = ball_BT2[known].clamp(0, 1 - 1e-6)
    column = (place[:, 0] * width).long()
    row = (place[:, 1] * height).long()
    logits = heat_BTHW[known].float().flatten(1)
    return functional.cross_entropy(logits, row * width + column, label_smoothing=0.05, reduction="sum") / count

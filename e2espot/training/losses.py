"""The losses that training minimises.

Shapes: B clips, T frames, K classes with background, H x W cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Normalizer = Callable[[Tensor, float], Tensor]
"""(total, minimum) -> what a sum of losses is divided by: the total over all processes, clamped from below, divided
by the number of processes. Averaged gradients then are those of the mean over the whole batch."""


def local_normalizer(total: Tensor, minimum: float) -> Tensor:
    """The normalizer of a single process."""
    return total.clamp_min(minimum)


def spotting_loss(
    logits_BTK: Tensor,
    soft_targets_BTK: Tensor,
    valid_BT: Tensor,
    weights_K: Tensor,
    focal_gamma: float = 0.0,
    normalizer: Normalizer = local_normalizer,
    unannotated_BK: Tensor | None = None,
) -> Tensor:
    """Weighted cross-entropy per frame with soft targets, padding left out.

    Equals E2E-Spot's weighted mean (class weight 1 for background, 5 for the rest) when the targets are one-hot.

    Args:
        logits_BTK: Classes, background first.
        soft_targets_BTK: Probabilities that sum to 1, or to the weight of a frame.
        valid_BT: False for frames that teach nothing: outside the video, damaged, or not annotated.
        weights_K: One per class; see :func:`class_weights`.
        focal_gamma: Down-weights well-classified frames by (1 - p)^gamma (Lin et al., "Focal Loss for Dense Object
            Detection", ICCV 2017); 0 for plain cross-entropy.
        normalizer: See :data:`Normalizer`.
        unannotated_BK: True for classes that a clip does not annotate: the softmax is over the others, so that such a
            class is neither background nor anything else there, and its logits get a gradient of exactly zero. None
            where every clip annotates every class.
    """
    logits_BTK = logits_BTK.float()
    if unannotated_BK is not None:
        logits_BTK = logits_BTK.masked_fill(unannotated_BK[:, None], -torch.inf)
    log_BTK = logits_BTK.log_softmax(-1)
    if unannotated_BK is not None:
        # Their log-probability is -inf, and 0 * -inf would be NaN. A soft target is left at them only where mixup
        # blends two clips, of which the other annotates them.
        log_BTK = log_BTK.masked_fill(unannotated_BK[:, None], 0.0)
        soft_targets_BTK = soft_targets_BTK.masked_fill(unannotated_BK[:, None], 0.0)
    weighted_BTK = soft_targets_BTK * weights_K.to(log_BTK.device) * valid_BT[..., None]
    focal_BTK = (1 - log_BTK.exp()).clamp_min(0) ** focal_gamma if focal_gamma else 1.0
    return -(weighted_BTK * focal_BTK * log_BTK).sum() / normalizer(weighted_BTK.sum(dtype=torch.float64), 1e-6)


def class_weights(counts: Sequence[int], fg_weight: float, balance: float) -> Tensor:
    """Weights of background and classes: 1 for background, ``fg_weight`` on average over all events.

    Args:
        counts: Events of each class.
        fg_weight: Weight of an event against a frame of background.
        balance: 0 weights every event alike, 1 every class alike: a class of n events weighs n^-balance, within a
            factor of ten of the geometric mean of the classes.

    # counts (400, 100), fg_weight 5, balance 0.5: raw (1/20, 1/10), so a rare event weighs twice a frequent one;
    # scaled so that 400 w1 + 100 w2 = 5 * 500 -> (1, 4.17, 8.33)
    """
    seen = torch.tensor(counts, dtype=torch.float64).clamp_min(1)
    raw = seen**-balance
    raw = (raw / raw.log().mean().exp()).clamp(0.1, 10)
    raw = raw * seen.sum() / (raw * seen).sum()
    return torch.cat((torch.ones(1), fg_weight * raw.float()))


def offset_loss(
    offset_BT: Tensor, target_BT: Tensor, weight_B: Tensor, normalizer: Normalizer = local_normalizer
) -> Tensor:
    """Mean squared error in frames, over frames whose offset is known; zero where none is."""
    known = torch.isfinite(target_BT)
    weight_BT = weight_B[:, None] * known
    error_BT = (offset_BT.float() - target_BT.nan_to_num()) ** 2
    return (weight_BT * error_BT).sum() / normalizer(known.sum(), 1)


def team_loss(
    team_BT: Tensor, target_BT: Tensor, weight_B: Tensor, normalizer: Normalizer = local_normalizer
) -> Tensor:
    """Binary cross-entropy over frames whose team is known; zero where none is."""
    known = torch.isfinite(target_BT)
    error_BT = functional.binary_cross_entropy_with_logits(team_BT.float(), target_BT.nan_to_num(), reduction="none")
    return (weight_B[:, None] * known * error_BT).sum() / normalizer(known.sum(), 1)


def ball_loss(heat_BTHW: Tensor, ball_BT2: Tensor, normalizer: Normalizer = local_normalizer) -> Tensor:
    """Cross-entropy of a map of positions against the ball's position, over frames where it is known.

    Args:
        heat_BTHW: Logits over the cells of a map.
        ball_BT2: Position as fractions of width and height; NaN where unknown.
        normalizer: See :data:`Normalizer`.

    Returns:
        Mean over the known frames in nats, exactly zero when there is none.
    """
    height, width = heat_BTHW.shape[-2:]
    known = torch.isfinite(ball_BT2).all(-1)
    count = normalizer(known.sum(), 1)
    if not bool(known.any()):
        return heat_BTHW.sum() * 0
    position_N2 = ball_BT2[known].clamp(0, 1 - 1e-6)
    column = (position_N2[:, 0] * width).long()
    row = (position_N2[:, 1] * height).long()
    # Cells are numbered row by row: a map of 4 x 8, ball at (0.3, 0.6) -> column 2, row 2 -> cell 18.
    logits = heat_BTHW[known].float().flatten(1)
    return functional.cross_entropy(logits, row * width + column, label_smoothing=0.05, reduction="sum") / count

"""CALF's two losses: the segmentation by context, and the detections after a greedy matching.

Source: Cioppa et al., CVPR 2020. Written from the formulas.

Shapes: B chunks, T rows, C classes, S slots, X = 2 + C values of a slot.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_GOOD = 0.9
"""A share of the context that is good enough: beyond it, or below 1 - 0.9 where p should be low, nothing is lost."""
SEGMENTATION_WEIGHT, SPOTTING_WEIGHT = 0.000367, 1.0
"""Weights of the two losses in their sum."""
_TIME_WEIGHT, _EMPTY_WEIGHT = 5.0, 0.5


def segmentation_terms(p_BTC: Tensor, shift_BTC: Tensor, contexts_C4: Tensor) -> Tensor:
    """The loss of every row and class, ``(B, T, C)``.

    Far from an event p should be low, shortly after it high; in between the demand rises and falls, and just before an
    event, whose outcome is not known yet, nothing is asked. Values that are good enough cost nothing.

    Args:
        p_BTC: Segmentation in [0, 1].
        shift_BTC: Signed distance to an event in rows.
        contexts_C4: K1 < K2 < 0 < K3 < K4 of each class, in rows.
    """
    p, s = p_BTC.clamp(1e-7, 1 - 1e-7), shift_BTC
    k1, k2, k3, k4 = contexts_C4.unbind(-1)
    good = math.log(_GOOD)
    far = good - torch.log(1 - p)
    rising = good - torch.log(1 - p + p * (s - k1) / (k2 - k1))
    after = good - torch.log(p + (1 - p) * s / k3)
    falling = good - torch.log(1 - p + p * (s - k4) / (k3 - k4))
    terms = torch.where(
        s < k1,
        far,
        torch.where(
            s < k2,
            rising,
            torch.where(s < 0, torch.zeros_like(p), torch.where(s < k3, after, torch.where(s < k4, falling, far))),
        ),
    )
    return terms.clamp_min(0)


def match_slots(target_SX: Tensor, predicted_SX: Tensor) -> list[int]:
    """For each target slot the predicted slot that it is compared with.

    Every target that is left picks the free prediction nearest in time, and one that is wanted by several goes to the
    nearest of them; repeated until all events have one. Empty slots take what is left, in order.

    Args:
        target_SX: Confidence 1 for an event, its time and class; zeros for an empty slot.
        predicted_SX: Confidence, time and class probabilities.
    """
    distance = (target_SX[:, None, 1] - predicted_SX[None, :, 1]).abs().tolist()
    waiting = [slot for slot, known in enumerate((target_SX[:, 0] > 0).tolist()) if known]
    chosen: dict[int, int] = {}
    free = set(range(len(predicted_SX)))
    while waiting:
        wanted: dict[int, list[int]] = {}
        for slot in waiting:
            wanted.setdefault(min(free, key=lambda p: (distance[slot][p], p)), []).append(slot)
        for prediction, slots in wanted.items():
            chosen[min(slots, key=lambda t: (distance[t][prediction], t))] = prediction
            free.discard(prediction)
        waiting = [slot for slot in waiting if slot not in chosen]
    rest = iter(sorted(free))
    return [chosen[slot] if slot in chosen else next(rest) for slot in range(len(target_SX))]


def spotting_terms(predicted_BSX: Tensor, target_BSX: Tensor) -> Tensor:
    """The loss of each chunk, ``(B,)``, summed over its slots."""
    order = torch.tensor(
        [
            match_slots(target, predicted)
            for target, predicted in zip(target_BSX.cpu(), predicted_BSX.detach().cpu(), strict=True)
        ],
        device=predicted_BSX.device,
    )
    matched_BSX = predicted_BSX.gather(1, order[..., None].expand_as(predicted_BSX))
    known_BS, confidence_BS = target_BSX[..., 0], matched_BSX[..., 0]
    event_BS = (
        _TIME_WEIGHT * (target_BSX[..., 1] - matched_BSX[..., 1]).square()
        + (1 - confidence_BS).square()
        + (target_BSX[..., 2:] - matched_BSX[..., 2:]).square().sum(-1)
    )
    return (known_BS * event_BS + (1 - known_BS) * _EMPTY_WEIGHT * confidence_BS.square()).sum(-1)

"""CALF: chunks of rows to a segmentation by the context of each class, and to a handful of detections.

    rows (T, D) -> 128 -> 32 -> pyramid of contexts -> 152 -- segmentation: 16 numbers a class, their length p
                                                           -- spotting: 15 slots of confidence, time and class

Source: Cioppa et al., "A Context-Aware Loss Function for Action Spotting in Soccer Videos", CVPR 2020. Written from
the formulas.

Shapes: B chunks, T rows of a chunk, D values of a row, C classes, S slots, N rows of a half.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_SLOTS = 15
_CAPSULE_DIM = 16
_PYRAMID = ((7, 8), (3, 16), (2, 32), (1, 64))
"""Divisor of the receptive field -> channels, for each level of the pyramid."""


class CalfOutputs(NamedTuple):
    """Outputs for a batch of chunks."""

    segmentation_BTC: Tensor
    """In [0, 1]; high where the context shortly after an action of the class is seen."""
    slots_BSX: Tensor
    """Confidence, time as a fraction of the chunk, and class probabilities of each slot: X = 2 + C."""


class CalfHead(nn.Module):
    """CALF's network.

    Args:
        feature_dim: D.
        chunk_len: T, 120 seconds in its publication; its batch norm is over the rows, so no other length fits.
        num_classes: C.
    """

    def __init__(self, feature_dim: int, chunk_len: int, num_classes: int) -> None:
        super().__init__()
        self.chunk_len, self.num_classes = chunk_len, num_classes
        self.receptive_field = max(2, chunk_len // 3)
        self.first = nn.Conv1d(feature_dim, 128, 1)
        self.second = nn.Conv1d(128, 32, 1)
        self.pyramid = nn.ModuleList(
            nn.Conv1d(32, channels, math.ceil(self.receptive_field / divisor)) for divisor, channels in _PYRAMID
        )
        joined = 32 + sum(channels for _, channels in _PYRAMID)
        capsules = _CAPSULE_DIM * num_classes
        self.segment = nn.Conv1d(joined, capsules, 3, padding=1)
        self.norm = nn.BatchNorm1d(chunk_len, momentum=0.01, eps=0.001)
        self.spot_first = nn.Conv1d(capsules + num_classes, 32, 3, padding=1)
        self.spot_second = nn.Conv1d(32, 16, 3, padding=1)
        rows = chunk_len
        for _ in range(3):
            rows = (rows - 3) // 2 + 1
        self.slot_times = nn.Linear(16 * rows, 2 * NUM_SLOTS)
        self.slot_classes = nn.Linear(16 * rows, num_classes * NUM_SLOTS)

    def forward(self, rows_BTD: Tensor) -> CalfOutputs:
        """Segmentation and slots of chunks of exactly ``chunk_len`` rows."""
        base_BHT = self.second(self.first(rows_BTD.transpose(1, 2)).relu()).relu()
        levels = [base_BHT]
        for (divisor, _), conv in zip(_PYRAMID, self.pyramid, strict=True):
            size = math.ceil(self.receptive_field / divisor)
            before = (size - 1) // 2
            levels.append(conv(functional.pad(base_BHT, (before, size - 1 - before))).relu())
        capsules_BJT = self.segment(torch.cat(levels, dim=1))
        # Channel j * C + c is number j of class c.
        numbers_BTJC = capsules_BJT.transpose(1, 2).unflatten(2, (_CAPSULE_DIM, self.num_classes))
        normed = self.norm(numbers_BTJC.flatten(2)).view_as(numbers_BTJC).sigmoid()
        # Each of the 16 numbers is at most 1/2 from 1/2: the sum of squares is at most 4, and p at most 1.
        segmentation_BTC = ((normed - 0.5).square().sum(2) * (4 / _CAPSULE_DIM)).clamp_min(1e-12).sqrt()
        x = torch.cat((capsules_BJT, 1 - segmentation_BTC.transpose(1, 2)), dim=1).relu()
        x = functional.max_pool1d(x, 3, 2)
        x = functional.max_pool1d(self.spot_first(x).relu(), 3, 2)
        x = functional.max_pool1d(self.spot_second(x).relu(), 3, 2).flatten(1)
        times = self.slot_times(x).unflatten(1, (NUM_SLOTS, 2)).sigmoid()
        classes = self.slot_classes(x).unflatten(1, (NUM_SLOTS, self.num_classes)).softmax(-1)
        return CalfOutputs(segmentation_BTC, torch.cat((times, classes), dim=-1))

    def match_scores(self, rows_ND: Tensor) -> Tensor:
        """Confidence of the detections in every row of a half, ``(N, C)``; most are zero.

        Chunks overlap by the receptive field, and detections in the outer half of an overlap are left to the other
        chunk. Halves shorter than a chunk are continued by their last row.
        """
        count, length = len(rows_ND), self.chunk_len
        scores_NC = rows_ND.new_zeros(count, self.num_classes)
        numbers = torch.arange(length, device=rows_ND.device)
        starts = chunk_starts(count, length, length - self.receptive_field)
        for group in (starts[first : first + 8] for first in range(0, len(starts), 8)):
            chunks = torch.stack([rows_ND[(numbers + start).clamp(max=count - 1)] for start in group])
            for start, slots_SX in zip(group, self(chunks).slots_BSX, strict=True):
                row_S = start + decode_rows(slots_SX[:, 1], length)
                before = 0 if start == starts[0] else self.receptive_field // 2
                after = 0 if start == starts[-1] else self.receptive_field // 2
                class_S = slots_SX[:, 2:].argmax(-1)
                counts_S = (row_S >= start + before) & (row_S < start + length - after) & (row_S < count)
                for row, column, confidence in zip(
                    row_S[counts_S].tolist(), class_S[counts_S].tolist(), slots_SX[counts_S, 0].tolist(), strict=True
                ):
                    scores_NC[row, column] = max(float(scores_NC[row, column]), confidence)
        return scores_NC


def decode_rows(time_S: Tensor, chunk_len: int) -> Tensor:
    """Rows of times in [0, 1]: ``floor(time * (chunk_len - 1))``, although targets are divided by ``chunk_len``.

    This asymmetry is CALF's, and kept so that its results can be repeated: row 120 of 240 -> 0.5 -> row 119.
    """
    return (time_S * (chunk_len - 1)).floor().long()


def chunk_starts(num_rows: int, chunk_len: int, step: int) -> list[int]:
    """First row of each chunk; the last one ends with the half."""
    # 600 rows, chunks of 240, step 160 -> 0 160 320 360
    last = max(0, num_rows - chunk_len)
    return [*range(0, last, max(1, step)), last]

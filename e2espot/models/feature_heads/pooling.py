"""NetVLAD++ and its family: one answer for a window of rows, pooled over time, before and after its middle apart.

    rows (W, D) -- Linear, if D is not 512 --> (W, 512) -- pool --> V -- Dropout, Linear --> background and classes

    netvlad     one pool over all W rows, 64 words          netvlad++   rows before the middle, rows from it on,
    netrvlad    the same without residuals                              32 words each
    max, avg    maximum or mean of each value               max++, avg++, netrvlad++ alike

Sources: Giancola and Ghanem, "Temporally-Aware Feature Pooling for Action Spotting in Soccer Broadcasts", CVPRW 2021;
Arandjelovic et al., "NetVLAD", CVPR 2016. Written from the formulas.

Shapes: B windows, W rows of a window, D values of a row, K words, C outputs (background and classes), N rows of a half.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.feature_heads.fused_vlad import DropoutTable, project_sides, vlad_logits
from e2espot.models.feature_heads.shared_windows import VladSide, max_side, mean_side

POOLS = ("max", "avg", "netvlad", "netrvlad", "max++", "avg++", "netvlad++", "netrvlad++")
"""Names of the poolings."""
PROJECTED_DIM = 512
"""Width that rows of another width are projected to."""
_NUM_WORDS = 64
_DROPOUT = 0.4
_EPSILON = 1e-12
"""Shortest length that vectors are divided by, as ``functional.normalize`` has it."""
_BLOCK_ROWS = 512
"""Rows of a half that are scored at a time: they stay in a CPU's caches, and memory does not grow with the rate."""


class NetVlad(nn.Module):
    """Soft assignment of rows to words, and the sum of what is left of each row at its word.

    Args:
        dim: D.
        num_words: K.
        residual: False for NetRVLAD, which leaves out the second set of words.
    """

    def __init__(self, dim: int, num_words: int, *, residual: bool) -> None:
        super().__init__()
        self.words_DK = nn.Parameter(torch.randn(dim, num_words) / dim**0.5)
        self.centres_DK = nn.Parameter(torch.randn(dim, num_words) / dim**0.5) if residual else None

    def assign(self, unit_BTD: Tensor) -> Tensor:
        """Share of each row in each word, ``(B, T, K)``, of rows of unit length."""
        return (unit_BTD @ self.words_DK).softmax(-1)

    def forward(self, rows_BTD: Tensor) -> Tensor:
        """``(B, D * K)``, the values of a row outermost; of unit length for each word and as a whole."""
        unit_BTD = functional.normalize(rows_BTD, dim=-1)
        share_BTK = self.assign(unit_BTD)
        sum_BDK = unit_BTD.transpose(1, 2) @ share_BTK
        if self.centres_DK is not None:
            sum_BDK = sum_BDK - share_BTK.sum(1, keepdim=True) * self.centres_DK
        # K words of unit length are sqrt(K) long together: one division does for both.
        length_B1K = torch.linalg.vector_norm(sum_BDK, dim=1, keepdim=True).clamp_min(_EPSILON)
        unit_BDK: Tensor = sum_BDK / (length_B1K * sum_BDK.shape[-1] ** 0.5)
        return unit_BDK.flatten(1)


class _Reduce(nn.Module):
    """Maximum or mean over time."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, rows_BTD: Tensor) -> Tensor:
        """``(B, D)``."""
        return rows_BTD.amax(1) if self.kind == "max" else rows_BTD.mean(1)


class PoolHead(nn.Module):
    """Classifies the middle of a window by pooling its rows.

    Args:
        pool: One of ``POOLS``.
        feature_dim: Values of a row.
        window_len: W, rows of a window.
        num_outputs: C.
    """

    def __init__(self, pool: str, feature_dim: int, window_len: int, num_outputs: int) -> None:
        super().__init__()
        kind, self.window_len = pool.removesuffix("++"), window_len
        self.split = window_len // 2 if pool.endswith("++") else 0
        sides = 2 if self.split else 1
        self.project = nn.Linear(feature_dim, PROJECTED_DIM) if feature_dim != PROJECTED_DIM else nn.Identity()
        words = _NUM_WORDS // sides
        self.pools = nn.ModuleList(
            _Reduce(kind) if kind in ("max", "avg") else NetVlad(PROJECTED_DIM, words, residual=kind == "netvlad")
            for _ in range(sides)
        )
        pooled = PROJECTED_DIM * (1 if kind in ("max", "avg") else words) * sides
        self.classify = nn.Linear(pooled, num_outputs)

    def forward(self, rows_BTD: Tensor) -> Tensor:
        """Logits ``(B, C)`` of windows, background first; their sigmoid is the probability."""
        if self.training and isinstance(self.pools[0], NetVlad):
            return self._trained_logits(rows_BTD)
        parts = self._sides(self.project(rows_BTD).to(self.classify.weight.dtype))
        pooled = torch.cat([pool(part) for pool, part in zip(self.pools, parts, strict=True)], dim=1)
        logits_BC: Tensor = self.classify(functional.dropout(pooled, _DROPOUT, self.training))
        return logits_BC

    def _trained_logits(self, rows_BTD: Tensor) -> Tensor:
        """The same for NetVLAD in training mode; the projection computes in the format of autocast."""
        device = rows_BTD.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.classify.weight.dtype
        with torch.autocast(device, enabled=False):
            sides = self._sides(rows_BTD)
            if isinstance(self.project, nn.Linear):
                sides = project_sides(self.project, rows_BTD, [side.shape[1] for side in sides], dtype)
            logits_BC = self.classify.bias.expand(len(rows_BTD), -1)
            weights = self.classify.weight.chunk(len(self.pools), dim=1)
            for pool, part_BTD, weight_CJ in zip(self.pools, sides, weights, strict=True):
                assert isinstance(pool, NetVlad)
                weight_CKD = weight_CJ.unflatten(1, pool.words_DK.shape).transpose(1, 2)
                table = DropoutTable.draw(_DROPOUT, len(rows_BTD), weight_CKD[0].numel(), weight_CKD)
                logits_BC = logits_BC + vlad_logits(part_BTD, pool.words_DK, pool.centres_DK, weight_CKD, table)
        return logits_BC

    def _sides(self, rows_BTD: Tensor) -> tuple[Tensor, ...]:
        """Rows before the middle and from it on, or all."""
        return (rows_BTD[:, : self.split], rows_BTD[:, self.split :]) if self.split else (rows_BTD,)

    def match_scores(self, rows_ND: Tensor) -> Tensor:
        """Probability of each class in every row of a half, ``(N, C - 1)``.

        Row i has the window of rows ``i - W // 2`` to ``i - W // 2 + W - 1``; beyond the ends the last row continues.
        Neighbouring windows share nearly all of their rows. What depends on one row alone is computed once for each
        row (projection, assignment to words, products with the weights of the last layer), and a window adds it up.
        """
        half = self.window_len // 2
        count = len(rows_ND)
        sides, scores = self._vlad_sides(), []
        for first in range(0, count, _BLOCK_ROWS):
            last = min(first + _BLOCK_ROWS, count)
            numbers = torch.arange(first - half, last - half + self.window_len - 1, device=rows_ND.device)
            projected = self.project(rows_ND[numbers.clamp(0, count - 1)])
            scores.append(self._windows(projected, sides, last - first).sigmoid()[:, 1:])
        return torch.cat(scores)

    def _vlad_sides(self) -> list[VladSide | None]:
        """Each pool and its weights for many windows; None for a maximum or a mean."""
        weights = self.classify.weight.chunk(len(self.pools), dim=1)
        return [
            VladSide.of(pool.words_DK, pool.centres_DK, weight, length) if isinstance(pool, NetVlad) else None
            for pool, weight, (_, length) in zip(self.pools, weights, self._spans(), strict=True)
        ]

    def _spans(self) -> list[tuple[int, int]]:
        """First row of a window, and number of rows, that each pool sees."""
        return [(0, self.split), (self.split, self.window_len - self.split)] if self.split else [(0, self.window_len)]

    def _windows(self, projected_MD: Tensor, vlads: list[VladSide | None], count: int) -> Tensor:
        """Logits of ``count`` windows, of which number i begins at row i."""
        logits = self.classify.bias.expand(count, -1)
        weights = self.classify.weight.chunk(len(self.pools), dim=1)
        for pool, vlad, weight, (start, length) in zip(self.pools, vlads, weights, self._spans(), strict=True):
            side_MD = projected_MD[start : count + start + length - 1]
            if vlad is not None:
                side = vlad.logits(side_MD)
            else:
                side = (max_side if pool.kind == "max" else mean_side)(side_MD, length) @ weight.T
            logits = logits + side
        return logits

r"""NetVLAD and the linear layer behind it while training: the pooled values pass through the caches once each way.

A window pools into D * K values, a batch of 256 windows into four million, and every operation on all of them is bound
by memory. So their lengths are found without them, from products of the rows::

    |V_k|^2 = a_k' G a_k - 2 s_k a_k' (X c_k) + s_k^2 |c_k|^2     with G = X X', s_k = sum_t a_tk

which leaves one bilinear step from small coefficients, done for some windows at a time::

    logit = sum_k mask * (sum_t p_tk x_t - q_k c_k) . W_k         p_tk = a_tk / |x_t| / |V_k| / sqrt(K), q_k alike

The gradient of that step is written out here; those of the coefficients are left to autograd.

Shapes: B windows, T rows of a window, D values of a row, K words, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_WINDOWS_AT_A_TIME = 32
_TABLE_WINDOWS = 16
_SHORTEST = 1e-5
"""Least |V_k|^2 in units of s_k^2: below it the difference of products is made of rounding errors."""
_EPSILON = 1e-24


@dataclass(frozen=True, kw_only=True, eq=False)
class DropoutTable:
    """Random zeros for the windows of a batch, which read one table, each from a place of its own.

    Drawing them for every value of every window would take as long as the rest of the step. Those of one window are
    independent of each other, and so are those of one value in all windows.
    """

    table_N: Tensor
    """0, or 1 / (1 - share)."""
    step: int
    """How much later than the one before it a window begins."""

    @classmethod
    def draw(cls, share: float, num_windows: int, size: int, like: Tensor) -> DropoutTable:
        """New numbers from torch's generator.

        Args:
            share: Share of the values that become zero, to a 65,536th.
            num_windows: B.
            size: Values of a window.
            like: Device and number format.
        """
        step = max(1, size * (_TABLE_WINDOWS - 1) // num_windows)
        length = size + step * (num_windows - 1)
        # Four random numbers from each draw of the generator.
        draws = torch.empty(-(-length // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
        below = round(share * 65536)
        is_retained_N = draws.view(torch.int16)[:length] >= below - 32768
        return cls(table_N=is_retained_N.to(like.dtype).mul_(65536 / (65536 - below)), step=step)

    def of_windows(self, start: int, shape: torch.Size) -> Tensor:
        """Factors of the windows from ``start`` on, a view of the table."""
        # size 6, step 2: windows 0 1 2 read [0, 6), [2, 8), [4, 10)
        return self.table_N.as_strided(shape, (self.step, shape[2], 1), start * self.step)


def project_sides(
    linear: torch.nn.Linear, rows_BTD: Tensor, lengths: Sequence[int], dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """A linear layer over rows that need no gradient, and their parts in time, each ``(B, t, J)`` by itself in memory.

    Args:
        linear: The layer; the result has its number format.
        rows_BTD: The rows.
        lengths: T of each part.
        dtype: What the layer computes in.
    """
    sides: tuple[Tensor, ...] = _Projection.apply(rows_BTD, linear.weight, linear.bias, tuple(lengths), dtype)  # type: ignore[no-untyped-call]
    return sides


class _Projection(torch.autograd.Function):
    """``project_sides`` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any, rows_BTD: Tensor, weight_JD: Tensor, bias_J: Tensor, lengths: tuple[int, ...], dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        """One ``(B, t, J)`` for each length."""
        x_ND = rows_BTD.to(dtype).flatten(0, 1)
        ctx.save_for_backward(x_ND)
        y_BTJ = functional.linear(x_ND, weight_JD.to(dtype), bias_J.to(dtype)).unflatten(0, rows_BTD.shape[:2])
        return tuple(side.to(weight_JD.dtype).contiguous() for side in y_BTJ.split(lengths, dim=1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the weights."""
        (x_ND,) = ctx.saved_tensors
        dy_NJ = torch.cat([side.to(x_ND.dtype) for side in gradients], dim=1).flatten(0, 1)
        # Turned in memory: as a view of its columns the product takes twice the time on a CPU.
        dweight_JD = dy_NJ.T.contiguous() @ x_ND
        dbias_J = torch.stack([side.sum((0, 1)) for side in gradients]).sum(0)
        return None, dweight_JD.to(dbias_J.dtype), dbias_J, None, None


def vlad_logits(
    rows_BTD: Tensor, words_DK: Tensor, centres_DK: Tensor | None, weight_CKD: Tensor, table: DropoutTable | None
) -> Tensor:
    """What one NetVLAD adds to the logits of windows, ``(B, C)``, with all gradients.

    Args:
        rows_BTD: Rows, not normalised.
        words_DK: What rows are assigned by.
        centres_DK: What is subtracted; None for NetRVLAD.
        weight_CKD: Weights of the linear layer for this NetVLAD.
        table: Which of its inputs are zero; None for none.
    """
    rows_BTD, weight_CKD = rows_BTD.contiguous(), weight_CKD.contiguous()
    logits_BC: Tensor = _VladLogits.apply(rows_BTD, words_DK, centres_DK, weight_CKD, table)  # type: ignore[no-untyped-call]
    return logits_BC


class _VladLogits(torch.autograd.Function):
    """``vlad_logits`` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        rows_BTD: Tensor,
        words_DK: Tensor,
        centres_DK: Tensor | None,
        weight_CKD: Tensor,
        table: DropoutTable | None,
    ) -> Tensor:
        """Logits ``(B, C)``."""
        lookup_DJ = words_DK if centres_DK is None else torch.cat((words_DK, centres_DK), dim=1)
        products = [torch.bmm(rows_BTD, rows_BTD.transpose(1, 2)), rows_BTD @ lookup_DJ]
        if centres_DK is not None:
            products.append(centres_DK.square().sum(0))
        with torch.enable_grad():
            products = [product.detach().requires_grad_() for product in products]
            coefficients = _coefficients(*products)
        p_BKT, q_BK = coefficients[0].detach().transpose(1, 2).contiguous(), coefficients[1].detach()
        centres_KD = None if centres_DK is None else centres_DK.T.contiguous()
        weight_JC = weight_CKD.flatten(1).T
        pooled_BKD = rows_BTD.new_empty(len(rows_BTD), *weight_CKD.shape[1:])
        logits_BC = rows_BTD.new_empty(len(rows_BTD), len(weight_CKD))
        for some in _parts(rows_BTD):
            part_BKD = torch.bmm(p_BKT[some], rows_BTD[some], out=pooled_BKD[some])
            if centres_KD is not None:
                part_BKD.addcmul_(q_BK[some, :, None], centres_KD, value=-1)
            if table is not None:
                part_BKD.mul_(table.of_windows(some.start, part_BKD.shape))
            torch.mm(part_BKD.flatten(1), weight_JC, out=logits_BC[some])
        ctx.save_for_backward(rows_BTD, lookup_DJ, centres_KD, weight_CKD, pooled_BKD, p_BKT, q_BK)
        ctx.products, ctx.coefficients, ctx.table = products, coefficients, table
        return logits_BC

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of rows, words, centres and weights."""
        dlogits_BC = gradients[0].contiguous()
        rows_BTD, lookup_DJ, centres_KD, weight_CKD, pooled_BKD, p_BKT, q_BK = ctx.saved_tensors
        dweight_CKD = (dlogits_BC.T @ pooled_BKD.flatten(1)).view_as(weight_CKD)
        wants_rows = ctx.needs_input_grad[0]
        drows_BTD = torch.empty_like(rows_BTD) if wants_rows else None
        dp_BTK, dq_BK = torch.empty_like(p_BKT.transpose(1, 2)), torch.zeros_like(q_BK)
        dcentres_KD = None if centres_KD is None else torch.zeros_like(centres_KD)
        for some in _parts(rows_BTD):
            # Gradient of the pooled values of some windows
            part_BKD = (dlogits_BC[some] @ weight_CKD.flatten(1)).view_as(pooled_BKD[some])
            if ctx.table is not None:
                part_BKD.mul_(ctx.table.of_windows(some.start, part_BKD.shape))
            dp_BTK[some] = torch.bmm(rows_BTD[some], part_BKD.transpose(1, 2))
            if drows_BTD is not None:
                torch.bmm(p_BKT[some].transpose(1, 2), part_BKD, out=drows_BTD[some])
            if centres_KD is not None and dcentres_KD is not None:
                part_KBD = part_BKD.transpose(0, 1)
                dq_BK[some] = -torch.bmm(part_KBD, centres_KD[:, :, None])[..., 0].T
                dcentres_KD -= torch.bmm(q_BK[some].T[:, None], part_KBD)[:, 0]
        dgram_BTT, ddots_BTJ, *dsquares = torch.autograd.grad(ctx.coefficients, ctx.products, (dp_BTK, dq_BK))
        if drows_BTD is not None:
            drows_BTD.baddbmm_(dgram_BTT + dgram_BTT.transpose(1, 2), rows_BTD)
            drows_BTD.view(-1, rows_BTD.shape[-1]).addmm_(ddots_BTJ.flatten(0, 1), lookup_DJ.T)
        dlookup_JD = ddots_BTJ.flatten(0, 1).T.contiguous() @ rows_BTD.flatten(0, 1)
        num_words = len(p_BKT[0])
        dwords_DK, dcentres_DK = dlookup_JD[:num_words].T, None
        if centres_KD is not None and dcentres_KD is not None:
            dcentres_KD += dlookup_JD[num_words:] + 2 * dsquares[0][:, None] * centres_KD
            dcentres_DK = dcentres_KD.T
        return drows_BTD, dwords_DK, dcentres_DK, dweight_CKD, None


def _parts(rows_BTD: Tensor) -> list[slice]:
    """The windows, some at a time on a CPU so that what they pool into stays in its caches."""
    count = len(rows_BTD)
    length = _WINDOWS_AT_A_TIME if rows_BTD.device.type == "cpu" else count
    return [slice(start, min(start + length, count)) for start in range(0, count, length)]


def _coefficients(gram_BTT: Tensor, dots_BTJ: Tensor, squares_K: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The coefficients of all windows: p ``(B, T, K)`` and q ``(B, K)``.

    Args:
        gram_BTT: Products of the rows with each other.
        dots_BTJ: Their products with the words, and behind these with the centres.
        squares_K: |c_k|^2; None for NetRVLAD.
    """
    num_words = dots_BTJ.shape[-1] // (1 if squares_K is None else 2)
    inverse_BT1 = gram_BTT.diagonal(dim1=1, dim2=2).clamp_min(_EPSILON).rsqrt()[..., None]
    share_BTK = (dots_BTJ[..., :num_words] * inverse_BT1).softmax(-1)
    total_BK = share_BTK.sum(1)
    of_row_BTK = share_BTK * inverse_BT1
    squared_BK = (of_row_BTK * (gram_BTT @ of_row_BTK)).sum(1)
    if squares_K is not None:
        along_BK = (of_row_BTK * dots_BTJ[..., num_words:]).sum(1)
        squared_BK = squared_BK - 2 * total_BK * along_BK + total_BK**2 * squares_K
    least_BK = _SHORTEST * total_BK.detach() ** 2 + _EPSILON
    # K words of unit length are sqrt(K) long together: one division does for both.
    scale_BK = torch.maximum(squared_BK, least_BK).rsqrt() / num_words**0.5
    return of_row_BTK * scale_BK[:, None], total_BK * scale_BK

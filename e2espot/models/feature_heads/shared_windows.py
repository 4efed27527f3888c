r"""Poolings of all windows of a half at once: what neighbouring windows share is computed once.

NetVLAD of a window and the linear layer behind it, for row t with shares ``a_tk`` in words k and unit vector ``u_t``::

    V_k = sum_t a_tk u_t - s_k c_k                    with s_k = sum_t a_tk
    logit = sum_k V_k . W_k / |V_k| / sqrt(K)

The sums over t are wanted, and never V itself: both factors come from numbers of one row or of two rows of a window::

    V_k . W_k = sum_t a_tk (u_t . W_k) - s_k (c_k . W_k)
    |V_k|^2   = sum_tt' a_tk a_t'k (u_t . u_t') - 2 s_k sum_t a_tk (u_t . c_k) + s_k^2 |c_k|^2

and sums over windows are differences of running sums, in double precision since these grow with the half. A row then
costs K * C products of length D in place of a whole window's, some twenty times less work.

Shapes: M rows, N = M - L + 1 windows of L rows, D values, K words, C outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_EPSILON = 1e-12
"""Shortest length that vectors are divided by, as ``functional.normalize`` has it."""


def vlad_side(rows_MD: Tensor, words_DK: Tensor, centres_DK: Tensor | None, weight_CJ: Tensor, length: int) -> Tensor:
    """What one NetVLAD adds to the logits of every window, ``(N, C)``.

    Args:
        rows_MD: Rows, not normalised.
        words_DK: What rows are assigned by.
        centres_DK: What is subtracted; None for NetRVLAD.
        weight_CJ: Weights of the linear layer for this NetVLAD, J = D * K with D outermost.
        length: L.
    """
    dim, num_words = words_DK.shape
    unit_MD = functional.normalize(rows_MD, dim=-1)
    share_MK = (unit_MD @ words_DK).softmax(-1)
    weight_DKC = weight_CJ.unflatten(1, (dim, num_words)).permute(1, 2, 0)
    # (M, K, C): what a row adds to V_k . W_kc
    products_MKC = (unit_MD @ weight_DKC.reshape(dim, -1)).unflatten(1, (num_words, -1))
    along_NKC = window_sums(share_MK[..., None] * products_MKC, length)
    squared_NK = _squared_lengths(unit_MD, share_MK, length)
    if centres_DK is not None:
        total_NK = window_sums(share_MK, length)
        towards_NK = window_sums(share_MK * (unit_MD @ centres_DK), length)
        centre_KC = torch.einsum("dk,dkc->kc", centres_DK.double(), weight_DKC.double())
        along_NKC = along_NKC - total_NK[..., None] * centre_KC
        squared_NK = squared_NK - 2 * total_NK * towards_NK + total_NK**2 * centres_DK.double().square().sum(0)
    length_NK = squared_NK.clamp_min(0).sqrt()
    divisor_NK = length_NK.clamp_min(_EPSILON)
    whole_N1 = (length_NK / divisor_NK).square().sum(1, keepdim=True).sqrt().clamp_min(_EPSILON)
    return ((along_NKC / divisor_NK[..., None]).sum(1) / whole_N1).to(rows_MD.dtype)


def _squared_lengths(unit_MD: Tensor, share_MK: Tensor, length: int) -> Tensor:
    """``|sum_t a_tk u_t|^2`` of every window, ``(N, K)`` in double precision."""
    num_windows = len(unit_MD) - length + 1
    cosine_MM = unit_MD @ unit_MD.T  # of all pairs, a fraction of what those of a window cost one by one
    squared_NK = window_sums(share_MK**2 * cosine_MM.diagonal()[:, None], length)
    for lag in range(1, length):
        # Pairs (t, t + lag) within a window: t runs over its first length - lag rows, and each pair counts twice.
        cosine_P1 = cosine_MM.diagonal(lag)[:, None]
        pairs_PK = share_MK[:-lag] * share_MK[lag:] * cosine_P1
        squared_NK += 2 * window_sums(pairs_PK, length - lag)[:num_windows]
    return squared_NK


def window_sums(values_M: Tensor, length: int) -> Tensor:
    """Sums over ``length`` consecutive rows, for every start, in double precision."""
    # running sums 0 1 3 6 10 of 1 2 3 4, length 2 -> 3-0 6-1 10-3
    running = values_M.double().cumsum(0)
    running = torch.cat((torch.zeros_like(running[:1]), running))
    return running[length:] - running[:-length]


def mean_side(rows_MD: Tensor, length: int) -> Tensor:
    """Mean over every window, ``(N, D)``."""
    return (window_sums(rows_MD, length) / length).to(rows_MD.dtype)


def max_side(rows_MD: Tensor, length: int) -> Tensor:
    """Maximum over every window, ``(N, D)``."""
    # Lengths that are covered double: 1, 2, 4, ... up to length.
    covering, covered = rows_MD, 1
    while covered < length:
        step = min(covered, length - covered)
        covering, covered = torch.maximum(covering[:-step], covering[step:]), covered + step
    return covering

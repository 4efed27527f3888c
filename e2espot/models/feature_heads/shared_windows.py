r"""Poolings of all windows of a half at once: what neighbouring windows share is computed once.

NetVLAD of a window and the linear layer behind it, for row t with shares ``a_tk`` in words k and unit vector ``u_t``::

    V_k = sum_t a_tk u_t - s_k c_k                    with s_k = sum_t a_tk
    logit = sum_k V_k . W_k / |V_k| / sqrt(K)

The sums over t are wanted, and never V itself: both factors come from numbers of one row or of two rows of a window::

    V_k . W_k = sum_t a_tk (u_t . W_k) - s_k (c_k . W_k)
    |V_k|^2   = sum_tt' a_tk a_t'k (u_t . u_t') - 2 s_k sum_t a_tk (u_t . c_k) + s_k^2 |c_k|^2

A row then costs K * C products of length D in place of a whole window's, some twenty times less work. What belongs to
a window is a view of the numbers of its rows, and one small product of matrices for each window sums them up.

Shapes: M rows, N = M - L + 1 windows of L rows, D values, K words, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_EPSILON = 1e-12
"""Shortest length that vectors are divided by, as ``functional.normalize`` has it."""
_WINDOWS_AT_A_TIME = 128
"""What their rows add to the outputs stays in a core's cache, and few cosines of rows too far apart are computed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VladSide:
    """One NetVLAD and its share of the linear layer, ready for many windows."""

    words_DK: Tensor
    """What rows are assigned by."""
    centres_DK: Tensor | None
    """What is subtracted; None for NetRVLAD."""
    weight_DKC: Tensor
    """Weights of the linear layer, side by side in memory for one product with all of them."""
    length: int
    """L."""

    @classmethod
    def of(cls, words_DK: Tensor, centres_DK: Tensor | None, weight_CJ: Tensor, length: int) -> VladSide:
        """From the weights of the linear layer for this NetVLAD, J = D * K with D outermost."""
        weight_DKC = weight_CJ.unflatten(1, words_DK.shape).permute(1, 2, 0).contiguous()
        return cls(words_DK=words_DK, centres_DK=centres_DK, weight_DKC=weight_DKC, length=length)

    def logits(self, rows_MD: Tensor) -> Tensor:
        """What it adds to the logits of every window, ``(N, C)``.

        Args:
            rows_MD: Rows, not normalised.
        """
        count = len(rows_MD) - self.length + 1
        centre_KC = None
        if self.centres_DK is not None:
            centre_KC = torch.bmm(self.centres_DK.T[:, None], self.weight_DKC.transpose(0, 1))[:, 0]
        return torch.cat(
            [
                self._logits(rows_MD[start : min(start + _WINDOWS_AT_A_TIME, count) + self.length - 1], centre_KC)
                for start in range(0, count, _WINDOWS_AT_A_TIME)
            ]
        )

    def _logits(self, rows_MD: Tensor, centre_KC: Tensor | None) -> Tensor:
        """The same for some windows."""
        dim, num_words, num_outputs = self.weight_DKC.shape
        unit_MD = functional.normalize(rows_MD, dim=-1)
        share_NLK = _windows((unit_MD @ self.words_DK).softmax(-1), self.length)
        # What row t adds to |V_k|^2, without a_tk
        towards_NLK = torch.bmm(_squares(unit_MD @ unit_MD.T, self.length), share_NLK)
        total_N1K = share_NLK.sum(1, keepdim=True)
        if self.centres_DK is not None:
            along_NLK = _windows(unit_MD @ self.centres_DK, self.length)
            squares_K = self.centres_DK.square().sum(0)
            towards_NLK += total_N1K * (squares_K - 2 * along_NLK)
        length_N1K = (share_NLK * towards_NLK).sum(1, keepdim=True).clamp_min(0).sqrt()
        divisor_N1K = length_N1K.clamp_min(_EPSILON)
        # J = K * C: what a row adds to V_k . W_kc; then J = L * K: that of all rows of a window
        products_MJ = unit_MD @ self.weight_DKC.view(dim, -1)
        products_NJC = _windows(products_MJ, self.length).view(-1, self.length * num_words, num_outputs)
        logits_NC = torch.bmm((share_NLK / divisor_N1K).flatten(1)[:, None], products_NJC)[:, 0]
        if centre_KC is not None:
            logits_NC -= (total_N1K / divisor_N1K)[:, 0] @ centre_KC
        whole_N1 = (length_N1K / divisor_N1K).square().sum(2).sqrt()
        return logits_NC / whole_N1.clamp_min(_EPSILON)


def _windows(rows_MJ: Tensor, length: int) -> Tensor:
    """``(N, L, J)``, a view: row n + t is row t of window n."""
    width = rows_MJ.shape[1]
    return rows_MJ.as_strided((len(rows_MJ) - length + 1, length, width), (width, width, 1))


def _squares(gram_MM: Tensor, length: int) -> Tensor:
    """``(N, L, L)``, a view: the squares of L along the diagonal."""
    count = len(gram_MM)
    return gram_MM.as_strided((count - length + 1, length, length), (count + 1, count, 1))


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

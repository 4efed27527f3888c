"""Moments of maps, and norms with what is added behind them and their ReLU, as ``norms.cpp`` computes them.

Shapes: N frames, C channels, H height, W width.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from e2espot.models.kernels.native import in_threads, kernel, pointer

_CPU = torch.device("cpu")


def has_kernels() -> bool:
    """Whether there are kernels here for batch norms."""
    return kernel("norm_moments", _CPU, torch.float32) is not None


def takes(x_NCHW: Tensor) -> bool:
    """Whether the kernels, if there are any, are for these maps."""
    return x_NCHW.device.type == "cpu" and x_NCHW.dtype == torch.float32 and x_NCHW.shape[1] % 4 == 0


def moments(x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Means and sums of squared differences from them, ``(C,)`` in double precision.

    Args:
        x_NCHW: In channels-last memory.
    """
    function = kernel("norm_moments", _CPU, torch.float32)
    parts: dict[int, tuple[int, Tensor]] = {}

    def sum_up(first: int, size: tuple[ctypes.c_long, int]) -> None:
        moments_2C = torch.empty(2, size[1], dtype=torch.float64)
        parts[first] = size[0].value, moments_2C
        function(pointer(x_NCHW, first), *size, pointer(moments_2C))

    for_frames(x_NCHW, sum_up)
    counts, moments = zip(*(parts[first] for first in sorted(parts)), strict=True)
    if len(moments) == 1:
        return moments[0][0], moments[0][1]
    count_P1, moments_P2C = torch.tensor(counts, dtype=torch.float64)[:, None], torch.stack(moments)
    mean_C = (count_P1 * moments_P2C[:, 0]).sum(0) / count_P1.sum()
    return mean_C, (moments_P2C[:, 1] + count_P1 * (moments_P2C[:, 0] - mean_C) ** 2).sum(0)


def apply_norm(
    x_NCHW: Tensor,
    constants_C: tuple[Tensor, Tensor, Tensor],
    added_NCHW: Tensor | None,
    out_NCHW: Tensor,
    *,
    relu: bool,
) -> None:
    """``(x - mean) * scale + shift + added``, and ReLU behind it.

    Args:
        x_NCHW: In channels-last memory, as are the others.
        constants_C: Scale, shift and mean, fp32.
        added_NCHW: None for nothing.
        out_NCHW: Where the result goes; may be ``x``.
        relu: Whether negative numbers become zero.
    """
    layer = [pointer(tensor) for tensor in constants_C]
    function = kernel("norm_apply", _CPU, torch.float32)

    def apply(first: int, size: tuple[ctypes.c_long, int]) -> None:
        added = None if added_NCHW is None else pointer(added_NCHW, first)
        function(pointer(x_NCHW, first), *size, *layer, int(relu), added, pointer(out_NCHW, first))

    for_frames(x_NCHW, apply)


def norm_constants(
    mean_C: Tensor, inverse_C: Tensor, weight_C: Tensor | float, bias_C: Tensor | float
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale, shift and mean in fp32 for :func:`apply_norm`, from mean and 1 / deviation in double precision."""
    scale_C, rounded_C = weight_C * inverse_C, mean_C.float()
    # (x - mean) * scale + shift, where shift also makes up for what rounding takes from the mean.
    return scale_C.float(), (bias_C - (mean_C - rounded_C) * scale_C).float(), rounded_C


def for_frames(x_NCHW: Tensor, work: Callable[[int, tuple[ctypes.c_long, int]], None]) -> None:
    """Call ``work`` in threads with the first of some frames, and their number of pixels and channels."""
    count, channels, height, width = x_NCHW.shape
    in_threads(lambda first, last: work(first, (ctypes.c_long((last - first) * height * width), channels)), count)

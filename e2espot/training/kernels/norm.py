"""Batch norms in training with what is added behind them and their ReLU, in one operation each way.

``norms.cpp`` reads and writes memory half as often as torch's operations, which it waits for most of the time. The
norm's input is all that is stored for the gradient, and its output where something was added.

Shapes: N frames, C channels, H height, W width.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.kernels.native import kernel, pointer
from e2espot.models.kernels.norms import apply_norm, for_frames, moments, norm_constants, takes

_CPU = torch.device("cpu")


class FusedNorm2d(nn.BatchNorm2d):
    """A batch norm that the kernels compute in training, in fp32 on a CPU; anything else is left to torch."""

    relu = False
    """Whether a ReLU follows, which this layer then computes."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """``norm(x)``, or ``relu(norm(x))``."""
        if _is_for_kernels(self, x_NCHW):
            return _normalise(self, x_NCHW, None, relu=self.relu)
        out_NCHW = super().forward(x_NCHW)
        return functional.relu(out_NCHW) if self.relu else out_NCHW

    def add_to(self, x_NCHW: Tensor, other_NCHW: Tensor) -> Tensor:
        """``relu(norm(x) + other)``."""
        if _is_for_kernels(self, x_NCHW) and other_NCHW.dtype == torch.float32:
            return _normalise(self, x_NCHW, other_NCHW, relu=True)
        return functional.relu(super().forward(x_NCHW) + other_NCHW)


def _is_for_kernels(norm: nn.BatchNorm2d, x_NCHW: Tensor) -> bool:
    return (
        norm.training
        and norm.momentum is not None
        and norm.running_mean is not None
        and norm.weight is not None
        and norm.weight.dtype == torch.float32
        and takes(x_NCHW)
        and x_NCHW.numel() > x_NCHW.shape[1]  # torch refuses to normalise one value
    )


def _normalise(norm: nn.BatchNorm2d, x_NCHW: Tensor, added_NCHW: Tensor | None, *, relu: bool) -> Tensor:
    x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
    if added_NCHW is not None:
        added_NCHW = added_NCHW.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        count = x_NCHW.numel() // x_NCHW.shape[1]
        mean_C, squares_C = moments(x_NCHW)
        assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
        norm.running_mean.lerp_(mean_C.float(), norm.momentum)
        norm.running_var.lerp_((squares_C / (count - 1)).float(), norm.momentum)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        inverse_C = (squares_C / count + norm.eps).rsqrt()
    out_NCHW: Tensor = _Norm.apply(x_NCHW, norm.weight, norm.bias, added_NCHW, mean_C, inverse_C, relu)  # type: ignore[no-untyped-call]
    return out_NCHW


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_NCHW: Tensor,
        weight_C: Tensor,
        bias_C: Tensor,
        added_NCHW: Tensor | None,
        mean_C: Tensor,
        inverse_C: Tensor,
        relu: bool,
    ) -> Tensor:
        constants = norm_constants(mean_C, inverse_C, weight_C, bias_C)
        lost_C, out_NCHW = mean_C - constants[2], torch.empty_like(x_NCHW)
        apply_norm(x_NCHW, constants, added_NCHW, out_NCHW, relu=relu)
        ctx.relu, ctx.adds = relu, added_NCHW is not None
        stored = out_NCHW if relu and ctx.adds else None
        ctx.save_for_backward(x_NCHW, inverse_C, lost_C, *constants, stored)
        return out_NCHW

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_NCHW, inverse_C, lost_C, scale_C, shift_C, mean_C, out_NCHW = ctx.saved_tensors
        grad_NCHW = grads[0].contiguous(memory_format=torch.channels_last)
        constants = [pointer(tensor) for tensor in (scale_C, shift_C, mean_C)]
        # What was added has the gradient in front of the ReLU, which the second pass then reads.
        gated_NCHW = torch.empty_like(x_NCHW) if out_NCHW is not None else None
        sum_C, product_C = _sums(x_NCHW, constants, ctx.relu, out_NCHW, grad_NCHW, gated_NCHW)
        count = x_NCHW.numel() // x_NCHW.shape[1]
        product_C = product_C - sum_C * lost_C
        slope_C = -scale_C * inverse_C**2 * product_C / count
        second_2C = torch.stack((slope_C, -scale_C * sum_C / count - lost_C * slope_C)).float()
        of_x = torch.empty_like(x_NCHW)
        gradient, relu = (grad_NCHW, ctx.relu) if gated_NCHW is None else (gated_NCHW, False)
        function = kernel("norm_gradient", _CPU, torch.float32)

        def differentiate(first: int, size: tuple[ctypes.c_long, int]) -> None:
            given = pointer(x_NCHW, first), *size, *constants, int(relu), pointer(gradient, first)
            function(*given, pointer(second_2C), pointer(second_2C, 1), pointer(of_x, first))

        for_frames(x_NCHW, differentiate)
        of_added = gradient if ctx.adds else None
        return of_x, (product_C * inverse_C).float(), sum_C.float(), of_added, None, None, None


def _sums(
    x_NCHW: Tensor,
    constants: list[ctypes.c_void_p],
    relu: bool,
    out_NCHW: Tensor | None,
    grad_NCHW: Tensor,
    gated_NCHW: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Sums of the gradient in front of the ReLU, and of its products with x - mean; ``gated`` gets that gradient."""
    function = kernel("norm_reduce", _CPU, torch.float32)
    parts: dict[int, Tensor] = {}

    def reduce(first: int, size: tuple[ctypes.c_long, int]) -> None:
        parts[first] = torch.empty(2, size[1], dtype=torch.float64)
        out, gated = (None if tensor is None else pointer(tensor, first) for tensor in (out_NCHW, gated_NCHW))
        given = pointer(x_NCHW, first), *size, *constants, int(relu), out, pointer(grad_NCHW, first)
        function(*given, gated, pointer(parts[first]))

    for_frames(x_NCHW, reduce)
    sums_2C = torch.stack([parts[first] for first in sorted(parts)]).sum(0)
    return sums_2C[0], sums_2C[1]

"""Convolutions with a stride, which ``conv_weights.cpp`` gives the gradient of their weights; the rest is torch's.

The library needs twice the time where frames have few channels, as it takes eight or sixteen at a time. Forward the
two are equally fast.

Shapes: N frames, C channels, H height, W width, I inputs, O outputs, k rows and columns
of a kernel, G groups of g outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from e2espot.models.kernels.native import in_threads, kernel, pointer

_CPU = torch.device("cpu")
_WIDEST = 48
"""Most inputs with which the kernel is the faster one."""


class StridedConv2d(nn.Conv2d):
    """A convolution whose weights' gradient is the kernel's in training, in fp32 on a CPU; the rest is torch's."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """``conv(x)``, in channels-last memory."""
        whole = x_NCHW.device.type == "cpu" and x_NCHW.dtype == self.weight.dtype == torch.float32
        if not (whole and self.training) or torch.is_autocast_enabled("cpu"):
            return super().forward(x_NCHW)
        out_NCHW: Tensor = _Convolution.apply(x_NCHW, self.weight, self.stride[0])  # type: ignore[no-untyped-call]
        return out_NCHW if self.bias is None else out_NCHW + self.bias[:, None, None]


def convert_strided(network: nn.Module) -> None:
    """Convert in place the convolutions for which there is a kernel; names and shapes of weights stay as they are."""
    if kernel("conv_weights", _CPU, torch.float32) is None:
        return
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _takes(layer):
            layer.__class__ = StridedConv2d


def _takes(conv: nn.Conv2d) -> bool:
    """Whether the kernel is for a convolution; for none on CPUs with other vectors, as it was not measured there."""
    size, step = conv.kernel_size[0], conv.stride[0]
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    if size % 2 == 0 or shape != ((size, size), (step, step), (size // 2, size // 2), (1, 1), 1, "zeros"):
        return False
    if size < 3 or step < 2 or conv.in_channels > _WIDEST or not _vectors(conv.out_channels):
        return False
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, weight_OIkk: Tensor, stride: int) -> Tensor:
        x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x_NCHW, weight_OIkk)
        ctx.stride = stride
        return torch.conv2d(x_NCHW, weight_OIkk, None, stride, weight_OIkk.shape[2] // 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_NCHW, weight_OIkk = ctx.saved_tensors
        grad_NCHW = grads[0].contiguous(memory_format=torch.channels_last)
        of_x = of_weight = None
        size = weight_OIkk.shape[2]
        if ctx.needs_input_grad[0]:
            layer: Any = ([ctx.stride] * 2, [size // 2] * 2, [1, 1], False, [0, 0], 1)
            backward = torch.ops.aten.convolution_backward
            of_x = backward(grad_NCHW, x_NCHW, weight_OIkk, None, *layer, [True, False, False])[0]
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x_NCHW, grad_NCHW, size, ctx.stride).to(memory_format=torch.channels_last)
        return of_x, of_weight, None


def _vectors(outputs: int) -> int:
    """Vectors of eight outputs whose sums are formed at a time; 0 if the kernel cannot compute so many outputs."""
    return next((vectors for vectors in (3, 4, 2) if outputs % (8 * vectors) == 0), 0)


def _weight_gradient(x_NCHW: Tensor, grad_NCHW: Tensor, size: int, stride: int) -> Tensor:
    """``(O, I, k, k)``; the sums of several threads are added in the order of their frames."""
    function = kernel("conv_weights", _CPU, torch.float32)
    (count, inputs, height, width), outputs = x_NCHW.shape, grad_NCHW.shape[1]
    vectors = _vectors(outputs)
    layer = (height, width, inputs, outputs, size, stride, vectors)
    parts: dict[int, Tensor] = {}

    def differentiate(first: int, last: int) -> None:
        parts[first] = torch.zeros(outputs // (8 * vectors), size, size, inputs, 8 * vectors)
        given = pointer(x_NCHW, first), last - first, *layer, pointer(grad_NCHW, first)
        function(*given, pointer(parts[first]))

    in_threads(differentiate, count)
    sums_GkkIg = torch.stack([parts[first] for first in sorted(parts)]).sum(0) if len(parts) > 1 else parts[0]
    return sums_GkkIg.permute(0, 4, 3, 1, 2).flatten(0, 1)

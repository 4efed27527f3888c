"""3x3 convolutions with a quarter of the products, on CPUs where these take the time.

``winograd.cpp`` computes four by four outputs at once. That rounds a little more than the sum of products does: by some
1e-5 of the largest output in fp32, where a direct convolution is off by 2e-6.

Shapes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from e2espot.models.kernels.native import SharedByCopies, constant, in_threads, kernel, pointer

FILTER = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
"""A row of the kernel, three weights, as six points."""
_WIDEST = 128
"""Most channels: the weights of 36 points for more do not fit into a cache, and the library is as fast."""


def takes(conv: nn.Conv2d, *, transposed: bool = False) -> bool:
    """Whether the kernel is for a convolution, or for the ``transposed`` one, whose inputs are its outputs.

    On CPUs with other vectors it is for none, as it was not measured there.
    """
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    if shape != ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros"):
        return False
    inputs, outputs = (conv.in_channels, conv.out_channels)[:: -1 if transposed else 1]
    if min(inputs, outputs) < 32 or max(inputs, outputs) > _WIDEST or inputs % 8 or outputs % 16:
        return False
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


class NativeWinograd(SharedByCopies):
    """``conv(x)`` or ``conv(x) + other``, and ReLU behind it, for 3x3 convolutions with stride 1."""

    def __init__(self, conv: nn.Conv2d, function: Any, *, relu: bool) -> None:
        self._function, self._relu, self._channels = function, int(relu), conv.out_channels
        points_63 = torch.tensor(FILTER, dtype=torch.float64)
        weight_OI33 = conv.weight.detach().double()
        points_66IO = torch.einsum("ak,oikl,bl->abio", points_63, weight_OI33, points_63)
        # (36, outputs / 16, inputs, 16)
        self._weight = constant(points_66IO.flatten(0, 1).unflatten(2, (-1, 16)).transpose(1, 2))
        self._bias = constant(conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels))

    @classmethod
    def build(cls, conv: nn.Conv2d, act: str, dtype: torch.dtype) -> NativeWinograd | None:
        """The layer; None without a kernel for it."""
        if not takes(conv) or act not in ("none", "relu"):
            return None
        function = kernel("winograd", conv.weight.device, dtype)
        return None if function is None else cls(conv, function, relu=act == "relu")

    def __call__(self, x_TCHW: Tensor, other_TCHW: Tensor | None = None) -> Tensor:
        """The result in new channels-last memory, or in that of ``other``, to which it is added before the ReLU."""
        x_TCHW = x_TCHW.contiguous(memory_format=torch.channels_last)
        count, inputs, height, width = x_TCHW.shape
        shape = (count, self._channels, height, width)
        if other_TCHW is not None and other_TCHW.is_contiguous(memory_format=torch.channels_last):
            out = other_TCHW
        else:
            out = torch.empty(shape, memory_format=torch.channels_last)
            if other_TCHW is not None:
                out.copy_(other_TCHW)
        layer = (height, width, inputs, self._channels, self._relu, pointer(self._weight), pointer(self._bias))

        def convolve(first: int, last: int) -> None:
            target = pointer(out, first)
            added = None if other_TCHW is None else target
            self._function(pointer(x_TCHW, first), last - first, *layer, added, target)

        in_threads(convolve, count)
        return out if other_TCHW is None or out is other_TCHW else other_TCHW.copy_(out)

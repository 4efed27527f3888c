"""A convolution with its bias, addition and activation in one pass over memory, where the CPU's library can do that.

At inference half of a backbone's convolutions are bound by memory: every ReLU or addition behind one reads and
writes the same activations again. oneDNN, which comes with torch for CPUs, does both while the results are still in
registers. On other devices plain operations give the same results.

Shapes: N frames, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.kernels.native import SharedByCopies
from e2espot.models.streaming.winograd import NativeWinograd

Act = Literal["none", "relu", "relu6", "tanh"]


class FusedConv(SharedByCopies):
    """``act(conv(x))`` or ``act(conv(x) + other)`` for inference, with the weights packed beforehand.

    Args:
        conv: With batch norms already folded in, on the device of the input.
        act: Activation behind it.
        dtype: Dtype of the input; None for that of the convolution.
        fused: False for plain operations, True for fused ones; None for fused ones if they are available.
        native: Whether a compiled kernel may compute it.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        act: Act = "none",
        dtype: torch.dtype | None = None,
        *,
        fused: bool | None = None,
        native: bool = True,
    ) -> None:
        dtype = dtype or conv.weight.dtype
        self._weight = conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self._bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self._padding, self._stride, self._dilation = ([*pair] for pair in (conv.padding, conv.stride, conv.dilation))
        self._groups, self._act = conv.groups, act
        self._fused = can_fuse(self._weight) if fused is None else fused
        self._packed: dict[torch.Size, Tensor] = {}
        self._winograd = NativeWinograd.build(conv, act, dtype) if self._fused and native else None

    @property
    def is_native(self) -> bool:
        """Whether a compiled kernel computes it."""
        return self._winograd is not None

    def __call__(self, x_NCHW: Tensor) -> Tensor:
        """``act(conv(x))`` in new channels-last memory."""
        if self._winograd is not None:
            return self._winograd(x_NCHW)
        if not self._fused:
            return self._activate_(self._convolve(x_NCHW))
        act, limits = ("hardtanh", [0.0, 6.0]) if self._act == "relu6" else (self._act, [])
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(x_NCHW, *self._fused_args(x_NCHW), act, limits, "")
        return out

    def add_to(self, other_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
        """Overwrite ``other`` with ``act(conv(x) + other)`` and return it; not for tanh or relu6."""
        if self._winograd is not None:
            return self._winograd(x_NCHW, other_NCHW)
        if not self._fused:
            other_NCHW += self._convolve(x_NCHW)
            return self._activate_(other_NCHW)
        act = None if self._act == "none" else self._act
        out: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            other_NCHW, x_NCHW, *self._fused_args(x_NCHW), "add", 1.0, act, [], None
        )
        return out

    def _fused_args(self, x_NCHW: Tensor) -> tuple[Any, ...]:
        shape = x_NCHW.shape
        if shape not in self._packed:
            # The library chooses the layout of the weights by the shape of the input. A match has two or three
            # shapes: full chunks, a shorter last one, and the padding at its ends.
            self._packed[shape] = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, self._padding, self._stride, self._dilation, self._groups, list(shape)
            )
        return self._packed[shape], self._bias, self._padding, self._stride, self._dilation, self._groups

    def _convolve(self, x_NCHW: Tensor) -> Tensor:
        return functional.conv2d(
            x_NCHW, self._weight, self._bias, self._stride, self._padding, self._dilation, self._groups
        )

    def _activate_(self, out: Tensor) -> Tensor:
        if self._act == "relu":
            return out.relu_()
        if self._act == "relu6":
            return functional.hardtanh(out, 0.0, 6.0, inplace=True)
        return out.tanh_() if self._act == "tanh" else out


def activation_of(module: nn.Module) -> Act:
    """Activation inside what follows a convolution."""
    return "relu" if any(isinstance(part, nn.ReLU) for part in module.modules()) else "none"


def can_fuse(weight: Tensor) -> bool:
    """Whether this torch has the fused operations for weights of this device and dtype."""
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return False
    names = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return False
    # The operations are private to torch and not built for every CPU and dtype, so try them once.
    try:
        probe = FusedConv(nn.Conv2d(1, 1, 1).to(weight.dtype), "relu", fused=True)
        x = torch.ones(1, 1, 2, 2, dtype=weight.dtype)
        with torch.inference_mode():
            probe.add_to(probe(x), x)
    except (RuntimeError, NotImplementedError):
        return False
    return True

"""Inverted residuals in one pass over memory, on CPUs where the library of convolutions takes three.

What they widen has six times the channels of their input. ``inverted_residual.cpp`` keeps it in the cache: some rows of
the frame at a time, or some channels where a frame has few pixels and the layer many weights.

Shapes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from e2espot.models.backbones.lite_stages import LiteBlock
from e2espot.models.kernels.native import SharedByCopies, constant, in_threads, kernel, pointer

_PANEL = 16
"""Wide channels that the kernel computes at a time."""
_CHUNK = 48
"""Wide channels of a chunk, where not all are computed at a time."""
_CHUNK_BYTES = 160 * 1024
"""Largest frame, as wide as a chunk, that is computed at once."""
_BAND_PIXELS = 64
"""Fewest pixels of the output that are computed at a time."""


class _Layer(ctypes.Structure):
    """``InvertedResidual`` of the kernel."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("height", "width", "inputs", "wide", "outputs")),
        *((name, ctypes.c_int) for name in ("kernel", "stride", "top", "left", "rows", "columns", "residual")),
        *((name, ctypes.c_int) for name in ("chunk", "band")),
        *((name, ctypes.c_void_p) for name in ("widen", "widen_bias", "taps", "taps_bias", "narrow", "narrow_bias")),
    ]


class NativeInvertedResidual(SharedByCopies):
    """A ``LiteBlock``."""

    def __init__(self, block: LiteBlock, function: Any) -> None:
        self._function, self._block = function, block
        widen, depthwise, narrow = block.widen, block.depthwise, block.narrow
        self._widen = None if widen is None else constant(_panels(widen))
        self._widen_bias = None if widen is None else constant(_bias(widen))
        self._taps = constant(depthwise.weight[:, 0].unflatten(0, (-1, 8)).permute(0, 2, 3, 1))
        self._narrow = constant(_panels(narrow))
        self._taps_bias, self._narrow_bias = constant(_bias(depthwise)), constant(_bias(narrow))
        self._layers: dict[tuple[int, int], _Layer] = {}

    @classmethod
    def build(cls, block: LiteBlock, dtype: torch.dtype) -> NativeInvertedResidual | None:
        """The layer; None without a kernel for it, and on CPUs with other vectors, where it was not measured."""
        conv = block.depthwise
        shape = conv.kernel_size[0], conv.stride[0]
        if conv.in_channels % _PANEL or block.narrow.out_channels % 8 or block.narrow.out_channels < 16:
            return None
        if shape not in ((3, 1), (3, 2), (5, 1), (5, 2)) or torch.backends.cpu.get_cpu_capability() != "AVX2":
            return None
        function = kernel("inverted_residual", conv.weight.device, dtype)
        return None if function is None else cls(block, function)

    def __call__(self, x_TCHW: Tensor) -> Tensor:
        """The result in new channels-last memory."""
        x_TCHW = x_TCHW.contiguous(memory_format=torch.channels_last)
        count, _, *size = x_TCHW.shape
        height, width = size
        if (height, width) not in self._layers:
            self._layers[height, width] = self._layer(height, width)
        layer = self._layers[height, width]
        shape = (count, layer.outputs, layer.rows, layer.columns)
        out = torch.empty(shape, memory_format=torch.channels_last)
        # Few frames are divided into parts of their rows, so that each thread has some.
        parts = min(layer.rows, -(-torch.get_num_threads() // max(1, count)))

        def compute(first: int, last: int) -> None:
            self._function(ctypes.byref(layer), pointer(x_TCHW), parts, first, last, pointer(out))

        in_threads(compute, count * parts)
        return out

    def _layer(self, height: int, width: int) -> _Layer:
        """The layer for frames of one size."""
        depthwise, wide = self._block.depthwise, self._block.depthwise.in_channels
        kernel_size, stride = depthwise.kernel_size[0], depthwise.stride[0]
        (top, _, rows), (left, _, columns) = depthwise.zeros(height, 0), depthwise.zeros(width, 1)
        whole = (height + kernel_size) * (width + kernel_size) * _CHUNK * 4 <= _CHUNK_BYTES
        return _Layer(
            height=height,
            width=width,
            inputs=wide if self._block.widen is None else self._block.widen.in_channels,
            wide=wide,
            outputs=self._block.narrow.out_channels,
            kernel=kernel_size,
            stride=stride,
            top=top,
            left=left,
            rows=rows,
            columns=columns,
            residual=int(self._block.residual),
            chunk=min(_CHUNK, wide) if whole else wide,
            band=rows if whole else min(rows, -(-_BAND_PIXELS // columns)),
            **{
                name: None if (tensor := getattr(self, f"_{name}")) is None else tensor.data_ptr()
                for name in ("widen", "widen_bias", "taps", "taps_bias", "narrow", "narrow_bias")
            },
        )


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


def _panels(conv: nn.Conv2d) -> Tensor:
    """Weights of a 1x1 convolution for 16 outputs at a time, ``(outputs / 16, inputs, 16)``, flat.

    # 40 outputs: 16 and 24
    """
    weight_OI = conv.weight[:, :, 0, 0]
    whole = len(weight_OI) - (24 if len(weight_OI) % _PANEL else 0)
    panels = weight_OI[:whole].unflatten(0, (-1, _PANEL)).transpose(1, 2) if whole else weight_OI[:0]
    return torch.cat((panels.flatten(), weight_OI[whole:].T.flatten()))

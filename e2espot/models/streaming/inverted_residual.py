"""Inverted residuals in one pass over memory, on CPUs where the library of convolutions takes three.

What they widen has six times the channels of their input. The kernels keep it in the cache: some rows of the frame at a
time, or in ``inverted_residual.cpp`` some channels where a frame has few pixels and the layer many weights. That is for
fp32 on CPUs with AVX2; ``inverted_residual_amx.cpp`` is for bf16 on CPUs with matrix units.

Shapes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.backbones.lite_stages import LiteBlock
from e2espot.models.kernels.native import SharedByCopies, can_use_amx, constant, in_threads, kernel, pointer

_PANEL = 16
"""Wide channels that the kernel computes at a time."""
_CHUNK = 48
"""Wide channels of a chunk, where not all are computed at a time."""
_CHUNK_BYTES = 160 * 1024
"""Largest frame, as wide as a chunk, that is computed at once."""
_BAND_PIXELS = {torch.float32: 64, torch.bfloat16: 128}
"""Fewest pixels of the output that are computed at a time."""
_PRODUCT_INPUTS = 32
"""Inputs of a product of the matrix units."""


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

    def __init__(self, block: LiteBlock, function: Any, dtype: torch.dtype) -> None:
        self._function, self._block, self._dtype = function, block, dtype
        widen, depthwise, narrow = block.widen, block.depthwise, block.narrow
        in_order, lanes = (_panels, 8) if dtype == torch.float32 else (_product_panels, _PANEL)
        self._widen = None if widen is None else in_order(widen)
        self._widen_bias = None if widen is None else _bias(widen)
        self._taps = constant(depthwise.weight[:, 0].unflatten(0, (-1, lanes)).permute(0, 2, 3, 1))
        self._narrow = in_order(narrow)
        self._taps_bias, self._narrow_bias = _bias(depthwise), _bias(narrow)
        self._layers: dict[tuple[int, int], _Layer] = {}

    @classmethod
    def build(cls, block: LiteBlock, dtype: torch.dtype) -> NativeInvertedResidual | None:
        """The layer; None without a kernel for it, and on CPUs with other vectors, where it was not measured."""
        conv, narrow = block.depthwise, block.narrow
        inputs = conv.in_channels if block.widen is None else block.widen.in_channels
        shape = conv.kernel_size[0], conv.stride[0]
        if conv.in_channels % _PANEL or narrow.out_channels % 8 or narrow.out_channels < _PANEL:
            return None
        if dtype == torch.bfloat16 and inputs % 2:  # matrix units take pairs
            return None
        if shape not in ((3, 1), (3, 2), (5, 1), (5, 2)) or not _is_measured(dtype):
            return None
        function = kernel("inverted_residual", conv.weight.device, dtype)
        return None if function is None else cls(block, function, dtype)

    def __call__(self, x_TCHW: Tensor) -> Tensor:
        """The result in new channels-last memory."""
        x_TCHW = x_TCHW.contiguous(memory_format=torch.channels_last)
        count, _, *size = x_TCHW.shape
        height, width = size
        if (height, width) not in self._layers:
            self._layers[height, width] = self._layer(height, width)
        layer = self._layers[height, width]
        shape = (count, layer.outputs, layer.rows, layer.columns)
        out = torch.empty(shape, dtype=self._dtype, memory_format=torch.channels_last)
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
        whole = whole and self._dtype == torch.float32  # sums of chunks are added to the output, in its number format
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
            band=rows if whole else min(rows, -(-_BAND_PIXELS[self._dtype] // columns)),
            **{
                name: None if (tensor := getattr(self, f"_{name}")) is None else tensor.data_ptr()
                for name in ("widen", "widen_bias", "taps", "taps_bias", "narrow", "narrow_bias")
            },
        )


def _is_measured(dtype: torch.dtype) -> bool:
    """Whether this CPU is of a kind on which the kernel for this number format beats the library."""
    vectors = torch.backends.cpu.get_cpu_capability()
    return vectors == "AVX2" if dtype == torch.float32 else vectors == "AVX512" and can_use_amx()


def _bias(conv: nn.Conv2d) -> Tensor:
    """One for each output, and zeros up to a whole panel."""
    bias = conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
    return constant(functional.pad(bias, (0, -conv.out_channels % _PANEL)))


def _panels(conv: nn.Conv2d) -> Tensor:
    """Weights of a 1x1 convolution for 16 outputs at a time, ``(outputs / 16, inputs, 16)``, flat.

    # 40 outputs: 16 and 24
    """
    weight_OI = conv.weight[:, :, 0, 0]
    whole = len(weight_OI) - (24 if len(weight_OI) % _PANEL else 0)
    panels = weight_OI[:whole].unflatten(0, (-1, _PANEL)).transpose(1, 2) if whole else weight_OI[:0]
    return constant(torch.cat((panels.flatten(), weight_OI[whole:].T.flatten())))


def _product_panels(conv: nn.Conv2d) -> Tensor:
    """Weights of a 1x1 convolution for matrix units in bf16, ``(outputs / 16, inputs / 32, 16, 16 outputs, 2 inputs)``.

    # 40 outputs of 24 inputs: (3, 1, 16, 16, 2), with zeros for 8 outputs and 8 inputs that do not exist
    """
    weight_OI = conv.weight.detach()[:, :, 0, 0]
    missing = (-weight_OI.shape[1] % _PRODUCT_INPUTS, -weight_OI.shape[0] % _PANEL)
    weight_OI = functional.pad(weight_OI, (0, missing[0], 0, missing[1])).to(torch.bfloat16)
    weight_PObkj = weight_OI.unflatten(0, (-1, _PANEL)).unflatten(2, (-1, _PRODUCT_INPUTS // 2, 2))
    panels: Tensor = weight_PObkj.permute(0, 2, 3, 1, 4).contiguous()
    return panels

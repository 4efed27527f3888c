"""Layers of the streaming backbones that the sources of ``models.kernels`` compute, each in one pass over memory.

Shapes: T frames, C channels, H height, W width, f channels in the fold of a gate shift.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.models.backbones.lite_stages import SameConv
from e2espot.models.kernels.native import SharedByCopies, constant, in_threads, kernel, pointer
from e2espot.models.temporal_shift import HALO, GateShift


def _empty_frames(shape: tuple[int, int, int, int], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


class NativeGateShift(SharedByCopies):
    """Gate shift of consecutive frames, without the interleave of its channels."""

    def __init__(self, gate: GateShift, function: Any) -> None:
        self._function, self._fold = function, gate.fold
        bn, bias = gate.bn, gate.conv3D.bias
        assert bn.running_mean is not None and bn.running_var is not None and bias is not None
        with torch.no_grad():
            scale_f = bn.weight / torch.sqrt(bn.running_var + bn.eps)
            shift_f = bn.bias - bn.running_mean * scale_f
            self._constants = [constant(tensor) for tensor in (scale_f, shift_f, _gate_taps(gate), bias)]

    @classmethod
    def build(cls, gate: GateShift, dtype: torch.dtype) -> NativeGateShift | None:
        """The layer for frames of a number format, in evaluation mode; None without a kernel for it."""
        function = kernel("gate_shift", gate.conv3D.weight.device, dtype)
        return None if function is None else cls(gate, function)

    def __call__(self, parts_TCHW: Sequence[Tensor], *, whole_clip: bool = False) -> Tensor:
        """Shifted frames, all but the first two and the last two, in new channels-last memory.

        Args:
            parts_TCHW: Frames one after the other, at least five in all; best channels-last.
            whole_clip: Give all frames, any number of them: those beyond both ends count as zeros.
        """
        parts = [part.contiguous(memory_format=torch.channels_last) for part in parts_TCHW]
        _, channels, height, width = parts[0].shape
        # Addresses instead of views: making a view of each frame takes longer than shifting a small one.
        frames: list[ctypes.c_void_p | None] = [pointer(part, t) for part in parts for t in range(len(part))]
        if whole_clip:
            frames = [*[None] * HALO, *frames, *[None] * HALO]
        count = len(frames) - 2 * HALO
        out = _empty_frames((count, channels, height, width), parts[0].dtype)
        constants = [pointer(tensor) for tensor in self._constants]

        def shift(first: int, last: int) -> None:
            # Outputs first to last of count are frames first + 2 to last + 2 of the input.
            given = frames[first : last + 2 * HALO]
            pointers = (ctypes.c_void_p * len(given))(*given)
            self._function(pointers, len(given), height, width, channels, self._fold, *constants, pointer(out, first))

        in_threads(shift, count)
        return out


def _gate_taps(gate: GateShift) -> Tensor:
    """The 3x3x3 kernels of both gates, channels last, as ``gate_shift.cpp`` reads them."""
    first, second = (taps.flatten(1).T for taps in gate.conv3D.weight)  # (27, half): time, row, column
    both = torch.cat((first, second), dim=1)
    if gate.fold == 8:  # two pixels side by side
        return torch.cat((both, both), dim=1)
    return functional.pad(both, (0, -gate.fold % 16))


class NativeStem(SharedByCopies):
    """Normalisation and the first convolution of a network, 3x3 with stride 2 and ReLU or ReLU6, from bytes."""

    def __init__(self, conv: nn.Conv2d, act: str, dtype: torch.dtype, function: Any) -> None:
        self._function, self._dtype, self._conv = function, dtype, conv
        self._most = ctypes.c_float(6 if act == "relu6" else math.inf)
        self._mean_3, self._std_3 = (255 * torch.tensor(row) for row in (IMAGENET_MEAN, IMAGENET_STD))
        # (32, 3, 3, 3) -> row, column, colour, output
        self._weight = constant(conv.weight.permute(2, 3, 1, 0))
        self._bias = constant(conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels))
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    @classmethod
    def build(cls, conv: nn.Conv2d, act: str, dtype: torch.dtype) -> NativeStem | None:
        """The layer; None without a kernel for it."""
        shape = (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.groups)
        is_padded = isinstance(conv, SameConv) or conv.padding == (1, 1)
        if shape != (3, 32, (3, 3), (2, 2), 1) or not is_padded or act not in ("relu", "relu6"):
            return None
        function = kernel("stem", conv.weight.device, dtype)
        return None if function is None else cls(conv, act, dtype, function)

    def __call__(self, levels_THWC: Tensor) -> Tensor:
        """uint8 RGB frames -> ``(T, 32, H / 2, W / 2)``, rounded up."""
        levels_THWC = levels_THWC.contiguous()
        count, height, width, _ = levels_THWC.shape
        if width not in self._rows:
            scale, shift = 1 / self._std_3, -self._mean_3 / self._std_3
            self._rows[width] = constant(scale.repeat(width)), constant(shift.repeat(width))
        top, left = (self._zeros_before(size, axis) for axis, size in enumerate((height, width)))
        constants = [pointer(tensor) for tensor in (*self._rows[width], self._weight, self._bias)]
        out = _empty_frames((count, 32, (height + 1) // 2, (width + 1) // 2), self._dtype)

        def convolve(first: int, last: int) -> None:
            frames, size = pointer(levels_THWC, first), (last - first, height, width, top, left)
            self._function(frames, *size, *constants, self._most, pointer(out, first))

        in_threads(convolve, count)
        return out

    def _zeros_before(self, size: int, axis: int) -> int:
        """Rows or columns of zeros before the first of ``size``."""
        return self._conv.zeros(size, axis)[0] if isinstance(self._conv, SameConv) else 1


class NativeGroupedConv(SharedByCopies):
    """A 3x3 convolution in groups, perhaps with ReLU, and the means of its outputs over each frame."""

    def __init__(self, conv: nn.Conv2d, function: Any, *, relu: bool) -> None:
        self._relu = int(relu)
        self._function, self._stride, self._channels = function, conv.stride[0], conv.in_channels
        self._group = conv.in_channels // conv.groups
        # (C, group, 3, 3) -> 8 outputs at a time: block, row, column, input, output
        self._weight = constant(conv.weight.unflatten(0, (-1, 8)).permute(0, 3, 4, 2, 1))
        self._bias = constant(conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels))

    @classmethod
    def build(cls, conv: nn.Conv2d, act: str, dtype: torch.dtype) -> NativeGroupedConv | None:
        """The layer; None without a kernel for it, and in bf16, where the library is faster."""
        if dtype != torch.float32:
            return None
        group, same = conv.in_channels // conv.groups, conv.in_channels == conv.out_channels
        if not same or group not in (8, 16) or conv.kernel_size != (3, 3) or conv.padding != (1, 1):
            return None
        function = kernel("grouped", conv.weight.device, dtype) if act in ("none", "relu") else None
        return None if function is None else cls(conv, function, relu=act == "relu")

    def __call__(self, x_TCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Output in channels-last memory, and its means ``(T, C)`` in fp32."""
        x_TCHW = x_TCHW.contiguous(memory_format=torch.channels_last)
        count, _, height, width = x_TCHW.shape
        size = ((height - 1) // self._stride + 1, (width - 1) // self._stride + 1)
        out, means_TC = _empty_frames((count, self._channels, *size), x_TCHW.dtype), torch.empty(count, self._channels)
        layer = (height, width, self._channels, self._group, self._relu, self._stride)
        constants = pointer(self._weight), pointer(self._bias)

        def convolve(first: int, last: int) -> None:
            results = pointer(out, first), pointer(means_TC, first)
            self._function(pointer(x_TCHW, first), last - first, *layer, *constants, *results)

        in_threads(convolve, count)
        return out, means_TC


class NativeScale(SharedByCopies):
    """Multiplies each channel of each frame by a factor."""

    def __init__(self, function: Any) -> None:
        self._function = function

    @classmethod
    def build(cls, device: torch.device, dtype: torch.dtype) -> NativeScale | None:
        """The operation; None without a kernel for it."""
        function = kernel("scale", device, dtype)
        return None if function is None else cls(function)

    def __call__(self, x_TCHW: Tensor, gains_TC: Tensor) -> None:
        """Overwrite channels-last ``x`` with its product with fp32 gains."""
        gains_TC = gains_TC.contiguous()
        count, channels, height, width = x_TCHW.shape

        def multiply(first: int, last: int) -> None:
            frames, gains = pointer(x_TCHW, first), pointer(gains_TC, first)
            self._function(frames, last - first, height * width, channels, gains)

        in_threads(multiply, count)


class NativeMeans(SharedByCopies):
    """Means of each channel over each frame, in fp32."""

    def __init__(self, function: Any) -> None:
        self._function = function

    @classmethod
    def build(cls, device: torch.device, dtype: torch.dtype) -> NativeMeans | None:
        """The operation; None without a kernel for it."""
        function = kernel("means", device, dtype)
        return None if function is None else cls(function)

    def __call__(self, x_TCHW: Tensor) -> Tensor:
        """``(T, C)`` of channels-last ``x``."""
        count, channels, height, width = x_TCHW.shape
        means_TC = torch.empty(count, channels)

        def average(first: int, last: int) -> None:
            frames, means = pointer(x_TCHW, first), pointer(means_TC, first)
            self._function(frames, last - first, height * width, channels, means)

        in_threads(average, count)
        return means_TC


class NativeMotion(SharedByCopies):
    """Colours and differences between frames for the small backbone, from levels.

    Args:
        kernels_O3T: Weights of levels, five outputs.
        middle: The level from which levels are counted.
        bias_O: What is added.
        dtype: Of the output.
        function: The kernel.
    """

    def __init__(self, kernels_O3T: Tensor, middle: float, bias_O: Tensor, dtype: torch.dtype, function: Any) -> None:
        self._function, self._dtype, self._times = function, dtype, kernels_O3T.shape[2]
        self._middle = ctypes.c_float(middle)
        self._weight = constant(functional.pad(kernels_O3T.permute(2, 1, 0), (0, 3)))
        self._bias = constant(functional.pad(bias_O, (0, 3)))

    @classmethod
    def build(cls, kernels_O3T: Tensor, middle: float, bias_O: Tensor, dtype: torch.dtype) -> NativeMotion | None:
        """The layer; None without a kernel for it."""
        function = kernel("motion", kernels_O3T.device, dtype)
        return None if function is None else cls(kernels_O3T, middle, bias_O, dtype, function)

    def __call__(self, parts_THWC: Sequence[Tensor]) -> Tensor:
        """``(t, 5, H, W)`` for all frames but those at the ends that have no neighbour.

        Args:
            parts_THWC: Frames one after the other, each part uint8 or float.
        """
        parts = [part.contiguous() if part.dtype == torch.uint8 else part.float().contiguous() for part in parts_THWC]
        _, height, width, _ = parts[0].shape
        frames = [(pointer(part, t), part.dtype != torch.uint8) for part in parts for t in range(len(part))]
        more = self._times - 1
        count = len(frames) - more
        out = _empty_frames((count, 5, height, width), self._dtype)
        constants = self._middle, pointer(self._weight), pointer(self._bias)

        def compute(first: int, last: int) -> None:
            given = frames[first : last + more]
            pointers = (ctypes.c_void_p * len(given))(*(address for address, _ in given))
            is_float = (ctypes.c_int32 * len(given))(*(kind for _, kind in given))
            self._function(pointers, is_float, len(given), self._times, height, width, *constants, pointer(out, first))

        in_threads(compute, count)
        return out

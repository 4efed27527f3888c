"""Layers of torch as nodes of an ONNX graph over one chunk of frames, temporal shifts among them.

Batch norms stay nodes of the graph with named constants. Engines fold them into the convolutions when they load it, so
this costs no time, and a caller may replace the statistics before.

Shapes: T frames, C channels, H height, W width, f channels in the fold of a gate shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from e2espot.models.export.graph_builder import GraphBuilder, Value
from e2espot.models.norm_statistics import batch_norms
from e2espot.models.temporal_shift import GateShift, ShiftedConv, TemporalShift


def norm_constants(index: int) -> tuple[str, str]:
    """Names of the constants with mean and variance of a batch norm, in the order of ``batch_norms``."""
    return f"norm_{index:03}_mean", f"norm_{index:03}_var"


Act = Literal["none", "relu", "relu6"]


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Feature maps ``(T, C, H, W)`` of a chunk."""

    value: Value
    """Their name in the graph."""
    channels: int
    """C."""
    height: int
    """H."""
    width: int
    """W."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one frame."""
        return self.channels, self.height, self.width


def maps_like(x: Maps, value: Value) -> Maps:
    """Other maps of the same shape."""
    return Maps(value=value, channels=x.channels, height=x.height, width=x.width)


class Layers:
    """Adds layers of torch to a graph."""

    def __init__(self, backbone: nn.Module, num_frames: int) -> None:
        self.graph = GraphBuilder()
        self.num_frames = num_frames
        self._norm_index = {id(norm): index for index, norm in enumerate(batch_norms(backbone))}

    def conv(self, x: Maps, conv: nn.Conv2d, norm: Any = None, act: Act = "none", weight: Tensor | None = None) -> Maps:
        """``act(norm(conv(x)))``; with other weights than those of the layer if given."""
        weight = conv.weight if weight is None else weight
        inputs = [self.constant(weight)] + ([] if conv.bias is None else [self.constant(conv.bias)])
        (top, left), kernel, stride = _pair(conv.padding), _pair(conv.kernel_size), _pair(conv.stride)
        out = self.graph.node(
            "Conv",
            x.value,
            *inputs,
            kernel_shape=kernel,
            strides=stride,
            pads=(top, left, top, left),
            group=conv.groups,
        )
        if isinstance(norm, _BatchNorm):
            out = self.norm(out, norm)
        if act == "relu":
            out = self.graph.node("Relu", out)
        elif act == "relu6":
            limits = (self.graph.constant(np.array(limit, np.float32)) for limit in (0, 6))
            out = self.graph.node("Clip", out, *limits)
        height, width = (
            (n + 2 * p - k) // s + 1 for n, p, k, s in zip(x.shape[1:], (top, left), kernel, stride, strict=True)
        )
        return Maps(value=out, channels=len(weight), height=height, width=width)

    def norm(self, x: Value, norm: nn.Module) -> Value:
        """Batch norm by the statistics of training, which are constants with names."""
        assert isinstance(norm, _BatchNorm) and norm.running_mean is not None and norm.running_var is not None
        names = norm_constants(self._norm_index[id(norm)])
        statistics = [
            self.graph.constant(_array(tensor), name)
            for tensor, name in zip((norm.running_mean, norm.running_var), names, strict=True)
        ]
        one_C = torch.ones(norm.num_features)
        scale_C, shift_C = (one_C, 0 * one_C) if norm.weight is None else (norm.weight, norm.bias)
        affine = self.constant(scale_C), self.constant(shift_C)
        return self.graph.node("BatchNormalization", x, *affine, *statistics, epsilon=norm.eps)

    def constant(self, tensor: Tensor) -> Value:
        """A tensor as fp32."""
        return self.graph.constant(_array(tensor))

    def history(self, x: Maps, count: int, name: str) -> Value:
        """``count`` frames of the chunk before, then the chunk."""
        return self.graph.with_last_frames(x.value, count, self.num_frames, x.shape, name)

    def delay(self, x: Maps, count: int, name: str) -> Maps:
        """The chunk that began ``count`` frames before."""
        if not count:
            return x
        value = self.graph.cut(self.history(x, count, name), 0, 0, self.num_frames)
        return Maps(value=value, channels=x.channels, height=x.height, width=x.width)

    def spatial_mean(self, x: Maps) -> Value:
        """``(T, C)``."""
        return self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x.value), axis=1)


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().float().numpy()
    return array


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def add_relu(layers: Layers, shortcut: Maps, out: Maps) -> Maps:
    """``relu(shortcut + out)``."""
    value = layers.graph.node("Relu", layers.graph.sum(shortcut.value, out.value))
    return Maps(value=value, channels=out.channels, height=out.height, width=out.width)


def first_layer(
    layers: Layers, shifted: ShiftedConv | None, layer: tuple[nn.Conv2d, Any], x: Maps, name: str
) -> tuple[Maps, Maps]:
    """Output of a block's first layer, and the block's input for the same frames: both lag if there is a shift."""
    conv, norm = layer
    if shifted is None:
        return layers.conv(x, conv, norm, "relu"), x
    if isinstance(shifted.gsm, GateShift):
        mixed, x = _gate_shift(layers, shifted.gsm, x, name)
        return layers.conv(mixed, conv, norm, "relu", weight=shifted.gsm.absorb_interleave(conv.weight)), x
    assert isinstance(shifted.gsm, TemporalShift)
    mixed, x = _plain_shift(layers, shifted.gsm, x, name)
    # E2E-Spot shifts in place, so the shortcut of its blocks is shifted too.
    return layers.conv(mixed, conv, norm, "relu"), mixed if shifted.shifts_block_input else x


def _plain_shift(layers: Layers, shift: TemporalShift, x: Maps, name: str) -> tuple[Maps, Maps]:
    """The shifted frames and the frames themselves, one frame late."""
    graph, count, fold = layers.graph, layers.num_frames, shift.fold
    full = layers.history(x, 2, name)
    before, now, after = (graph.cut(full, 0, step, count + step) for step in range(3))
    parts = graph.cut(after, 1, 0, fold), graph.cut(before, 1, fold, 2 * fold), graph.cut(now, 1, 2 * fold)
    mixed, late = (
        Maps(value=value, channels=x.channels, height=x.height, width=x.width) for value in (graph.join(1, *parts), now)
    )
    return mixed, late


def _gate_shift(layers: Layers, gate: GateShift, x: Maps, name: str) -> tuple[Maps, Maps]:
    """The shifted frames, channels before the interleave, and the frames themselves, two frames late.

    ::

        new frame                          t
        maps of the gate's kernel          t     kept: two frames
        gate, taken = gate * x             t - 1 kept: two frames of what is taken
        x + received - taken               t - 2 kept: two frames of x
    """
    graph, count, fold, half = layers.graph, layers.num_frames, gate.fold, gate.fold // 2
    height, width = x.height, x.width
    full = layers.history(x, 2, f"{name}_frames")
    part = graph.cut(x.value, 1, 0, fold)
    normed = Maps(value=graph.node("Relu", layers.norm(part, gate.bn)), channels=fold, height=height, width=width)
    maps = layers.history(layers.conv(normed, _gate_maps(gate)), 2, f"{name}_maps")
    assert gate.conv3D.bias is not None
    sums = graph.sum(
        # maps of t - 1, t and t + 1: those of the gate's kernel for the frame before, the frame, the frame after
        *(graph.cut(graph.cut(maps, 0, step, count + step), 1, 2 * step, 2 * step + 2) for step in range(3)),
        layers.constant(gate.conv3D.bias[None, :, None, None]),
    )
    gates = graph.node("Tanh", sums)
    previous = graph.cut(full, 0, 1, count + 1)
    halves = [
        graph.node("Mul", graph.cut(previous, 1, k * half, (k + 1) * half), graph.cut(gates, 1, k, k + 1))
        for k in (0, 1)
    ]
    taken = Maps(value=graph.join(1, *halves), channels=fold, height=height, width=width)
    taken_full = layers.history(taken, 2, f"{name}_taken")
    before, now, after = (graph.cut(taken_full, 0, step, count + step) for step in range(3))
    received = graph.join(1, graph.cut(after, 1, 0, half), graph.cut(before, 1, half, fold))
    late = graph.cut(full, 0, 0, count)
    folded = graph.node("Sub", graph.sum(graph.cut(late, 1, 0, fold), received), now)
    mixed = folded if fold == x.channels else graph.join(1, folded, graph.cut(late, 1, fold))
    shifted, frames = (Maps(value=value, channels=x.channels, height=height, width=width) for value in (mixed, late))
    return shifted, frames


def _gate_maps(gate: GateShift) -> nn.Conv2d:
    """The gate's kernels for t - 1, t and t + 1 as one convolution of frames, two maps each."""
    conv = nn.Conv2d(gate.fold, 6, 3, padding=1, bias=False)
    conv.weight = nn.Parameter(gate.dense_kernels().detach(), requires_grad=False)
    return conv

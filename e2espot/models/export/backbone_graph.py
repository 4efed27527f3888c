"""A backbone as an ONNX graph over one chunk of a video, with what it keeps for the next chunk as inputs and outputs.

A layer that looks to both sides in time lags behind its input, as in ``models.streaming``. The graph takes T frames
and gives T feature vectors, ``halo`` frames late, whatever the chunk::

    halo 4, chunks of 4     first chunk   second      third
    frames in               0 1 2 3       4 5 6 7     8 9 10 11
    features out            - - - -       0 1 2 3     4 5 6 7       - mean nothing

The first features mean nothing because the states are zeros then, which are no frames. So the caller puts ``halo``
padding frames at each end of a video and drops the first ``2 * halo`` features; the features of all its frames
remain. A padding frame is what lies beyond the ends of a video in training: zeros after normalisation. Zero bytes are
black, so one more input is 1 for a frame and 0 for padding.

Batch norms stay nodes of the graph with named constants. Engines fold them into the convolutions when they load it, so
this costs no time, and a caller may replace the statistics before.

Shapes: T frames, C channels, H height, W width, f channels in the fold of a gate shift, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD, LUMA, centre_crop_offset
from e2espot.models.backbones.base import ToLuma
from e2espot.models.backbones.imagenet import ImageNetwork
from e2espot.models.backbones.registry import RegNet, ResNet
from e2espot.models.backbones.small import SmallBackbone
from e2espot.models.export.graph_builder import GraphBuilder, State, Value
from e2espot.models.norm_statistics import batch_norms
from e2espot.models.spotter import Spotter
from e2espot.models.temporal_shift import GateShift, ShiftedConv, TemporalShift

SHORTEST_CHUNK = 8
"""Fewest frames of a chunk: more than any layer keeps."""


@dataclass(frozen=True, kw_only=True)
class BackboneGraph:
    """The graph of a backbone."""

    model: bytes
    """Content of an .onnx file. Inputs: ``frames``, uint8 RGB ``(T, H, W, 3)``; ``real``, fp32 ``(T,)``, 1 for a frame
    and 0 for padding, whose bytes are zeros; the states. Outputs: ``features``, fp32 ``(T, D)``; the new states."""
    states: tuple[State, ...]
    """In the order of their inputs."""


def backbone_graph(spotter: Spotter, chunk_len: int) -> BackboneGraph:
    """The graph of a spotter's backbone.

    Args:
        spotter: In evaluation mode, on the CPU.
        chunk_len: T, at least ``SHORTEST_CHUNK``.

    Raises:
        ConfigurationError: the package ``onnx`` is not installed.
    """
    assert chunk_len >= SHORTEST_CHUNK
    backbone, spec = spotter.backbone, spotter.spec
    layers = _Layers(backbone, chunk_len)
    frames = _normalised(layers, (spec.height, spec.width), spec.crop_dim)
    if isinstance(backbone, SmallBackbone):
        features = _small(layers, backbone, frames)
    else:
        assert isinstance(backbone, ImageNetwork)
        features = _image_network(layers, backbone, frames)
    layers.graph.output(features, "features", (chunk_len, backbone.feature_dim))
    model = layers.graph.model("backbone", {"feature_arch": spec.feature_arch})
    return BackboneGraph(model=model, states=tuple(layers.graph.states))


def norm_constants(index: int) -> tuple[str, str]:
    """Names of the constants with mean and variance of a batch norm, in the order of ``batch_norms``."""
    return f"norm_{index:03}_mean", f"norm_{index:03}_var"


_Act = Literal["none", "relu"]


@dataclass(frozen=True, kw_only=True)
class _Maps:
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


class _Layers:
    """Adds layers of torch to a graph."""

    def __init__(self, backbone: nn.Module, num_frames: int) -> None:
        self.graph = GraphBuilder()
        self.num_frames = num_frames
        self._norm_index = {id(norm): index for index, norm in enumerate(batch_norms(backbone))}

    def conv(
        self, x: _Maps, conv: nn.Conv2d, norm: Any = None, act: _Act = "none", weight: Tensor | None = None
    ) -> _Maps:
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
        height, width = (
            (n + 2 * p - k) // s + 1 for n, p, k, s in zip(x.shape[1:], (top, left), kernel, stride, strict=True)
        )
        return _Maps(value=out, channels=len(weight), height=height, width=width)

    def norm(self, x: Value, norm: _BatchNorm) -> Value:
        """Batch norm by the statistics of training, which are constants with names."""
        assert norm.running_mean is not None and norm.running_var is not None
        names = norm_constants(self._norm_index[id(norm)])
        statistics = [
            self.graph.constant(_array(tensor), name)
            for tensor, name in zip((norm.running_mean, norm.running_var), names, strict=True)
        ]
        affine = self.constant(norm.weight), self.constant(norm.bias)
        return self.graph.node("BatchNormalization", x, *affine, *statistics, epsilon=norm.eps)

    def constant(self, tensor: Tensor) -> Value:
        """A tensor as fp32."""
        return self.graph.constant(_array(tensor))

    def history(self, x: _Maps, count: int, name: str) -> Value:
        """``count`` frames of the chunk before, then the chunk."""
        return self.graph.with_last_frames(x.value, count, self.num_frames, x.shape, name)

    def delay(self, x: _Maps, count: int, name: str) -> _Maps:
        """The chunk that began ``count`` frames before."""
        if not count:
            return x
        value = self.graph.cut(self.history(x, count, name), 0, 0, self.num_frames)
        return _Maps(value=value, channels=x.channels, height=x.height, width=x.width)

    def spatial_mean(self, x: _Maps) -> Value:
        """``(T, C)``."""
        return self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x.value), axis=1)


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().float().numpy()
    return array


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _normalised(layers: _Layers, size: tuple[int, int], crop_dim: int) -> _Maps:
    """Inputs ``frames`` and ``real`` to normalised pixels ``(T, 3, H, W)``."""
    graph, (height, width) = layers.graph, size
    frames = graph.input("frames", np.uint8, (layers.num_frames, height, width, 3))
    real = graph.input("real", np.float32, (layers.num_frames,))
    if crop_dim:
        for axis, extent in enumerate(size, start=1):
            first = centre_crop_offset(extent, crop_dim)
            frames = graph.cut(frames, axis, first, first + crop_dim)
        height = width = crop_dim
    levels = graph.node("Cast", graph.node("Transpose", frames, perm=(0, 3, 1, 2)), to=_FLOAT)
    # The bytes of padding are zeros and so is what is subtracted there: zeros after normalisation.
    mean = graph.constant(255 * np.array(IMAGENET_MEAN, np.float32).reshape(1, 3, 1, 1))
    real_T111 = graph.node("Reshape", real, graph.ints(-1, 1, 1, 1))
    std = graph.constant(255 * np.array(IMAGENET_STD, np.float32).reshape(1, 3, 1, 1))
    value = graph.node("Div", graph.node("Sub", levels, graph.node("Mul", real_T111, mean)), std)
    return _Maps(value=value, channels=3, height=height, width=width)


_FLOAT = 1
"""ONNX's number of fp32."""


def _image_network(layers: _Layers, backbone: ImageNetwork, x: _Maps) -> Value:
    if isinstance(backbone.as_input, ToLuma):
        luma = nn.Conv2d(3, 1, 1)
        luma.weight, luma.bias = (
            nn.Parameter(t) for t in (backbone.as_input.weight, torch.tensor([backbone.as_input._bias]))
        )
        x = layers.conv(x, luma)
    network: Any = backbone.network
    block_of: Callable[[_Layers, Any, _Maps, str], _Maps]
    if isinstance(backbone, RegNet):
        x, block_of = layers.conv(x, network.stem.conv, network.stem.bn, "relu"), _regnet_block
    else:
        assert isinstance(backbone, ResNet)
        x, block_of = _max_pool(layers, layers.conv(x, network.conv1, network.bn1, "relu")), _resnet_block
    for number, stage in enumerate(backbone.stages(), start=1):
        for index, block in enumerate(stage.children(), start=1):
            x = block_of(layers, block, x, f"stage{number}_block{index}")
    return layers.spatial_mean(x)


def _max_pool(layers: _Layers, x: _Maps) -> _Maps:
    """ResNet's: the largest of 3x3, stride 2."""
    value = layers.graph.node("MaxPool", x.value, kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    return _Maps(value=value, channels=x.channels, height=(x.height + 1) // 2, width=(x.width + 1) // 2)


def _regnet_block(layers: _Layers, block: Any, x: _Maps, name: str) -> _Maps:
    """(Shift), 1x1, grouped 3x3, squeeze and excitation, 1x1."""
    shifted = isinstance(block.conv1, ShiftedConv)
    conv1 = block.conv1.net if shifted else block.conv1
    out, x = _first_layer(layers, block.conv1 if shifted else None, (conv1.conv, conv1.bn), x, name)
    out = layers.conv(out, block.conv2.conv, block.conv2.bn, "relu")
    mean = layers.graph.node("GlobalAveragePool", out.value)
    squeezed = layers.conv(_Maps(value=mean, channels=out.channels, height=1, width=1), block.se.fc1, act="relu")
    gains = layers.graph.node("Sigmoid", layers.conv(squeezed, block.se.fc2).value)
    out = _Maps(
        value=layers.graph.node("Mul", out.value, gains), channels=out.channels, height=out.height, width=out.width
    )
    out = layers.conv(out, block.conv3.conv, block.conv3.bn)
    downsample = getattr(block.downsample, "conv", None)
    shortcut = x if downsample is None else layers.conv(x, downsample, block.downsample.bn)
    return _add_relu(layers, shortcut, out)


def _resnet_block(layers: _Layers, block: Any, x: _Maps, name: str) -> _Maps:
    """(Shift), then two 3x3 convolutions, or 1x1, 3x3, 1x1."""
    shifted = isinstance(block.conv1, ShiftedConv)
    conv1 = block.conv1.net if shifted else block.conv1
    out, x = _first_layer(layers, block.conv1 if shifted else None, (conv1, block.bn1), x, name)
    bottleneck = hasattr(block, "conv3")
    out = layers.conv(out, block.conv2, block.bn2, "relu" if bottleneck else "none")
    if bottleneck:
        out = layers.conv(out, block.conv3, block.bn3)
    shortcut = x if block.downsample is None else layers.conv(x, *block.downsample)
    return _add_relu(layers, shortcut, out)


def _add_relu(layers: _Layers, shortcut: _Maps, out: _Maps) -> _Maps:
    value = layers.graph.node("Relu", layers.graph.sum(shortcut.value, out.value))
    return _Maps(value=value, channels=out.channels, height=out.height, width=out.width)


def _first_layer(
    layers: _Layers, shifted: ShiftedConv | None, layer: tuple[nn.Conv2d, Any], x: _Maps, name: str
) -> tuple[_Maps, _Maps]:
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


def _plain_shift(layers: _Layers, shift: TemporalShift, x: _Maps, name: str) -> tuple[_Maps, _Maps]:
    """The shifted frames and the frames themselves, one frame late."""
    graph, count, fold = layers.graph, layers.num_frames, shift.fold
    full = layers.history(x, 2, name)
    before, now, after = (graph.cut(full, 0, step, count + step) for step in range(3))
    parts = graph.cut(after, 1, 0, fold), graph.cut(before, 1, fold, 2 * fold), graph.cut(now, 1, 2 * fold)
    mixed, late = (
        _Maps(value=value, channels=x.channels, height=x.height, width=x.width)
        for value in (graph.join(1, *parts), now)
    )
    return mixed, late


def _gate_shift(layers: _Layers, gate: GateShift, x: _Maps, name: str) -> tuple[_Maps, _Maps]:
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
    normed = _Maps(value=graph.node("Relu", layers.norm(part, gate.bn)), channels=fold, height=height, width=width)
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
    taken = _Maps(value=graph.join(1, *halves), channels=fold, height=height, width=width)
    taken_full = layers.history(taken, 2, f"{name}_taken")
    before, now, after = (graph.cut(taken_full, 0, step, count + step) for step in range(3))
    received = graph.join(1, graph.cut(after, 1, 0, half), graph.cut(before, 1, half, fold))
    late = graph.cut(full, 0, 0, count)
    folded = graph.node("Sub", graph.sum(graph.cut(late, 1, 0, fold), received), now)
    mixed = folded if fold == x.channels else graph.join(1, folded, graph.cut(late, 1, fold))
    shifted, frames = (_Maps(value=value, channels=x.channels, height=height, width=width) for value in (mixed, late))
    return shifted, frames


def _gate_maps(gate: GateShift) -> nn.Conv2d:
    """The gate's kernels for t - 1, t and t + 1 as one convolution of frames, two maps each."""
    conv = nn.Conv2d(gate.fold, 6, 3, padding=1, bias=False)
    conv.weight = nn.Parameter(gate.dense_kernels().detach(), requires_grad=False)
    return conv


def _small(layers: _Layers, backbone: Any, x: _Maps) -> Value:
    """The small backbone; its fine path waits for the coarse one."""
    graph = layers.graph
    stem = backbone.stem[0]
    motion, channels = _motion(layers, backbone, x)
    x = layers.conv(motion, stem, backbone.stem[1], "relu", weight=stem.weight[:, :channels])
    x = layers.conv(x, backbone.down1[0], backbone.down1[1], "relu")
    fine = _small_block(layers, backbone.block1, x, "block1")
    coarse = layers.conv(fine, backbone.down2[0], backbone.down2[1], "relu")
    coarse = _small_block(layers, backbone.block2, coarse, "block2")
    coarse = _small_block(layers, backbone.block3, coarse, "block3")
    lag = sum(block.conv1.halo for block in (backbone.block2, backbone.block3) if isinstance(block.conv1, ShiftedConv))
    fine = layers.delay(fine, lag, "fine")
    upsampled = _upsample(graph, layers.conv(coarse, backbone.lateral), fine)
    added = _Maps(value=graph.sum(fine.value, upsampled), channels=fine.channels, height=fine.height, width=fine.width)
    fine = layers.conv(added, backbone.merge[0], backbone.merge[1], "relu")
    maps = layers.conv(fine, backbone.attention)
    pooled = graph.join(1, _pool_by_attention(graph, fine, maps), layers.spatial_mean(coarse))
    linear, norm = backbone.project[0], backbone.project[1]
    weights = layers.constant(linear.weight), layers.constant(linear.bias)
    projected = graph.node("Gemm", pooled, *weights, transB=1)
    affine = layers.constant(norm.weight), layers.constant(norm.bias)
    return graph.node("Relu", graph.node("LayerNormalization", projected, *affine, epsilon=norm.eps))


def _motion(layers: _Layers, backbone: SmallBackbone, x: _Maps) -> tuple[_Maps, int]:
    """The stem's input, one frame late: colours, and grey differences to the previous and the next frame.

    Returns:
        The maps and their number: 3 if the backbone sees no motion, whose channels are zeros then, else 5.
    """
    graph, count = layers.graph, layers.num_frames
    if backbone.gray:
        luma = nn.Conv2d(3, 3, 1, bias=False)
        luma.weight = nn.Parameter(torch.tensor([LUMA] * 3)[:, :, None, None])
        x = layers.conv(x, luma)
    if backbone.single_frame:
        return x, 3
    late = layers.delay(x, 1, "pixels")
    # A mean and not a convolution to one channel, which engines compute as one to sixteen.
    grey_maps = _Maps(
        value=graph.node("ReduceMean", x.value, graph.ints(1), keepdims=1), channels=1, height=x.height, width=x.width
    )
    grey = layers.history(grey_maps, 2, "grey")
    # grey of -2 to T - 1 -> T + 1 steps; frame t has the step to it and the one after it
    steps = graph.node("Sub", graph.cut(grey, 0, 1), graph.cut(grey, 0, 0, count + 1))
    value = graph.join(1, late.value, graph.cut(steps, 0, 0, count), graph.cut(steps, 0, 1))
    return _Maps(value=value, channels=5, height=x.height, width=x.width), 5


def _small_block(layers: _Layers, block: Any, x: _Maps, name: str) -> _Maps:
    """(Shift), 1x1, 3x3."""
    shifted = isinstance(block.conv1, ShiftedConv)
    conv1 = block.conv1.net if shifted else block.conv1
    out, x = _first_layer(layers, block.conv1 if shifted else None, (conv1[0], conv1[1]), x, name)
    return _add_relu(layers, x, layers.conv(out, block.conv2[0], block.conv2[1]))


def _upsample(graph: GraphBuilder, x: _Maps, like: _Maps) -> Value:
    """The nearest pixel of ``x`` for every pixel of ``like``, by torch's rule."""
    if (like.height, like.width) == (2 * x.height, 2 * x.width):
        scales = graph.floats(1, 1, 2, 2)
        rule = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return graph.node("Resize", x.value, "", scales, **rule)
    value = x.value
    for axis, (extent, target) in enumerate(((x.height, like.height), (x.width, like.width)), start=2):
        # 3 pixels to 5 -> 0 0 1 1 2
        pixels = functional.interpolate(torch.arange(extent, dtype=torch.float64)[None, None], size=target)[0, 0]
        value = graph.node("Gather", value, graph.ints(*map(int, pixels.tolist())), axis=axis)
    return value


def _pool_by_attention(graph: GraphBuilder, x: _Maps, maps: _Maps) -> Value:
    """Mean features, centre of mass and peak weight under each of M softmax maps, ``(T, M * (C + 3))``."""
    flat = graph.ints(0, 0, -1)
    weights = graph.node("Softmax", graph.node("Reshape", maps.value, flat), axis=2)
    columns = graph.node("Transpose", weights, perm=(0, 2, 1))
    pooled = graph.node(
        "Transpose", graph.node("MatMul", graph.node("Reshape", x.value, flat), columns), perm=(0, 2, 1)
    )
    positions_P2 = np.stack(
        (np.tile(np.linspace(-1, 1, x.width), x.height), np.repeat(np.linspace(-1, 1, x.height), x.width)), axis=1
    )
    centres = graph.node("MatMul", weights, graph.constant((4 * positions_P2).astype(np.float32)))
    sharpness = graph.node("ReduceMax", weights, graph.ints(2), keepdims=1)
    return graph.node("Flatten", graph.join(2, pooled, centres, sharpness), axis=1)

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

Shapes: T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD, centre_crop_offset
from e2espot.models.backbones.base import ToLuma
from e2espot.models.backbones.imagenet import ImageNetwork
from e2espot.models.backbones.registry import RegNet, ResNet
from e2espot.models.backbones.small import SmallBackbone
from e2espot.models.export.graph_builder import State, Value
from e2espot.models.export.graph_layers import Layers, Maps, add_relu, first_layer
from e2espot.models.export.small_graph import small_features
from e2espot.models.spotter import Spotter
from e2espot.models.temporal_shift import ShiftedConv

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
    layers = Layers(backbone, chunk_len)
    frames = _normalised(layers, (spec.height, spec.width), spec.crop_dim)
    if isinstance(backbone, SmallBackbone):
        features = small_features(layers, backbone, frames)
    else:
        assert isinstance(backbone, ImageNetwork)
        features = _image_network(layers, backbone, frames)
    layers.graph.output(features, "features", (chunk_len, backbone.feature_dim))
    model = layers.graph.model("backbone", {"feature_arch": spec.feature_arch})
    return BackboneGraph(model=model, states=tuple(layers.graph.states))


def _normalised(layers: Layers, size: tuple[int, int], crop_dim: int) -> Maps:
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
    return Maps(value=value, channels=3, height=height, width=width)


_FLOAT = 1
"""ONNX's number of fp32."""


def _image_network(layers: Layers, backbone: ImageNetwork, x: Maps) -> Value:
    if isinstance(backbone.as_input, ToLuma):
        luma = nn.Conv2d(3, 1, 1)
        luma.weight, luma.bias = (
            nn.Parameter(t) for t in (backbone.as_input.weight, torch.tensor([backbone.as_input._bias]))
        )
        x = layers.conv(x, luma)
    network: Any = backbone.network
    block_of: Callable[[Layers, Any, Maps, str], Maps]
    if isinstance(backbone, RegNet):
        x, block_of = layers.conv(x, network.stem.conv, network.stem.bn, "relu"), _regnet_block
    else:
        assert isinstance(backbone, ResNet)
        x, block_of = _max_pool(layers, layers.conv(x, network.conv1, network.bn1, "relu")), _resnet_block
    for number, stage in enumerate(backbone.stages(), start=1):
        for index, block in enumerate(stage.children(), start=1):
            x = block_of(layers, block, x, f"stage{number}_block{index}")
    return layers.spatial_mean(x)


def _max_pool(layers: Layers, x: Maps) -> Maps:
    """ResNet's: the largest of 3x3, stride 2."""
    value = layers.graph.node("MaxPool", x.value, kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    return Maps(value=value, channels=x.channels, height=(x.height + 1) // 2, width=(x.width + 1) // 2)


def _regnet_block(layers: Layers, block: Any, x: Maps, name: str) -> Maps:
    """(Shift), 1x1, grouped 3x3, squeeze and excitation, 1x1."""
    shifted = isinstance(block.conv1, ShiftedConv)
    conv1 = block.conv1.net if shifted else block.conv1
    out, x = first_layer(layers, block.conv1 if shifted else None, (conv1.conv, conv1.bn), x, name)
    out = layers.conv(out, block.conv2.conv, block.conv2.bn, "relu")
    mean = layers.graph.node("GlobalAveragePool", out.value)
    squeezed = layers.conv(Maps(value=mean, channels=out.channels, height=1, width=1), block.se.fc1, act="relu")
    gains = layers.graph.node("Sigmoid", layers.conv(squeezed, block.se.fc2).value)
    out = Maps(
        value=layers.graph.node("Mul", out.value, gains), channels=out.channels, height=out.height, width=out.width
    )
    out = layers.conv(out, block.conv3.conv, block.conv3.bn)
    downsample = getattr(block.downsample, "conv", None)
    shortcut = x if downsample is None else layers.conv(x, downsample, block.downsample.bn)
    return add_relu(layers, shortcut, out)


def _resnet_block(layers: Layers, block: Any, x: Maps, name: str) -> Maps:
    """(Shift), then two 3x3 convolutions, or 1x1, 3x3, 1x1."""
    shifted = isinstance(block.conv1, ShiftedConv)
    conv1 = block.conv1.net if shifted else block.conv1
    out, x = first_layer(layers, block.conv1 if shifted else None, (conv1, block.bn1), x, name)
    bottleneck = hasattr(block, "conv3")
    out = layers.conv(out, block.conv2, block.bn2, "relu" if bottleneck else "none")
    if bottleneck:
        out = layers.conv(out, block.conv3, block.bn3)
    shortcut = x if block.downsample is None else layers.conv(x, *block.downsample)
    return add_relu(layers, shortcut, out)

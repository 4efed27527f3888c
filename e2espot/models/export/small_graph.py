"""The small backbone, alone or with an image network, as nodes of an ONNX graph.

Shapes: T frames, C channels, H height, W width, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from e2espot.core.pixels import LUMA
from e2espot.models.backbones.lite import SEEN_EVERY, LiteBackbone
from e2espot.models.backbones.lite_stages import LiteStages
from e2espot.models.backbones.small import SmallBackbone
from e2espot.models.export.graph_builder import GraphBuilder, Value
from e2espot.models.export.graph_layers import Layers, Maps, add_relu, first_layer, maps_like
from e2espot.models.temporal_shift import ShiftedConv


def small_features(layers: Layers, backbone: Any, x: Maps) -> Value:
    """The small backbone; its fine path waits for the coarse one."""
    graph = layers.graph
    added = _image_maps(layers, backbone, x) if isinstance(backbone, LiteBackbone) else {}
    stem = backbone.stem[0]
    motion, channels = _motion(layers, backbone, x)
    x = layers.conv(motion, stem, backbone.stem[1], "relu", weight=stem.weight[:, :channels])
    fine = layers.conv(x, backbone.down1[0], backbone.down1[1], "relu")
    before_block1 = 0 if backbone.single_frame else 1
    before_block2 = before_block1 + _halo(backbone.block1)
    fine = _add(layers, fine, added.get("fine"), before_block1)
    fine = _small_block(layers, backbone.block1, fine, "block1")
    coarse = layers.conv(fine, backbone.down2[0], backbone.down2[1], "relu")
    coarse = _add(layers, coarse, added.get("coarse"), before_block2)
    coarse = _small_block(layers, backbone.block2, coarse, "block2")
    coarse = _small_block(layers, backbone.block3, coarse, "block3")
    lag = _halo(backbone.block2) + _halo(backbone.block3)
    fine = layers.delay(fine, lag, "fine")
    upsampled = _upsample(graph, layers.conv(coarse, backbone.lateral), fine)
    fine = maps_like(fine, graph.sum(fine.value, upsampled))
    fine = layers.conv(
        _add(layers, fine, added.get("merge"), before_block2 + lag), backbone.merge[0], backbone.merge[1], "relu"
    )
    maps = layers.conv(fine, backbone.attention)
    pooled = graph.join(1, _pool_by_attention(graph, fine, maps), layers.spatial_mean(coarse))
    linear, norm = backbone.project[0], backbone.project[1]
    weights = layers.constant(linear.weight), layers.constant(linear.bias)
    projected = graph.node("Gemm", pooled, *weights, transB=1)
    affine = layers.constant(norm.weight), layers.constant(norm.bias)
    return graph.node("Relu", graph.node("LayerNormalization", projected, *affine, epsilon=norm.eps))


def _halo(block: Any) -> int:
    return block.conv1.halo if isinstance(block.conv1, ShiftedConv) else 0


def _add(layers: Layers, x: Maps, added: tuple[str, Maps] | None, lag: int) -> Maps:
    """``x``, which is ``lag`` frames late, and the maps of the image network for the same frames, if there is one."""
    if added is None:
        return x
    name, maps = added
    return maps_like(x, layers.graph.sum(x.value, layers.delay(maps, lag, name).value))


def _image_maps(layers: Layers, backbone: LiteBackbone, x: Maps) -> dict[str, tuple[str, Maps]]:
    """What the image network adds to the small backbone at each slot, with a name for what is kept of it."""
    scales = _image_scales(layers, backbone.image, _frames(layers, x, range(0, layers.num_frames, SEEN_EVERY)))
    eighth, sixteenth, thirty_second = (
        maps_like(maps, layers.norm(maps.value, norm)) for maps, norm in zip(scales, backbone.norms, strict=True)
    )
    coarse = layers.conv(sixteenth, backbone.to_coarse)
    context = _upsample(layers.graph, layers.conv(thirty_second, backbone.context), coarse)
    slots = {
        "fine": layers.conv(eighth, backbone.to_fine),
        "merge": layers.conv(eighth, backbone.to_merge),
        "coarse": maps_like(coarse, layers.graph.sum(coarse.value, context)),
    }
    # Frames 0, 2, 4 -> 0, 0, 2, 2, 4, 4
    repeated = [frame // SEEN_EVERY for frame in range(layers.num_frames)]
    return {slot: (f"image_{slot}", _frames(layers, maps, repeated)) for slot, maps in slots.items()}


def _frames(layers: Layers, x: Maps, numbers: Sequence[int]) -> Maps:
    return maps_like(x, layers.graph.node("Gather", x.value, layers.graph.ints(*numbers), axis=0))


def _image_scales(layers: Layers, image: LiteStages, x: Maps) -> list[Maps]:
    scales = []
    x = layers.conv(x, image.stem.on_size(x.height, x.width), act="relu6")
    for number, block in enumerate(image.inverted_residuals()):
        wide = x if block.widen is None else layers.conv(x, block.widen, act="relu6")
        wide = layers.conv(wide, block.depthwise.on_size(wide.height, wide.width), act="relu6")
        out = layers.conv(wide, block.narrow)
        x = maps_like(x, layers.graph.sum(x.value, out.value)) if block.residual else out
        if number in image.taken:
            scales.append(x)
    return scales


def _motion(layers: Layers, backbone: SmallBackbone, x: Maps) -> tuple[Maps, int]:
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
    grey_maps = Maps(
        value=graph.node("ReduceMean", x.value, graph.ints(1), keepdims=1), channels=1, height=x.height, width=x.width
    )
    grey = layers.history(grey_maps, 2, "grey")
    # grey of -2 to T - 1 -> T + 1 steps; frame t has the step to it and the one after it
    steps = graph.node("Sub", graph.cut(grey, 0, 1), graph.cut(grey, 0, 0, count + 1))
    value = graph.join(1, late.value, graph.cut(steps, 0, 0, count), graph.cut(steps, 0, 1))
    return Maps(value=value, channels=5, height=x.height, width=x.width), 5


def _small_block(layers: Layers, block: Any, x: Maps, name: str) -> Maps:
    """(Shift), 1x1, 3x3."""
    shifted = isinstance(block.conv1, ShiftedConv)
    conv1 = block.conv1.net if shifted else block.conv1
    out, x = first_layer(layers, block.conv1 if shifted else None, (conv1[0], conv1[1]), x, name)
    return add_relu(layers, x, layers.conv(out, block.conv2[0], block.conv2[1]))


def _upsample(graph: GraphBuilder, x: Maps, like: Maps) -> Value:
    """The nearest pixel of ``x`` for every pixel of ``like``, by torch's rule."""
    if (like.height, like.width) == (2 * x.height, 2 * x.width):
        scales = graph.floats(1, 1, 2, 2)
        rule: dict[str, Any] = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        return graph.node("Resize", x.value, "", scales, **rule)
    value = x.value
    for axis, (extent, target) in enumerate(((x.height, like.height), (x.width, like.width)), start=2):
        # 3 pixels to 5 -> 0 0 1 1 2
        pixels = functional.interpolate(torch.arange(extent, dtype=torch.float64)[None, None], size=target)[0, 0]
        value = graph.node("Gather", value, graph.ints(*map(int, pixels.tolist())), axis=axis)
    return value


def _pool_by_attention(graph: GraphBuilder, x: Maps, maps: Maps) -> Value:
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

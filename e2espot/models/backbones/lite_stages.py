"""The first six of the seven stages of EfficientNet-Lite0, with its batch norms folded into the convolutions.

It is written out here because importing its library takes seconds and 200 MB, which inference on a laptop should not
need. Its weights are those of that library (``folded_weights``), which know photographs; they are never trained, and
weights files hold them in half precision.

Source: Tan and Le, "EfficientNet", ICML 2019, and the Lite variants of the TensorFlow TPU repository (Apache 2.0).

Shapes: N frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

LITE_NAME = "tf_efficientnet_lite0"
"""timm's name of the network."""


class _Stage(NamedTuple):
    kernel: int
    stride: int
    expansion: int
    width: int
    blocks: int


_STEM = 32
_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
)
_TAKEN = (2, 4, 5)
"""Stages whose outputs are used: at an eighth, a sixteenth and a thirty-second of the frame size."""
WIDTHS = tuple(_STAGES[number].width for number in _TAKEN)
"""Channels of these outputs."""
_FRAMES_AT_ONCE = 2
"""On a CPU: the widest maps of so many frames stay in its cache."""


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding, whose zeros may be one more below and on the right than elsewhere."""

    def zeros(self, size: int, axis: int) -> tuple[int, int, int]:
        """Zeros before and behind ``size`` pixels of an axis, 0 for the height; and the pixels of the output."""
        kernel, stride, count = self.kernel_size[axis], self.stride[axis], -(-size // self.stride[axis])
        total = max(0, (count - 1) * stride + kernel - size)
        return total // 2, total - total // 2, count

    def on_size(self, height: int, width: int) -> nn.Conv2d:
        """An ordinary convolution that gives the same on maps of one size; it shares the weights if it can."""
        weight, padding = self._symmetric(height, width)
        kernel, stride = (weight.shape[2], weight.shape[3]), (self.stride[0], self.stride[1])
        conv = nn.Conv2d(self.in_channels, self.out_channels, kernel, stride, padding, groups=self.groups)
        conv.weight, conv.bias = nn.Parameter(weight.detach(), requires_grad=False), self.bias
        return conv

    def _symmetric(self, height: int, width: int) -> tuple[Tensor, tuple[int, int]]:
        """Weight and padding, equal on both sides.

        # 112 rows, kernel 3, stride 2: no zeros above, one below. A kernel whose first row is zero does the same with
        # one row of zeros on both sides.
        """
        weight, padding = self.weight, []
        for axis, size in ((0, height), (1, width)):
            before, after, _ = self.zeros(size, axis)
            if before != after:
                weight = functional.pad(weight, (0, 0, 1, 0) if axis == 0 else (1, 0))
            padding.append(after)
        return weight, (padding[0], padding[1])

    def forward(self, input: Tensor) -> Tensor:
        """As any convolution."""
        weight, padding = self._symmetric(*input.shape[2:])
        return functional.conv2d(input, weight, self.bias, self.stride, padding, 1, self.groups)


class LiteBlock(nn.Module):
    """Inverted residual: 1x1 that widens (if any), depthwise, 1x1 that narrows; the first two with ReLU6."""

    def __init__(self, inputs: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.expansion
        self.widen = nn.Conv2d(inputs, wide, 1) if stage.expansion > 1 else None
        self.depthwise = SameConv(wide, wide, stage.kernel, stride, groups=wide)
        self.narrow = nn.Conv2d(wide, stage.width, 1)
        self.residual = stride == 1 and inputs == stage.width

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> the same, or fewer and wider pixels."""
        wide = x_NCHW if self.widen is None else functional.relu6(self.widen(x_NCHW), inplace=True)
        out: Tensor = self.narrow(functional.relu6(self.depthwise(wide), inplace=True))
        return out + x_NCHW if self.residual else out


class LiteStages(nn.Module):
    """Normalised frames -> features that know photographs, at three sizes; without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, _STEM, 3, 2)
        self.blocks, self._last = nn.ModuleList(), []
        width = _STEM
        for stage in _STAGES:
            for number in range(stage.blocks):
                self.blocks.append(LiteBlock(width, stage, 1 if number else stage.stride))
                width = stage.width
            self._last.append(len(self.blocks) - 1)
        self.requires_grad_(False)

    def inverted_residuals(self) -> list[LiteBlock]:
        """The blocks in order."""
        return [block for block in self.blocks if isinstance(block, LiteBlock)]

    @property
    def taken(self) -> tuple[int, ...]:
        """Numbers of the blocks whose outputs are used."""
        return tuple(self._last[number] for number in _TAKEN)

    def forward(self, frames_NCHW: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` -> ``WIDTHS`` channels at 1/8, 1/16 and 1/32 of the size, rounded up."""
        with torch.no_grad():
            parts = [self._outputs(part) for part in in_parts(frames_NCHW)]
            return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))

    def _outputs(self, frames_NCHW: Tensor) -> list[Tensor]:
        x_NCHW = frames_NCHW.contiguous(memory_format=torch.channels_last)
        x_NCHW, outputs = functional.relu6(self.stem(x_NCHW), inplace=True), []
        for number, block in enumerate(self.blocks):
            x_NCHW = block(x_NCHW)
            if number in self.taken:
                outputs.append(x_NCHW)
        return outputs


def in_parts(frames_NCHW: Tensor) -> tuple[Tensor, ...]:
    """The frames in parts that a device computes fastest one after the other."""
    count = _FRAMES_AT_ONCE if frames_NCHW.device.type == "cpu" else max(1, len(frames_NCHW))
    return torch.split(frames_NCHW, count)


def folded_weights(network: Any) -> dict[str, Tensor]:
    """Weights of ``LiteStages`` from timm's network in evaluation mode."""
    state: dict[str, Tensor] = {}
    layers = [("stem", network.conv_stem, network.bn1)]
    blocks = [block for stage in network.blocks[: len(_STAGES)] for block in stage]
    for number, block in enumerate(blocks):
        for name, conv, norm in _layers(block):
            layers.append((f"blocks.{number}.{name}", getattr(block, conv), getattr(block, norm)))
    for name, conv, norm in layers:
        fused = fuse_conv_bn_eval(conv, norm)
        assert fused.bias is not None
        for kind, value in (("weight", fused.weight), ("bias", fused.bias)):
            state[f"{name}.{kind}"] = value.detach()
    return state


def _layers(block: Any) -> Iterator[tuple[str, str, str]]:
    """Our name of each convolution of one of timm's blocks, with its names of the convolution and its norm."""
    if hasattr(block, "conv_pwl"):
        yield from (("widen", "conv_pw", "bn1"), ("depthwise", "conv_dw", "bn2"), ("narrow", "conv_pwl", "bn3"))
    else:
        yield from (("depthwise", "conv_dw", "bn1"), ("narrow", "conv_pw", "bn2"))

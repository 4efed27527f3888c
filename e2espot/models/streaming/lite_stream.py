"""The image network of the lite backbone for inference: each convolution with its activation in one pass over memory.

Shapes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.backbones.lite import LiteBackbone
from e2espot.models.backbones.lite_stages import LiteBlock, LiteStages, SameConv, in_parts
from e2espot.models.backbones.small import AddedMaps
from e2espot.models.spotter import normalise
from e2espot.models.streaming.fused_conv import Act, FusedConv
from e2espot.models.streaming.inverted_residual import NativeInvertedResidual
from e2espot.models.streaming.native_layers import NativeStem


class FusedAddedMaps:
    """Frames to what is added to the maps of the small backbone."""

    def __init__(self, backbone: LiteBackbone, dtype: torch.dtype) -> None:
        self._image = FusedLiteStages(backbone.image, dtype)
        eighth, sixteenth, thirty_second = backbone.norms
        self._to_fine, self._to_merge, self._to_coarse, self._context = (
            FusedConv(_norm_and_conv(norm, conv), dtype=dtype)
            for norm, conv in (
                (eighth, backbone.to_fine),
                (eighth, backbone.to_merge),
                (sixteenth, backbone.to_coarse),
                (thirty_second, backbone.context),
            )
        )

    def __call__(self, levels_THWC: Tensor) -> AddedMaps:
        """RGB of 0 to 255, uint8 or float -> maps in the compute dtype."""
        eighth, sixteenth, thirty_second = self._image.of_levels(levels_THWC)
        coarse = self._to_coarse(sixteenth)
        coarse += functional.interpolate(self._context(thirty_second), size=coarse.shape[-2:], mode="nearest")
        return AddedMaps(self._to_fine(eighth), self._to_merge(eighth), coarse)


def _norm_and_conv(norm: nn.Module, conv: nn.Conv2d) -> nn.Conv2d:
    """A 1x1 convolution that gives on maps what ``conv`` gives on normalised ones."""
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    scale_C = 1 / torch.sqrt(norm.running_var + norm.eps)
    weight = conv.weight.detach() * scale_C[:, None, None]
    bias = -(weight[:, :, 0, 0] @ norm.running_mean)
    joint = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
    joint.weight = nn.Parameter(weight, requires_grad=False)
    joint.bias = nn.Parameter(bias if conv.bias is None else bias + conv.bias.detach(), requires_grad=False)
    return joint


class FusedLiteStages:
    """``LiteStages`` in a compute dtype, without layers in between that only read and write memory."""

    def __init__(self, stages: LiteStages, dtype: torch.dtype) -> None:
        self._dtype, self._stem = dtype, _FusedSameConv(stages.stem, dtype)
        self._native_stem = NativeStem.build(stages.stem, "relu6", dtype)
        self._blocks = [
            NativeInvertedResidual.build(block, dtype) or _FusedBlock(block, dtype)
            for block in stages.inverted_residuals()
        ]
        self._taken = stages.taken

    def __call__(self, frames_TCHW: Tensor) -> tuple[Tensor, ...]:
        """As ``LiteStages``."""
        return _joined(self._after_stem(self._stem(part)) for part in in_parts(frames_TCHW))

    def of_levels(self, levels_THWC: Tensor) -> tuple[Tensor, ...]:
        """The same from RGB of 0 to 255, uint8 or float."""
        if self._native_stem is None or levels_THWC.dtype != torch.uint8:
            return self(normalise(levels_THWC, self._dtype))
        return _joined(self._after_stem(self._native_stem(part)) for part in in_parts(levels_THWC))

    def _after_stem(self, x_TCHW: Tensor) -> list[Tensor]:
        outputs = []
        for number, block in enumerate(self._blocks):
            x_TCHW = block(x_TCHW)
            if number in self._taken:
                outputs.append(x_TCHW)
        return outputs


def _joined(parts: Iterable[list[Tensor]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))


class _FusedSameConv:
    """A convolution with TensorFlow's padding and ReLU6."""

    def __init__(self, conv: SameConv, dtype: torch.dtype) -> None:
        self._conv, self._dtype = conv, dtype
        self._by_size: dict[torch.Size, FusedConv] = {}

    def __call__(self, x_TCHW: Tensor) -> Tensor:
        size = x_TCHW.shape[2:]
        if size not in self._by_size:
            self._by_size[size] = FusedConv(self._conv.on_size(*size), "relu6", self._dtype)
        return self._by_size[size](x_TCHW)


class _FusedBlock:
    """An inverted residual, where no kernel computes it at once."""

    def __init__(self, block: LiteBlock, dtype: torch.dtype) -> None:
        act: Act = "relu6"
        self._widen = None if block.widen is None else FusedConv(block.widen, act, dtype)
        self._depthwise = _FusedSameConv(block.depthwise, dtype)
        self._narrow, self._residual = FusedConv(block.narrow, dtype=dtype), block.residual

    def __call__(self, x_TCHW: Tensor) -> Tensor:
        wide_TCHW = self._depthwise(x_TCHW if self._widen is None else self._widen(x_TCHW))
        if not self._residual:
            return self._narrow(wide_TCHW)
        # Only first blocks of a stage have no shortcut and only last blocks are taken, so nothing else reads the input.
        return self._narrow.add_to(x_TCHW, wide_TCHW)


class FusedImage(nn.Module):
    """``LiteStages`` as a layer of a backbone that is not folded."""

    def __init__(self, stages: LiteStages, dtype: torch.dtype) -> None:
        super().__init__()
        self._stages = FusedLiteStages(stages, dtype)

    def forward(self, frames_NCHW: Tensor) -> tuple[Tensor, ...]:
        """As ``LiteStages``."""
        return self._stages(frames_NCHW)

"""A backbone that takes a match chunk by chunk and computes every frame once.

A block with a gate shift needs two frames on each side of a frame. It keeps its last input frames from chunk to
chunk and lags two frames behind, and so does its shortcut (see ``temporal_cache``). Nothing is computed twice and
nothing is cut off: the features are those of the whole match at once, ``halo`` frames late. With two such blocks and
chunks of 4 frames:

    chunk                     1           2           3           4
    input                  0 1 2 3     4 5 6 7     8 9 . .     . . . .
    block 1 (halo 2)          -        2 3 4 5     6 7 8 9     . . . .
    block 2 (halo 2)          -           -        4 5 6 7     8 9 . .
    features (halo 4)         -           -        4 5 6 7     8 9 . .

The first and the last ``halo`` frames never come out, so the caller feeds that many padding frames at each end.

For speed the stream works on a copy of the backbone: batch norms are folded into their convolutions, and all weights
have the compute dtype.

Shapes: T = frames of a chunk, t = frames emitted, C channels, H height, W width, D features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.backbones.base import upcast_to_fp32
from e2espot.models.backbones.lite import SEEN_EVERY, LiteBackbone
from e2espot.models.backbones.registry import Backbone, RegNet, ResNet
from e2espot.models.backbones.small import SmallBackbone, pool_by_attention
from e2espot.models.ball_smoothing import BallSmoother
from e2espot.models.spotter import normalise
from e2espot.models.streaming.folded_norms import fold_batch_norms
from e2espot.models.streaming.fused_conv import Act, FusedConv, activation_of
from e2espot.models.streaming.lite_stream import FusedAddedMaps
from e2espot.models.streaming.native_layers import NativeGroupedConv, NativeMeans, NativeScale, NativeStem
from e2espot.models.streaming.temporal_cache import (
    FrameCache,
    FrameDelay,
    FrameHold,
    StreamingGateShift,
    StreamingMotion,
)
from e2espot.models.temporal_shift import GateShift, ShiftedConv, split_conv


class BackboneStream:
    """Takes a match chunk by chunk, emits features ``halo`` frames late.

    Args:
        backbone: Is copied and stays as it is.
        dtype: Compute dtype.
        smoother: Smooths the map of the ball, which delays the features as much as it delays the map; for the small
            backbones, others have no such map.
    """

    def __init__(self, backbone: Backbone, dtype: torch.dtype, smoother: BallSmoother | None = None) -> None:
        folded = fold_batch_norms(backbone)
        self._network: _StreamingNetwork
        if isinstance(folded, LiteBackbone):
            self._network = _StreamingLite(folded, dtype, smoother)
        elif isinstance(folded, SmallBackbone):
            self._network = _StreamingSmall(folded, dtype, smoother)
        elif isinstance(folded, ResNet):
            self._network = _StreamingResNet(folded, dtype)
        else:
            self._network = _StreamingRegNet(folded, dtype)

    def forward_chunk(self, levels_THWC: Tensor) -> Tensor:
        """Take the next frames and return the features that are ready, ``(t, D)``, fp32 or wider; t may be 0.

        Args:
            levels_THWC: RGB of 0 to 255, uint8 or float. Pass uint8 as decoded: it loses least to rounding.
        """
        self._network.heat_THW = None
        return upcast_to_fp32(self._network(levels_THWC))

    def finish(self) -> Tensor:
        """The features that wait for maps of the ball which will not come, ``(t, D)``; none without a smoother."""
        self._network.heat_THW = None
        return upcast_to_fp32(self._network.finish())

    @property
    def heat_THW(self) -> Tensor | None:  # noqa: N802
        """Heat map of the ball, as logits in fp32, for the frames that the last chunk emitted; smoothed, if it is.

        None if it emitted none, and for backbones without this map.
        """
        return self._network.heat_THW

    @property
    def caches(self) -> list[FrameCache | FrameDelay | FrameHold]:
        """Everything that is kept from chunk to chunk, but for what a smoother holds back."""
        return self._network.caches

    @property
    def phase(self) -> int:
        """Frames of the next chunk before the first that an image network sees; 0 without one.

        The work of a chunk depends on this as well as on its length, so a recording of it holds for one phase.
        """
        return self._network.phase


class _StreamingNetwork(ABC):
    """A backbone over chunks of frames. Call it with ``levels_THWC`` for features ``(t, D)`` in the compute dtype."""

    caches: list[FrameCache | FrameDelay | FrameHold]
    phase = 0
    heat_THW: Tensor | None = None
    """Heat map of the ball for the frames of the last call; None without one."""

    @abstractmethod
    def __call__(self, levels_THWC: Tensor) -> Tensor: ...

    def finish(self) -> Tensor:
        """Features that are still held when the video ends."""
        return torch.empty(0)


class _ShiftedLayer:
    """The first layer of a residual block, with its temporal shift if it has one."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        gated = isinstance(layer, ShiftedConv) and isinstance(layer.gsm, GateShift)
        self._gate = StreamingGateShift(layer, dtype) if gated else None  # type: ignore[arg-type]
        self._plain_shift = layer if isinstance(layer, ShiftedConv) and not gated else None
        if self._gate is None:
            self._conv = FusedConv(*_conv_and_act(layer.net if isinstance(layer, ShiftedConv) else layer), dtype)
        halo = layer.halo if isinstance(layer, ShiftedConv) else 0
        self.cache = FrameCache(halo) if self._gate is None else self._gate.cache

    def __call__(self, x_TCHW: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """Output of the frames ready to emit, None if there are none; and the block's input of these frames."""
        if self._gate is not None:
            return self._gate(x_TCHW)
        ready, out = self.cache.ready(x_TCHW), None
        if self._plain_shift is None:
            # Without a shift the halo is 0: every frame of the chunk is ready, and nothing is kept.
            out = self._conv(x_TCHW)
        elif ready:
            full = self.cache.prepend(x_TCHW)
            # The shift puts zeros beyond both ends of what it is given. They reach ``halo`` frames, which are cut off:
            # kept [0, 1], chunk [2, 3, 4], halo 1 -> shift of [0, 1, 2, 3, 4] -> frames [1, 2, 3]
            mixed = self._plain_shift.gsm(full, len(full))[self.cache.halo : len(full) - self.cache.halo]
            mixed_last = mixed.contiguous(memory_format=torch.channels_last)
            out = self._conv(mixed_last)
            if self._plain_shift.shifts_block_input:
                # E2E-Spot shifts in place, so the shortcut carries the shifted channels too. It needs the layout of the
                # convolution in half formats, where torch cannot add across layouts; fp32 keeps its order of sums.
                ready = [mixed_last if mixed.dtype.itemsize < 4 else mixed]
        self.cache.update(x_TCHW)
        return out, ready


class _StreamingBlock(ABC):
    """A residual block over chunks of frames: ``relu(shortcut(x) + last(residual(first(x))))``.

    Args:
        first: First layer, perhaps with a shift. What it emits, and the shortcut with it, may lag.
        last: Last convolution.
        downsample: Convolution of the shortcut, None for the identity.
        dtype: Compute dtype.
    """

    def __init__(self, first: nn.Module, last: nn.Conv2d, downsample: nn.Conv2d | None, dtype: torch.dtype) -> None:
        self._first = _ShiftedLayer(first, dtype)
        self._last = FusedConv(last, "relu", dtype)
        self._downsample = None if downsample is None else FusedConv(downsample, dtype=dtype)

    @property
    def cache(self) -> FrameCache:
        """Input frames kept for the next chunk."""
        return self._first.cache

    def __call__(self, x_TCHW: Tensor) -> Tensor | None:
        """Output of the frames ready to emit, None if there are none."""
        mixed, ready = self._first(x_TCHW)
        if mixed is None:
            return None
        mixed = self._residual(mixed)
        # The shortcut has as many frames as the residual, so both lag alike.
        if self._downsample is not None:
            ready = [self._downsample(part) for part in ready]
        # Nothing else reads the ready frames any more, so the sum may overwrite them: views into the cache among them
        # are frames that ``update`` has copied or dropped.
        return self._last.add_to(torch.cat(ready) if len(ready) > 1 else ready[0], mixed)

    @abstractmethod
    def _residual(self, x_TCHW: Tensor) -> Tensor:
        """Layers between the first and the last one."""


class _BlockwiseNetwork(_StreamingNetwork):
    """An image network over chunks: stem, residual blocks, pooling.

    Args:
        backbone: Gives the width of the features and the conversion of colours.
        stem: Normalised frames to the input of the first block.
        blocks: In order.
        pool: Output of the last block to features ``(t, D)``.
        dtype: Compute dtype.
        native_stem: Does the same as conversion of colours, normalisation and stem, from bytes.
    """

    def __init__(
        self,
        backbone: RegNet | ResNet,
        stem: Callable[[Tensor], Tensor],
        blocks: Sequence[_StreamingBlock],
        pool: Callable[[Tensor], Tensor],
        dtype: torch.dtype,
        native_stem: NativeStem | None = None,
    ) -> None:
        self._native_stem = native_stem
        self._feature_dim, self._as_input, self._dtype = backbone.feature_dim, backbone.as_input, dtype
        self._stem, self._blocks, self._pool = stem, blocks, pool
        self.caches = [block.cache for block in blocks]

    def __call__(self, levels_THWC: Tensor) -> Tensor:
        if self._native_stem is not None and levels_THWC.dtype == torch.uint8:
            x = self._native_stem(levels_THWC)
        else:  # padding beyond the ends of a match has the exact mean, no whole levels
            x = self._stem(self._as_input(normalise(levels_THWC, self._dtype)))
        for block in self._blocks:
            out = block(x)
            # At the start of a match the frames may stop here: the blocks behind get nothing before there is output.
            if out is None:
                return x.new_empty(0, self._feature_dim)
            x = out
        return self._pool(x)


class _StreamingRegNet(_BlockwiseNetwork):
    """A RegNetY."""

    def __init__(self, backbone: Backbone, dtype: torch.dtype) -> None:
        assert isinstance(backbone, RegNet)
        network: Any = backbone.network
        blocks = [_RegNetBlock(block, dtype) for stage in backbone.stages() for block in stage.children()]
        pool = nn.Sequential(network.final_conv, network.head).to(dtype)
        stem = _conv_and_act(network.stem)
        native_stem = None if backbone.gray else NativeStem.build(*stem, dtype)
        super().__init__(backbone, FusedConv(*stem, dtype), blocks, pool, dtype, native_stem)


class _RegNetBlock(_StreamingBlock):
    """(Shift), 1x1, grouped 3x3, squeeze and excitation, 1x1."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        super().__init__(block.conv1, block.conv3.conv, getattr(block.downsample, "conv", None), dtype)
        conv2 = _conv_and_act(block.conv2)
        self._conv2 = FusedConv(*conv2, dtype)
        self._native_conv2 = NativeGroupedConv.build(*conv2, dtype)
        device = conv2[0].weight.device
        self._native_means, self._native_scale = NativeMeans.build(device, dtype), NativeScale.build(device, dtype)
        # The compiled kernels give the means in fp32, and so are the few products behind them.
        se_dtype = dtype if self._native_means is None else torch.float32
        self._squeeze, self._excite = _as_linear(block.se.fc1, se_dtype), _as_linear(block.se.fc2, se_dtype)

    def _residual(self, x_TCHW: Tensor) -> Tensor:
        if self._native_means is None or self._native_scale is None:
            out = self._conv2(x_TCHW)
            out *= self._channel_gains(out.mean((2, 3)))[:, :, None, None]
            return out
        if self._native_conv2 is not None:
            out, means_TC = self._native_conv2(x_TCHW)
        else:
            out = self._conv2(x_TCHW)
            means_TC = self._native_means(out)
        self._native_scale(out, self._channel_gains(means_TC))
        return out

    def _channel_gains(self, means_TC: Tensor) -> Tensor:
        """Squeeze and excitation: one factor per frame and channel, ``(T, C)``."""
        # After the mean a frame is one pixel, on which a 1x1 convolution is a matrix product.
        squeezed = functional.linear(means_TC, *self._squeeze).relu_()
        return functional.linear(squeezed, *self._excite).sigmoid_()


class _StreamingResNet(_BlockwiseNetwork):
    """A ResNet."""

    def __init__(self, backbone: ResNet, dtype: torch.dtype) -> None:
        network: Any = backbone.network
        conv1, max_pool = FusedConv(*_conv_and_act(network.conv1), dtype), network.maxpool
        blocks = [_ResNetBlock(block, dtype) for stage in backbone.stages() for block in stage.children()]
        super().__init__(backbone, lambda x: max_pool(conv1(x)), blocks, lambda x: x.mean((2, 3)), dtype)


class _ResNetBlock(_StreamingBlock):
    """(Shift), then two 3x3 convolutions, or 1x1, 3x3, 1x1."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        bottleneck = hasattr(block, "conv3")
        last, _ = split_conv(block.conv3 if bottleneck else block.conv2)
        super().__init__(block.conv1, last, None if block.downsample is None else block.downsample[0], dtype)
        self._conv2 = FusedConv(*_conv_and_act(block.conv2), dtype) if bottleneck else None

    def _residual(self, x_TCHW: Tensor) -> Tensor:
        return x_TCHW if self._conv2 is None else self._conv2(x_TCHW)


class _StreamingSmall(_StreamingNetwork):
    """The small backbone, whose fine path waits for the coarse one.

    motion - stem - down1 - block1 -+-------------- delay --------------+- merge - pool by attention -+- project
                                    +- down2 - block2 - block3 -+- lateral                            |
                                                                +------------ mean -------------------+
    """

    def __init__(self, backbone: SmallBackbone, dtype: torch.dtype, smoother: BallSmoother | None) -> None:
        self._motion = StreamingMotion(backbone, dtype)
        stem, act = _conv_and_act(backbone.stem)
        self._stem = FusedConv(self._motion.adapt_stem(stem), act, dtype)
        self._down1, self._down2, self._merge = (
            FusedConv(*_conv_and_act(layer), dtype) for layer in (backbone.down1, backbone.down2, backbone.merge)
        )
        self._block1, self._block2, self._block3 = (
            _SmallBlock(block, dtype) for block in (backbone.block1, backbone.block2, backbone.block3)
        )
        # The attention maps stay in fp32: rounding these few logits would shift all that is pooled under them.
        self._lateral, self._attention = FusedConv(backbone.lateral, dtype=dtype), backbone.attention
        self._project, self._feature_dim = backbone.project, backbone.feature_dim
        self._delay = FrameDelay()
        self._smoother = smoother
        self._unpooled: tuple[FrameDelay, FrameDelay, FrameDelay] = (FrameDelay(), FrameDelay(), FrameDelay())
        """Fine maps, attention maps and means of coarse ones, of frames whose map of the ball is not ready yet."""
        # The coarse path never emits its first frames; the fine path drops as many, so that both go in step.
        self._coarse_halo = self._block2.cache.halo + self._block3.cache.halo
        blocks = (self._block1, self._block2, self._block3)
        self.caches = [self._motion.cache, *(block.cache for block in blocks), self._delay]

    def __call__(self, levels_THWC: Tensor) -> Tensor:
        empty = levels_THWC.new_empty(0, self._feature_dim, dtype=torch.float32)
        motion = self._motion(levels_THWC)
        fine = None if motion is None else self._down1(self._stem(motion))
        fine = None if fine is None else self._block1(self._add("fine", fine))
        if fine is None:
            return empty
        # ``fine`` goes two ways: on into the coarse blocks, and into the queue until these have emitted its frames.
        coarse = self._block2(self._add("coarse", self._down2(fine)))
        coarse = None if coarse is None else self._block3(coarse)
        fine = self._delay.push_pop(fine, 0 if coarse is None else len(coarse), self._coarse_halo)
        if coarse is None:
            return empty
        upsampled = functional.interpolate(self._lateral(coarse), size=fine.shape[-2:], mode="nearest")
        fine = self._merge(self._add("merge", fine + upsampled))
        maps, means_TC = self._attention(upcast_to_fp32(fine)), upcast_to_fp32(coarse).mean((2, 3))
        if self._smoother is None:
            return self._pool(fine, maps, means_TC)
        return self._pool_smoothed(self._smoother.add(maps[:, 0]), fine, maps, means_TC)

    def finish(self) -> Tensor:
        if self._smoother is None or self._unpooled[0].buffer is None:
            return super().finish()
        fine, maps, means_TC = (queue.buffer[:0] for queue in self._unpooled if queue.buffer is not None)
        return self._pool_smoothed(self._smoother.finish(maps[:, 0]), fine, maps, means_TC)

    def _pool_smoothed(self, heat_THW: Tensor, *new: Tensor) -> Tensor:
        """Features of the oldest frames, under smoothed maps of the ball, one for each of them."""
        queues = zip(self._unpooled, new, strict=True)
        fine, maps, means_TC = (queue.push_pop(x, len(heat_THW), 0) for queue, x in queues)
        return self._pool(fine, torch.cat((heat_THW[:, None], maps[:, 1:]), 1), means_TC)

    def _pool(self, fine: Tensor, maps: Tensor, means_TC: Tensor) -> Tensor:
        self.heat_THW = maps[:, 0]
        features: Tensor = self._project(torch.cat((pool_by_attention(fine, maps), means_TC), dim=1))
        return features

    def _add(self, _slot: str, x_TCHW: Tensor) -> Tensor:
        """Where the maps of another network are added, in place, if there is one."""
        return x_TCHW


class _StreamingLite(_StreamingSmall):
    """The small backbone with the maps of an image network, each of which waits until the small one has come so far.

    # halo 1 of the motion, chunk [0, 1, 2, 3]: the image network has seen 0 and 2, ``fine`` has frames [1, 2]

    ``phase`` is the number of frames before the next that the image network sees.
    """

    def __init__(self, backbone: LiteBackbone, dtype: torch.dtype, smoother: BallSmoother | None) -> None:
        super().__init__(backbone, dtype, smoother)
        self._added = FusedAddedMaps(backbone, dtype)
        before_block1 = self._motion.cache.halo
        before_block2 = before_block1 + self._block1.cache.halo
        self._skip = {"fine": before_block1, "coarse": before_block2, "merge": before_block2 + self._coarse_halo}
        self._waiting = {slot: FrameDelay() for slot in self._skip}
        self._held = {slot: FrameHold(SEEN_EVERY) for slot in self._skip}
        self.caches = [*self.caches, *self._waiting.values(), *self._held.values()]

    def __call__(self, levels_THWC: Tensor) -> Tensor:
        count, first = len(levels_THWC), self.phase
        seen_SHWC = levels_THWC[first::SEEN_EVERY]
        added = self._added(seen_SHWC) if len(seen_SHWC) else None
        self.phase = (first - count) % SEEN_EVERY
        self._new = {
            slot: held.repeat(None if added is None else getattr(added, f"{slot}_NCHW"), first, count)
            for slot, held in self._held.items()
        }
        features = super().__call__(levels_THWC)
        for slot, maps_TCHW in self._new.items():  # those that no frame has reached in this chunk
            self._waiting[slot].push_pop(maps_TCHW, 0, self._skip[slot])
        return features

    def _add(self, slot: str, x_TCHW: Tensor) -> Tensor:
        x_TCHW += self._waiting[slot].push_pop(self._new.pop(slot), len(x_TCHW), self._skip[slot])
        return x_TCHW


class _SmallBlock(_StreamingBlock):
    """(Shift), 1x1, 3x3."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        super().__init__(block.conv1, block.conv2[0], None, dtype)

    def _residual(self, x_TCHW: Tensor) -> Tensor:
        return x_TCHW


def _conv_and_act(layer: nn.Module) -> tuple[nn.Conv2d, Act]:
    """The convolution of a layer whose norm has been folded away, and the activation behind it."""
    conv, rest = split_conv(layer)
    return conv, activation_of(rest)


def _as_linear(conv: nn.Conv2d, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a 1x1 convolution of a single pixel as those of a linear layer."""
    bias = None if conv.bias is None else conv.bias.detach().to(dtype)
    return conv.weight.detach()[:, :, 0, 0].to(dtype), bias

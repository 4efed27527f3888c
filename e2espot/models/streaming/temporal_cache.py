"""Layers that look to both sides in time, run over a match chunk by chunk.

Such a layer with halo h needs h frames before and h frames after a frame. It keeps the last ``2 * h`` input frames
and lags h frames: after each chunk it emits every frame that has h neighbours on both sides. With h = 2 and chunks
of 4 frames:

    input of the layer     0  1  2  3 | 4  5  6  7 | 8  9 10 11
    kept before the chunk       -     | 0  1  2  3 | 4  5  6  7
    emitted after it            -     | 2  3  4  5 | 6  7  8  9

Frames 0 and 1 are never emitted, nor are the last two. The caller feeds padding frames at both ends of the match, so
that only padding is lost.

Shapes: T = frames of a chunk, t = frames emitted, C channels, H height, W width; f channels in the fold of a gate
shift.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.models.backbones.small import SmallBackbone
from e2espot.models.streaming.fused_conv import FusedConv, activation_of
from e2espot.models.streaming.native_layers import NativeGateShift, NativeMotion
from e2espot.models.temporal_shift import HALO, GateShift, ShiftedConv, split_conv


class FrameCache:
    """The last input frames of a layer with a halo, kept for the next chunk.

    For each chunk call ``prepend`` and ``ready`` first, then ``update``.

    Args:
        halo: Frames that the layer needs on each side.
    """

    def __init__(self, halo: int) -> None:
        self.halo = halo
        self.buffer: Tensor | None = None
        """The last input frames, at most ``2 * halo``; None before the first chunk."""

    def prepend(self, x_TCHW: Tensor, channels: int | None = None) -> Tensor:
        """The kept frames followed by the chunk, of which only the first ``channels`` are taken if given."""
        if self.buffer is None:
            return x_TCHW[:, :channels].contiguous(memory_format=torch.channels_last)
        return torch.cat((self.buffer[:, :channels], x_TCHW[:, :channels]))

    def ready(self, x_TCHW: Tensor) -> list[Tensor]:
        """Views of the frames ready to emit, first of the kept ones, then of the chunk; may be empty."""
        # halo = 2, kept [0, 1, 2, 3], chunk [4, 5, 6, 7] -> [2, 3] of the kept frames and [4, 5] of the chunk
        num_old = 0 if self.buffer is None else len(self.buffer)
        # Frames [halo, end) of both together have all their neighbours. While the buffer is still filling, the first
        # frames of the match at its start have none before them and are passed over.
        end = num_old + len(x_TCHW) - self.halo
        parts = [] if self.buffer is None else [self.buffer[self.halo : end if end < num_old else num_old]]
        parts.append(x_TCHW[max(0, self.halo - num_old) : max(0, end - num_old)])
        return [part for part in parts if len(part)]

    def update(self, x_TCHW: Tensor) -> None:
        """Append the chunk and drop all but the last ``2 * halo`` frames."""
        if not self.halo:
            return
        last = x_TCHW if self.buffer is None or len(x_TCHW) >= 2 * self.halo else torch.cat((self.buffer, x_TCHW))
        # A copy, not a view: a view would keep the memory of the whole chunk alive.
        self.buffer = last[max(0, len(last) - 2 * self.halo) :].clone()


class FrameDelay:
    """A queue of frames that wait for a slower path of the network."""

    def __init__(self) -> None:
        self.buffer: Tensor | None = None
        """The frames that wait; None before the first chunk."""
        self._dropped = 0

    def push_pop(self, x_TCHW: Tensor, count: int, skip: int) -> Tensor:
        """Append a chunk and remove the ``count`` oldest frames.

        The first ``skip`` frames of the match, which the slower path never emits, are dropped for good.

            # skip = 2: chunk [0, 1, 2, 3], count 0 -> []; chunk [4, 5, 6, 7], count 3 -> [2, 3, 4]
        """
        waiting = x_TCHW if self.buffer is None else torch.cat((self.buffer, x_TCHW))
        # The frames to skip are the oldest ones, so they are dropped just before the first frame leaves.
        drop = min(skip - self._dropped, len(waiting)) if count else 0
        self._dropped += drop
        # A copy, not a view: a view would keep the memory of the frames that leave alive.
        self.buffer = waiting[drop + count :].clone()
        return waiting[drop : drop + count]


class FrameHold:
    """Repeats what a network makes of every n-th frame of a video for the frames up to the next one.

    Args:
        every: n.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self.buffer: Tensor | None = None
        """The last frame that was made; None before the first."""

    def repeat(self, x_SCHW: Tensor | None, first: int, count: int) -> Tensor:
        """One frame for each of a chunk.

            # every 2, kept [4], chunk [5, 6, 7, 8]: made of 6 and 8, first 1 -> [4, 6, 6, 8]

        Args:
            x_SCHW: What was made of frames ``first``, ``first + n``, ... of the chunk; None if it has none of them.
            first: Frames of the chunk before the first of these; 0 in the first chunk.
            count: Frames of the chunk.
        """
        parts = []
        if first and self.buffer is not None:
            parts.append(self.buffer.expand(min(first, count), -1, -1, -1))
        if x_SCHW is not None:
            # An index keeps the layout of memory, which ``repeat_interleave`` does not.
            parts.append(x_SCHW[torch.arange(count - first, device=x_SCHW.device) // self._every])
            # A copy, not a view: a view would keep the memory of the whole chunk alive.
            self.buffer = x_SCHW[-1:].clone()
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class StreamingGateShift:
    """A gate shift and the convolution behind it, chunk by chunk.

    One frame of the fold passes through two looks at its neighbours, which together make the halo of two:

        fold      x0  x1  x2  x3  x4  x5      kept frames and chunk
        gates         g1  g2  g3  g4          g[t] reads x[t - 1], x[t], x[t + 1]
        taken         k1  k2  k3  k4          k[t] = g[t] * x[t], what a frame gives away
        output            y2  y3              y[t] reads k[t - 1], k[t], k[t + 1]

    On a CPU a compiled kernel shifts the frames in one pass (``native_layers``). Without it everything is a dense
    convolution, because matrix units want sixteen outputs at a time where a gate has two, and slices of channels are
    read one number at a time. So one convolution makes the maps of two neighbouring pixels, and operations along time
    are convolutions too, over the same memory seen as one image of frames by pixels. In both forms the interleave of
    the shift is in the weights.

    Args:
        layer: With a gate shift; its norms are already folded into the convolution.
        dtype: Compute dtype; None for that of the weights.
    """

    def __init__(self, layer: ShiftedConv, dtype: torch.dtype | None = None) -> None:
        gate = layer.gsm
        assert isinstance(gate, GateShift)
        conv, rest = split_conv(layer.net)
        act = activation_of(rest)
        self.fold = gate.fold
        self.cache = FrameCache(HALO)
        with torch.no_grad():
            weight = gate.absorb_interleave(conv.weight)
            self._native = NativeGateShift.build(gate, dtype or weight.dtype)
            self._norm = FusedConv(_norm_as_conv(gate), "relu", dtype)
            self._maps = FusedConv(_pixel_pair_maps(gate), dtype=dtype)
            self._sums = FusedConv(_gate_sums(gate), "tanh", dtype)
            self._main = FusedConv(_conv(weight, conv.bias, conv.padding, conv.stride), act, dtype)
            # In a narrow fold, convolving the exchange on its own is cheaper than adding it into a few channels of
            # every pixel.
            narrow = gate.fold < _WIDE_FOLD and conv.kernel_size == conv.stride == (1, 1)
            self._exchange = FusedConv(_exchange_along_time(weight[:, : gate.fold]), dtype=dtype) if narrow else None

    def __call__(self, x_TCHW: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """Output of the frames ready to emit, None if there are none; and the input of these frames."""
        ready = self.cache.ready(x_TCHW)
        out = None
        if ready and self._native is not None:
            before = [] if self.cache.buffer is None else [self.cache.buffer]
            out = self._main(self._native([*before, x_TCHW]))
        elif ready:
            fold_TCHW = self.cache.prepend(x_TCHW, self.fold)
            taken_TCHW = fold_TCHW[1:-1] * self._gates(fold_TCHW)
            convolve = self._convolve_shifted if self._exchange is None else self._convolve_exchange
            out = convolve(taken_TCHW, ready)
        self.cache.update(x_TCHW)
        return out, ready

    def _gates(self, fold_TCHW: Tensor) -> Tensor:
        """Share of each channel that is given away, in all frames but the first and last: ``(T - 2, f, H, W)``."""
        height, width = fold_TCHW.shape[2:]
        # Two neighbouring pixels make a pair. A row of odd or even width ends in half a pair, which is cut off below.
        maps = self._maps(self._norm(fold_TCHW))  # (T, 12, H, pairs)
        sums = self._sums(_frames_as_rows(maps))  # (1, 2 f, T - 2, H * pairs)
        rows = sums[0].permute(1, 2, 0).reshape(sums.shape[2], height, -1, self.fold)
        # width = 3: pairs (-1, 0) (1, 2) -> pixels [-1, 0, 1, 2] -> [0, 1, 2]
        gates: Tensor = rows[:, :, 1 : width + 1].permute(0, 3, 1, 2)
        return gates

    def _convolve_exchange(self, taken_TCHW: Tensor, ready: list[Tensor]) -> Tensor:
        """``conv''(net exchange) + conv'(x)``, without building the shifted frames."""
        assert self._exchange is not None
        out = _rows_as_frames(self._exchange(_frames_as_rows(taken_TCHW)), taken_TCHW.shape[2:])
        # The frames of ``ready`` lie in the buffer and in the chunk. Convolving each part where it is saves a copy.
        first = 0
        for part in ready:
            self._main.add_to(out[first : first + len(part)], part)
            first += len(part)
        return out

    def _convolve_shifted(self, taken_TCHW: Tensor, ready: list[Tensor]) -> Tensor:
        """``conv(x + net exchange)``."""
        half = self.fold // 2
        exchange = torch.cat((taken_TCHW[2:, :half], taken_TCHW[:-2, half:]), dim=1) - taken_TCHW[1:-1]
        # ``torch.cat`` makes a copy, so writing into it leaves the input for the shortcut.
        shifted = torch.cat(ready)
        shifted[:, : self.fold] += exchange
        out: Tensor = self._main(shifted)
        return out


class StreamingMotion:
    """Input of the small backbone's stem, colours and differences between frames, from grey levels of 0 to 255.

    One convolution along time computes them. It works on levels and not on normalised colours, because a level is
    exact in bf16 and a normalised colour is not: the difference of two rounded colours is mostly rounding where
    little moves. Levels are counted from a whole number near the mean, and the stem of ``adapt_stem`` does the
    normalisation. On a CPU a compiled kernel reads the levels as bytes; the cache then holds them as they came.

    Args:
        backbone: Its settings say which colours and differences are wanted.
        dtype: Compute dtype.
    """

    def __init__(self, backbone: SmallBackbone, dtype: torch.dtype) -> None:
        self.cache, self._dtype = FrameCache(0 if backbone.single_frame else 1), dtype
        device = backbone.attention.weight.device
        mean, std = (
            255 * torch.tensor(row, dtype=torch.float64, device=device) for row in (IMAGENET_MEAN, IMAGENET_STD)
        )
        zero = mean.round() if dtype.itemsize < 4 else mean
        kernels_O3T1 = _motion_along_time(backbone) / std[:, None, None]
        self._offset_O = kernels_O3T1.sum((2, 3)) @ (zero - mean)
        # Scale the largest weight of each output to 1, which is exact in bf16. A backbone that must not see motion
        # has outputs without any weight.
        self._unit_O = kernels_O3T1.abs().amax((1, 2, 3)).clamp(min=1e-6)
        kernels_O3T1 = kernels_O3T1 / self._unit_O[:, None, None, None]
        sums_O3 = kernels_O3T1.sum((2, 3))
        bias_O = sums_O3 @ (_MIDDLE_LEVEL - zero)
        self._conv = FusedConv(_conv(kernels_O3T1, bias_O), dtype=dtype)
        self._native = NativeMotion.build(kernels_O3T1[..., 0], _MIDDLE_LEVEL, bias_O, dtype)

    def adapt_stem(self, stem: nn.Conv2d) -> nn.Conv2d:
        """A stem that gives on this layer's output what ``stem`` gives on normalised frames."""
        assert isinstance(stem.padding, tuple)
        weight, bias = stem.weight.detach().double(), 0.0 if stem.bias is None else stem.bias.detach().double()
        bias = bias + weight.sum((2, 3)) @ self._offset_O
        return _conv(weight * self._unit_O[:, None, None], bias, stem.padding, stem.stride)

    def __call__(self, levels_THWC: Tensor) -> Tensor | None:
        """``(t, 5, H, W)`` for the frames ready to emit, None if there are none."""
        if self._native is not None:
            before = [] if self.cache.buffer is None else [self.cache.buffer]
            ready = self.cache.ready(levels_THWC)
            out = self._native([*before, levels_THWC]) if ready else None
            self.cache.update(levels_THWC)
            return out
        if levels_THWC.is_floating_point():  # padding beyond the ends of a match has the exact mean, no whole levels
            levels_THWC = levels_THWC - _MIDDLE_LEVEL
        else:
            levels_THWC = levels_THWC.to(self._dtype).sub_(_MIDDLE_LEVEL)
        levels_TCHW = levels_THWC.to(self._dtype).movedim(-1, 1)
        full_TCHW = self.cache.prepend(levels_TCHW)
        self.cache.update(levels_TCHW)
        if len(full_TCHW) <= 2 * self.cache.halo:
            return None
        return _rows_as_frames(self._conv(_frames_as_rows(full_TCHW)), full_TCHW.shape[2:])


_MIDDLE_LEVEL = 116.0
"""Grey level from which levels are counted: whole ones stay exact in bf16, and the mean colour nearly so."""
_WIDE_FOLD = 16
"""Channels of a fold from which on a slice of channels fills a CPU's vectors."""


def _frames_as_rows(x_TCHW: Tensor) -> Tensor:
    """Channels-last frames seen as one image with a row per frame and a column per pixel, ``(1, C, T, H * W)``."""
    # A kernel of 3x1 on this image is a convolution along time. The permutations only relabel channels-last memory.
    frames, channels = x_TCHW.shape[:2]
    return x_TCHW.permute(0, 2, 3, 1).reshape(1, frames, -1, channels).permute(0, 3, 1, 2)


def _rows_as_frames(image_1CTP: Tensor, shape: torch.Size) -> Tensor:
    """Inverse of ``_frames_as_rows``; ``shape`` is (H, W)."""
    frames: Tensor = image_1CTP[0].permute(1, 2, 0).unflatten(1, shape).permute(0, 3, 1, 2)
    return frames


def _conv(weight: Tensor, bias: Tensor | None, padding: Any = (0, 0), stride: Any = (1, 1)) -> nn.Conv2d:
    outputs, inputs, height, width = weight.shape
    conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=bias is not None)
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv


def _norm_as_conv(gate: GateShift) -> nn.Conv2d:
    """The gate's batch norm as a diagonal 1x1 convolution, so that norm and ReLU are one pass over memory."""
    bn = gate.bn
    assert bn.running_var is not None and bn.running_mean is not None
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    shift = bn.bias - bn.running_mean * scale
    return _conv(torch.diag(scale)[:, :, None, None], shift)


def _pixel_pair_maps(gate: GateShift) -> nn.Conv2d:
    """Six maps each (two gates at t - 1, t, t + 1) of the pixels 2j - 1 and 2j: weights ``(12, f, 3, 4)``, stride 2.

    Two 3x3 kernels lie in one window of 3x4:

        column           2j - 2   2j - 1     2j   2j + 1
        pixel 2j - 1        a0       a1       a2       0
        pixel 2j             0       a0       a1      a2
    """
    kernels = gate.dense_kernels()
    pair = torch.cat((functional.pad(kernels, (0, 1)), functional.pad(kernels, (1, 0))))
    return _conv(pair, None, padding=(1, 2), stride=(1, 2))


def _gate_sums(gate: GateShift) -> nn.Conv2d:
    """Weights ``(2 f, 12, 3, 1)`` that sum the maps along time and copy each gate to the channels of its half.

    gate[t] = map for t - 1 of frame t - 1, plus map for t of frame t, plus map for t + 1 of frame t + 1, plus bias;
    the tanh follows in the same pass.
    """
    assert gate.conv3D.bias is not None
    to_channels = gate.gate_to_channels[..., 0]  # (f, 2, 1)
    kernels = to_channels.new_zeros(2, gate.fold, 2, 6, 3, 1)
    for pixel in range(2):
        for step in range(3):
            kernels[pixel, :, pixel, 2 * step : 2 * step + 2, step] = to_channels
    bias = functional.conv2d(gate.conv3D.bias[None, :, None, None], gate.gate_to_channels).flatten()
    return _conv(kernels.flatten(2, 3).flatten(0, 1), bias.repeat(2))


def _motion_along_time(backbone: SmallBackbone) -> Tensor:
    """Weights ``(5, 3, times, 1)`` of ``backbone.add_motion``, read off its answers to unit inputs."""
    # The function is linear, so its output for one colour at one time alone is one column of its matrix.
    times = 1 if backbone.single_frame else 3
    units = torch.eye(3 * times, dtype=torch.float64, device=backbone.attention.weight.device)
    answers = backbone.add_motion(units.view(3 * times, times, 3, 1, 1)).view(3 * times, times, 5)[:, times // 2]
    return answers.T.reshape(5, times, 3, 1).transpose(1, 2)


def _exchange_along_time(weight_Of11: Tensor) -> nn.Conv2d:
    """``conv''`` and the shift as one kernel along time, ``(O, f, 3, 1)``.

    row of the kernel     t - 1       t     t + 1
    first half                0      -w        +w      receives from the next frame
    second half              +w      -w         0      receives from the previous frame
    """
    half = weight_Of11.shape[1] // 2
    kernels = weight_Of11.new_zeros(*weight_Of11.shape[:2], 3, 1)
    kernels[:, half:, 0] = weight_Of11[:, half:, 0]
    kernels[:, :, 1] = -weight_Of11[:, :, 0]
    kernels[:, :half, 2] = weight_Of11[:, :half, 0]
    return _conv(kernels, None)

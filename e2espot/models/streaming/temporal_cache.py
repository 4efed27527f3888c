"""What a layer that looks to both sides carries from one piece of a match to the next.

Shapes: T = frames of a piece, C channels, H height, W width; f channels take part in a gate shift.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.models.backbones.small import SmallTrunk
from e2espot.models.streaming.fused_conv import Act, FusedConv
from e2espot.models.temporal_shift import HALO, GateShift, ShiftedConv


class Carried:
    """The last frames that passed a place, for the piece that comes next.

    A place with a halo of h answers h frames late: what can be told after a piece are the frames that have
    h others to each side, in this piece or the one before.
    """

    def __init__(self, halo: int) -> None:
        self.halo = halo
        self.kept: Tensor | None = None
        """The last frames that came, at most ``2 * halo``."""

    def with_before(self, x_TCHW: Tensor, channels: int | None = None) -> Tensor:
        """The frames kept and the piece as one, the first ``channels`` of them or all."""
        if self.kept is None:
            return x_TCHW[:, :channels].contiguous(memory_format=torch.channels_last)
        return torch.cat((self.kept[:, :channels], x_TCHW[:, :channels]))

    def told(self, x_TCHW: Tensor) -> list[Tensor]:
        """Views of the frames that can be told now: of those kept, then of the piece; perhaps none."""
        kept = 0 if self.kept is None else len(self.kept)
        end = kept + len(x_TCHW) - self.halo
        parts = [] if self.kept is None else [self.kept[self.halo : end if end < kept else kept]]
        parts.append(x_TCHW[max(0, self.halo - kept) : max(0, end - kept)])
        return [part for part in parts if len(part)]

    def keep(self, x_TCHW: Tensor) -> None:
        """The piece has been dealt with; its last ``2 * halo`` frames are kept, and nothing else of it."""
        if not self.halo:
            return
        last = x_TCHW if self.kept is None or len(x_TCHW) >= 2 * self.halo else torch.cat((self.kept, x_TCHW))
        self.kept = last[max(0, len(last) - 2 * self.halo) :].clone()


class Delay:
    """Frames that wait until as many come out elsewhere."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None
        """The frames that wait."""
        self._dropped = 0

    def exchange(self, x_TCHW: Tensor, count: int, skip: int) -> Tensor:
        """Take a piece, give the ``count`` earliest that wait, once ``skip`` frames have been dropped for good."""
        waiting = x_TCHW if self.kept is None else torch.cat((self.kept, x_TCHW))
        drop = min(skip - self._dropped, len(waiting)) if count else 0
        self._dropped += drop
        self.kept = waiting[drop + count :]
        return waiting[drop : drop + count]


class CarriedGate:
    """A gate shift and the convolution behind it, piece by piece.

    A CPU's matrix units want sixteen results at a time, a gate has two, and slices by channels are taken
    one number at a time. So the maps of two neighbouring places come out of one convolution, and what
    happens along time is a convolution too, over the picture of frames by places ``(1, C, T, H * W)``
    that the same memory is. The interleave is in the columns of the weights.
    """

    def __init__(self, layer: ShiftedConv, dtype: torch.dtype | None = None) -> None:
        gate = layer.gsm
        assert isinstance(gate, GateShift)
        conv, behind = layer.parts()
        act: Act = "relu" if any(isinstance(part, nn.ReLU) for part in behind.modules()) else "none"
        self.fold = gate.fold
        self.carried = Carried(HALO)
        with torch.no_grad():
            weight = gate.folded_into(conv.weight)
            self._norm = FusedConv(_norm_as_conv(gate), "relu", dtype)
            self._maps = FusedConv(_map_pairs(gate), dtype=dtype)
            self._sums = FusedConv(_sum_pairs(gate), "tanh", dtype)
            self._main = FusedConv(_conv(weight, conv.bias, conv.padding, conv.stride), act, dtype)
            # Few channels: a convolution of what is exchanged is cheaper than writing it into every fourth number.
            thin = gate.fold < _WIDE and conv.kernel_size == conv.stride == (1, 1)
            self._exchange = FusedConv(_exchange_along_time(weight[:, : gate.fold]), dtype=dtype) if thin else None

    def __call__(self, x_TCHW: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """Output for the frames that can be told now, if any, and the input of those frames."""
        part_TCHW = self.carried.with_before(x_TCHW, self.fold)
        told = self.carried.told(x_TCHW)
        out = None
        if told:
            taken_TCHW = part_TCHW[1:-1] * self._gates(part_TCHW)
            out = self._written(taken_TCHW, told) if self._exchange is None else self._added(taken_TCHW, told)
        self.carried.keep(x_TCHW)
        return out, told

    def _gates(self, part_TCHW: Tensor) -> Tensor:
        """What share each channel gives away, in all frames but the first and the last, ``(T - 2, f, H, W)``."""
        height, width = part_TCHW.shape[2:]
        maps = self._maps(self._norm(part_TCHW))
        pairs = self._sums(_as_picture(maps))  # (1, 2 f, T - 2, H * pairs)
        rows = pairs[0].permute(1, 2, 0).reshape(pairs.shape[2], height, -1, self.fold)
        gates: Tensor = rows[:, :, 1 : width + 1].permute(0, 3, 1, 2)
        return gates

    def _added(self, taken_TCHW: Tensor, told: list[Tensor]) -> Tensor:
        """``conv''(exchange) + conv'(x)``: the shifted frames are never put together."""
        assert self._exchange is not None
        out = _as_frames(self._exchange(_as_picture(taken_TCHW)), taken_TCHW.shape[2:])
        first = 0
        for piece in told:
            self._main.add_to(out[first : first + len(piece)], piece)
            first += len(piece)
        return out

    def _written(self, taken_TCHW: Tensor, told: list[Tensor]) -> Tensor:
        """``conv(x + exchange)``."""
        half = self.fold // 2
        gained = torch.cat((taken_TCHW[2:, :half], taken_TCHW[:-2, half:]), dim=1) - taken_TCHW[1:-1]
        shifted = torch.cat(told)
        shifted[:, : self.fold] += gained
        out: Tensor = self._main(shifted)
        return out


class CarriedMotion:
    """What the small trunk's stem looks at, colours and differences between frames, from grey levels.

    One convolution along time makes them. In bf16 a grey level is exact and a normalised colour is not, and a
    difference of two rounded ones is mostly rounding where little moves. So colours stay levels, counted from the
    whole one next to the mean, and normalising them is left to the stem (``read_by``).
    """

    def __init__(self, trunk: SmallTrunk, dtype: torch.dtype) -> None:
        self.carried, self._dtype = Carried(0 if trunk.single_frame else 1), dtype
        device = trunk.attention.weight.device
        mean, std = (
            255 * torch.tensor(row, dtype=torch.float64, device=device) for row in (IMAGENET_MEAN, IMAGENET_STD)
        )
        zero = mean.round() if dtype.itemsize < 4 else mean
        kernels_O3T1 = _motion_along_time(trunk) / std[:, None, None]
        self._offset_O = kernels_O3T1.sum((2, 3)) @ (zero - mean)
        # The largest weight of each becomes 1; all are zero where a trunk is not to see motion.
        self._unit_O = kernels_O3T1.abs().amax((1, 2, 3)).clamp(min=1e-6)
        kernels_O3T1 = kernels_O3T1 / self._unit_O[:, None, None, None]
        self._conv = FusedConv(_conv(kernels_O3T1, kernels_O3T1.sum((2, 3)) @ (_MIDDLE - zero)), dtype=dtype)

    def read_by(self, stem: nn.Conv2d) -> nn.Conv2d:
        """A stem that makes of this what ``stem`` makes of normalised frames."""
        assert isinstance(stem.padding, tuple)
        weight, bias = stem.weight.detach().double(), 0.0 if stem.bias is None else stem.bias.detach().double()
        bias = bias + weight.sum((2, 3)) @ self._offset_O
        return _conv(weight * self._unit_O[:, None, None], bias, stem.padding, stem.stride)

    def __call__(self, levels_THWC: Tensor) -> Tensor | None:
        """``(t, 5, H, W)`` for the frames that can be told now, if any."""
        if levels_THWC.is_floating_point():  # what is beyond the ends of a match: no whole levels
            levels_THWC = levels_THWC - _MIDDLE
        else:
            levels_THWC = levels_THWC.to(self._dtype).sub_(_MIDDLE)
        levels_TCHW = levels_THWC.to(self._dtype).movedim(-1, 1)
        full_TCHW = self.carried.with_before(levels_TCHW)
        self.carried.keep(levels_TCHW)
        if len(full_TCHW) <= 2 * self.carried.halo:
            return None
        return _as_frames(self._conv(_as_picture(full_TCHW)), full_TCHW.shape[2:])


_MIDDLE = 116.0
"""Grey level from which levels are counted: whole ones stay exact in bf16, and the mean colour nearly so."""
_WIDE = 16
"""Channels in a fold from which on a slice of channels is long enough for a CPU's vectors."""


def _as_picture(x_TCHW: Tensor) -> Tensor:
    """Channels-last frames seen as one picture of frames by places, ``(1, C, T, H * W)``."""
    frames, channels = x_TCHW.shape[:2]
    return x_TCHW.permute(0, 2, 3, 1).reshape(1, frames, -1, channels).permute(0, 3, 1, 2)


def _as_frames(picture_1CTP: Tensor, shape: torch.Size) -> Tensor:
    """The way back from ``_as_picture``."""
    frames: Tensor = picture_1CTP[0].permute(1, 2, 0).unflatten(1, shape).permute(0, 3, 1, 2)
    return frames


def _conv(weight: Tensor, bias: Tensor | None, padding: Any = (0, 0), stride: Any = (1, 1)) -> nn.Conv2d:
    outside, inside, height, width = weight.shape
    conv = nn.Conv2d(inside, outside, (height, width), stride, padding, bias=bias is not None)
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv


def _norm_as_conv(gate: GateShift) -> nn.Conv2d:
    """The gate's batch norm as a diagonal 1x1 convolution, so that its ReLU comes in the same pass."""
    bn = gate.bn
    assert bn.running_var is not None and bn.running_mean is not None
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    shift = bn.bias - bn.running_mean * scale
    return _conv(torch.diag(scale)[:, :, None, None], shift)


def _map_pairs(gate: GateShift) -> nn.Conv2d:
    """Both gates' maps at t - 1, t, t + 1, at places 2j - 1 and 2j: ``(12, f, 3, 4)``, every second place."""
    kernels = gate.dense_kernels()
    pair = torch.cat((functional.pad(kernels, (0, 1)), functional.pad(kernels, (1, 0))))
    return _conv(pair, None, padding=(1, 2), stride=(1, 2))


def _sum_pairs(gate: GateShift) -> nn.Conv2d:
    """``(2 f, 12, 3, 1)``: a channel's gate is the sum of its map at t - 1, of the one at t, of the one at t + 1."""
    assert gate.conv3D.bias is not None
    spread = gate.spread[..., 0]  # (f, 2, 1): which of the two gates a channel has
    kernels = spread.new_zeros(2, gate.fold, 2, 6, 3, 1)
    for place in range(2):
        for step in range(3):
            kernels[place, :, place, 2 * step : 2 * step + 2, step] = spread
    bias = functional.conv2d(gate.conv3D.bias[None, :, None, None], gate.spread).flatten()
    return _conv(kernels.flatten(2, 3).flatten(0, 1), bias.repeat(2))


def _motion_along_time(trunk: SmallTrunk) -> Tensor:
    """``(5, 3, times, 1)``: what ``trunk.with_motion`` answers to each colour of each time alone."""
    times = 1 if trunk.single_frame else 3
    one_each = torch.eye(3 * times, dtype=torch.float64, device=trunk.attention.weight.device)
    answers = trunk.with_motion(one_each.view(3 * times, times, 3, 1, 1)).view(3 * times, times, 5)[:, times // 2]
    return answers.T.reshape(5, times, 3, 1).transpose(1, 2)


def _exchange_along_time(weight_Of11: Tensor) -> nn.Conv2d:
    """``(O, f, 3, 1)``: the second half takes from t - 1, the first from t + 1, and both give away at t."""
    half = weight_Of11.shape[1] // 2
    kernels = weight_Of11.new_zeros(*weight_Of11.shape[:2], 3, 1)
    kernels[:, half:, 0] = weight_Of11[:, half:, 0]
    kernels[:, :, 1] = -weight_Of11[:, :, 0]
    kernels[:, :half, 2] = weight_Of11[:, :half, 0]
    return _conv(kernels, None)

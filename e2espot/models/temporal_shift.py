"""Gate shift: a learned exchange of channels with the frame before and the frame after.

Source: Sudhakaran, Escalera, Lanz, "Gate-Shift Networks for Video Action Recognition",
CVPR 2020, as placed by E2E-Spot (Hong et al., ECCV 2022) in front of the first
convolution of every RegNet or ResNet block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HALO = 2
"""Frames to each side that one gate shift looks at: one by the gate's kernel, one by the shift."""


class GateShift(nn.Module):
    """Shift gated parts of the first ``fold`` channels by one frame; leave the rest alone.

    The first half of the fold takes its gated part from the next frame, the second half
    from the previous one; beyond the ends of the clip there are zeros. What the gate does
    not take stays where it is. At initialisation the gate is closed, so the layer is
    a fixed permutation of channels (E2E-Spot's interleave) and nothing else.

    Args:
        fold: Channels taking part, a multiple of 4.
    """

    def __init__(self, fold: int) -> None:
        super().__init__()
        if fold % 4 or fold <= 0:
            raise ValueError(f"fold is {fold}; it must be a positive multiple of 4")
        self.fold = fold
        self.bn = nn.BatchNorm3d(fold)
        self.conv3D = nn.Conv3d(fold, 2, kernel_size=3, padding=1, groups=2)
        nn.init.zeros_(self.conv3D.weight)
        nn.init.zeros_(self.conv3D.bias)  # type: ignore[arg-type]

    def forward(self, x_NCHW: Tensor, num_frames: int) -> Tensor:
        """Exchange channels between neighbouring frames.

        Args:
            x_NCHW: Features of ``N = clips * num_frames`` frames, clip by clip, ``C >= fold``.
            num_frames: Frames of one clip.

        Returns:
            Features of the same shape.
        """
        part, rest = x_NCHW.split((self.fold, x_NCHW.shape[1] - self.fold), dim=1)
        if self.training:
            mixed = part + self.exchange(part, num_frames)
        else:
            mixed = self._by_definition(part.unflatten(0, (-1, num_frames)).transpose(1, 2).contiguous())
        return torch.cat((mixed[:, self.order], rest), dim=1)

    def _by_definition(self, part_BCTHW: Tensor) -> Tensor:
        """The shifted fold, ``NCHW``, by a 3-D convolution and in the order of the paper's sums.

        Slower than :meth:`exchange`, but E2E-Spot's to the last bit: deep trunks can blow up rounding.
        """
        half = self.fold // 2
        gates = torch.tanh(self.conv3D(functional.relu(self.bn(part_BCTHW))))
        gated = part_BCTHW * gates.repeat_interleave(half, dim=1)
        first, second = gated.split(half, dim=1)
        later = functional.pad(first[:, :, 1:], (0, 0, 0, 0, 0, 1))
        earlier = functional.pad(second[:, :, :-1], (0, 0, 0, 0, 1, 0))
        mixed = torch.cat((later, earlier), dim=1) + (part_BCTHW - gated)
        return mixed.transpose(1, 2).flatten(0, 1)

    def exchange(self, part_NCHW: Tensor, num_frames: int) -> Tensor:
        """What the fold's channels gain from their neighbours less what they give away, before the interleave.

        All of it is dense and channels-last, a frame the unit: a CPU takes slices of channels one by one.
        """
        half = self.fold // 2
        part = part_NCHW.contiguous(memory_format=torch.channels_last)
        # A 1x1 convolution spreads the two gates over their halves: the same as broadcasting, and faster.
        taken = part * functional.conv2d(self._gate(part, num_frames), self.spread)
        nothing = taken.new_zeros(1, half, *taken.shape[2:]).contiguous(memory_format=torch.channels_last)
        first, second = taken.split(half, dim=1)
        later = [piece for clip in first.split(num_frames) for piece in (clip[1:], nothing)]
        earlier = [piece for clip in second.split(num_frames) for piece in (nothing, clip[:-1])]
        return torch.cat((torch.cat(later), torch.cat(earlier)), dim=1) - taken

    def _gate(self, part_NCHW: Tensor, num_frames: int) -> Tensor:
        """Gates in (-1, 1), ``(N, 2, H, W)``: one 3x3x3 kernel a half, as three 2-D convolutions shifted in time.

        Six 2-D maps and two shifted additions give the same numbers as ``conv3d`` over
        permuted volumes at half the cost on a CPU; the parameters stay E2E-Spot's.
        """
        normed = self._normed(part_NCHW)
        assert self.conv3D.bias is not None
        maps = functional.conv2d(functional.relu(normed), self.dense_kernels(), padding=1)
        before, now, after = maps.split(2, dim=1)
        nothing = maps.new_zeros(1, 2, *maps.shape[2:])
        came = torch.cat([piece for clip in before.split(num_frames) for piece in (nothing, clip[:-1])])
        comes = torch.cat([piece for clip in after.split(num_frames) for piece in (clip[1:], nothing)])
        return torch.tanh(now + came + comes + self.conv3D.bias[:, None, None].to(maps.dtype))

    def _normed(self, part_NCHW: Tensor) -> Tensor:
        bn = self.bn
        shared: Callable[[Tensor], Tensor] | None = getattr(bn, "over_all_processes", None)
        if bn.training and shared is not None:
            return shared(part_NCHW)
        if bn.training and bn.num_batches_tracked is not None:
            bn.num_batches_tracked.add_(1)
        return functional.batch_norm(
            part_NCHW, bn.running_mean, bn.running_var, bn.weight, bn.bias, bn.training, bn.momentum or 0.0, bn.eps
        )

    def dense_kernels(self) -> Tensor:
        """Six kernels ``(6, fold, 3, 3)``: both gates at t - 1, at t, at t + 1.

        Each gate sees its half only; dense kernels with zeros for the other half are several
        times faster than groups.
        """
        half = self.fold // 2
        first, second = self.conv3D.weight.transpose(1, 2)  # (3, half, 3, 3) each
        sides = functional.pad(first, (0, 0, 0, 0, 0, half)), functional.pad(second, (0, 0, 0, 0, half, 0))
        return torch.stack(sides, dim=1).flatten(0, 1)

    @property
    def order(self) -> Tensor:
        """Where channel j of the shifted fold comes from: E2E-Spot's interleave of the two quarters of each half."""
        return torch.arange(self.fold, device=self.conv3D.weight.device).view(2, 2, -1).transpose(1, 2).flatten()

    @property
    def spread(self) -> Tensor:
        """Weights ``(fold, 2, 1, 1)`` that give every channel of a half its gate."""
        weight = self.conv3D.weight
        pair = torch.eye(2, dtype=weight.dtype, device=weight.device)
        return pair.repeat_interleave(self.fold // 2, dim=0)[:, :, None, None]

    def folded_into(self, weight_OCHW: Tensor) -> Tensor:
        """Weights of a convolution behind the shift, so that it takes the channels in their old order."""
        back = torch.argsort(self.order)
        return torch.cat((weight_OCHW[:, back], weight_OCHW[:, self.fold :]), dim=1)


def _shift(x_BTCHW: Tensor, half: int) -> Tensor:
    """First ``half`` channels from the next frame, the others from the previous one, zeros at the ends."""
    first, second = x_BTCHW.split((half, x_BTCHW.shape[2] - half), dim=2)
    later = functional.pad(first[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    earlier = functional.pad(second[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat((later, earlier), dim=2)


class _FirstChannels(torch.autograd.Function):
    """A slice of channels whose gradient is channels-last, as all others are.

    Autograd's own is not, and every sum it went into took several times as long from there on.
    """

    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, count: int) -> Tensor:
        ctx.shape = x_NCHW.shape
        return x_NCHW[:, :count].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        whole = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
        whole[:, : grad.shape[1]] = grad
        whole[:, grad.shape[1] :] = 0
        return whole, None


def _first_channels(x_NCHW: Tensor, count: int) -> Tensor:
    first: Tensor = _FirstChannels.apply(x_NCHW, count)  # type: ignore[no-untyped-call]
    return first


class TemporalShift(nn.Module):
    """Shift an eighth of the channels from the next and an eighth from the previous frame, without gates.

    Source: Lin, Gan, Han, "TSM: Temporal Shift Module", ICCV 2019.
    """

    def __init__(self, channels: int, divisor: int = 8) -> None:
        super().__init__()
        self.fold = channels // divisor

    def forward(self, x_NCHW: Tensor, num_frames: int) -> Tensor:
        """Same shapes as :meth:`GateShift.forward`."""
        clips = x_NCHW.shape[0] // num_frames
        part = x_NCHW[:, : 2 * self.fold].unflatten(0, (clips, num_frames))
        return torch.cat((_shift(part, self.fold).flatten(0, 1), x_NCHW[:, 2 * self.fold :]), dim=1)


class ShiftedConv(nn.Module):
    """A convolution with a shift in front of it, standing in its place in a backbone's block.

    ``num_frames`` is set by the backbone before each pass: blocks of other libraries call
    their layers with one argument only.

    Args:
        net: The convolution, alone or with what comes behind it.
        channels: Channels that come in.
        kind: ``gsm`` or ``tsm``.
    """

    def __init__(self, net: nn.Module, channels: int, kind: str) -> None:
        super().__init__()
        self.net = net
        self.gsm: nn.Module = GateShift(math.ceil(channels // 4 / 4) * 4) if kind == "gsm" else TemporalShift(channels)
        self.halo = HALO if kind == "gsm" else 1
        self.num_frames = 1
        self.moves_shortcut = False

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Shift, then convolve; only convolve where the shift stands before the whole block."""
        if self.training and isinstance(self.gsm, GateShift):
            return self._gated(self.gsm, x_NCHW)
        if self.moves_shortcut:
            return self.net(x_NCHW)  # type: ignore[no-any-return]
        return self.net(self.gsm(x_NCHW, self.num_frames))  # type: ignore[no-any-return]

    def stand_before(self, block: nn.Module) -> None:
        """Shift what goes into the whole of ``block``, its shortcut included.

        E2E-Spot's shift without gates works in place, so its shortcut carries shifted channels
        too; the one place before both is the block's door.
        """
        self.moves_shortcut = True
        block.register_forward_pre_hook(self._shift_input)

    def _shift_input(self, _block: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return self.gsm(inputs[0], self.num_frames)  # type: ignore[no-any-return]

    def parts(self) -> tuple[nn.Conv2d, nn.Module]:
        """The convolution, and what comes behind it."""
        if isinstance(self.net, nn.Conv2d):
            return self.net, nn.Identity()
        if isinstance(self.net, nn.Sequential):
            return self.net[0], nn.Sequential(*list(self.net)[1:])  # type: ignore[return-value]
        return self.net.conv, self.net.bn  # type: ignore[return-value]

    def _gated(self, gate: GateShift, x_NCHW: Tensor) -> Tensor:
        """``conv(shift(x)) = conv'(x) + conv''(exchange(x))``: the shifted picture is never put together.

        The interleave goes into the columns of the weights, and only the fold, a quarter of
        the channels, is ever copied. The sums come in another order, so this is for training.
        """
        conv, behind = self.parts()
        weight = gate.folded_into(conv.weight)
        gained = gate.exchange(_first_channels(x_NCHW, gate.fold), self.num_frames)
        out = functional.conv2d(x_NCHW, weight, conv.bias, conv.stride, conv.padding)
        out = out + functional.conv2d(gained, weight[:, : gate.fold], None, conv.stride, conv.padding)
        return behind(out)  # type: ignore[no-any-return]

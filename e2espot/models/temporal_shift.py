"""Temporal shifts: modules that let a 2-D backbone see motion by exchanging channels between neighbouring frames.

Gate shift is the learned one. Source: Sudhakaran, Escalera, Lanz, "Gate-Shift Networks for Video Action
Recognition", CVPR 2020, as placed by E2E-Spot (Hong et al., ECCV 2022) in front of the first convolution of every
RegNet or ResNet block. It splits the channels of a frame into three groups:

    frame             t - 1        t        t + 1
    first half          .  <-----  .  <-----  .        the gated part moves one frame earlier
    second half         .  ----->  .  ----->  .        the gated part moves one frame later
    other channels      .          .          .        unchanged

The two halves together are the *fold*. A gate in (-1, 1) per half and pixel decides how much of a value moves; the
rest of the value stays in its frame.

Shapes: B clips, T frames of a clip, N = B * T frames, C channels, H height, W width, O output channels;
f channels in the fold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HALO = 2
"""Frames to each side that one gate shift depends on: one through the gate's kernel, one through the shift."""


class GateShift(nn.Module):
    """Shift gated parts of the first ``fold`` channels by one frame; leave the other channels unchanged.

    The first half of the fold takes its gated part from the next frame, the second half from the previous one.
    Frames beyond the ends of the clip count as zeros. At initialisation all gates are zero, so the layer only
    permutes the channels of the fold (E2E-Spot's interleave).

    Args:
        fold: Number of channels that take part, a multiple of 4.
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
            num_frames: Number of frames of one clip.

        Returns:
            Features of the same shape.
        """
        part, rest = x_NCHW.split((self.fold, x_NCHW.shape[1] - self.fold), dim=1)
        if self.training:
            mixed = part + self.net_exchange(part, num_frames)
        else:
            # The 3-D convolution wants (B, f, T, H, W): T = 3 and two clips, N = 6 -> (2, f, 3, H, W)
            mixed = self._shift_in_paper_order(part.unflatten(0, (-1, num_frames)).transpose(1, 2).contiguous())
        return torch.cat((mixed[:, self.interleave_order], rest), dim=1)

    def _shift_in_paper_order(self, part_BCTHW: Tensor) -> Tensor:
        """Shifted fold, ``NCHW``, by a 3-D convolution and with the sums in the order of the paper.

        Slower than :meth:`net_exchange`, but bit-equal to E2E-Spot: a deep backbone can amplify rounding.
        """
        half = self.fold // 2
        gates = torch.tanh(self.conv3D(functional.relu(self.bn(part_BCTHW))))
        # One gate per half; x = [a, b] with gates [g, h] gives [g a, h b], of which a moves back and b forth in time.
        gated = part_BCTHW * gates.repeat_interleave(half, dim=1)
        first, second = gated.split(half, dim=1)
        later = functional.pad(first[:, :, 1:], (0, 0, 0, 0, 0, 1))
        earlier = functional.pad(second[:, :, :-1], (0, 0, 0, 0, 1, 0))
        mixed = torch.cat((later, earlier), dim=1) + (part_BCTHW - gated)
        return mixed.transpose(1, 2).flatten(0, 1)

    def net_exchange(self, part_NCHW: Tensor, num_frames: int) -> Tensor:
        """Net exchange of the fold: received minus given, ``(N, f, H, W)``, before the interleave.

        For one channel of the first half, with ``taken = gate * x``:

            # taken = [1, 2, 3] in frames 0, 1, 2 -> received [2, 3, 0], net exchange [1, 1, -3]
        """
        half = self.fold // 2
        part = part_NCHW.contiguous(memory_format=torch.channels_last)
        # A 1x1 convolution copies each gate to the channels of its half: the same as broadcasting, but faster in
        # channels-last memory.
        taken = part * functional.conv2d(self._gates(part, num_frames), self.gate_to_channels)
        # Everything stays dense and channels-last, and whole frames are moved: a CPU copies slices of channels one
        # number at a time.
        zeros = taken.new_zeros(1, half, *taken.shape[2:]).contiguous(memory_format=torch.channels_last)
        first, second = taken.split(half, dim=1)
        from_next = [frames for clip in first.split(num_frames) for frames in (clip[1:], zeros)]
        from_previous = [frames for clip in second.split(num_frames) for frames in (zeros, clip[:-1])]
        return torch.cat((torch.cat(from_next), torch.cat(from_previous)), dim=1) - taken

    def _gates(self, part_NCHW: Tensor, num_frames: int) -> Tensor:
        """Gates in (-1, 1), ``(N, 2, H, W)``: one 3x3x3 kernel per half, as three 2-D kernels and a shift in time.

        A 3-D convolution over T is a sum of 2-D convolutions of the frames, each shifted by its step in time:

            gate[t] = tanh(before[t - 1] + now[t] + after[t + 1] + bias)

        This gives the values of ``conv3d`` at half its cost on a CPU; the parameters keep E2E-Spot's shape.
        """
        normed = self._batch_norm(part_NCHW)
        assert self.conv3D.bias is not None
        maps = functional.conv2d(functional.relu(normed), self.dense_kernels(), padding=1)
        before, now, after = maps.split(2, dim=1)
        zeros = maps.new_zeros(1, 2, *maps.shape[2:])
        # num_frames = 3: before [b0, b1, b2] -> [0, b0, b1] and after [a0, a1, a2] -> [a1, a2, 0], clip by clip
        before = torch.cat([frames for clip in before.split(num_frames) for frames in (zeros, clip[:-1])])
        after = torch.cat([frames for clip in after.split(num_frames) for frames in (clip[1:], zeros)])
        return torch.tanh(now + before + after + self.conv3D.bias[:, None, None].to(maps.dtype))

    def _batch_norm(self, part_NCHW: Tensor) -> Tensor:
        """Batch norm of the fold on frames in channels-last memory; ``BatchNorm3d`` itself wants ``NCTHW``."""
        bn = self.bn
        # The batch norms of data-parallel training have this method; their statistics come from all processes.
        shared: Callable[[Tensor], Tensor] | None = getattr(bn, "sync_normalise", None)
        if bn.training and shared is not None:
            return shared(part_NCHW)
        if bn.training and bn.num_batches_tracked is not None:
            bn.num_batches_tracked.add_(1)
        return functional.batch_norm(
            part_NCHW, bn.running_mean, bn.running_var, bn.weight, bn.bias, bn.training, bn.momentum or 0.0, bn.eps
        )

    def dense_kernels(self) -> Tensor:
        """Six 2-D kernels ``(6, f, 3, 3)``: both gates' kernels for t - 1, then for t, then for t + 1.

        A gate sees its own half only. Kernels over the whole fold, zero on the other half, are several times
        faster than a grouped convolution.
        """
        half = self.fold // 2
        first, second = self.conv3D.weight.transpose(1, 2)  # (3, half, 3, 3) each
        # fold = 4, one tap: halves [a, b] and [c, d] -> rows [a, b, 0, 0] and [0, 0, c, d]
        halves = functional.pad(first, (0, 0, 0, 0, 0, half)), functional.pad(second, (0, 0, 0, 0, half, 0))
        return torch.stack(halves, dim=1).flatten(0, 1)

    @property
    def interleave_order(self) -> Tensor:
        """Source of each channel of the shifted fold: E2E-Spot interleaves the two quarters of each half."""
        # fold = 8 -> [0, 2, 1, 3, 4, 6, 5, 7]
        return torch.arange(self.fold, device=self.conv3D.weight.device).view(2, 2, -1).transpose(1, 2).flatten()

    @property
    def gate_to_channels(self) -> Tensor:
        """Weights ``(f, 2, 1, 1)`` of the 1x1 convolution that copies each gate to the channels of its half."""
        # fold = 4 -> [[1, 0], [1, 0], [0, 1], [0, 1]]
        weight = self.conv3D.weight
        pair = torch.eye(2, dtype=weight.dtype, device=weight.device)
        return pair.repeat_interleave(self.fold // 2, dim=0)[:, :, None, None]

    def absorb_interleave(self, weight_OCHW: Tensor) -> Tensor:
        """Weights of the convolution behind the shift, permuted so that it takes channels before the interleave."""
        # A convolution sums over its input channels, so permuting these equals permuting its weight columns back.
        inverse = torch.argsort(self.interleave_order)
        return torch.cat((weight_OCHW[:, inverse], weight_OCHW[:, self.fold :]), dim=1)


def _shift(x_BTCHW: Tensor, half: int) -> Tensor:
    """First ``half`` channels from the next frame, the others from the previous one, zeros at the ends."""
    first, second = x_BTCHW.split((half, x_BTCHW.shape[2] - half), dim=2)
    from_next = functional.pad(first[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    from_previous = functional.pad(second[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat((from_next, from_previous), dim=2)


class _FirstChannels(torch.autograd.Function):
    """The first channels as a copy whose gradient is channels-last, like all other gradients.

    The gradient of a plain slice is not, and every sum it enters takes several times as long.
    """

    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, count: int) -> Tensor:
        ctx.shape = x_NCHW.shape
        return x_NCHW[:, :count].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        whole = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
        # Written in two parts, each channel once: zeroing everything first would write the fold twice.
        whole[:, : grad.shape[1]] = grad
        whole[:, grad.shape[1] :] = 0
        return whole, None


def _first_channels(x_NCHW: Tensor, count: int) -> Tensor:
    first: Tensor = _FirstChannels.apply(x_NCHW, count)  # type: ignore[no-untyped-call]
    return first


class TemporalShift(nn.Module):
    """Take an eighth of the channels from the next frame and an eighth from the previous one, without gates.

    Source: Lin, Gan, Han, "TSM: Temporal Shift Module", ICCV 2019.
    """

    def __init__(self, channels: int, divisor: int = 8) -> None:
        super().__init__()
        self.fold = channels // divisor

    def forward(self, x_NCHW: Tensor, num_frames: int) -> Tensor:
        """Same shapes as :meth:`GateShift.forward`."""
        # 16 channels, divisor 8: channels 0, 1 from the next frame, 2, 3 from the previous one, the others unchanged.
        clips = x_NCHW.shape[0] // num_frames
        part = x_NCHW[:, : 2 * self.fold].unflatten(0, (clips, num_frames))
        return torch.cat((_shift(part, self.fold).flatten(0, 1), x_NCHW[:, 2 * self.fold :]), dim=1)


class ShiftedConv(nn.Module):
    """A convolution with a temporal shift in front of it; replaces the convolution of a backbone's block.

    The backbone sets ``num_frames`` before each pass, because blocks of other libraries call their layers with one
    argument only.

    Args:
        net: The convolution, alone or with its norm and activation.
        channels: Number of input channels.
        kind: ``gsm`` or ``tsm``.
    """

    def __init__(self, net: nn.Module, channels: int, kind: str) -> None:
        super().__init__()
        self.net = net
        self.gsm: nn.Module = GateShift(math.ceil(channels // 4 / 4) * 4) if kind == "gsm" else TemporalShift(channels)
        self.halo = HALO if kind == "gsm" else 1
        self.num_frames = 1
        self.shifts_block_input = False

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Shift, then convolve; only convolve where the input of the whole block is shifted already."""
        if self.training and isinstance(self.gsm, GateShift):
            return self._convolve_exchange(self.gsm, x_NCHW)
        if self.shifts_block_input:
            return self.net(x_NCHW)  # type: ignore[no-any-return]
        return self.net(self.gsm(x_NCHW, self.num_frames))  # type: ignore[no-any-return]

    def shift_input_of(self, block: nn.Module) -> None:
        """Shift the input of the whole ``block``, so that its shortcut is shifted too.

        E2E-Spot's shift without gates works in place, so its shortcut carries shifted channels as well.
        """
        self.shifts_block_input = True
        block.register_forward_pre_hook(self._shift_input)

    def _shift_input(self, _block: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return self.gsm(inputs[0], self.num_frames)  # type: ignore[no-any-return]

    def _convolve_exchange(self, gate: GateShift, x_NCHW: Tensor) -> Tensor:
        """``conv(shift(x)) = conv'(x) + conv''(net_exchange(x))``, without ever building the shifted frames.

        conv' has the interleave in its weights; conv'' is conv' on the fold, a quarter of the channels, and only
        that quarter is copied. The sums come in another order than E2E-Spot's, so this is for training only.
        """
        conv, rest = split_conv(self.net)
        weight = gate.absorb_interleave(conv.weight)
        exchanged = gate.net_exchange(_first_channels(x_NCHW, gate.fold), self.num_frames)
        out = functional.conv2d(x_NCHW, weight, conv.bias, conv.stride, conv.padding)
        out = out + functional.conv2d(exchanged, weight[:, : gate.fold], None, conv.stride, conv.padding)
        return rest(out)  # type: ignore[no-any-return]


def split_conv(layer: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """The convolution of a layer, and its norm and activation as one module.

    Args:
        layer: A bare convolution, a ``Sequential`` that begins with one, or timm's ``ConvNormAct``.
    """
    if isinstance(layer, nn.Conv2d):
        return layer, nn.Identity()
    if isinstance(layer, nn.Sequential):
        return layer[0], nn.Sequential(*list(layer)[1:])  # type: ignore[return-value]
    return layer.conv, layer.bn  # type: ignore[return-value]

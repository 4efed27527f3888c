"""Gate shift: a learned exchange of channels with the frame before and the frame after.

Source: Sudhakaran, Escalera, Lanz, "Gate-Shift Networks for Video Action Recognition",
CVPR 2020, as placed by E2E-Spot (Hong et al., ECCV 2022) in front of the first
1x1 convolution of every RegNet block.
"""

from __future__ import annotations

import math

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
        frames, channels, height, width = x_NCHW.shape
        clips, half = frames // num_frames, self.fold // 2
        # Splits, not slices: the gradient of a split is one concatenation, that of two slices is
        # two tensors full of zeros and their sum.
        part, rest = x_NCHW.split((self.fold, channels - self.fold), dim=1)
        gate = self._gate(part, clips, num_frames)
        taken = (part.unflatten(1, (2, half)) * gate.unsqueeze(2)).flatten(1, 2)
        moved = _shift(taken.unflatten(0, (clips, num_frames)), half).flatten(0, 1)
        mixed = part - taken + moved
        mixed = mixed.view(frames, 2, 2, self.fold // 4, height, width).transpose(2, 3).reshape_as(part)
        return torch.cat((mixed, rest), dim=1) if channels > self.fold else mixed

    def _gate(self, part_NCHW: Tensor, clips: int, num_frames: int) -> Tensor:
        """Gates in (-1, 1), ``(N, 2, H, W)``: one 3x3x3 kernel a half, as three 2-D convolutions shifted in time.

        Six 2-D maps and two shifted additions give the same numbers as ``conv3d`` over
        permuted volumes at half the cost on a CPU; the parameters stay E2E-Spot's.
        """
        bn = self.bn
        normed = functional.batch_norm(
            part_NCHW, bn.running_mean, bn.running_var, bn.weight, bn.bias, self.training, bn.momentum or 0.0, bn.eps
        )
        if self.training and bn.num_batches_tracked is not None:
            bn.num_batches_tracked.add_(1)
        # (2, fold/2, 3, 3, 3) -> six kernels: gate 0 at t-1, t, t+1, gate 1 at t-1, t, t+1. Each sees its half only;
        # dense kernels with zeros for the other half are several times faster than groups of three outputs.
        kernels = self.conv3D.weight.transpose(1, 2)
        dense = torch.cat(
            (
                functional.pad(kernels[0], (0, 0, 0, 0, 0, self.fold // 2)),
                functional.pad(kernels[1], (0, 0, 0, 0, self.fold // 2, 0)),
            )
        )
        maps = functional.conv2d(functional.relu(normed), dense, padding=1)
        maps = maps.unflatten(0, (clips, num_frames)).unflatten(2, (2, 3))
        before, now, after = maps.unbind(3)
        total = now + functional.pad(before[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        total = total + functional.pad(after[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
        assert self.conv3D.bias is not None
        return torch.tanh(total + self.conv3D.bias[:, None, None]).flatten(0, 1)


def _shift(x_BTCHW: Tensor, half: int) -> Tensor:
    """First ``half`` channels from the next frame, the others from the previous one, zeros at the ends."""
    first, second = x_BTCHW.split((half, x_BTCHW.shape[2] - half), dim=2)
    later = functional.pad(first[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    earlier = functional.pad(second[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat((later, earlier), dim=2)


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
    """

    def __init__(self, net: nn.Module, channels: int, kind: str) -> None:
        super().__init__()
        self.net = net
        self.gsm: nn.Module = GateShift(math.ceil(channels // 4 / 4) * 4) if kind == "gsm" else TemporalShift(channels)
        self.halo = HALO if kind == "gsm" else 1
        self.num_frames = 1

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Shift, then convolve."""
        return self.net(self.gsm(x_NCHW, self.num_frames))  # type: ignore[no-any-return]

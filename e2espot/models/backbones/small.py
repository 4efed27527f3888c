"""A thin backbone for laptops that does not lose the ball.

Shapes: B clips, T frames, C channels, H height, W width, D features, N = B * T.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.pixels import LUMA
from e2espot.models.backbones.base import FRAMES_AT_ONCE, Backbone, FrameFeatures, put_frames, upcast_to_fp32
from e2espot.models.ball_smoothing import smoothed_clips
from e2espot.models.temporal_shift import ShiftedConv


class _ConvNorm(nn.Sequential):
    """Convolution, batch norm and, with ``act``, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, act: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if act else []))


class ResidualBlock(nn.Module):
    """Residual block: (shift), 1x1, 3x3. The kernels are dense: on CPUs they beat grouped ones of equal cost."""

    def __init__(self, width: int, shift: str) -> None:
        super().__init__()
        conv1 = _ConvNorm(width, width, 1)
        self.conv1 = ShiftedConv(conv1, width, shift) if shift else conv1
        self.conv2 = _ConvNorm(width, width, 3, act=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Maps of the same size."""
        return functional.relu(x_NCHW + self.conv2(self.conv1(x_NCHW)))


class AddedMaps(NamedTuple):
    """Maps of another network that are added to those of the small backbone."""

    fine_NCHW: Tensor
    """Added in front of the first block, at an eighth of the frame size."""
    merge_NCHW: Tensor
    """Added to the sum from which the heat map is made, at an eighth."""
    coarse_NCHW: Tensor
    """Added in front of the second block, at a sixteenth."""
    frames_per_map: int = 1
    """Frames of a clip, one after the other, to which one map is added; fewer at its end."""

    def plus(self, x_NCHW: Tensor, maps_NCHW: Tensor, num_frames: int) -> Tensor:
        """Maps of clips of ``num_frames`` frames, plus some of these.

        # two clips of three frames, frames_per_map 2: maps [0, 1, 2, 3] are added as [0, 0, 1, 2, 2, 3]
        """
        if self.frames_per_map == 1:
            return x_NCHW + maps_NCHW
        clips = len(x_NCHW) // num_frames
        # An index keeps the layout of memory, which ``repeat_interleave`` does not.
        frames_T = torch.arange(num_frames, device=x_NCHW.device) // self.frames_per_map
        clips_B = len(maps_NCHW) // clips * torch.arange(clips, device=x_NCHW.device)
        return x_NCHW + maps_NCHW[(clips_B[:, None] + frames_T).flatten()]


class SmallBackbone(Backbone):
    """A thin network that does not lose the ball: motion at the input, early stride, pooling where the ball is.

    The ball is 2 to 4 pixels wide and disappears under global pooling. So the first convolution sees the frame and
    its grey differences to both neighbours. The features at an eighth of the frame size are pooled under learned
    attention maps as well as on average. The first of these maps is trained as a heat map of the ball wherever its
    position is known. Each map also gives its centre of mass, so the temporal head sees where the ball is and how it
    moves.

        size  1/4     1/8               1/16
        stem -> down1 -> block1 -+-> down2 -> block2 -> block3 -+-> mean ------------+
                                 |                              v                    +-> project -> features
                                 +------------ + <----------- lateral                |
                                               v                                     |
                                             merge -> attention maps -> pooling -----+

    Args:
        shift: ``gsm``, ``tsm`` or empty.
        single_frame: Leave the motion channels at zero (a control experiment that must see no motion).
        gray: See luma in place of the colours.
    """

    WIDTHS = (24, 48, 96)
    """Channels at a quarter, an eighth and a sixteenth of the frame size."""
    NUM_MAPS = 4
    """Attention maps."""

    def __init__(self, shift: str, *, single_frame: bool = False, gray: bool = False) -> None:
        super().__init__()
        stem, middle, deep = self.WIDTHS
        self.single_frame, self.gray = single_frame, gray
        self.smooth_fps: float | None = None
        """Frames a second at which training smooths the map of the ball; None to pool under it as it is."""
        self.stem = _ConvNorm(5, stem, 7, 4)
        self.down1 = _ConvNorm(stem, middle, 3, 2)
        self.block1 = ResidualBlock(middle, shift)
        self.down2 = _ConvNorm(middle, deep, 3, 2)
        self.block2 = ResidualBlock(deep, shift)
        self.block3 = ResidualBlock(deep, shift)
        self.lateral = nn.Conv2d(deep, middle, 1)
        self.merge = _ConvNorm(middle, middle, 3)
        self.attention = nn.Conv2d(middle, self.NUM_MAPS, 1)
        self.feature_dim = 128
        self.project = nn.Sequential(
            nn.Linear(middle * self.NUM_MAPS + 3 * self.NUM_MAPS + deep, self.feature_dim),
            nn.LayerNorm(self.feature_dim),
            nn.ReLU(),
        )

    @property
    def halo(self) -> int:
        """Halo of the shifts plus one frame of motion at the input."""
        return super().halo + (0 if self.single_frame else 1)

    def forward(self, frames_BTCHW: Tensor) -> FrameFeatures:
        """Normalised float frames -> features, and the heat map of the ball at an eighth of the frame size."""
        # Not held by a name: at full frame size this is the largest of all, and only the stem reads it.
        return self._after_down1(self.down1(self.stem(self.add_motion(frames_BTCHW))), *frames_BTCHW.shape[:2])

    def forward_clips(self, clips_TCHW: Iterable[Tensor], count: int) -> FrameFeatures:
        """As ``forward``, with one clip at a time at full frame size."""
        fine, num_frames = self._down1_of_clips(clips_TCHW, count)
        return self._after_down1(fine, count, num_frames)

    def _down1_of_clips(self, clips_TCHW: Iterable[Tensor], count: int) -> tuple[Tensor, int]:
        """Output of ``down1`` for all clips, and the number of frames of one."""
        # The convolution sees each frame alone; the norm behind it is the first that needs all clips.
        conv, *behind = (*self.stem, *self.down1)
        x_NCHW: Tensor | None = None
        num_frames = start = 0
        for clip_TCHW in clips_TCHW:
            num_frames = len(clip_TCHW)
            for first in range(0, num_frames, FRAMES_AT_ONCE):
                out_TCHW = conv(self._motion_of(clip_TCHW, range(first, min(first + FRAMES_AT_ONCE, num_frames))))
                x_NCHW = put_frames(x_NCHW, start, out_TCHW, count * num_frames)
                start += len(out_TCHW)
            del clip_TCHW  # or it is held while the next one is made
        assert x_NCHW is not None
        for layer in behind:  # one name for all, so that nothing larger than a layer's input and output is held
            x_NCHW = layer(x_NCHW)
        return x_NCHW, num_frames

    def _motion_of(self, clip_TCHW: Tensor, frames: range) -> Tensor:
        """What ``add_motion`` gives some frames of a clip."""
        # frames 4 to 7 of 16: their motion is that within frames 3 to 8
        start = max(0, frames.start - 1)
        out_TCHW = self.add_motion(clip_TCHW[None, start : frames.stop + 1])
        return out_TCHW[frames.start - start :][: len(frames)]

    def _after_down1(self, fine: Tensor, clips: int, num_frames: int, added: AddedMaps | None = None) -> FrameFeatures:
        self.set_num_frames(num_frames)
        fine = self.block1(fine if added is None else added.plus(fine, added.fine_NCHW, num_frames))
        coarse = self.down2(fine)
        coarse = self.block3(
            self.block2(coarse if added is None else added.plus(coarse, added.coarse_NCHW, num_frames))
        )
        fine = fine if added is None else added.plus(fine, added.merge_NCHW, num_frames)
        fine = fine + functional.interpolate(self.lateral(coarse), size=fine.shape[-2:], mode="nearest")
        fine = self.merge(fine)
        maps = self.attention(fine)
        heat_BTHW = maps[:, 0].float().unflatten(0, (clips, num_frames))
        smoothed_BTHW = None if self.smooth_fps is None else smoothed_clips(heat_BTHW, self.smooth_fps)
        if smoothed_BTHW is not None:
            maps = torch.cat((smoothed_BTHW.flatten(0, 1)[:, None], maps[:, 1:].float()), dim=1)
        pooled = torch.cat((pool_by_attention(fine, maps), upcast_to_fp32(coarse).mean((2, 3))), dim=1)
        with torch.autocast(fine.device.type, enabled=False):
            features = self.project(pooled)
        return FrameFeatures(features.unflatten(0, (clips, num_frames)), heat_BTHW, smoothed_BTHW)

    def add_motion(self, frames_BTCHW: Tensor) -> Tensor:
        """Three colours and the grey differences to the previous and the next frame, ``(N, 5, H, W)``.

        # grey levels 1, 4, 6 of three frames -> to the previous [0, 3, 2], to the next [3, 2, 0]
        """
        clips, num_frames, _, height, width = frames_BTCHW.shape
        device = frames_BTCHW.device
        dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else frames_BTCHW.dtype
        # Write straight into channels-last memory of the compute dtype: at full frame size every copy counts.
        out = torch.empty(clips, num_frames, height, width, 5, dtype=dtype, device=device)
        pixels = frames_BTCHW.detach().movedim(2, -1)
        if self.gray:
            pixels = functional.linear(pixels, torch.tensor([LUMA] * 3, dtype=pixels.dtype, device=device))
        out[..., :3] = pixels
        if not self.single_frame:
            # A matrix product with thirds, because a mean over a last axis of three is several times slower.
            grey = functional.linear(pixels, torch.full((1, 3), 1 / 3, dtype=pixels.dtype, device=device))[..., 0]
            step = grey[:, 1:] - grey[:, :-1]
            out[:, 1:, ..., 3] = step
            out[:, :-1, ..., 4] = step
            out[:, :1, ..., 3] = 0
            out[:, -1:, ..., 4] = 0
        else:
            out[..., 3:] = 0
        return out.flatten(0, 1).movedim(-1, 1)


def pool_by_attention(x_NCHW: Tensor, maps_NMHW: Tensor) -> Tensor:
    """Mean features, centre of mass and peak weight under each of M softmax maps: ``(N, M * (C + 3))``, fp32."""
    height, width = x_NCHW.shape[-2:]
    with torch.autocast(x_NCHW.device.type, enabled=False):
        logits = upcast_to_fp32(maps_NMHW).flatten(2)
        weights = logits.softmax(2)
        pooled = torch.einsum("nmp,ncp->nmc", weights, upcast_to_fp32(x_NCHW).flatten(2))
        # Coordinates of the pixels, -1 to 1: width 3, height 2 -> x [-1, 0, 1, -1, 0, 1], y [-1, -1, -1, 1, 1, 1]
        positions_2P = torch.stack(
            (
                torch.linspace(-1, 1, width, device=logits.device).repeat(height),
                torch.linspace(-1, 1, height, device=logits.device).repeat_interleave(width),
            )
        ).to(logits.dtype)
        centres = 4 * torch.einsum("nmp,dp->nmd", weights, positions_2P)
        sharpness = weights.amax(2, keepdim=True)
        return torch.cat((pooled, centres, sharpness), dim=2).flatten(1)

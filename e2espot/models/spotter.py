"""The spotter: a trunk over pictures, a head over time, and all that is needed to use it again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.label_sets import LabelSet
from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD
from e2espot.core.timeline import parse_fps
from e2espot.models.backbones.registry import FrameFeatures, build_backbone
from e2espot.models.displacement import made_finer, moved
from e2espot.models.heads import build_head

if TYPE_CHECKING:
    from fractions import Fraction


@dataclass(frozen=True, kw_only=True)
class SpotterSpec:
    """What a spotter is: enough to build it empty and to feed it rightly."""

    feature_arch: str
    """Trunk, for example ``rny002_gsm``."""
    temporal_arch: str
    """Head, for example ``gru``."""
    classes: tuple[str, ...]
    """Class names in order, background not named."""
    clip_len: int = 100
    """Frames the head was trained on at a time."""
    fps: str = "25"
    """Rate of the frame grid it was trained at."""
    width: int = 398
    """Width of the frames the network sees, in pixels."""
    height: int = 224
    """Height of the frames the network sees, in pixels."""
    crop_dim: int = 0
    """Side of the square in the middle of the frame that the network sees, in pixels; 0 for the whole frame."""
    modality: str = "rgb"
    """What the network sees of it: rgb or gray."""
    displacement: bool = False
    """Whether each frame also tells how far its event is, and its scores are moved there."""
    team: bool = False
    """Whether each frame also tells which side acts, left or right."""
    joint_classes: tuple[str, ...] = ()
    """Classes of a second data set that was learnt beside; not used by inference."""
    full_grid: bool = False
    """Whether scores are written at twice the rate that the network sees."""
    single_frame: bool = False
    """Whether the small trunk is blind to motion (a control)."""


class Told(NamedTuple):
    """All that the heads say of a batch of clips; what a spotter has no head for is None."""

    logits_BTK: Tensor
    """Classes, background first."""
    joint_BTK: Tensor | None
    """Classes of the second data set, background first."""
    offset_BT: Tensor | None
    """Frames since the event, negative before it."""
    team_BT: Tensor | None
    """Logit of the right side against the left one."""


class Spotter(nn.Module):
    """Trunk and head; class 0 of the logits is background.

    Args:
        spec: What to build.
        pretrained: Ask timm for ImageNet weights of the trunk (RegNets only).
    """

    def __init__(self, spec: SpotterSpec, *, pretrained: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.label_set = LabelSet(spec.classes)
        self.fps = parse_fps(spec.fps)
        self.backbone = build_backbone(
            spec.feature_arch, pretrained=pretrained, single_frame=spec.single_frame, modality=spec.modality
        )
        self.head = build_head(spec.temporal_arch, self.backbone.feature_dim, len(spec.classes) + 1)
        hidden = self.head.hidden_dim
        self.displacement = nn.Linear(hidden, 1) if spec.displacement else None
        self.team = nn.Linear(hidden, 1) if spec.team else None
        joint = nn.Sequential(nn.Dropout(0.5), nn.Linear(hidden, len(spec.joint_classes) + 1))
        self.joint = joint if spec.joint_classes else None

    @property
    def halo(self) -> int:
        """Frames to each side that the trunk needs around a frame."""
        return self.backbone.halo

    def features(self, frames_BTCHW: Tensor) -> FrameFeatures:
        """Trunk alone."""
        return self.backbone(frames_BTCHW)  # type: ignore[no-any-return]

    def logits(self, features_BTD: Tensor) -> Tensor:
        """Head alone, in fp32 whatever the trunk ran in: it is cheap and decides the scores."""
        return self.tell(features_BTD).logits_BTK

    @property
    def grid_factor(self) -> int:
        """Frames of the written grid in one frame of the network's."""
        return 2 if self.spec.full_grid else 1

    @property
    def grid_fps(self) -> Fraction:
        """Rate of the written grid."""
        return self.fps * self.grid_factor

    def tell(self, features_BTD: Tensor) -> Told:
        """All heads, in fp32."""
        with torch.autocast(features_BTD.device.type, enabled=False):
            read_BTH = self.head.read(features_BTD.float())
            return Told(
                logits_BTK=self.head.classes(read_BTH),
                joint_BTK=self.joint(read_BTH) if self.joint is not None else None,
                offset_BT=self.displacement(read_BTH)[..., 0] if self.displacement is not None else None,
                team_BT=self.team(read_BTH)[..., 0] if self.team is not None else None,
            )

    def scores(self, features_BTD: Tensor) -> Tensor:
        """Probabilities on the written grid, ``(B, grid_factor * T, K)``, background left out.

        A spotter with a team head has one column more: the probability of the right side.
        """
        told = self.tell(features_BTD)
        scores_BTK = told.logits_BTK.softmax(-1)[..., 1:]
        if told.offset_BT is not None:
            scores_BTK = moved(scores_BTK, told.offset_BT, self.grid_factor)
        else:
            scores_BTK = made_finer(scores_BTK, self.grid_factor)
        if told.team_BT is None:
            return scores_BTK
        right_BT1 = told.team_BT.sigmoid().repeat_interleave(self.grid_factor, dim=1)[..., None]
        return torch.cat((scores_BTK, right_BT1), dim=-1)

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        """Normalised float frames -> ``logits_BTK``, K = 1 + classes.

        A clip shorter than ``clip_len`` is followed by empty frames where E2E-Spot does so: a shift
        tells them from the end of a clip. Those beyond the halo could change nothing.
        """
        num_frames = frames_BTCHW.shape[1]
        if self.backbone.pads_short_clips:
            empty = max(0, min(self.halo, self.spec.clip_len - num_frames))
            frames_BTCHW = functional.pad(frames_BTCHW, (0,) * 7 + (empty,))
        return self.logits(self.features(frames_BTCHW).features_BTD[:, :num_frames])


def lay_out_for_training(spotter: Spotter) -> None:
    """Put the weights of convolutions into channels-last memory, as the frames are."""
    for layer in spotter.modules():
        if isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def mean_level(device: torch.device) -> Tensor:
    """The colour that ``normalise`` makes zero, of 0 to 255."""
    return torch.tensor(IMAGENET_MEAN, device=device) * 255


def normalise(frames: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """RGB frames of 0 to 255 ``(..., H, W, 3)`` -> ImageNet-normalised ``(..., 3, H, W)``, channels last in memory."""
    mean, std, scale, shift = _constants(frames.device, dtype)
    if dtype.itemsize >= 4 or frames.is_floating_point():
        exact = torch.promote_types(dtype, torch.float32)
        return ((frames.to(exact) - mean) / std).to(dtype).movedim(-1, -3)
    # One fused product, as in training; three channels at a time are slow to add and divide.
    return torch.addmm(shift, frames.reshape(-1, 3).to(dtype), scale).view(frames.shape).movedim(-1, -3)


@cache
def _constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, deviation, and what takes their place in a product; kept, for a CUDA graph may not fetch them."""
    with torch.inference_mode(False):
        mean, std = mean_level(device), 255 * torch.tensor(IMAGENET_STD, device=device)
        return mean, std, torch.diag(1 / std).to(dtype), (-mean / std).to(dtype)

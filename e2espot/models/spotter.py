"""The spotter: a backbone over frames, a head over time, and the specification needed to build and feed it again.

    frames_BTCHW -- backbone --> features_BTD -- temporal head --> encoded_BTH --+--> class logits
                                                                                 +--> offset to the event
                                                                                 +--> team
                                                                                 +--> classes of a second dataset

Shapes: B clips, T frames, C channels, H height, W width, D features, K classes with background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.errors import ConfigurationError
from e2espot.core.feature_kind import FeatureKind
from e2espot.core.label_sets import LabelSet
from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD, centre_crop_offset
from e2espot.core.timeline import parse_fps
from e2espot.models.backbones.base import FeatureInput
from e2espot.models.backbones.registry import Backbone, FrameFeatures, build_backbone
from e2espot.models.displacement import apply_displacement, upsample_scores
from e2espot.models.feature_heads.build import ChunkHead, build_chunk_head, build_row_head
from e2espot.models.heads import NoHead, TemporalHead, build_head

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction


FEATURES_ARCH = "features"
"""``feature_arch`` of spotters that read features in place of frames."""
_Count = Annotated[int, Meta(ge=1, le=100_000)]
_CountOrZero = Annotated[int, Meta(ge=0, le=100_000)]
_Seconds = Annotated[float, Meta(ge=0, le=100_000)]


@dataclass(frozen=True, kw_only=True)
class SpotterSpec:
    """Everything needed to build a spotter without its weights and to feed it as in training.

    The ranges are checked when a file is read; no network has more pixels a side or frames a clip.
    """

    feature_arch: str
    """Backbone, for example ``rny002_gsm``."""
    temporal_arch: str
    """Temporal head, for example ``gru``; the empty string for a linear layer."""
    classes: tuple[str, ...]
    """Class names in order, without background."""
    clip_len: _Count = 100
    """Frames of a training clip, and of a window of the temporal head at inference."""
    fps: str = "25"
    """Rate of the frame grid, for example ``25`` or ``30000/1001``."""
    width: _Count = 398
    """Width of the frames, in pixels."""
    height: _Count = 224
    """Height of the frames, in pixels."""
    crop_dim: _CountOrZero = 0
    """Side of the centre square of the frame that the network sees, in pixels; 0 for the whole frame."""
    modality: str = "rgb"
    """What the network sees: ``rgb`` or ``gray``."""
    displacement: bool = False
    """Whether a head predicts each frame's distance to its event, and scores are moved by it."""
    team: bool = False
    """Whether a head predicts which team acts, left or right."""
    joint_classes: tuple[str, ...] = ()
    """Classes of a second dataset that was trained on together with the first; not used at inference."""
    double_rate_output: bool = False
    """Whether scores are written at twice the frame rate that the network sees."""
    single_frame: bool = False
    """Whether the small backbone cannot see motion (a control experiment)."""
    features: FeatureKind | None = None
    """The features that it reads in place of frames, with ``feature_arch`` ``features``; None for frames."""
    look_ahead_s: _Seconds | None = None
    """Seconds after a frame that the head sees at inference, if nothing else is asked for; None for all of its
    windows."""
    smooth_ball: bool = False
    """Whether inference smooths the map of the ball over time (``models.ball_smoothing``)."""
    unfamiliar_look_ahead_s: _Seconds | None = None
    """``look_ahead_s`` of the file's second set of weights (``models.unfamiliar``)."""
    unfamiliar_smooth_ball: bool = False
    """``smooth_ball`` of the second set."""
    unfamiliar_size: tuple[_Count, _Count] | None = None
    """Width and height of the frames that the second set sees; None for those of the first."""


class HeadOutputs(NamedTuple):
    """Outputs of all heads for a batch of clips; None where the spotter has no such head."""

    logits_BTK: Tensor
    """Class logits, background first."""
    joint_BTK: Tensor | None
    """Class logits of the second dataset, background first."""
    offset_BT: Tensor | None
    """Frames since the event, negative before it."""
    team_BT: Tensor | None
    """Logit of the right team against the left one."""


class Spotter(nn.Module):
    """Backbone and heads; class 0 of the logits is background.

    Args:
        spec: What to build.
        pretrained: Whether to load ImageNet weights into the backbone (not for the small one).
    """

    def __init__(self, spec: SpotterSpec, *, pretrained: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.label_set = LabelSet(spec.classes)
        self.fps = parse_fps(spec.fps)
        self.backbone = _backbone(spec, pretrained)
        self.chunk_head: ChunkHead | None = None
        if spec.features is not None:
            self.chunk_head = build_chunk_head(spec.temporal_arch, spec.features.dim, spec.clip_len, len(spec.classes))
        self.head = _row_head(spec, self.backbone.feature_dim, self.chunk_head)
        hidden = self.head.hidden_dim
        self.displacement = nn.Linear(hidden, 1) if spec.displacement else None
        self.team = nn.Linear(hidden, 1) if spec.team else None
        # Built in any case, so that the random numbers drawn afterwards do not depend on it.
        joint = nn.Sequential(nn.Dropout(0.5), nn.Linear(max(1, hidden), len(spec.joint_classes) + 1))
        self.joint = joint if spec.joint_classes else None
        self.unfamiliar: Spotter | None = None
        """The same network with weights for footage unlike the training data; see ``models.unfamiliar``."""

    @property
    def halo(self) -> int:
        """Frames on each side of a frame that its features depend on."""
        return self.backbone.halo

    @property
    def grid_factor(self) -> int:
        """Frames of the output grid per frame that the network sees."""
        return 2 if self.spec.double_rate_output else 1

    @property
    def grid_fps(self) -> Fraction:
        """Rate of the output grid."""
        return self.fps * self.grid_factor

    def check_sees_frames(self, path: object) -> None:
        """Refuse a spotter on features for work that needs the frames of videos.

        Args:
            path: The run, for the message.

        Raises:
            ConfigurationError: it reads features.
        """
        if self.spec.features is not None:
            raise ConfigurationError(
                f"{path}: this run reads features named {self.spec.features.name}; give one that sees the frames of "
                "videos"
            )

    def features(self, frames_BTCHW: Tensor) -> FrameFeatures:
        """Backbone alone, on normalised frames."""
        return self.backbone(frames_BTCHW)  # type: ignore[no-any-return]

    def logits(self, features_BTD: Tensor) -> Tensor:
        """Class logits ``(B, T, K)`` of features, in fp32."""
        return self.forward_heads(features_BTD).logits_BTK

    def forward_heads(self, features_BTD: Tensor, look_ahead_B: Sequence[int] | None = None) -> HeadOutputs:
        """Outputs of all heads, in fp32 whatever the backbone ran in: heads are cheap and decide the scores.

        Args:
            features_BTD: Features.
            look_ahead_B: Frames after a frame that its outputs may depend on, for each clip; None for all.
        """
        with torch.autocast(features_BTD.device.type, enabled=False):
            features_BTD = features_BTD.float()
            if look_ahead_B is None:
                return self._outputs(self.head.encode(features_BTD))
            return self._outputs(self.head.encode_cut(features_BTD, look_ahead_B))

    def _outputs(self, encoded_BTH: Tensor) -> HeadOutputs:
        return HeadOutputs(
            logits_BTK=self.head.classify(encoded_BTH),
            joint_BTK=self.joint(encoded_BTH) if self.joint is not None else None,
            offset_BT=self.displacement(encoded_BTH)[..., 0] if self.displacement is not None else None,
            team_BT=self.team(encoded_BTH)[..., 0] if self.team is not None else None,
        )

    def scores(self, features_BTD: Tensor) -> Tensor:
        """Probabilities on the output grid, ``(B, grid_factor * T, K - 1)``, without background.

        A spotter with a team head adds one column: the probability that the right team acts.
        """
        return self._scores(self.forward_heads(features_BTD))

    def scores_ahead(self, window_TD: Tensor, frames: range, look_ahead: int) -> Tensor:
        """Scores of some frames of a window, each with at most ``look_ahead`` frames after it.

        Args:
            window_TD: Features of one window, or of its first part.
            frames: Frames of the window whose scores are wanted.
            look_ahead: Frames after a frame that its scores may depend on.

        Returns:
            ``(grid_factor * len(frames), K - 1)``, rows and columns as in ``scores``.
        """
        with torch.autocast(window_TD.device.type, enabled=False):
            window_TD = window_TD.float()
            if self.displacement is None and self.grid_factor == 1:
                return self._scores(self._outputs(self.head.encode_ahead(window_TD, frames, look_ahead)[None]))[0]
            # Scores move between frames: by displacement from any frame of the window, by upsampling from the next.
            reach = 1 if self.displacement is None else len(window_TD)
            rows = []
            for frame, encoded_TH in zip(
                frames, self.head.encode_around(window_TD, frames, look_ahead, reach), strict=True
            ):
                local = self.grid_factor * min(frame, reach)
                rows.append(self._scores(self._outputs(encoded_TH[None]))[0, local : local + self.grid_factor])
            return torch.cat(rows)

    def _scores(self, outputs: HeadOutputs) -> Tensor:
        scores_BTK = outputs.logits_BTK.softmax(-1)[..., 1:]
        if outputs.offset_BT is not None:
            scores_BTK = apply_displacement(scores_BTK, outputs.offset_BT, self.grid_factor)
        else:
            scores_BTK = upsample_scores(scores_BTK, self.grid_factor)
        if outputs.team_BT is None:
            return scores_BTK
        right_BT1 = outputs.team_BT.sigmoid().repeat_interleave(self.grid_factor, dim=1)[..., None]
        return torch.cat((scores_BTK, right_BT1), dim=-1)

    def window_scores(self, features_TD: Tensor) -> np.ndarray:
        """``scores`` of one window, on the host."""
        return self.scores(features_TD[None])[0].cpu().numpy()  # type: ignore[no-any-return]

    def window_scores_ahead(self, window_TD: Tensor, frames: range, look_ahead: int) -> np.ndarray:
        """``scores_ahead``, on the host."""
        return self.scores_ahead(window_TD, frames, look_ahead).cpu().numpy()  # type: ignore[no-any-return]

    def join(self, before_TD: Tensor, after_TD: Tensor) -> Tensor:
        """Features one after the other."""
        return torch.cat((before_TD, after_TD))

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        """Normalised float frames -> ``logits_BTK``, K = 1 + classes.

        A clip shorter than ``clip_len`` is padded with zero frames where E2E-Spot does so, because a shift treats
        them unlike the end of a clip. Padding beyond the halo would change nothing and is left out.
        """
        num_frames = frames_BTCHW.shape[1]
        if self.backbone.pads_short_clips:
            padding = max(0, min(self.halo, self.spec.clip_len - num_frames))
            frames_BTCHW = functional.pad(frames_BTCHW, (0,) * 7 + (padding,))
        return self.logits(self.features(frames_BTCHW).features_BTD[:, :num_frames])


def _backbone(spec: SpotterSpec, pretrained: bool) -> Backbone:
    """The backbone, or what stands in for it on features.

    Raises:
        ConfigurationError: unknown, or features without their kind.
    """
    if (spec.feature_arch == FEATURES_ARCH) != (spec.features is not None):
        raise ConfigurationError(
            f"feature_arch is {spec.feature_arch!r}, and features are {'given' if spec.features else 'not given'}; a "
            f"spotter on features has feature_arch {FEATURES_ARCH}, and no other has",
            option="feature_arch",
        )
    if spec.features is not None:
        return FeatureInput(spec.features.dim)
    return build_backbone(
        spec.feature_arch, pretrained=pretrained, single_frame=spec.single_frame, modality=spec.modality
    )


def _row_head(spec: SpotterSpec, feature_dim: int, chunk_head: ChunkHead | None) -> TemporalHead:
    """The head that answers for every frame or row; one without layers where a chunk head answers."""
    if chunk_head is not None:
        if spec.displacement or spec.team or spec.joint_classes or spec.double_rate_output:
            raise ConfigurationError(
                f"temporal_arch {spec.temporal_arch} answers for windows as a whole: it has no displacement, team, "
                "second dataset or double rate; choose rows_gru",
                option="temporal_arch",
            )
        return NoHead()
    if spec.features is not None:
        return build_row_head(spec.temporal_arch, feature_dim, len(spec.classes) + 1)
    return build_head(spec.temporal_arch, feature_dim, len(spec.classes) + 1)


def to_channels_last(spotter: Spotter) -> None:
    """Put the weights of all convolutions into channels-last memory, in which training has its frames."""
    for layer in spotter.modules():
        if isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def centre_crop(frames_THWC: Tensor, crop_dim: int) -> Tensor:
    """The centre square of ``crop_dim`` pixels a side; the whole frame for 0."""
    if not crop_dim:
        return frames_THWC
    top, left = (centre_crop_offset(extent, crop_dim) for extent in frames_THWC.shape[1:3])
    return frames_THWC[:, top : top + crop_dim, left : left + crop_dim]


def mean_pixel(device: torch.device) -> Tensor:
    """RGB of 0 to 255, ``(3,)``, that ``normalise`` maps to zero."""
    return torch.tensor(IMAGENET_MEAN, device=device) * 255


def normalise(frames: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """RGB frames of 0 to 255 ``(..., H, W, 3)`` -> ImageNet-normalised ``(..., 3, H, W)``, channels last in memory."""
    mean, std, scale, shift = _constants(frames.device, dtype)
    if dtype.itemsize >= 4 or frames.is_floating_point():
        exact = torch.promote_types(dtype, torch.float32)
        values = frames.to(exact, memory_format=torch.contiguous_format, copy=True)
        # Whole rows, as elementwise operations on a last axis of three are slow.
        width = frames.shape[-2]
        values.flatten(-2).sub_(mean.repeat(width)).div_(std.repeat(width))
        return values.to(dtype).movedim(-1, -3)
    # uint8 to bf16 or fp16: x * scale + shift as one matrix product with a diagonal 3x3 matrix, as in training.
    return torch.addmm(shift, frames.reshape(-1, 3).to(dtype), scale).view(frames.shape).movedim(-1, -3)


@cache
def _constants(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, deviation, and scale matrix and shift of ``normalise``; cached, as a CUDA graph cannot upload them."""
    with torch.inference_mode(False):
        mean, std = mean_pixel(device), 255 * torch.tensor(IMAGENET_STD, device=device)
        return mean, std, torch.diag(1 / std).to(dtype), (-mean / std).to(dtype)

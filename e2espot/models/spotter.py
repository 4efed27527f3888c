"""The spotter: a trunk over pictures, a head over time, and all that is needed to use it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from e2espot.clips.changes import IMAGENET_MEAN, IMAGENET_STD
from e2espot.errors import CheckpointError, ConfigurationError
from e2espot.events import LabelSet
from e2espot.models.backbones import FrameFeatures, build_backbone
from e2espot.models.heads import build_head
from e2espot.timeline import parse_fps


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
    single_frame: bool = False
    """Whether the small trunk is blind to motion (a control)."""


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
        self.backbone = build_backbone(spec.feature_arch, pretrained=pretrained, single_frame=spec.single_frame)
        self.head = build_head(spec.temporal_arch, self.backbone.feature_dim, len(spec.classes) + 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def halo(self) -> int:
        """Frames to each side that the trunk needs around a frame."""
        return self.backbone.halo

    def features(self, frames_BTCHW: Tensor) -> FrameFeatures:
        """Trunk alone."""
        return self.backbone(frames_BTCHW)  # type: ignore[no-any-return]

    def logits(self, features_BTD: Tensor) -> Tensor:
        """Head alone, in fp32 whatever the trunk ran in: it is cheap and decides the scores."""
        with torch.autocast(features_BTD.device.type, enabled=False):
            return self.head(features_BTD.float())  # type: ignore[no-any-return]

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        """Normalised float frames -> ``logits_BTK``, K = 1 + classes."""
        return self.logits(self.features(frames_BTCHW).features_BTD)


def normalise(frames: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 RGB frames ``(..., H, W, 3)`` -> ImageNet-normalised ``(..., 3, H, W)``, channels last in memory."""
    mean = torch.tensor(IMAGENET_MEAN, device=frames.device) * 255
    std = torch.tensor(IMAGENET_STD, device=frames.device) * 255
    if dtype.itemsize >= 4:
        return ((frames.to(dtype) - mean) / std).movedim(-1, -3)
    # One fused product, as in training; three channels at a time are slow to add and divide.
    scale, shift = torch.diag(1 / std).to(dtype), (-mean / std).to(dtype)
    return torch.addmm(shift, frames.reshape(-1, 3).to(dtype), scale).view(frames.shape).movedim(-1, -3)


def save_spotter(path: Path, state: dict[str, Tensor], spec: SpotterSpec) -> None:
    """Write weights and spec to one safetensors file, whole or not at all."""
    from safetensors.torch import save

    from e2espot.formats.atomic import write_atomically

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_atomically(path, save(tensors, metadata={"e2espot": json.dumps(asdict(spec))}))


def load_spotter(path: str | Path, device: str | torch.device = "cpu") -> Spotter:
    """Spotter of a run folder (its best epoch) or of a ``.safetensors`` file, in evaluation mode.

    Raises:
        CheckpointError: nothing there, damaged, or not written by this package.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "best.safetensors"
    spec, state = read_weights(file)
    spotter = Spotter(spec)
    try:
        spotter.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{file}: weights do not fit {spec.feature_arch}: {str(error).splitlines()[-1].strip()}"
        ) from None
    return spotter.eval().to(device)


def read_weights(file: Path) -> tuple[SpotterSpec, dict[str, Tensor]]:
    """Spec and tensors of a weights file; nothing in it is executed.

    Raises:
        CheckpointError: as :func:`load_spotter`.
    """
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise CheckpointError(
            f"{file}: no such weights file; give a run folder made by tools/train.py or a .safetensors file"
        )
    try:
        with safe_open(str(file), framework="pt") as handle:
            metadata: dict[str, Any] = handle.metadata() or {}
            state = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file ({error})") from None
    try:
        fields = json.loads(metadata["e2espot"])
        return SpotterSpec(**{**fields, "classes": tuple(fields["classes"])}), state
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{file}: carries no e2espot description ({error!r}); convert it first") from None


def adopt_weights(spotter: Spotter, state: dict[str, Tensor]) -> tuple[int, int]:
    """Copy every tensor of ``state`` that fits by name and shape; return (copied, left fresh).

    Raises:
        ConfigurationError: nothing fits.
    """
    own = spotter.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ConfigurationError("none of the given weights fits this network; choose the same feature_arch")
    spotter.load_state_dict({**own, **fitting})
    return len(fitting), len(own) - len(fitting)

"""From pictures to one feature vector a frame: trunks by name, and a small one for laptops.

Shapes: B clips, T frames, C channels, H height, W width, D features, N = B * T.
"""

from __future__ import annotations

from e2espot.core.errors import ConfigurationError
from e2espot.models.backbones.base import Backbone, FrameFeatures
from e2espot.models.backbones.imagenet import TIMM_NAMES, TORCHVISION_NAMES, RegNet, ResNet
from e2espot.models.backbones.small import SmallTrunk

__all__ = ["FEATURE_ARCHS", "Backbone", "FrameFeatures", "RegNet", "ResNet", "SmallTrunk", "build_backbone"]

_SHIFTS = ("", "_tsm", "_gsm")
FEATURE_ARCHS = tuple(f"{name}{shift}" for name in (*TIMM_NAMES, *TORCHVISION_NAMES, "small") for shift in _SHIFTS)
"""What ``-m`` accepts."""
_CHOICES = f"choose from {', '.join(FEATURE_ARCHS)}"
MODALITIES = ("rgb", "gray")
"""What a trunk may see: colour or brightness."""


def build_backbone(
    feature_arch: str, *, pretrained: bool = False, single_frame: bool = False, modality: str = "rgb"
) -> Backbone:
    """Trunk by E2E-Spot's name, ``rny002_gsm`` and its kin, or ``small_gsm``.

    Raises:
        ConfigurationError: unknown name or modality.
    """
    if modality not in MODALITIES:
        raise ConfigurationError(f"unknown modality {modality!r}; choose from {', '.join(MODALITIES)}")
    gray = modality == "gray"
    if feature_arch.startswith("convnextt"):
        raise ConfigurationError(f"{feature_arch} is not supported: it has no proof of parity yet; {_CHOICES}")
    if feature_arch not in FEATURE_ARCHS:
        raise ConfigurationError(f"unknown feature_arch {feature_arch!r}; {_CHOICES}")
    name, _, shift = feature_arch.partition("_")
    if name == "small":
        return SmallTrunk(shift, single_frame=single_frame, gray=gray)
    if single_frame:
        raise ConfigurationError(f"single_frame belongs to the small trunk; for {name} leave out the shift suffix")
    trunk = RegNet if name in TIMM_NAMES else ResNet
    return trunk(feature_arch, pretrained=pretrained, gray=gray)

"""Backbones by name: image networks with temporal shifts, a small one for laptops, and that with an image network."""

from __future__ import annotations

from e2espot.core.errors import ConfigurationError
from e2espot.models.backbones.base import Backbone, FrameFeatures
from e2espot.models.backbones.imagenet import TIMM_NAMES, TORCHVISION_NAMES, RegNet, ResNet
from e2espot.models.backbones.lite import LiteBackbone
from e2espot.models.backbones.small import SmallBackbone

__all__ = ["FEATURE_ARCHS", "Backbone", "FrameFeatures", "RegNet", "ResNet", "SmallBackbone", "build_backbone"]

_SHIFTS = ("", "_tsm", "_gsm")
FEATURE_ARCHS = tuple(
    f"{name}{shift}" for name in (*TIMM_NAMES, *TORCHVISION_NAMES, "small", "lite") for shift in _SHIFTS
)
"""Names of all backbones, each with a suffix for its temporal shift."""
_CHOICES = f"choose from {', '.join(FEATURE_ARCHS)}"
MODALITIES = ("rgb", "gray")
"""What a backbone can see: colour or luma."""


def build_backbone(
    feature_arch: str, *, pretrained: bool = False, single_frame: bool = False, modality: str = "rgb"
) -> Backbone:
    """Backbone by its name in E2E-Spot, such as ``rny002_gsm``, or our ``small_gsm`` and ``lite_gsm``.

    Args:
        feature_arch: One of ``FEATURE_ARCHS``.
        pretrained: Whether to load ImageNet weights (not for the small backbone and ``lite``).
        single_frame: Whether the small backbone is to see no motion.
        modality: One of ``MODALITIES``.

    Raises:
        ConfigurationError: unknown name or modality, or ``single_frame`` for another backbone.
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
        return SmallBackbone(shift, single_frame=single_frame, gray=gray)
    if single_frame:
        raise ConfigurationError(
            f"single_frame is for the small backbone only; choose {name} without a shift suffix instead"
        )
    if name == "lite":
        if gray:
            raise ConfigurationError("lite sees colour only; leave modality at rgb, or choose small", option="modality")
        return LiteBackbone(shift)
    kind = RegNet if name in TIMM_NAMES else ResNet
    return kind(feature_arch, pretrained=pretrained, gray=gray)

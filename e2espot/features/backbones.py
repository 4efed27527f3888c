"""Image networks of timm and torchvision by name, as extractors of features: one row for each picture.

    timm:vit_small_patch14_dinov2.lvd142m, torchvision:resnet152, or the name alone: timm's, else torchvision's

Shapes: N pictures, H height, W width, D features.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError, URLError

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.device import Precision, compute_dtype, return_freed_memory
from e2espot.core.errors import CheckpointError, ConfigurationError, first_line, shortened
from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD, centre_crop_offset
from e2espot.models.backbones.imagenet import offline_if_unreachable
from e2espot.models.streaming.fused_network import fused_network

_LOG = logging.getLogger(__name__)

Transform = Literal["crop", "resize", "resize256crop224"]
"""How pictures become squares: cut from the middle of one as high as the square, squeezed, or cut from a larger one."""
_CLASSIFIERS = ("fc.", "head.", "classifier.", "heads.", "head_dist.")
_CPU_BATCH, _GPU_BATCH = 8, 64
"""Pictures that the network sees at a time: a short batch stays in a CPU's caches."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageExtractor:
    """A network, and how pictures are fed to it."""

    network: nn.Module
    """From normalised pictures to features; in evaluation mode."""
    name: str
    """``timm:NAME`` or ``torchvision:NAME``."""
    weights: str
    """Tag or SHA-256 of its weights."""
    dim: int
    """D."""
    side: int
    """Width and height of the pictures that it sees, in pixels."""
    mean: tuple[float, ...]
    """Subtracted from red, green and blue, in fractions of full scale."""
    std: tuple[float, ...]
    """What they are divided by afterwards."""
    transform: Transform
    """How pictures become squares."""
    dtype: torch.dtype
    """Number format of the convolutions."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.network.parameters()).device

    @property
    def batch_len(self) -> int:
        """Pictures that it takes at a time."""
        return _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH

    def decoded_size(self, shown: tuple[int, int]) -> tuple[int, int]:
        """(width, height) to decode pictures of ``shown`` size to, before the square is cut out."""
        width, height = shown
        if self.transform == "resize":
            return self.side, self.side
        # 256 for 224, as usual: 398x224 -> 455x256
        short = self.side if self.transform == "crop" else round(self.side * 256 / 224)
        scale = short / min(width, height)
        return max(short, round(width * scale)), max(short, round(height * scale))

    def rows(self, pictures_NHWC: Tensor) -> Tensor:
        """float32 features ``(N, D)`` of at most ``batch_len`` uint8 RGB pictures of ``decoded_size``."""
        device, side = self.device, self.side
        num_pictures = len(pictures_NHWC)
        if num_pictures < self.batch_len:
            # One shape for all batches: the weights are packed for it once.
            pictures_NHWC = functional.pad(pictures_NHWC, (0, 0) * 3 + (0, self.batch_len - num_pictures))
        top, left = (centre_crop_offset(extent, side) for extent in pictures_NHWC.shape[1:3])
        squares_NHWC = pictures_NHWC[:, top : top + side, left : left + side].to(device)
        mean, std = (torch.tensor(values, device=device) * 255 for values in (self.mean, self.std))
        x_NCHW = squares_NHWC.float().sub_(mean).div_(std).to(self.dtype).movedim(-1, 1)
        rows_ND: Tensor = self.network(x_NCHW.contiguous(memory_format=torch.channels_last))
        return rows_ND[:num_pictures].flatten(1).float()

    def to(self, device: str) -> ImageExtractor:
        """The same on ``device``; the number format stays."""
        self.network.to(device)
        return self


def load_extractor(
    name: str,
    *,
    weights: str,
    transform: Transform,
    device: torch.device,
    precision: Precision = "auto",
) -> ImageExtractor:
    """A network by name, with its weights, ready to extract.

    Args:
        name: ``timm:NAME``, ``torchvision:NAME``, or a name of either.
        weights: ``pretrained``, ``none`` for random ones, or the path of a ``.safetensors`` or ``.pth`` file.
        transform: How pictures become squares.
        device: Where it computes.
        precision: Number format of the convolutions.

    Raises:
        ConfigurationError: no such network, or weights that cannot be had.
        CheckpointError: a weights file that is missing, damaged, or of another network.
    """
    library, short = _library_of(name)
    make = _timm if library == "timm" else _torchvision
    torch.manual_seed(0)  # random weights are the same in every run
    network, facts = _made(f"{library}:{short}", lambda: make(short, weights == "pretrained"), weights)
    tag = facts.tag if weights == "pretrained" else "random"
    if weights not in ("pretrained", "none"):
        tag = _load_file(network, Path(weights))
    dtype = compute_dtype(device, precision)
    with torch.inference_mode():
        dim = int(network.eval()(torch.zeros(1, 3, facts.side, facts.side)).flatten(1).shape[1])
    network = fused_network(network, facts.side).to(device=device, dtype=dtype)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return_freed_memory()  # folding and checking a network needs more than running it does
    return ImageExtractor(
        network=network,
        name=f"{library}:{short}",
        weights=tag,
        dim=dim,
        side=facts.side,
        mean=facts.mean,
        std=facts.std,
        transform=transform,
        dtype=dtype,
    )


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What a library says of a network."""

    side: int
    """Width and height of its input."""
    mean: tuple[float, ...]
    """Mean of its input."""
    std: tuple[float, ...]
    """Deviation of its input."""
    tag: str
    """Name of its pretrained weights."""


def _library_of(name: str) -> tuple[str, str]:
    """The library and the name in it.

    Raises:
        ConfigurationError: neither library has such a network.
    """
    import timm
    import torchvision

    library, _, short = name.rpartition(":")
    if library not in ("", "timm", "torchvision") or not short:
        raise ConfigurationError(f"backbone is {name!r}; give timm:NAME, torchvision:NAME or a run", option="backbone")
    if library in ("", "timm") and timm.is_model(short):
        return "timm", short
    if library in ("", "torchvision") and short in torchvision.models.list_models(torchvision.models):
        return "torchvision", short
    import difflib

    near = difflib.get_close_matches(short.partition(".")[0], timm.list_models(), n=3)
    raise ConfigurationError(
        f"no backbone {name!r} in timm or torchvision, and no run of that name; similar: {', '.join(near) or 'none'}",
        option="backbone",
    )


def _made(name: str, make: Callable[[], tuple[nn.Module, _Facts]], weights: str) -> tuple[nn.Module, _Facts]:
    try:
        return make()
    except Exception as error:
        if weights != "pretrained":
            raise
        raise ConfigurationError(
            f"no pretrained weights for {name}: {_why_none(error)}; connect to the internet once, name a weights file, "
            "or give none for random ones",
            option="weights",
        ) from None


def _why_none(error: Exception) -> str:
    """Why weights cannot be had: in a few words where it is the connection, as it is nearly always."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    is_answer = isinstance(error, HTTPError)  # the server was reached
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled | ConnectionError | URLError) and not is_answer:
        return "their server cannot be reached, and no copy of them is on this machine"
    return shortened(first_line(error))


def _timm(name: str, pretrained: bool) -> tuple[nn.Module, _Facts]:
    import timm

    with offline_if_unreachable():
        network: Any = timm.create_model(name, pretrained=pretrained, num_classes=0)
    settings = network.pretrained_cfg
    side = int(settings.get("input_size", (3, 224, 224))[-1])
    fixed = bool(settings.get("fixed_input_size", False))
    return network, _Facts(
        side=side if fixed else 224,
        mean=tuple(settings.get("mean", IMAGENET_MEAN)),
        std=tuple(settings.get("std", IMAGENET_STD)),
        tag=str(settings.get("tag") or settings.get("hf_hub_id") or "pretrained"),
    )


def _torchvision(name: str, pretrained: bool) -> tuple[nn.Module, _Facts]:
    import torchvision

    network: Any = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
    for layer in ("fc", "classifier", "heads", "head"):  # the name of the classifier differs between networks
        if hasattr(network, layer):
            setattr(network, layer, nn.Identity())
            break
    else:
        raise ConfigurationError(f"torchvision's {name} has no classifier to remove; use timm's", option="backbone")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    return network, _Facts(side=224, mean=IMAGENET_MEAN, std=IMAGENET_STD, tag=str(weights).rpartition(".")[2])


def _load_file(network: nn.Module, file: Path) -> str:
    """Load weights of exactly this network, with or without a classifier; returns a digest of the file."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(str(file))
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except Exception as error:  # on damaged bytes the libraries raise almost anything
        raise CheckpointError(f"{file}: weights cannot be read ({shortened(first_line(error))})") from None
    state = state.get("state_dict", state.get("model", state)) if isinstance(state, dict) else {}
    tensors = {str(name).removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors]
    unknown = [name for name in tensors if name not in expected and not name.startswith(_CLASSIFIERS)]
    turned = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    if missing or unknown or turned:
        first = (missing + turned + unknown)[0]
        raise CheckpointError(
            f"{file}: weights of another network ({len(missing)} missing, {len(unknown)} unknown, {len(turned)} of "
            f"another shape, such as {first}); name the backbone that they belong to"
        )
    network.load_state_dict({name: tensors[name] for name in expected})
    return f"sha256 {digest[:16]}"

"""Image networks of other libraries as backbones, with E2E-Spot's temporal shift in every block.

Source: E2E-Spot, section 3.1 (Hong et al., ECCV 2022).
"""

from __future__ import annotations

import logging
import socket
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from e2espot.core.errors import first_line
from e2espot.models.backbones.base import FRAMES_AT_ONCE, Backbone, FrameFeatures, ToLuma, put_frames
from e2espot.models.temporal_shift import ShiftedConv

_LOG = logging.getLogger(__name__)

TIMM_NAMES = {"rny002": "regnety_002", "rny008": "regnety_008"}
"""E2E-Spot's names of timm's networks."""
TORCHVISION_NAMES = {"rn18": "resnet18", "rn50": "resnet50"}
"""E2E-Spot's names of torchvision's networks."""


class ImageNetwork(Backbone):
    """An image network of another library.

    Args:
        network: Stored as ``_features``, E2E-Spot's name for it, so that E2E-Spot's weights load by name.
        feature_dim: Width of its output.
        gray: Whether it sees luma.
    """

    pads_short_clips = True

    def __init__(self, network: Any, feature_dim: int, *, gray: bool) -> None:
        super().__init__()
        self.feature_dim, self.gray = feature_dim, gray
        self._features: nn.Module = network
        self.as_input: nn.Module = ToLuma() if gray else nn.Identity()

    @property
    def network(self) -> nn.Module:
        """The library's network itself."""
        return self._features

    def forward(self, frames_BTCHW: Tensor) -> FrameFeatures:
        """Normalised float frames -> features; no heat map.

        Memory is channels-last in training, where that is fastest. In evaluation mode it is not, so that sums have
        E2E-Spot's order.
        """
        clips, num_frames = frames_BTCHW.shape[:2]
        self.set_num_frames(num_frames)
        layout = torch.channels_last if self.training else torch.contiguous_format
        x = self.as_input(frames_BTCHW.flatten(0, 1)).contiguous(memory_format=layout)
        return FrameFeatures(self._features(x).unflatten(0, (clips, num_frames)), None)

    def forward_clips(self, clips_TCHW: Iterable[Tensor], count: int) -> FrameFeatures:
        """As ``forward``, with one clip at a time at full frame size, in channels-last memory."""
        # The convolution sees each frame alone; the norm behind it is the first that needs all clips.
        x_NCHW: Tensor | None = None
        num_frames = start = 0
        for clip_TCHW in clips_TCHW:
            num_frames = len(clip_TCHW)
            for part_TCHW in clip_TCHW.split(FRAMES_AT_ONCE):
                x_NCHW = put_frames(x_NCHW, start, self._first_conv(self.as_input(part_TCHW)), count * num_frames)
                start += len(part_TCHW)
            del clip_TCHW, part_TCHW  # or it is held while the next one is made
        assert x_NCHW is not None
        self.set_num_frames(num_frames)
        layers = self._behind_first_conv()
        for layer in layers:  # one name for all, so that nothing larger than a layer's input and output is held
            x_NCHW = layer(x_NCHW)
        return FrameFeatures(x_NCHW.unflatten(0, (count, num_frames)), None)

    @property
    def _first_conv(self) -> nn.Module:
        raise NotImplementedError

    def _behind_first_conv(self) -> list[nn.Module]:
        """The layers behind the first convolution, in order."""
        raise NotImplementedError


def _insert_shifts(blocks: Iterable[Any], shift: str) -> None:
    """Insert a temporal shift in front of the first convolution of every block."""
    for block in blocks if shift else ():
        conv = block.conv1 if isinstance(block.conv1, nn.Conv2d) else block.conv1.conv
        block.conv1 = ShiftedConv(block.conv1, conv.in_channels, shift)
        if shift == "tsm":
            block.conv1.shift_input_of(block)


class RegNet(ImageNetwork):
    """timm's RegNetY with global average pooling."""

    def __init__(self, feature_arch: str, *, pretrained: bool, gray: bool = False) -> None:
        name, _, shift = feature_arch.partition("_")
        network = _regnet(TIMM_NAMES[name], pretrained=pretrained, channels=1 if gray else 3)
        super().__init__(network, int(network.num_features), gray=gray)
        _insert_shifts((block for stage in self.stages() for block in stage.children()), shift)

    def stages(self) -> tuple[nn.Module, ...]:
        """The four stages in order."""
        network: Any = self._features
        return network.s1, network.s2, network.s3, network.s4

    @property
    def _first_conv(self) -> nn.Module:
        conv: nn.Module = self.network.stem.conv  # type: ignore[union-attr, assignment]
        return conv

    def _behind_first_conv(self) -> list[nn.Module]:
        network: Any = self._features
        blocks = [block for stage in self.stages() for block in stage.children()]
        return [network.stem.bn, *blocks, network.final_conv, network.head]


class ResNet(ImageNetwork):
    """torchvision's ResNet with global average pooling."""

    def __init__(self, feature_arch: str, *, pretrained: bool, gray: bool = False) -> None:
        name, _, shift = feature_arch.partition("_")
        network = _resnet(TORCHVISION_NAMES[name], pretrained=pretrained)
        feature_dim = int(network.fc.in_features)
        network.fc = nn.Identity()
        if gray:
            network.conv1 = _gray_stem(network.conv1)
        super().__init__(network, feature_dim, gray=gray)
        _insert_shifts((block for stage in self.stages() for block in stage.children()), shift)

    def stages(self) -> tuple[nn.Module, ...]:
        """The four stages in order."""
        network: Any = self._features
        return network.layer1, network.layer2, network.layer3, network.layer4

    @property
    def _first_conv(self) -> nn.Module:
        conv: nn.Module = self.network.conv1  # type: ignore[assignment]
        return conv

    def _behind_first_conv(self) -> list[nn.Module]:
        network: Any = self._features
        blocks = [block for stage in self.stages() for block in stage.children()]
        return [network.bn1, network.relu, network.maxpool, *blocks, network.avgpool, nn.Flatten()]


def _regnet(name: str, *, pretrained: bool, channels: int) -> Any:
    import timm

    def make(pretrained: bool) -> Any:
        with offline_if_unreachable():
            return timm.create_model(name, pretrained=pretrained, num_classes=0, in_chans=channels)

    return _with_weights_if_possible(name, make, pretrained=pretrained)


def _resnet(name: str, *, pretrained: bool) -> Any:
    import torchvision

    def make(pretrained: bool) -> Any:
        return torchvision.models.get_model(name, weights="IMAGENET1K_V1" if pretrained else None)

    return _with_weights_if_possible(name, make, pretrained=pretrained)


def _with_weights_if_possible(name: str, make: Callable[[bool], Any], *, pretrained: bool) -> Any:
    if pretrained:
        try:
            return make(True)
        except Exception as error:
            _LOG.warning(
                "no ImageNet weights for %s (%s); starting from random weights. Connect to the internet once, "
                "or name a run or converted weights as init_from",
                name,
                first_line(error),
            )
    return make(False)


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Use only the hub's cache if huggingface.co cannot be resolved, instead of waiting for the connection timeout."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        if not urllib.request.getproxies():
            socket.getaddrinfo("huggingface.co", 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _gray_stem(conv: nn.Conv2d) -> nn.Conv2d:
    """A first convolution for one channel that gives on luma what ``conv`` gives on three equal channels."""
    stem = nn.Conv2d(1, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=False)  # type: ignore[arg-type]
    with torch.no_grad():
        stem.weight.copy_(conv.weight.sum(1, keepdim=True))
    return stem

"""Image networks in fewer operations give the same numbers, and are left alone where they would not."""

import pickle

import pytest
import timm
import torch
from torch import Tensor, nn

from e2espot.models.kernels.native import kernel
from e2espot.models.streaming.fused_network import FusedConvLayer, fused_network
from e2espot.models.streaming.native_layers import NativeGroupedConv


def with_statistics(network: nn.Module) -> nn.Module:
    """The network with norms that do something."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator) / 5)
            layer.running_var.copy_(1 + torch.rand(layer.num_features, generator=generator))
    return network.eval()


@pytest.mark.parametrize("name", ["test_resnet", "regnety_002"])
def test_fused_network_gives_the_same_numbers(name: str) -> None:
    torch.manual_seed(0)
    network = with_statistics(timm.create_model(name, num_classes=0))
    num_convs = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
    pictures = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        expected = network(pictures)
    fused = fused_network(network, 64)
    layers = list(fused.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.ReLU) for layer in layers if name == "test_resnet")
    assert sum(isinstance(layer, FusedConvLayer) for layer in layers) == num_convs
    with torch.inference_mode():
        torch.testing.assert_close(fused(pictures), expected, rtol=1e-4, atol=1e-4)
        restored = pickle.loads(pickle.dumps(fused))
        torch.testing.assert_close(restored(pictures), expected, rtol=1e-4, atol=1e-4)
        half = fused.to(torch.bfloat16)(pictures.bfloat16()).float()
        torch.testing.assert_close(half, expected, rtol=0, atol=0.05 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("group", "dilation", "is_native"), [(8, 1, True), (16, 1, True), (4, 1, False), (16, 2, False)]
)
def test_grouped_convolutions_run_in_the_kernel(
    group: int, dilation: int, is_native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel("grouped", torch.device("cpu"), torch.float32) is None:
        pytest.skip("no C++ compiler")
    called = []
    original = NativeGroupedConv.__call__
    monkeypatch.setattr(NativeGroupedConv, "__call__", lambda self, x: called.append(1) or original(self, x))
    grouped = nn.Conv2d(32, 32, 3, padding=dilation, dilation=dilation, groups=32 // group)
    network = nn.Sequential(nn.Conv2d(3, 32, 3), grouped, nn.ReLU()).eval()
    pictures = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        expected = network(pictures)
        torch.testing.assert_close(fused_network(network, 16)(pictures), expected, rtol=1e-5, atol=1e-5)
    assert bool(called) == is_native


class LateShortcut(nn.Module):
    """Uses a shortcut again after the sum, so that it must not be overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.first(x)
        return (self.relu(self.second(shortcut) + shortcut) + shortcut).mean((2, 3))


class Branching(nn.Module):
    """Cannot be traced."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else -x.mean((2, 3))


def test_fused_network_leaves_alone_what_it_cannot_do() -> None:
    late, branching = LateShortcut().eval(), Branching().eval()
    pictures = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        expected = late(pictures)
        torch.testing.assert_close(fused_network(late, 16)(pictures), expected, rtol=1e-5, atol=1e-5)
    assert fused_network(branching, 16) is branching

"""Compiled kernels give the outputs and gradients that torch's operations give, up to rounding."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from e2espot.models.backbones.registry import build_backbone
from e2espot.models.kernels import native
from e2espot.training.kernels.conv import WinogradConv2d, convert_convolutions
from e2espot.training.kernels.network import use_kernels
from e2espot.training.kernels.norm import FusedNorm2d
from e2espot.training.kernels.strided import StridedConv2d


@pytest.fixture(autouse=True, scope="module")
def needs_compiler() -> None:
    if native.kernel("winograd_gradient", torch.device("cpu"), torch.float32) is None:
        pytest.skip("this machine has no C++ compiler")


@pytest.fixture(autouse=True)
def on_a_cpu_that_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def outputs_and_gradients(layer: nn.Module, x: Tensor, grad: Tensor) -> list[Tensor]:
    """Output, gradient of the input, gradients of the weights."""
    x = x.detach().requires_grad_()
    out = layer(x)
    given = torch.autograd.grad(out, [x, *layer.parameters()], grad)
    return [out.detach(), *given]


def in_threads(count: int, layer: nn.Module, x: Tensor, grad: Tensor) -> list[Tensor]:
    """The same, computed by so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        return outputs_and_gradients(layer, x, grad)
    finally:
        torch.set_num_threads(before)


def assert_near(got: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    """Each within ``tolerance`` of its largest number."""
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape
        assert float((one - other).abs().max()) <= tolerance * float(other.abs().max())


@settings(deadline=None, max_examples=25)
@given(
    inputs=st.sampled_from([32, 48, 128]),
    outputs=st.sampled_from([32, 80]),
    frames=st.integers(1, 4),
    height=st.integers(1, 11),
    width=st.integers(1, 23),
    bias=st.booleans(),
    form=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    threads=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_convolution_has_the_gradients_of_the_definition(
    inputs: int,
    outputs: int,
    frames: int,
    height: int,
    width: int,
    bias: bool,
    form: torch.memory_format,
    threads: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    x = torch.randn(frames, inputs, height, width).contiguous(memory_format=form)
    grad = torch.randn(frames, outputs, height, width).contiguous(memory_format=form)
    expected = outputs_and_gradients(copy.deepcopy(conv).double(), x.double(), grad.double())
    convert_convolutions(nn.Sequential(conv))
    assert type(conv) is WinogradConv2d
    got = in_threads(threads, conv, x, grad)
    assert_near([tensor.double() for tensor in got], expected, 3e-5)


@pytest.mark.parametrize("how", ["evaluation", "double", "bfloat16", "autocast"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_leaves_to_torch_what_the_kernel_is_not_for(
    how: str, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv, x = nn.Conv2d(32, 32, 3, stride, padding=1), torch.randn(2, 32, 5, 6)
    plain = copy.deepcopy(conv)
    use_kernels(nn.Sequential(conv))
    assert type(conv) in (WinogradConv2d, StridedConv2d)
    for name in ("conv", "strided"):
        monkeypatch.setattr(f"e2espot.training.kernels.{name}._Convolution", None)
    if how == "evaluation":
        conv.eval()
    elif how in ("double", "bfloat16"):
        dtype = getattr(torch, how if how != "double" else "float64")
        conv, plain, x = conv.to(dtype), plain.to(dtype), x.to(dtype)
    with torch.autocast("cpu", enabled=how == "autocast"):
        assert torch.equal(conv(x), plain(x))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(32, 32, 3),
        nn.Conv2d(64, 64, 3, stride=2, padding=1),
        nn.Conv2d(3, 20, 3, stride=2, padding=1),
        nn.Conv2d(3, 32, 3, stride=2),
        nn.Conv2d(3, 32, 4, stride=2, padding=2),
        nn.Conv2d(32, 32, 1, stride=2),
        nn.Conv2d(32, 32, 3, padding=1, groups=4),
        nn.Conv2d(40, 32, 3, padding=1),  # its transposed convolution has 40 outputs
        nn.Conv2d(256, 256, 3, padding=1),
    ],
)
def test_other_convolutions_are_not_converted(conv: nn.Conv2d) -> None:
    use_kernels(nn.Sequential(conv))
    assert type(conv) is nn.Conv2d


@settings(deadline=None, max_examples=25)
@given(
    inputs=st.sampled_from([3, 5, 24]),
    outputs=st.sampled_from([16, 24, 48, 64]),
    size=st.sampled_from([3, 7]),
    stride=st.sampled_from([2, 4]),
    frames=st.integers(1, 4),
    height=st.integers(1, 19),
    width=st.integers(1, 43),
    bias=st.booleans(),
    form=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    threads=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_convolution_with_a_stride_has_the_gradients_of_the_definition(
    inputs: int,
    outputs: int,
    size: int,
    stride: int,
    frames: int,
    height: int,
    width: int,
    bias: bool,
    form: torch.memory_format,
    threads: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=bias)
    x = torch.randn(frames, inputs, height, width).contiguous(memory_format=form)
    grad = torch.randn_like(conv(x)).contiguous(memory_format=form)
    expected = outputs_and_gradients(copy.deepcopy(conv).double(), x.double(), grad.double())
    use_kernels(nn.Sequential(conv))
    assert type(conv) is StridedConv2d
    got = in_threads(threads, conv, x, grad)
    assert_near([tensor.double() for tensor in got], expected, 1e-5)


class AddAndRectify(nn.Module):
    """``relu(norm(x) + other)`` by torch's operations and by the kernel."""

    def __init__(self, norm: nn.BatchNorm2d, other: Tensor) -> None:
        super().__init__()
        self.norm, self.other = norm, nn.Parameter(other)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, FusedNorm2d):
            return self.norm.add_to(x, self.other)
        return torch.relu(self.norm(x) + self.other)


@settings(deadline=None, max_examples=25)
@given(
    channels=st.sampled_from([4, 12, 48]),
    frames=st.integers(1, 4),
    # The gradient of a channel of few numbers is what is left of a difference, so it has few digits.
    height=st.integers(4, 19),
    width=st.integers(4, 23),
    behind=st.sampled_from(["nothing", "relu", "sum"]),
    form=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    threads=st.sampled_from([1, 3]),
    mean=st.sampled_from([0.0, 300.0]),
    seed=st.integers(0, 99),
)
def test_norm_has_the_gradients_of_the_definition(
    channels: int,
    frames: int,
    height: int,
    width: int,
    behind: str,
    form: torch.memory_format,
    threads: int,
    mean: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels, momentum=0.3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    # Sums of single-precision numbers far from zero would lose their digits.
    x, other, grad = (torch.randn(frames, channels, height, width).contiguous(memory_format=form) for _ in range(3))
    x = x + mean
    kinds = {"nothing": nn.Sequential(norm), "relu": nn.Sequential(norm, nn.ReLU()), "sum": AddAndRectify(norm, other)}
    layer = kinds[behind]
    plain = copy.deepcopy(layer).double()
    # Where the ReLU begins, rounding decides which gradient there is.
    with torch.no_grad():
        grad[(copy.deepcopy(norm).double()(x.double()) + (other if behind == "sum" else 0)).abs() < 1e-4] = 0
    expected = outputs_and_gradients(plain, x.double(), grad.double())
    use_kernels(layer)
    got = in_threads(threads, layer, x, grad)
    assert isinstance(norm, FusedNorm2d)
    assert_near([tensor.double() for tensor in got], expected, 1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(layer.state_dict()[name].double(), value.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", ["evaluation", "double", "bfloat16", "five channels"])
def test_norm_leaves_to_torch_what_the_kernel_is_not_for(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = 5 if how == "five channels" else 8
    plain, x = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()), torch.randn(2, channels, 5, 6)
    layer = copy.deepcopy(plain)
    use_kernels(layer)
    monkeypatch.setattr("e2espot.training.kernels.norm._normalise", lambda *_: pytest.fail("the kernel was called"))
    if how == "evaluation":
        layer.eval(), plain.eval()
    elif how in ("double", "bfloat16"):
        dtype = getattr(torch, how if how != "double" else "float64")
        layer, plain, x = layer.to(dtype), plain.to(dtype), x.to(dtype)
    assert torch.equal(layer(x), plain(x))
    assert torch.equal(layer[0].add_to(x, x), torch.relu(plain[0](x) + x))


def test_without_a_compiler_nothing_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_library", lambda: None)
    backbone = build_backbone("small_gsm")
    before = [type(layer) for layer in backbone.modules()]
    use_kernels(backbone)
    assert [type(layer) for layer in backbone.modules()] == before


@pytest.mark.parametrize("arch", ["small_gsm", "rny002_gsm"])
def test_networks_have_the_gradients_of_torch_and_the_names_of_their_weights(arch: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(arch).double().train()
    # Gates that are zero would hide what is behind them.
    for name, weight in backbone.named_parameters():
        if "conv3D" in name:
            nn.init.normal_(weight, std=0.1)
    fast = copy.deepcopy(backbone).float()
    use_kernels(fast)
    assert list(fast.state_dict()) == list(backbone.state_dict())
    frames = torch.randn(1, 4, 3, 96, 128)

    def gradients(network: nn.Module, frames: Tensor) -> list[Tensor]:
        features = network(frames)[0]
        (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
        return [features.detach(), *(weight.grad for weight in network.parameters() if weight.grad is not None)]

    expected, got = gradients(backbone, frames.double()), gradients(fast, frames)
    largest = max(float(gradient.norm()) for gradient in expected[1:])
    for one, other in zip(got, expected, strict=True):
        # Torch's operations in fp32 are off by up to 1.4e-5; a gradient that is zero but for rounding does not count.
        assert float((one - other).norm()) <= 1e-4 * max(float(other.norm()), 1e-3 * largest)
    for name, value in fast.state_dict().items():  # running statistics as well
        torch.testing.assert_close(value.double(), backbone.state_dict()[name].double(), rtol=1e-3, atol=1e-4)

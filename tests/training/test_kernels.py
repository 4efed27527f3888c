"""Compiled kernels give the outputs and gradients that torch's operations give, up to rounding."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from e2espot.models.backbones.registry import build_backbone
from e2espot.models.streaming import native
from e2espot.training.kernels.conv import WinogradConv2d, convert_convolutions
from e2espot.training.kernels.network import use_kernels


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
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = outputs_and_gradients(conv, x, grad)
    finally:
        torch.set_num_threads(before)
    assert_near([tensor.double() for tensor in got], expected, 3e-5)


@pytest.mark.parametrize("how", ["evaluation", "double", "bfloat16", "autocast"])
def test_convolution_leaves_to_torch_what_the_kernel_is_not_for(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = nn.Conv2d(32, 32, 3, padding=1), torch.randn(2, 32, 5, 6)
    plain = copy.deepcopy(conv)
    convert_convolutions(nn.Sequential(conv))
    monkeypatch.setattr("e2espot.training.kernels.conv._convolve", lambda *_: pytest.fail("the kernel was called"))
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
        nn.Conv2d(32, 32, 3, stride=2, padding=1),
        nn.Conv2d(32, 32, 3, padding=1, groups=4),
        nn.Conv2d(40, 32, 3, padding=1),  # its transposed convolution has 40 outputs
        nn.Conv2d(256, 256, 3, padding=1),
    ],
)
def test_other_convolutions_are_not_converted(conv: nn.Conv2d) -> None:
    convert_convolutions(nn.Sequential(conv))
    assert type(conv) is nn.Conv2d


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

"""Convolutions with fewer products give what the definition gives, up to rounding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from e2espot.models.kernels import native
from e2espot.models.streaming.fused_conv import FusedConv
from e2espot.models.streaming.winograd import NativeWinograd


@pytest.fixture(autouse=True, scope="module")
def needs_compiler() -> None:
    if native.kernel("winograd", torch.device("cpu"), torch.float32) is None:
        pytest.skip("this machine has no C++ compiler")


@pytest.fixture(autouse=True)
def on_a_cpu_that_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@settings(deadline=None, max_examples=25)
@given(
    inputs=st.sampled_from([32, 40, 96]),
    outputs=st.sampled_from([32, 48, 128]),
    frames=st.integers(0, 4),
    height=st.integers(1, 11),
    width=st.integers(1, 23),
    act=st.sampled_from(["none", "relu"]),
    form=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    seed=st.integers(0, 99),
)
def test_winograd_equals_the_convolution_up_to_rounding(
    inputs: int, outputs: int, frames: int, height: int, width: int, act: str, form: torch.memory_format, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=seed % 2 == 0)
    x = torch.randn(frames, inputs, height, width).contiguous(memory_format=form)
    other = torch.randn(frames, outputs, height, width).contiguous(memory_format=form)
    layer = NativeWinograd.build(conv, act, torch.float32)
    assert layer is not None
    with torch.inference_mode():
        product = torch.nn.functional.conv2d(
            x.double(), conv.weight.double(), None if conv.bias is None else conv.bias.double(), padding=1
        )
        alone, both = product, product + other.double()
        if act == "relu":
            alone, both = alone.relu(), both.relu()
        torch.testing.assert_close(layer(x).double(), alone, rtol=1e-5, atol=3e-5)
        assert layer(x, other) is other
        torch.testing.assert_close(other.double(), both, rtol=1e-5, atol=3e-5)


def test_a_frame_is_the_same_to_the_bit_whatever_comes_with_it() -> None:
    torch.manual_seed(0)
    layer = NativeWinograd.build(nn.Conv2d(48, 48, 3, padding=1), "relu", torch.float32)
    assert layer is not None
    x = torch.randn(9, 48, 13, 21)
    together = layer(x)
    assert all(torch.equal(layer(x[t : t + 1])[0], together[t]) for t in range(9))


def test_winograd_of_nan_is_nan() -> None:
    layer = NativeWinograd.build(nn.Conv2d(32, 32, 3, padding=1), "relu", torch.float32)
    assert layer is not None
    assert layer(torch.full((1, 32, 6, 6), float("nan"))).isnan().all()


@pytest.mark.parametrize(
    ("conv", "act"),
    [
        (nn.Conv2d(32, 32, 3), "relu"),
        (nn.Conv2d(32, 32, 3, stride=2, padding=1), "relu"),
        (nn.Conv2d(32, 32, 3, padding=2, dilation=2), "relu"),
        (nn.Conv2d(32, 32, 3, padding=1, groups=4), "relu"),
        (nn.Conv2d(32, 32, 3, padding=1, padding_mode="circular"), "relu"),
        (nn.Conv2d(32, 32, 3, padding=1), "tanh"),
        (nn.Conv2d(32, 24, 3, padding=1), "relu"),
        (nn.Conv2d(256, 256, 3, padding=1), "relu"),
        (nn.Conv2d(32, 32, 1), "relu"),
    ],
)
def test_convolutions_that_winograd_cannot_compute_are_left_to_the_library(conv: nn.Conv2d, act: str) -> None:
    assert NativeWinograd.build(conv, act, torch.float32) is None


def test_fused_conv_computes_by_winograd(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = nn.Conv2d(32, 32, 3, padding=1), torch.randn(2, 32, 5, 5)
    called = []
    original = NativeWinograd.__call__
    monkeypatch.setattr(NativeWinograd, "__call__", lambda self, *args: called.append(1) or original(self, *args))
    with torch.inference_mode():
        plain, fused = FusedConv(conv, "relu", fused=False), FusedConv(conv, "relu")
        expected = plain(x)
        assert not called
        torch.testing.assert_close(fused(x), expected, rtol=1e-5, atol=3e-5)
        torch.testing.assert_close(fused.add_to(x.clone(), x), plain.add_to(x.clone(), x), rtol=1e-5, atol=3e-5)
    assert len(called) == 2

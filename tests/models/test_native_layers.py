"""Compiled layers give what torch's operations give in double precision, up to the rounding of their format."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from e2espot.models.backbones.lite_stages import SameConv
from e2espot.models.kernels import native
from e2espot.models.spotter import normalise
from e2espot.models.streaming.native_layers import (
    NativeGateShift,
    NativeGroupedConv,
    NativeMeans,
    NativeMotion,
    NativeScale,
    NativeStem,
)
from e2espot.models.temporal_shift import GateShift

FORMATS = (torch.float32, torch.bfloat16)


@pytest.fixture(autouse=True, scope="module")
def needs_compiler() -> None:
    if native.kernel("scale", torch.device("cpu"), torch.float32) is None:
        pytest.skip("this machine has no C++ compiler")


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def assert_rounded(out: Tensor, exact: Tensor, terms: float) -> None:
    """Equal up to one rounding to the format of ``out``, after sums in fp32 of numbers of the size ``terms``."""
    assert out.shape == exact.shape
    step = 2.0**-8 if out.dtype == torch.bfloat16 else 2.0**-23
    error = (out.double() - exact).abs()
    assert (error <= step * exact.abs() + 2e-6 * terms).all(), float(error.max())


def random_gate(fold: int, seed: int) -> GateShift:
    torch.manual_seed(seed)
    gate = GateShift(fold).eval()
    for tensor in (gate.conv3D.weight, gate.conv3D.bias, gate.bn.bias, gate.bn.running_mean):
        assert tensor is not None
        nn.init.normal_(tensor)
    assert gate.bn.running_var is not None
    nn.init.uniform_(gate.bn.running_var, 0.5, 2)
    return gate


def shifted(gate: GateShift, frames_TCHW: Tensor) -> Tensor:
    """Frames of a clip by definition, before the interleave."""
    exact = gate.double()(frames_TCHW.double(), len(frames_TCHW))
    order = torch.argsort(gate.interleave_order)
    return torch.cat((exact[:, order], exact[:, gate.fold :]), dim=1)


@settings(deadline=None, max_examples=30)
@given(
    fold=st.sampled_from([4, 8, 12, 16, 40, 92]),
    more=st.integers(0, 9),
    frames=st.integers(5, 9),
    height=st.integers(1, 30),
    width=st.integers(1, 19),
    first=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_gate_shift_kernel_equals_its_definition_for_frames_in_two_parts(
    fold: int, more: int, frames: int, height: int, width: int, first: int, seed: int
) -> None:
    """Any fold, frames in two parts, more rows than are computed at a time."""
    for dtype in FORMATS:
        gate = random_gate(fold, seed)
        x = channels_last(torch.randn(frames, fold + more, height, width).to(dtype))
        layer = NativeGateShift.build(gate, dtype)
        assert layer is not None
        with torch.inference_mode():
            out = layer([x[:first], x[first:]] if first else [x])
            assert out.is_contiguous(memory_format=torch.channels_last)
            assert_rounded(out, shifted(gate, x)[2:-2], terms=30)


@settings(deadline=None, max_examples=15)
@given(
    fold=st.sampled_from([4, 8, 16, 92]),
    frames=st.integers(1, 7),
    height=st.integers(1, 30),
    width=st.integers(1, 19),
    seed=st.integers(0, 99),
)
def test_gate_shift_kernel_equals_its_definition_for_a_whole_clip(
    fold: int, frames: int, height: int, width: int, seed: int
) -> None:
    for dtype in FORMATS:
        gate = random_gate(fold, seed)
        x = channels_last(torch.randn(frames, fold + 3, height, width).to(dtype))
        layer = NativeGateShift.build(gate, dtype)
        assert layer is not None
        with torch.inference_mode():
            assert_rounded(layer([x], whole_clip=True), shifted(gate, x), terms=30)


@settings(deadline=None, max_examples=20)
@given(
    same=st.booleans(),
    act=st.sampled_from(["relu", "relu6"]),
    frames=st.integers(1, 3),
    height=st.integers(1, 20),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_stem_kernel_equals_normalisation_convolution_and_activation(
    same: bool, act: str, frames: int, height: int, width: int, seed: int
) -> None:
    torch.manual_seed(seed)
    levels = torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8)
    conv = SameConv(3, 32, 3, 2) if same else nn.Conv2d(3, 32, 3, 2, 1)
    nn.init.normal_(conv.weight)  # so that ReLU6 has something to cut off
    with torch.inference_mode():
        layers = [NativeStem.build(conv, act, dtype) for dtype in FORMATS]
        exact = conv.double()(normalise(levels, torch.float64).double()).relu()
        exact = exact.clamp(max=6) if act == "relu6" else exact
        for layer in layers:
            assert layer is not None
            assert_rounded(layer(levels), exact, terms=3)
            assert_rounded(layer(levels.flip(2)[:, :, :5].flip(2)), layer(levels[:, :, -5:].contiguous()).double(), 0)


@settings(deadline=None, max_examples=20)
@given(
    group=st.sampled_from([8, 16]),
    groups=st.integers(1, 4),
    stride=st.integers(1, 2),
    frames=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 20),
    act=st.sampled_from(["none", "relu"]),
    seed=st.integers(0, 99),
)
def test_grouped_convolution_kernel_gives_the_convolution_and_its_means(
    group: int, groups: int, stride: int, frames: int, height: int, width: int, act: str, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(group * groups, group * groups, 3, stride, 1, groups=groups)
    x = channels_last(torch.randn(frames, group * groups, height, width))
    assert NativeGroupedConv.build(conv, "relu", torch.bfloat16) is None, "the library is faster"
    assert NativeGroupedConv.build(conv, "tanh", torch.float32) is None
    layer = NativeGroupedConv.build(conv, act, torch.float32)
    assert layer is not None
    with torch.inference_mode():
        out, means_TC = layer(x)
        exact = conv.double()(x.double())
        exact = exact.relu() if act == "relu" else exact
        assert_rounded(out, exact, terms=3)
        assert_rounded(means_TC, exact.mean((2, 3)), terms=3)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(24, 24, 3, 1, 1, groups=1),
        nn.Conv2d(16, 16, 5, 1, 2, groups=2),
        nn.Conv2d(16, 32, 3, 1, 1, groups=2),
        nn.Conv2d(16, 16, 3, 1, 0, groups=2),
    ],
)
def test_convolutions_without_a_kernel_are_left_to_the_library(conv: nn.Conv2d) -> None:
    assert NativeGroupedConv.build(conv, "relu", torch.float32) is None
    assert NativeStem.build(conv, "relu", torch.float32) is None
    assert NativeStem.build(nn.Conv2d(3, 32, 3, 2, 0), "relu", torch.float32) is None


@pytest.mark.parametrize("dtype", FORMATS)
def test_scale_kernel_multiplies_channels_in_place(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, gains_TC = channels_last(torch.randn(3, 20, 4, 5).to(dtype)), torch.rand(3, 20)
    exact = x.double() * gains_TC.double()[:, :, None, None]
    layer = NativeScale.build(x.device, dtype)
    assert layer is not None
    layer(x, gains_TC)
    assert_rounded(x, exact, terms=0)


@pytest.mark.parametrize("channels", [20, 24])
@pytest.mark.parametrize("dtype", FORMATS)
def test_means_of_frames_larger_than_a_run_of_pixels(dtype: torch.dtype, channels: int) -> None:
    torch.manual_seed(0)
    x = channels_last((100 + torch.randn(3, channels, 13, 11)).to(dtype))
    layer = NativeMeans.build(x.device, dtype)
    assert layer is not None
    means_TC = layer(x)
    assert means_TC.dtype == torch.float32
    torch.testing.assert_close(means_TC.double(), x.double().mean((2, 3)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("dtype", FORMATS)
def test_motion_kernel_takes_frames_of_bytes_and_padding_of_floats(dtype: torch.dtype, times: int) -> None:
    """Padding beyond the ends of a match comes as floats."""
    torch.manual_seed(0)
    weight_O3T, bias_O = torch.randn(5, 3, times, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    levels = torch.randint(0, 256, (6, 7, 9, 3), dtype=torch.uint8)
    padding = 255 * torch.rand(2, 7, 9, 3)
    layer = NativeMotion.build(weight_O3T, 100.0, bias_O, dtype)
    assert layer is not None
    from_middle = torch.cat((padding, levels)).double() - 100
    exact = functional.conv3d(from_middle.permute(3, 0, 1, 2)[None], weight_O3T[..., None, None], bias_O)[0].transpose(
        0, 1
    )
    out = layer([padding, levels])
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert_rounded(out, exact, terms=500)


def test_several_threads_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    gate, conv = random_gate(8, 0), nn.Conv2d(24, 24, 3, 2, 1, groups=3)
    x, levels = channels_last(torch.randn(12, 24, 20, 9)), torch.randint(0, 256, (12, 20, 18, 3), dtype=torch.uint8)
    layers = (
        NativeGateShift.build(gate, x.dtype),
        NativeGroupedConv.build(conv, "relu", x.dtype),
        NativeStem.build(nn.Conv2d(3, 32, 3, 2, 1), "relu", x.dtype),
        NativeMotion.build(torch.randn(5, 3, 3), 100.0, torch.randn(5), x.dtype),
    )
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(native.torch, "get_num_threads", lambda threads=threads: threads)
        shift, convolve, stem, motion = layers
        assert shift is not None and convolve is not None and stem is not None and motion is not None
        with torch.inference_mode():
            results.append((shift([x]), *convolve(x), stem(levels), motion([levels])))
    for one, many in zip(*results, strict=True):
        assert torch.equal(one, many)


def test_gate_shift_and_grouped_convolution_of_nan_are_nan() -> None:
    x = torch.full((5, 8, 2, 2), float("nan"))
    shift = NativeGateShift.build(random_gate(8, 0), x.dtype)
    convolve = NativeGroupedConv.build(nn.Conv2d(8, 8, 3, 1, 1), "relu", x.dtype)
    assert shift is not None and convolve is not None
    assert shift([x]).isnan().all()
    with torch.inference_mode():
        out, means_TC = convolve(channels_last(x))
    assert out.isnan().all() and means_TC.isnan().all()

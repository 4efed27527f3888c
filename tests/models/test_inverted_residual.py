"""A compiled inverted residual gives what its three convolutions give in double precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from e2espot.models.backbones.lite_stages import _STAGES, LiteBlock, LiteStages, _Stage
from e2espot.models.kernels import native
from e2espot.models.streaming.inverted_residual import NativeInvertedResidual


@pytest.fixture(scope="module")
def dtype() -> torch.dtype:
    """The number format in which kernels compute on this CPU."""
    vectors = torch.backends.cpu.get_cpu_capability()
    if native.kernel("means", torch.device("cpu"), torch.float32) is None:
        pytest.skip("this machine has no C++ compiler")
    if vectors == "AVX2":
        return torch.float32
    if vectors == "AVX512" and native.can_use_amx():
        return torch.bfloat16
    pytest.skip("this CPU computes inverted residuals with its library")


def random_block(inputs: int, stage: _Stage, stride: int) -> LiteBlock:
    """With outputs of the size of its inputs, some of them cut off by both ReLU6."""
    block = LiteBlock(inputs, stage, stride).requires_grad_(False)
    for conv in (block.widen, block.depthwise, block.narrow):
        if conv is not None:
            nn.init.normal_(conv.weight, 0, 2 * conv.weight[0].numel() ** -0.5)
    return block


def assert_equal(block: LiteBlock, frames: int, height: int, width: int, dtype: torch.dtype) -> None:
    x = torch.randn(frames, block.narrow.out_channels if block.residual else _inputs(block), height, width)
    x = x.to(dtype, memory_format=torch.channels_last)
    layer = NativeInvertedResidual.build(block, dtype)
    assert layer is not None
    given = x.clone()
    with torch.inference_mode():
        out = layer(x)
        exact = block.double()(x.double())
    assert torch.equal(x, given) and out.is_contiguous(memory_format=torch.channels_last)
    assert out.shape == exact.shape
    # In bf16 weights, what is narrowed and the result are rounded to 8 bits, each by half a step at most.
    share = 2e-6 if dtype == torch.float32 else 3 / 256
    assert (out.double() - exact).abs().max() <= share * max(1.0, float(exact.abs().max()))


def _inputs(block: LiteBlock) -> int:
    return block.depthwise.in_channels if block.widen is None else block.widen.in_channels


@settings(deadline=None, max_examples=60)
@given(
    kernel=st.sampled_from([3, 5]),
    stride=st.sampled_from([1, 2]),
    channels=st.sampled_from(
        [(16, 1, 24), (32, 1, 16), (16, 6, 16), (24, 6, 24), (24, 2, 40), (40, 4, 40), (7, 16, 32)]
    ),
    frames=st.integers(1, 3),
    height=st.integers(1, 40),
    width=st.integers(1, 60),
    threads=st.sampled_from([1, 2, 7]),
    seed=st.integers(0, 99),
)
def test_kernel_equals_its_three_convolutions_for_any_size_and_number_of_threads(
    kernel: int,
    stride: int,
    channels: tuple[int, int, int],
    frames: int,
    height: int,
    width: int,
    threads: int,
    seed: int,
    dtype: torch.dtype,
) -> None:
    """Large frames some rows at a time, small ones some channels at a time; few frames in parts for many threads."""
    torch.manual_seed(seed)
    inputs, expansion, outputs = channels
    inputs += inputs % 2 if dtype == torch.bfloat16 else 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: threads)
        block = random_block(inputs, _Stage(kernel, stride, expansion, outputs, 1), stride)
        assert_equal(block, frames, height, width, dtype)


def test_every_block_of_the_network_at_the_size_of_the_shipped_spotter(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    inputs, height, width = 32, 112, 199
    for stage in _STAGES:
        block = random_block(inputs, stage, stage.stride)
        assert_equal(block, 1, height, width, dtype)
        inputs, height, width = stage.width, -(-height // stage.stride), -(-width // stage.stride)


@pytest.mark.parametrize("value", [torch.nan, -torch.nan])
def test_a_number_that_is_not_finite_stays_so_and_where_it_is(value: float, dtype: torch.dtype) -> None:
    block = random_block(16, _Stage(3, 1, 6, 16, 1), 1)
    layer = NativeInvertedResidual.build(block, dtype)
    assert layer is not None
    x = torch.zeros(1, 16, 5, 5, dtype=dtype)
    x[0, 3, 2, 2] = value
    out = layer(x)
    assert out[:, :, 1:4, 1:4].isnan().all()
    assert out.isnan().sum() == 9 * 16


def test_frames_of_another_size_do_not_see_what_was_computed_before(dtype: torch.dtype) -> None:
    block = random_block(16, _Stage(5, 1, 6, 16, 1), 1)
    layer, fresh = (NativeInvertedResidual.build(block, dtype) for _ in range(2))
    assert layer is not None and fresh is not None
    small = torch.randn(1, 16, 9, 11).to(dtype)
    expected = fresh(small)
    layer(torch.full((1, 16, 40, 60), 5, dtype=dtype))
    assert torch.equal(layer(small), expected)


def test_only_known_shapes_have_a_kernel_and_each_cpu_one_number_format(dtype: torch.dtype) -> None:
    other = torch.float32 if dtype == torch.bfloat16 else torch.bfloat16
    block = LiteStages().inverted_residuals()[1]
    assert NativeInvertedResidual.build(block, dtype) is not None
    assert NativeInvertedResidual.build(block, other) is None
    for block in (
        LiteBlock(16, _Stage(7, 1, 6, 16, 1), 1),
        LiteBlock(10, _Stage(3, 1, 1, 16, 1), 1),
        LiteBlock(16, _Stage(3, 1, 6, 8, 1), 1),
    ):
        assert NativeInvertedResidual.build(block, dtype) is None
    odd = LiteBlock(7, _Stage(3, 1, 16, 16, 1), 1)
    assert (NativeInvertedResidual.build(odd, dtype) is None) == (dtype == torch.bfloat16)

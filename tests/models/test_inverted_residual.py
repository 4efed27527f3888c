"""A compiled inverted residual gives what its three convolutions give in double precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from e2espot.models.backbones.lite_stages import _STAGES, LiteBlock, LiteStages, _Stage
from e2espot.models.kernels import native
from e2espot.models.streaming.inverted_residual import NativeInvertedResidual


@pytest.fixture(autouse=True, scope="module")
def needs_kernel() -> None:
    """The kernel is for one kind of CPU."""
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        pytest.skip("this CPU computes inverted residuals with its library")
    if native.kernel("inverted_residual", torch.device("cpu"), torch.float32) is None:
        pytest.skip("this machine has no C++ compiler")


def random_block(inputs: int, stage: _Stage, stride: int) -> LiteBlock:
    """With outputs of the size of its inputs, some of them cut off by both ReLU6."""
    block = LiteBlock(inputs, stage, stride).requires_grad_(False)
    for conv in (block.widen, block.depthwise, block.narrow):
        if conv is not None:
            nn.init.normal_(conv.weight, 0, 2 * conv.weight[0].numel() ** -0.5)
    return block


def assert_equal(block: LiteBlock, frames: int, height: int, width: int) -> None:
    x = torch.randn(frames, block.narrow.out_channels if block.residual else _inputs(block), height, width)
    x = x.contiguous(memory_format=torch.channels_last)
    layer = NativeInvertedResidual.build(block, torch.float32)
    assert layer is not None
    given = x.clone()
    with torch.inference_mode():
        out = layer(x)
        exact = block.double()(x.double())
    assert torch.equal(x, given) and out.is_contiguous(memory_format=torch.channels_last)
    assert out.shape == exact.shape
    assert (out.double() - exact).abs().max() <= 2e-6 * max(1.0, float(exact.abs().max()))


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
def test_any_size(
    kernel: int,
    stride: int,
    channels: tuple[int, int, int],
    frames: int,
    height: int,
    width: int,
    threads: int,
    seed: int,
) -> None:
    """Large frames some rows at a time, small ones some channels at a time; few frames in parts for many threads."""
    torch.manual_seed(seed)
    inputs, expansion, outputs = channels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: threads)
        assert_equal(random_block(inputs, _Stage(kernel, stride, expansion, outputs, 1), stride), frames, height, width)


def test_every_block_of_the_network_at_the_size_of_the_shipped_spotter() -> None:
    torch.manual_seed(0)
    inputs, height, width = 32, 112, 199
    for stage in _STAGES:
        block = random_block(inputs, stage, stage.stride)
        assert_equal(block, 1, height, width)
        inputs, height, width = stage.width, -(-height // stage.stride), -(-width // stage.stride)


def test_a_number_that_is_not_finite_stays_so() -> None:
    block = random_block(16, _Stage(3, 1, 6, 16, 1), 1)
    layer = NativeInvertedResidual.build(block, torch.float32)
    assert layer is not None
    x = torch.zeros(1, 16, 5, 5)
    x[0, 3, 2, 2] = torch.nan
    out = layer(x)
    assert out[:, :, 1:4, 1:4].isnan().all() and not out[:, :, 0].isnan().any()


def test_only_fp32_and_known_shapes_have_a_kernel() -> None:
    block = LiteStages().inverted_residuals()[1]
    assert NativeInvertedResidual.build(block, torch.float32) is not None
    assert NativeInvertedResidual.build(block, torch.bfloat16) is None
    assert NativeInvertedResidual.build(LiteBlock(16, _Stage(7, 1, 6, 16, 1), 1), torch.float32) is None
    assert NativeInvertedResidual.build(LiteBlock(10, _Stage(3, 1, 1, 16, 1), 1), torch.float32) is None
    assert NativeInvertedResidual.build(LiteBlock(16, _Stage(3, 1, 6, 8, 1), 1), torch.float32) is None

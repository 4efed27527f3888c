"""Layers that go through a match chunk by chunk give what they give on the whole match at once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from e2espot.models.streaming import fused_conv
from e2espot.models.streaming.fused_conv import FusedConv, can_fuse
from e2espot.models.streaming.temporal_cache import FrameCache, FrameDelay, FrameHold, StreamingGateShift
from e2espot.models.temporal_shift import ShiftedConv

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("act", ["none", "relu", "tanh"])
@pytest.mark.parametrize("groups", [1, 4])
def test_fused_conv_equals_conv_then_activation(plain: bool, act: str, groups: int) -> None:
    if not plain and not can_fuse(torch.zeros(1)):
        pytest.skip("this torch has no fused convolutions")
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=groups)
    x, other = channels_last(torch.randn(3, 8, 11, 7)), channels_last(torch.randn(3, 12, 6, 4))
    activate = {"none": lambda y: y, "relu": torch.relu, "tanh": torch.tanh}[act]
    with torch.inference_mode():
        layer = FusedConv(conv, act, fused=not plain)  # type: ignore[arg-type]
        torch.testing.assert_close(layer(x), activate(conv(x)), rtol=1e-5, atol=1e-6)
        if act != "tanh":
            expected = activate(conv(x) + other)
            out = layer.add_to(other, x)
            assert out.data_ptr() == other.data_ptr(), "the sum must overwrite the other operand"
            torch.testing.assert_close(other, expected, rtol=1e-5, atol=1e-6)


def test_can_fuse_is_false_without_the_fused_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_conv.torch.backends.mkldnn, "is_available", lambda: False)
    assert not can_fuse(torch.zeros(1))


@settings(deadline=None, max_examples=60)
@given(lengths=lengths, halo=st.integers(0, 3))
def test_frame_cache_emits_every_frame_with_all_neighbours_once(lengths: list[int], halo: int) -> None:
    frames = torch.arange(sum(lengths), dtype=torch.float32)[:, None, None, None]
    cache, emitted, seen = FrameCache(halo), [], 0
    for chunk in frames.split(lengths):
        full = cache.prepend(chunk)
        seen += len(chunk)
        assert full[-1] == seen - 1
        assert len(full) <= len(chunk) + 2 * halo
        emitted += [int(frame) for part in cache.ready(chunk) for frame in part]
        cache.update(chunk)
    assert emitted == list(range(halo, sum(lengths) - halo))


def test_frame_delay_pops_in_order_after_the_skipped_frames() -> None:
    delay, frames = FrameDelay(), torch.arange(10.0)[:, None, None, None]
    assert len(delay.push_pop(frames[:4], 0, 2)) == 0
    assert delay.push_pop(frames[4:8], 3, 2).flatten().tolist() == [2, 3, 4]
    assert delay.push_pop(frames[8:], 5, 2).flatten().tolist() == [5, 6, 7, 8, 9]


@given(lengths=lengths, every=st.integers(1, 3))
def test_frame_hold_repeats_every_nth_frame_whatever_the_chunks(lengths: list[int], every: int) -> None:
    hold, frames, held, first, chunk_start = FrameHold(every), torch.arange(sum(lengths)), [], 0, 0
    for length in lengths:
        seen = frames[chunk_start : chunk_start + length][first::every, None, None, None]
        held += hold.repeat(seen if len(seen) else None, first, length).flatten().tolist()
        first, chunk_start = (first - length) % every, chunk_start + length
    assert held == [frame - frame % every for frame in range(sum(lengths))]


@pytest.mark.parametrize("form", ["kernel", "fused", "plain"])
@settings(deadline=None, max_examples=25)
@given(
    lengths=lengths,
    channels=st.sampled_from([9, 24, 40, 64, 150]),
    height=st.integers(1, 5),
    width=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_streaming_gate_shift_equals_gate_shift_of_all_frames(
    form: str, lengths: list[int], channels: int, height: int, width: int, seed: int
) -> None:
    """Wide and narrow folds, even and odd widths, chunks shorter than the halo."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(channels, 13, 1, bias=False), nn.Identity(), nn.ReLU())
    layer = ShiftedConv(net, channels, "gsm").eval()
    gate = layer.gsm
    for tensor in (gate.conv3D.weight, gate.conv3D.bias, gate.bn.bias, gate.bn.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(gate.bn.running_var, 0.5, 2)
    frames = channels_last(functional.relu(torch.randn(sum(lengths), channels, height, width)))
    layer.num_frames = len(frames)
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        if form != "kernel":
            patch.setattr("e2espot.models.streaming.native_layers.kernel", lambda *_: None)
        if form == "plain":
            patch.setattr("e2espot.models.streaming.fused_conv.can_fuse", lambda weight: False)
        expected = layer(frames)[2:-2]
        streaming = StreamingGateShift(layer)
        outputs, inputs = [], []
        for chunk in frames.split(lengths):
            out, ready = streaming(chunk.clone(memory_format=torch.preserve_format))
            inputs += ready
            assert (out is None) == (not ready)
            outputs += [] if out is None else [out]
    if len(frames) <= 4:
        assert not outputs
        return
    torch.testing.assert_close(torch.cat(outputs), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.cat(inputs), frames[2:-2])

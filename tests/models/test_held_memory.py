"""What is in memory at a time, counted in frames and bytes: it decides how much a whole match needs."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from e2espot.inference.sampled_clips import SampledClips
from e2espot.models.backbones.lite import LiteBackbone
from e2espot.models.backbones.registry import build_backbone
from e2espot.models.backbones.small import ResidualBlock, SmallBackbone
from e2espot.models.kernels.norms import has_kernels
from e2espot.models.norm_statistics import batch_norms, measure_statistics
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.temporal_shift import GateShift

BACKBONES = [SmallBackbone, LiteBackbone]


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> SmallBackbone:
    torch.manual_seed(0)
    network: SmallBackbone = request.param("gsm").eval()
    return network


def levels(num_frames: int) -> Tensor:
    return torch.randint(0, 256, (num_frames, 32, 48, 3), dtype=torch.uint8)


def held_bytes(stream: BackboneStream) -> int:
    """Memory behind all that is kept for the next chunk; a view holds all of what it looks into."""
    buffers = [cache.buffer for cache in stream.caches if cache.buffer is not None]
    storages = {buffer.untyped_storage().data_ptr(): buffer.untyped_storage().nbytes() for buffer in buffers}
    return sum(storages.values())


@torch.inference_mode()
def test_a_stream_holds_as_much_after_many_chunks_as_after_a_few(backbone: SmallBackbone) -> None:
    stream, held = BackboneStream(backbone, torch.float32), []
    for _ in range(8):
        stream.forward_chunk(levels(16))
        held.append(held_bytes(stream))
    assert held[2:] == [held[2]] * 6
    needed = sum(cache.buffer.nbytes for cache in stream.caches if cache.buffer is not None)
    assert held[-1] == needed


def test_a_first_look_computes_few_full_frames_at_a_time(backbone: SmallBackbone) -> None:
    counts: list[int] = []

    def count(_: object, inputs: tuple[Tensor]) -> None:
        if isinstance(inputs[0], Tensor) and inputs[0].shape[1:] == (5, 32, 48):
            counts.append(len(inputs[0]))

    with register_module_forward_pre_hook(count):
        measure_statistics(backbone, [torch.stack([levels(10), levels(10)])])
    assert sum(counts) == 20
    assert max(counts) <= 4


@torch.inference_mode()
def test_a_first_look_holds_one_clip_at_a_time(backbone: SmallBackbone) -> None:
    made: list[weakref.ref[Tensor]] = []

    def clips() -> Iterator[Tensor]:
        for _ in range(3):
            assert all(clip() is None for clip in made)
            clip_TCHW = torch.randn(6, 3, 32, 48)
            made.append(weakref.ref(clip_TCHW))
            yield clip_TCHW
            del clip_TCHW

    backbone.forward_clips(clips(), 3)
    assert len(made) == 3


@pytest.mark.skipif(not has_kernels(), reason="this machine has no C++ compiler")
def test_norms_of_a_first_look_overwrite_their_inputs(backbone: SmallBackbone) -> None:
    counts = {True: 0, False: 0}

    def count(layer: object, inputs: tuple[Tensor], output: Tensor) -> None:
        if type(layer).__name__ == "_MeasuringNorm":
            counts[inputs[0].data_ptr() == output.data_ptr()] += 1

    with register_module_forward_hook(count):
        measure_statistics(backbone, [torch.stack([levels(10), levels(10)])])
    # The norms of gates only measure, and the last of each block is called by the block.
    others = sum(isinstance(layer, GateShift | ResidualBlock) for layer in backbone.modules())
    assert counts == {True: len(batch_norms(backbone)) - others, False: 0}


@torch.inference_mode()
@pytest.mark.parametrize("arch", ["rny002_gsm", "rn18_tsm"])
def test_clips_of_an_image_network_one_at_a_time_give_what_all_together_give(arch: str) -> None:
    torch.manual_seed(0)
    network, counts = build_backbone(arch).double().eval(), []
    clips_BTCHW = torch.randn(2, 6, 3, 32, 48, dtype=torch.float64)
    together = network(clips_BTCHW)

    def count(_: object, inputs: tuple[Tensor]) -> None:
        if inputs[0].shape[1:] == (3, 32, 48):
            counts.append(len(inputs[0]))

    with register_module_forward_pre_hook(count):
        one_by_one = network.forward_clips(iter(clips_BTCHW), 2)
    assert max(counts) <= 4
    torch.testing.assert_close(one_by_one.features_BTD, together.features_BTD)


@torch.inference_mode()
def test_clips_one_at_a_time_give_what_all_together_give(backbone: SmallBackbone) -> None:
    clips_BTCHW = torch.randn(2, 11, 3, 32, 48)
    together, one_by_one = backbone(clips_BTCHW), backbone.forward_clips(iter(clips_BTCHW), 2)
    torch.testing.assert_close(one_by_one.features_BTD, together.features_BTD, atol=1e-5, rtol=1e-5)


def test_statistics_hold_one_batch_at_a_time(backbone: SmallBackbone) -> None:
    clips = SampledClips([np.zeros((4, 32, 48, 3), dtype=np.uint8)] * 6, clips_per_batch=2)
    made: list[weakref.ref[np.ndarray]] = []

    def batches() -> Iterator[Tensor]:
        for batch_BTHWC in clips:
            assert all(batch() is None for batch in made)
            made.append(weakref.ref(batch_BTHWC))
            yield torch.from_numpy(batch_BTHWC)
            del batch_BTHWC

    measure_statistics(backbone, batches())
    assert len(made) == 3

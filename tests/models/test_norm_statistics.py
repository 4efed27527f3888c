"""Batch norm statistics of a video."""

import copy

import pytest
import torch

from e2espot.models.backbones.registry import Backbone, build_backbone
from e2espot.models.norm_statistics import (
    batch_norms,
    distance_from_training,
    measure_statistics,
    mix_statistics,
)
from e2espot.models.spotter import normalise
from e2espot.models.streaming.backbone_stream import BackboneStream
from tests.support.lite import hear_the_image_network

ARCHS = ["small_gsm", "small_tsm", "rny002_gsm", "rn18_gsm", "lite_gsm"]


def backbone_of(arch: str) -> Backbone:
    torch.manual_seed(0)
    backbone = build_backbone(arch)
    hear_the_image_network(backbone)
    return backbone.double().eval()


def clips(count: int = 2, brightness: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 200, (count, 6, 64, 96, 3), generator=generator)
    return (levels + brightness).to(torch.uint8)


@pytest.mark.parametrize("arch", ARCHS)
def test_measured_statistics_normalise_as_a_batch_normalises_itself(arch: str) -> None:
    """With all of the statistics of one batch, every layer gets the inputs that it has while it is normalised so."""
    backbone = backbone_of(arch)
    reference = copy.deepcopy(backbone)
    for layer in batch_norms(reference):
        layer.train()
    frames = normalise(clips(), torch.float64)
    with torch.inference_mode():
        expected = reference(frames).features_BTD
        mix_statistics(backbone, measure_statistics(backbone, [clips()]), share=1.0)
        torch.testing.assert_close(backbone(frames).features_BTD, expected, rtol=1e-6, atol=1e-9)


def test_measure_statistics_pools_its_batches_and_leaves_the_backbone_alone() -> None:
    backbone = backbone_of("small_gsm")
    before = copy.deepcopy(backbone.state_dict())
    both = [clips(1), clips(1, brightness=50)]
    statistics = measure_statistics(backbone, both)
    pixels = backbone.stem[0](backbone.add_motion(normalise(torch.cat(both), torch.float64)))  # type: ignore[union-attr, operator, index]
    first = next(
        pair
        for pair in zip(batch_norms(backbone), statistics, strict=True)
        if pair[0] is backbone.stem[1]  # type: ignore[union-attr, index]
    )[1]
    torch.testing.assert_close(first.mean_C, pixels.mean((0, 2, 3)))
    torch.testing.assert_close(first.var_C, pixels.var((0, 2, 3), correction=0))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_statistics_in_fp32_are_those_in_double_precision() -> None:
    """In fp32 the image network computes as in inference, perhaps with compiled kernels."""
    backbone = backbone_of("lite_gsm")
    exact = measure_statistics(backbone, [clips()])
    for near, reference in zip(measure_statistics(backbone.float(), [clips()]), exact, strict=True):
        spread_C = reference.var_C.sqrt() + 1e-3
        assert ((near.mean_C - reference.mean_C).abs() < 1e-3 * spread_C).all()
        assert ((near.var_C - reference.var_C).abs() < 1e-3 * spread_C**2).all()


def test_mix_statistics_interpolates() -> None:
    backbone = backbone_of("small_gsm")
    statistics = measure_statistics(backbone, [clips()])
    mixed = copy.deepcopy(backbone)
    mix_statistics(mixed, statistics, share=0.25)
    for layer, trained, measured in zip(batch_norms(mixed), batch_norms(backbone), statistics, strict=True):
        assert layer.running_mean is not None and trained.running_mean is not None
        torch.testing.assert_close(layer.running_mean, 0.75 * trained.running_mean + 0.25 * measured.mean_C)
    mix_statistics(backbone, statistics, share=0.0)
    assert distance_from_training(backbone, statistics) > 0
    mix_statistics(backbone, statistics, share=1.0)
    assert distance_from_training(backbone, statistics) < 1e-20


def test_measure_statistics_of_no_frames_is_empty() -> None:
    assert measure_statistics(backbone_of("small_gsm"), []) == ()


@pytest.mark.parametrize("arch", ["small_gsm", "rny002_gsm"])
def test_backbone_stream_folds_the_mixed_statistics(arch: str) -> None:
    backbone = backbone_of(arch)
    mix_statistics(backbone, measure_statistics(backbone, [clips()]), share=0.5)
    halo, levels = backbone.halo, clips()[0]
    frames = torch.cat([levels] * (2 * halo // len(levels) + 2)).double()
    with torch.inference_mode():
        whole = backbone(normalise(frames, torch.float64)[None]).features_BTD[0, halo:-halo]
        torch.testing.assert_close(BackboneStream(backbone, torch.float64).forward_chunk(frames), whole)

"""Smoothing the map of the ball over time equals the sums over all paths, and does not depend on chunks."""

import itertools

import pytest
import torch
from torch import Tensor

from e2espot.core.errors import ConfigurationError
from e2espot.models.backbones.small import SmallBackbone
from e2espot.models.ball_smoothing import BallSmoother, smoothed_clips, smoothed_maps
from e2espot.training.recipe import NetworkSettings


def random_maps(frames: int, height: int = 3, width: int = 4, seed: int = 0) -> Tensor:
    return 3 * torch.randn(frames, height, width, generator=torch.Generator().manual_seed(seed))


def by_all_paths(maps_THW: Tensor) -> Tensor:
    """Probability of each cell in each frame, as the sum over every path through all cells."""
    num_frames, height, width = maps_THW.shape
    cells = list(itertools.product(range(height), range(width)))
    steps = torch.exp(-1.5 * (torch.arange(-40, 41).abs().double() - 1).clamp_min(0))
    spread = (steps / steps.sum()).tolist()
    move = torch.tensor(
        [[0.99 * spread[40 + a[0] - b[0]] * spread[40 + a[1] - b[1]] + 0.01 / len(cells) for b in cells] for a in cells]
    ).double()
    evidence_TN = torch.exp(0.5 * maps_THW.double().flatten(1))
    total_TN = torch.zeros(num_frames, len(cells)).double()
    first_N = move.mean(0)
    for path in itertools.product(range(len(cells)), repeat=num_frames):
        share = first_N[path[0]] * evidence_TN[0, path[0]]
        for t in range(1, num_frames):
            share = share * move[path[t - 1], path[t]] * evidence_TN[t, path[t]]
        for t, cell in enumerate(path):
            total_TN[t, cell] += share
    return (total_TN / total_TN.sum(1, keepdim=True)).view(maps_THW.shape)


def test_smoothing_gives_the_probability_that_all_paths_together_give() -> None:
    maps_THW = random_maps(3)
    torch.testing.assert_close(smoothed_maps(maps_THW, 12.5, 8).exp().double(), by_all_paths(maps_THW))


@pytest.mark.parametrize("block", [0, 1, 4, 100])
def test_chunks_do_not_change_the_maps(block: int) -> None:
    maps_THW = random_maps(29)
    expected = smoothed_maps(maps_THW, 12.5, block)
    assert len(expected) == 29
    smoother, parts = BallSmoother(12.5, block), []
    for part in maps_THW.split([1, 7, 2, 19]):
        parts.append(smoother.add(part))
    parts.append(smoother.finish(maps_THW))
    assert torch.equal(torch.cat(parts), expected)


@pytest.mark.parametrize("block", [0, 4])
def test_a_frame_sees_no_further_than_its_block_and_the_next(block: int) -> None:
    maps_THW = random_maps(40)
    changed = maps_THW.clone()
    changed[20:] = random_maps(20, seed=1)
    same_T = (smoothed_maps(maps_THW, 12.5, block) == smoothed_maps(changed, 12.5, block)).flatten(1).all(1)
    # Frames 12 to 15 see up to 19; 16 to 19 see up to 23.
    assert same_T[: 16 if block else 20].all() and not same_T[16 if block else 20 :].any()


@pytest.mark.parametrize("fps", [12.5, 25.0])
def test_a_flash_far_from_the_path_is_outshone_and_a_cut_is_followed(fps: float) -> None:
    maps_THW = torch.zeros(60, 36, 64)
    for t in range(60):
        maps_THW[t, 10, 20 + t // 4 if t < 40 else 60] = 8
    maps_THW[12, 30, 50] = 9  # higher than the ball, for one frame
    cells_T = smoothed_maps(maps_THW, fps, 8).flatten(1).argmax(1).tolist()
    assert cells_T == [10 * 64 + (20 + t // 4 if t < 40 else 60) for t in range(60)]


def test_maps_without_a_ball_stay_finite() -> None:
    maps_THW = torch.full((30, 36, 64), -60.0)
    maps_THW[::3, 5, 5] = 60
    smoothed = smoothed_maps(maps_THW, 12.5, 8)
    assert torch.isfinite(smoothed).all()
    torch.testing.assert_close(smoothed.exp().sum((1, 2)), torch.ones(30))


def test_clips_are_smoothed_as_a_video_whose_block_is_longer() -> None:
    clips_BTHW = torch.stack([random_maps(9, seed=seed) for seed in (0, 1)])
    expected = torch.stack([smoothed_maps(clip_THW, 12.5, 9) for clip_THW in clips_BTHW])
    torch.testing.assert_close(smoothed_clips(clips_BTHW, 12.5), expected)
    assert smoothed_clips(clips_BTHW[:, :1], 12.5).shape == (2, 1, 3, 4)


def test_training_pools_under_the_smoothed_map_and_learns_through_it() -> None:
    torch.manual_seed(0)
    backbone = SmallBackbone("gsm")
    frames_BTCHW = torch.randn(2, 5, 3, 64, 80)
    alone = backbone(frames_BTCHW)
    assert alone.smoothed_BTHW is None
    backbone.smooth_fps = 12.5
    smoothed = backbone(frames_BTCHW)
    assert smoothed.smoothed_BTHW is not None and smoothed.heat_BTHW is not None
    torch.testing.assert_close(smoothed.smoothed_BTHW, smoothed_clips(smoothed.heat_BTHW, 12.5))
    assert not torch.allclose(alone.features_BTD, smoothed.features_BTD)
    smoothed.features_BTD[:, 2].sum().backward()
    assert backbone.attention.weight.grad is not None
    assert backbone.attention.weight.grad[0].abs().max() > 0


def test_map_of_another_backbone_cannot_be_smoothed() -> None:
    with pytest.raises(ConfigurationError, match="rny002_gsm has no map of the ball to smooth"):
        NetworkSettings(feature_arch="rny002_gsm", smooth_ball=True)

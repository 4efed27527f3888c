"""Augmentation does to pixels what its parameters say, and moves targets along with them."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from e2espot.clips.augmentation import augment_frames, augment_targets, transform_points
from e2espot.clips.augmentation_params import Augmentation, AugmentationParams, sample_augmentation
from e2espot.clips.targets import TargetBatch
from e2espot.core.pixels import IMAGENET_STD

STRONG = Augmentation(colour=1.0, jitter=0.1, crop=0.5, blur=0.5)


def dot(x: int, y: int, width: int = 80, height: int = 48) -> torch.Tensor:
    """One black clip [1, 1, H, W, 3] with a white square around a pixel."""
    frames = torch.zeros(1, 1, height, width, 3, dtype=torch.uint8)
    frames[:, :, y - 2 : y + 3, x - 2 : x + 3] = 255
    return frames


def targets_of(ball_BT2: torch.Tensor, team: float = float("nan")) -> TargetBatch:
    """Valid frames that know the ball and perhaps the team."""
    shape = ball_BT2.shape[:2]
    return TargetBatch(
        class_BT=torch.zeros(shape, dtype=torch.int64),
        second_BT=torch.zeros(shape, dtype=torch.int64),
        offset_BT=torch.zeros(shape),
        team_BT=torch.full(shape, team),
        ball_BT2=ball_BT2,
        joint_B=torch.zeros(shape[0], dtype=torch.bool),
        valid_BT=torch.ones(shape, dtype=torch.bool),
        annotated_BT=torch.ones(shape, dtype=torch.bool),
        hard_BT=torch.zeros(shape, dtype=torch.bool),
        unannotated_BW=torch.zeros(shape[0], 3, dtype=torch.bool),
    )


@given(st.integers(0, 2**32), st.integers(8, 70), st.integers(8, 40))
def test_ball_target_is_at_the_centre_of_its_pixels(seed: int, x: int, y: int) -> None:
    params = sample_augmentation(np.random.default_rng(seed), Augmentation(crop=0.6))
    targets = augment_targets(targets_of(torch.tensor([[[(x + 0.5) / 80, (y + 0.5) / 48]]])), [params])
    frames, moved = augment_frames(dot(x, y), targets.valid_BT, [params]), targets.ball_BT2
    if torch.isnan(moved).any() or not ((moved > 0.1) & (moved < 0.9)).all():
        return  # cut off, or too near an edge for a centre of mass
    bright = (frames - frames.amin())[0, 0].sum(0)
    bright = bright * (bright > bright.max() / 2)
    rows, columns = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    centre = torch.stack(((bright * columns).sum() / bright.sum() / 80, (bright * rows).sum() / bright.sum() / 48))
    assert ((centre - moved[0, 0]).abs() < 0.02).all()


def test_transform_points_gives_nan_for_points_that_are_cut_off() -> None:
    params = AugmentationParams(matrix_33=np.eye(3), offset_3=np.zeros(3), window=(0.5, 0.0, 1.0, 0.5))
    moved = transform_points(torch.tensor([[0.4, 0.2], [0.75, 0.25], [0.9, 0.6], [float("nan"), 0.1]]), params)
    assert torch.isnan(moved[[0, 2, 3]]).any(-1).all()
    assert moved[1].tolist() == [0.5, 0.5]


def test_sample_augmentation_is_a_function_of_the_seed() -> None:
    def sampled(seed: int) -> AugmentationParams:
        return sample_augmentation(np.random.default_rng(seed), STRONG)

    assert (sampled(1).matrix_33 == sampled(1).matrix_33).all()
    assert sampled(1).window == sampled(1).window
    assert sampled(1).window != sampled(2).window


def test_enabling_one_augmentation_does_not_change_the_others() -> None:
    for seed in range(20):
        weak, strong = (
            sample_augmentation(np.random.default_rng(seed), how) for how in (Augmentation(colour=1.0), STRONG)
        )
        assert weak.flip == strong.flip
        jittered = sample_augmentation(np.random.default_rng(seed), Augmentation(colour=1.0, jitter=0.1))
        np.testing.assert_array_equal(jittered.matrix_33, strong.matrix_33)
        assert weak.window == (0, 0, 1, 1)
        assert weak.blur_sigma == 0


def test_jitter_changes_the_gain_and_black_level_of_each_channel_within_its_range() -> None:
    plain = sample_augmentation(np.random.default_rng(0), Augmentation(flip=0, colour=0))
    gains, levels = [], []
    for seed in range(60):
        params = sample_augmentation(np.random.default_rng(seed), Augmentation(flip=0, colour=0, jitter=0.1))
        gains.append(np.diag(params.matrix_33) / np.diag(plain.matrix_33))
        levels.append((params.offset_3 - plain.offset_3) * np.array(IMAGENET_STD))
        assert np.count_nonzero(params.matrix_33) == 3
    assert 0.9 <= np.min(gains) < 0.92 and 1.08 < np.max(gains) <= 1.1
    assert -0.1 <= np.min(levels) < -0.08 and 0.08 < np.max(levels) <= 0.1
    assert np.abs(np.corrcoef(np.array(gains).T)[np.triu_indices(3, 1)]).max() < 0.5, "channels change independently"


@pytest.mark.parametrize("how", [None, Augmentation(), STRONG])
def test_padding_is_zero_under_any_augmentation(how: Augmentation | None) -> None:
    frames = torch.randint(0, 256, (2, 5, 48, 80, 3), dtype=torch.uint8)
    valid = torch.tensor([[True, True, False, True, False], [False] * 4 + [True]])
    params = [sample_augmentation(np.random.default_rng(seed), how) for seed in range(2)]
    augmented = augment_frames(frames, valid, params)
    assert (augmented[~valid] == 0).all()
    assert (augmented[valid].flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize(("flip", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_augment_targets_swaps_teams_in_a_mirror_image(flip: float, expected: float) -> None:
    params = sample_augmentation(np.random.default_rng(0), Augmentation(flip=flip))
    ball_BT2 = torch.full((1, 4, 2), 0.25)
    assert (augment_targets(targets_of(ball_BT2, team=1.0), [params]).team_BT == expected).all()
    assert augment_targets(targets_of(ball_BT2), [params]).team_BT.isnan().all()


@pytest.mark.parametrize("width", [16, 7])  # eight pixels at once divide the frames, or do not
def test_augment_frames_changes_the_colours_of_each_pixel_alone(width: int) -> None:
    params = sample_augmentation(np.random.default_rng(3), Augmentation(flip=0))
    params = dataclasses.replace(params, window=AugmentationParams.window, blur_sigma=0.0)
    frames = torch.randint(0, 256, (1, 3, 5, width, 3), dtype=torch.uint8)
    out = augment_frames(frames, torch.ones(1, 3, dtype=torch.bool), [params])
    expected = frames[0].double().numpy() @ params.matrix_33.T + params.offset_3
    torch.testing.assert_close(out[0].movedim(1, -1).double(), torch.from_numpy(expected), rtol=0, atol=2e-6)

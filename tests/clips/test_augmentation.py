"""A change does to pixels what it says, and moves places along with them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from e2espot.clips.augmentation import augment_clips, move_points
from e2espot.clips.augmentation_params import Augmentation, ClipChange, draw_change

MUCH = Augmentation(colour=1.0, crop=0.5, blur=0.5)


def dot(x: int, y: int, width: int = 80, height: int = 48) -> torch.Tensor:
    """One black clip [1, 1, H, W, 3] with a white square around a place."""
    frames = torch.zeros(1, 1, height, width, 3, dtype=torch.uint8)
    frames[:, :, y - 2 : y + 3, x - 2 : x + 3] = 255
    return frames


@given(st.integers(0, 2**32), st.integers(8, 70), st.integers(8, 40))
def test_the_ball_is_where_its_place_says(seed: int, x: int, y: int) -> None:
    change = draw_change(np.random.default_rng(seed), Augmentation(crop=0.6))
    place = torch.tensor([[[(x + 0.5) / 80, (y + 0.5) / 48]]])
    frames, moved = augment_clips(dot(x, y), torch.ones(1, 1, dtype=torch.bool), place, [change])
    if torch.isnan(moved).any() or not ((moved > 0.1) & (moved < 0.9)).all():
        return  # cut off, or too near an edge for a centre of mass
    light = (frames - frames.amin())[0, 0].sum(0)
    light = light * (light > light.max() / 2)
    rows, columns = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    seen = torch.stack(((light * columns).sum() / light.sum() / 80, (light * rows).sum() / light.sum() / 48))
    assert ((seen - moved[0, 0]).abs() < 0.02).all()


def test_what_is_cut_off_has_no_place() -> None:
    change = ClipChange(matrix_33=np.eye(3), offset_3=np.zeros(3), window=(0.5, 0.0, 1.0, 0.5))
    moved = move_points(torch.tensor([[0.4, 0.2], [0.75, 0.25], [0.9, 0.6], [float("nan"), 0.1]]), change)
    assert torch.isnan(moved[[0, 2, 3]]).any(-1).all()
    assert moved[1].tolist() == [0.5, 0.5]


def test_the_same_numbers_give_the_same_change_and_others_another() -> None:
    def drawn(seed: int) -> ClipChange:
        return draw_change(np.random.default_rng(seed), MUCH)

    assert (drawn(1).matrix_33 == drawn(1).matrix_33).all()
    assert drawn(1).window == drawn(1).window
    assert drawn(1).window != drawn(2).window


def test_one_change_switched_on_leaves_the_others_alone() -> None:
    for seed in range(20):
        without, much = (draw_change(np.random.default_rng(seed), how) for how in (Augmentation(colour=1.0), MUCH))
        assert without.flip == much.flip
        np.testing.assert_array_equal(without.matrix_33, much.matrix_33)
        assert without.window == (0, 0, 1, 1)
        assert without.blur_sigma == 0


@pytest.mark.parametrize("how", [None, Augmentation(), MUCH])
def test_padding_is_zero_whatever_happens(how: Augmentation | None) -> None:
    frames = torch.randint(0, 256, (2, 5, 48, 80, 3), dtype=torch.uint8)
    valid = torch.tensor([[True, True, False, True, False], [False] * 4 + [True]])
    changes = [draw_change(np.random.default_rng(seed), how) for seed in range(2)]
    changed, _ = augment_clips(frames, valid, torch.zeros(2, 5, 2), changes)
    assert (changed[~valid] == 0).all()
    assert (changed[valid].flatten(1).abs().sum(1) > 0).all()

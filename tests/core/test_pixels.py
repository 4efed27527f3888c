"""Constants of pixels: standards' weights, and one centre for all crops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.pixels import LUMA, LUMA_BT601, YUV_RED_BLUE, centre_crop_offset


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_centre_crop_offset_leaves_the_same_margin_on_both_sides(side: int, margins: int) -> None:
    extent = side + margins
    before = centre_crop_offset(extent, side)
    after = extent - side - before
    assert before >= 0 and after >= 0
    assert abs(before - after) <= 1


def test_centre_crop_offset_of_the_default_frame_is_87() -> None:
    assert centre_crop_offset(398, 224) == 87
    assert centre_crop_offset(224, 224) == 0


def test_luma_weights_sum_to_one_and_agree_with_the_matrix() -> None:
    assert sum(LUMA_BT601) == pytest.approx(1)
    assert (LUMA_BT601[0], LUMA_BT601[2]) == YUV_RED_BLUE["bt601"]
    assert pytest.approx(LUMA_BT601, abs=2e-4) == LUMA
    assert all(0 < blue < red and red + blue < 0.5 for red, blue in YUV_RED_BLUE.values())  # green weighs most

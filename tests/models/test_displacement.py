"""Scores move to the frames of their predicted events, and a grid of double rate keeps every time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import score_frames
from e2espot.models import Spotter, SpotterSpec
from e2espot.models.displacement import apply_displacement, upsample_scores


def test_apply_displacement_gathers_frames_at_their_event() -> None:
    offset_BT = torch.zeros(1, 20)
    scores_BTK = torch.zeros(1, 20, 2)
    for t in range(8, 13):
        scores_BTK[0, t, 1] = 0.5 + 0.01 * t
        offset_BT[0, t] = t - 10
    out = apply_displacement(scores_BTK, offset_BT)[0, :, 1]
    assert out.nonzero().flatten().tolist() == [10]
    assert out[10] == pytest.approx(0.62)


def test_apply_displacement_follows_its_documented_example() -> None:
    scores, offsets = torch.tensor([0.1, 0.8, 0.7, 0.2]), torch.tensor([0.0, -1.0, 0.0, 2.0])
    assert apply_displacement(scores.view(1, 4, 1), offsets.view(1, 4)).flatten().tolist() == pytest.approx(
        [0.1, 0.2, 0.8, 0.0]
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-30, 30)), min_size=1, max_size=30), st.sampled_from([1, 2]))
def test_apply_displacement_keeps_the_highest_score(frames: list[tuple[float, float]], factor: int) -> None:
    scores = torch.tensor([[[score] for score, _ in frames]])
    out = apply_displacement(scores, torch.tensor([[offset for _, offset in frames]]), factor)
    assert out.shape == (1, factor * len(frames), 1)
    assert out.max() == scores.max()


def test_double_rate_grid_keeps_the_time_of_a_score() -> None:
    """The middle of frame 7 at 12.5 fps lies between frames 14 and 15 at 25 fps."""
    scores = torch.zeros(1, 20, 1)
    scores[0, 7] = 1
    for doubled in (upsample_scores(scores, 2), apply_displacement(scores, torch.zeros(1, 20), 2)):
        row = doubled[0, :, 0].numpy()
        assert (row * np.arange(40)).sum() / row.sum() == pytest.approx(14.5)
    quarter_frame_earlier = apply_displacement(scores, torch.full((1, 20), 0.25), 2)[0, :, 0]
    assert quarter_frame_earlier.nonzero().flatten().tolist() == [14]


@pytest.mark.parametrize("double_rate_output", [False, True])
def test_scores_of_all_heads_average_with_the_mirror_image(double_rate_output: bool) -> None:
    torch.manual_seed(0)
    spec = SpotterSpec(
        feature_arch="small",
        temporal_arch="gru",
        classes=("A", "B"),
        clip_len=8,
        displacement=True,
        team=True,
        joint_classes=("C",),
        double_rate_output=double_rate_output,
    )
    spotter = Spotter(spec).eval()
    frames = torch.randint(0, 256, (21, 32, 32, 3), dtype=torch.uint8)
    options = InferenceOptions(precision="fp32")
    plain, mirrored = (score_frames(spotter, [view], 21, options) for view in (frames, frames.flip(2)))
    both = score_frames(spotter, [frames], 21, InferenceOptions(precision="fp32", flip=True))
    assert plain.shape == (42 if double_rate_output else 21, 3)
    mirrored[:, 2] = 1 - mirrored[:, 2]  # teams change sides in a mirror
    np.testing.assert_allclose(both, (plain + mirrored) / 2, atol=1e-6)

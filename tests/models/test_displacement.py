"""Scores go where their events are said to be, and a finer grid changes no time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from e2espot.inference.predict import InferenceOptions, score_frames
from e2espot.models import Spotter, SpotterSpec
from e2espot.models.displacement import made_finer, moved


def test_all_frames_around_an_event_point_at_it() -> None:
    offset_BT = torch.zeros(1, 20)
    scores_BTK = torch.zeros(1, 20, 2)
    for t in range(8, 13):
        scores_BTK[0, t, 1] = 0.5 + 0.01 * t
        offset_BT[0, t] = t - 10
    told = moved(scores_BTK, offset_BT)[0, :, 1]
    assert told.nonzero().flatten().tolist() == [10]
    assert told[10] == pytest.approx(0.62)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-30, 30)), min_size=1, max_size=30), st.sampled_from([1, 2]))
def test_nothing_gets_lost_or_higher(frames: list[tuple[float, float]], factor: int) -> None:
    scores = torch.tensor([[[score] for score, _ in frames]])
    told = moved(scores, torch.tensor([[offset for _, offset in frames]]), factor)
    assert told.shape == (1, factor * len(frames), 1)
    assert told.max() == scores.max()


def test_a_finer_grid_keeps_the_time() -> None:
    """The middle of frame 7 of 12.5 a second lies between frames 14 and 15 of 25."""
    scores = torch.zeros(1, 20, 1)
    scores[0, 7] = 1
    for finer in (made_finer(scores, 2), moved(scores, torch.zeros(1, 20), 2)):
        row = finer[0, :, 0].numpy()
        assert (row * np.arange(40)).sum() / row.sum() == pytest.approx(14.5)
    half_a_frame_early = moved(scores, torch.full((1, 20), 0.25), 2)[0, :, 0]
    assert half_a_frame_early.nonzero().flatten().tolist() == [14]


@pytest.mark.parametrize("full_grid", [False, True])
def test_matches_go_through_heads_and_grid(full_grid: bool) -> None:
    torch.manual_seed(0)
    spec = SpotterSpec(
        feature_arch="small",
        temporal_arch="gru",
        classes=("A", "B"),
        clip_len=8,
        displacement=True,
        team=True,
        joint_classes=("C",),
        full_grid=full_grid,
    )
    spotter = Spotter(spec).eval()
    frames = torch.randint(0, 256, (21, 32, 32, 3), dtype=torch.uint8)
    options = InferenceOptions(precision="fp32")
    one, other = (score_frames(spotter, [view], 21, options) for view in (frames, frames.flip(2)))
    both = score_frames(spotter, [frames], 21, InferenceOptions(precision="fp32", flip=True))
    assert one.shape == (42 if full_grid else 21, 3)
    other[:, 2] = 1 - other[:, 2]  # sides change places in a mirror
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)

"""Clips that are learnt with a look-ahead: scores as inference gives them, drawn alike however a run is divided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.core.errors import ConfigurationError
from e2espot.inference.streaming_head import CutWindowHead, window_weights
from e2espot.models import Spotter, SpotterSpec
from e2espot.models.heads import GRUHead
from e2espot.training.batch import look_aheads
from e2espot.training.config import TrainingConfig, resolve
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge

CLIP_LEN, STEP = 12, 6


def spotter_of(temporal_arch: str = "gru", *, team: bool = False) -> Spotter:
    torch.manual_seed(0)
    spec = SpotterSpec(
        feature_arch="small_gsm", temporal_arch=temporal_arch, classes=("PASS",), clip_len=CLIP_LEN, team=team
    )
    return Spotter(spec).eval()


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 128, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("temporal_arch", "team"), [("gru", False), ("gru", True), ("", False), ("deeper_gru", False)])
@torch.inference_mode()
def test_scores_of_clips_with_a_look_ahead_are_those_of_inference(temporal_arch: str, team: bool) -> None:
    spotter, num_frames = spotter_of(temporal_arch, team=team), 5 * STEP
    features_TD = features(num_frames)
    starts = range(0, num_frames - CLIP_LEN + 1, STEP)  # the windows of inference
    clips_BTD = torch.stack([features_TD[start : start + CLIP_LEN] for start in starts])
    for look_ahead in (0, 1, 5, 11):
        scores_BTK = spotter._scores(spotter.forward_heads(clips_BTD, [look_ahead] * len(clips_BTD)))
        sums_TK, totals_T = np.zeros((num_frames, 1 + team)), np.zeros(num_frames)
        for start, scores_TK in zip(starts, scores_BTK.numpy(), strict=True):
            sums_TK[start : start + CLIP_LEN] += window_weights(CLIP_LEN)[:, None] * scores_TK
            totals_T[start : start + CLIP_LEN] += window_weights(CLIP_LEN)
        inferred_TK = CutWindowHead(spotter, look_ahead).add(features_TD[:-STEP])
        assert len(inferred_TK) == num_frames - STEP - look_ahead
        expected_TK = (sums_TK / totals_T[:, None])[: len(inferred_TK)]
        np.testing.assert_allclose(inferred_TK, expected_TK, atol=1e-6)


def test_each_clip_of_a_batch_has_its_own_look_ahead_and_the_gradient_of_its_definition() -> None:
    torch.manual_seed(0)
    head, clips_BTD = GRUHead(4, 2, num_layers=1), features(5, 6)[..., :4]
    look_ahead_B = (2, 6, 0, 4, 5)

    def by_definition() -> torch.Tensor:
        return torch.stack(
            [
                torch.cat([head.encode(clip_TD[None, : t + length + 1])[:, t] for t in range(6)])
                for clip_TD, length in zip(clips_BTD, look_ahead_B, strict=True)
            ]
        )

    encoded_BTH, expected_BTH = head.encode_cut(clips_BTD, look_ahead_B), by_definition()
    torch.testing.assert_close(encoded_BTH, expected_BTH, atol=1e-6, rtol=0)
    weights = [weight for name, weight in head.named_parameters() if "gru" in name]
    gradients, expected = (
        torch.autograd.grad((encoded * encoded.detach().roll(1)).sum(), weights)
        for encoded in (encoded_BTH, expected_BTH)
    )
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-4, rtol=1e-4)


def test_clips_that_are_not_cut_are_encoded_as_without_a_look_ahead() -> None:
    head, clips_BTD = spotter_of().head, features(3, CLIP_LEN)
    whole_BTH = head.encode(clips_BTD)
    assert torch.equal(head.encode_cut(clips_BTD, (CLIP_LEN,) * 3), whole_BTH)
    mixed_BTH = head.encode_cut(clips_BTD, (CLIP_LEN, 2, CLIP_LEN))
    assert torch.equal(mixed_BTH[[0, 2]], whole_BTH[[0, 2]])
    assert not torch.equal(mixed_BTH[1], whole_BTH[1])


def config_of(**fields: object) -> TrainingConfig:
    return resolve(merge(Recipe(), fields), Path("data"), Path("run"), RunOptions(device="cpu"))


def test_look_aheads_are_drawn_by_the_clip_alone_and_within_their_range() -> None:
    config = config_of(look_ahead="0.5-4", look_ahead_fraction=0.75, fps=12.5)
    assert config.look_ahead == (6, 50)
    drawn = look_aheads(config, 3, range(800))
    assert drawn is not None
    assert drawn == tuple(length for b in range(0, 800, 8) for length in look_aheads(config, 3, range(b, b + 8)) or ())
    assert drawn != look_aheads(config, 4, range(800))
    cut = [length for length in drawn if length != config.recipe.sampling.clip_len]
    assert (min(cut), max(cut)) == (6, 50)
    assert 0.7 < len(cut) / 800 < 0.8
    assert np.median(cut) < 23  # log-uniform: half of them below 18, the geometric mean
    assert look_aheads(config_of(), 3, range(8)) is None


@pytest.mark.parametrize(
    ("value", "frames"), [("", None), (1, (25, 25)), ("0-2", (0, 50)), (0.5, (12, 12)), ("0", (0, 0))]
)
def test_look_ahead_is_one_number_or_two(value: object, frames: tuple[int, int] | None) -> None:
    assert config_of(look_ahead=value).look_ahead == frames


@pytest.mark.parametrize("value", ["4-0.5", "-1", "1-", "soon", "1-2-3", [0.5, 4]])
def test_look_ahead_of_another_form_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"look_ahead is .*such as 0.5-4") as caught:
        config_of(look_ahead=value)
    assert caught.value.option == "look_ahead"


@pytest.mark.parametrize("temporal_arch", ["deeper_gru", "rows_transformer", "calf"])
def test_look_ahead_is_refused_with_heads_that_need_a_pass_for_each_frame(temporal_arch: str) -> None:
    with pytest.raises(ConfigurationError, match="only gru and a linear layer"):
        config_of(look_ahead="1", temporal_arch=temporal_arch)

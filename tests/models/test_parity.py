"""Converted weights give E2E-Spot's logits: every backbone, every head, short clips and odd sizes."""

from pathlib import Path

import pytest
import torch

from e2espot.models import load_spotter
from e2espot.models.backbones.registry import build_backbone
from e2espot.models.weights.import_checkpoint import convert_checkpoint
from tests.support.e2e_spot_reference import logits, random_state, write_run

PAIRS = [(f"{name}{shift}", "") for name in ("rny002", "rny008", "rn18", "rn50") for shift in ("", "_tsm", "_gsm")]
# A head sees features only, so each is tested on few backbones: the wide ones give it weights of 100 MB.
PAIRS += [("rny002_gsm", "deeper_gru"), ("rny002_gsm", "gru"), ("rny008", "gru"), ("rn18", "gru")]


@pytest.mark.parametrize(("feature_arch", "temporal_arch"), PAIRS)
def test_converted_weights_give_e2e_spots_logits(feature_arch: str, temporal_arch: str, tmp_path: Path) -> None:
    state = random_state(feature_arch, temporal_arch, 4)
    config = {"feature_arch": feature_arch, "temporal_arch": temporal_arch, "clip_len": 5, "num_classes": 3}
    source = write_run(tmp_path / "src", state, **config)
    line = convert_checkpoint(str(source), tmp_path / "dst")
    assert feature_arch in line
    spotter = load_spotter(tmp_path / "dst")
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        for shape in ((2, 5, 3, 33, 46), (1, 3, 3, 32, 32)):
            frames = torch.randn(shape, generator=generator)
            expected = logits(state, 5, frames)
            assert expected.std() > 0.05
            torch.testing.assert_close(spotter(frames), expected, rtol=1e-4, atol=1e-4)


def test_short_clips_are_padded_with_zero_frames_up_to_the_halo(tmp_path: Path) -> None:
    state = random_state("rny002_gsm", "", 3)
    convert_checkpoint(
        str(write_run(tmp_path / "src", state, feature_arch="rny002_gsm", temporal_arch="", clip_len=40)),
        tmp_path / "dst",
    )
    spotter = load_spotter(tmp_path / "dst")
    frames = torch.randn(1, 2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(spotter(frames), logits(state, 40, frames), rtol=1e-4, atol=1e-4)
        unpadded = spotter.logits(spotter.features(frames).features_BTD)
        assert (unpadded - spotter(frames)).abs().max() > 1e-3


def test_gray_spotter_takes_luma_or_colours(tmp_path: Path) -> None:
    state = random_state("rny002", "gru", 3, channels=1)
    source = write_run(tmp_path / "src", state, feature_arch="rny002", temporal_arch="gru", modality="bw")
    convert_checkpoint(str(source), tmp_path / "dst")
    spotter = load_spotter(tmp_path / "dst")
    colours = torch.rand(1, 4, 3, 40, 40)
    luma = (colours * torch.tensor((0.2989, 0.587, 0.114)).view(3, 1, 1)).sum(2, keepdim=True)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = logits(state, 100, (luma - 0.5) / 0.5)
        torch.testing.assert_close(spotter((luma - 0.5) / 0.5), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(spotter((colours - mean) / std), expected, rtol=1e-4, atol=1e-4)


def test_gray_stem_starts_as_the_sum_of_a_colour_stem() -> None:
    """On three equal channels a colour stem gives what the sum of its weights gives on one."""
    weights = []
    for modality in ("rgb", "gray"):
        torch.manual_seed(0)
        weights.append(build_backbone("rn18", modality=modality).state_dict()["_features.conv1.weight"])
    torch.testing.assert_close(weights[1], weights[0].sum(1, keepdim=True))

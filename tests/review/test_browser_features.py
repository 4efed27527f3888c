"""Predictions of a run on features, on the pictures of the video that the features were made of."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.cli.main import dispatch
from e2espot.core.feature_kind import FeatureKind
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import save_spotter
from tests.support.numbered_video import constant, write
from tests.support.review_process import Server, number, opened, press

ROWS, DIM = 12, 4


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Results of a run on features at two rows a second."""
    torch.manual_seed(0)
    kind = FeatureKind(name="net", dim=DIM)
    spec = SpotterSpec(
        feature_arch="features", temporal_arch="max", classes=("PASS", "DRIVE"), clip_len=2, fps="2", features=kind
    )
    save_spotter(tmp_path / "run" / "best.safetensors", Spotter(spec).state_dict(), spec)
    game = tmp_path / "features" / "game"
    game.mkdir(parents=True)
    np.save(game / "net.npy", np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32))
    dispatch(["infer", str(tmp_path / "run"), str(game.parent), "-o", str(tmp_path / "out"), "--device", "cpu"])
    return tmp_path / "out"


def test_events_of_features_show_the_picture_in_the_middle_of_their_row(
    predictions: Path, tmp_path: Path, browser
) -> None:
    game = tmp_path / "videos" / "game"
    game.mkdir(parents=True)
    write(game / "224p", constant(Fraction(25), 25 * ROWS // 2))
    rows = json.loads((predictions / "game" / "results_spotting.json").read_text())["predictions"]
    by_time = sorted({int(row["position"]) for row in rows})
    assert len(by_time) >= 3
    with Server(game.parent, "-p", predictions, "--threshold", 0) as server:
        page = opened(browser.new_context(), server.url)
        seen = []
        for _ in rows:
            press(page, "n")
            seen.append(number(page))
        assert "game" in page.inner_text("#video-choice")
        assert page.complaints == []
        page.context.close()
    # Row 3 is [1.5, 2) s: its middle at 1.75 s is on picture 43.
    assert sorted(set(seen)) == [position_ms * 25 // 1000 for position_ms in by_time]
    assert set(seen) <= {6, 18, 31, 43, 56, 68, 81, 93, 106, 118, 131, 143}

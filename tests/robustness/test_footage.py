"""Readers agree on real footage: scores and events of the shipped weights, on VP9 copies, which DALI reads on a CPU."""

from pathlib import Path

import numpy as np
import pytest

from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models import load_spotter
from e2espot.models.weights.checkpoint import shipped_spotter
from e2espot.suppression.nms import suppress
from tests.conftest import SHARED
from tests.support.agreement import compare
from tests.support.budget import LONG, print_figure, sized
from tests.support.vp9_copies import vp9_copy

FOOTAGE = sorted([*(SHARED / "clips").glob("*.mp4"), *(SHARED / "real").glob("*.mp4")])
SAMPLE = {"asone_football1": (480, 270)}
"""Clip -> size of its copy in the short form; a fifth of it has luma beyond 16 to 235."""
COUNT = sized(30, 75)

pytestmark = [
    pytest.mark.skipif(not FOOTAGE, reason=f"no real footage in {SHARED}"),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize(
    "source", [path for path in FOOTAGE if LONG or path.stem in SAMPLE], ids=lambda path: path.stem
)
def test_readers_give_the_same_scores_and_events(source: Path, tmp_path: Path) -> None:
    size = None if LONG else SAMPLE[source.stem]
    path = vp9_copy(source, tmp_path / "copy.mkv", COUNT, size)
    spotter = load_spotter(shipped_spotter())
    pyav, decord, dali = (
        spot_video(spotter, path, InferenceOptions(reader=reader, precision="fp32"))
        for reader in ("pyav", "decord", "dali")
    )
    comparison = compare(dali, pyav, suppress(dali), suppress(pyav))
    print_figure(f"{source.stem}: scores by DALI and PyAV differ by at most {comparison.score_difference:.4f}")
    assert np.array_equal(decord.scores_TK, pyav.scores_TK)
    assert not comparison.faults

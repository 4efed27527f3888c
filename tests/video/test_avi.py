"""AVI with B-frames has no display times, so decord's count of pictures is not trusted."""

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.video import index_video, open_reader
from tests.support.numbered_video import constant, numbers_in, write


@pytest.mark.parametrize("bf", [0, 2])
def test_decord_clips_at_random_of_h264_in_avi(bf: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "camera", constant(Fraction(25), 200, suffix=".avi", options={"g": "25", "bf": str(bf)}))
    assert index_video(path).identified_by == ("decode_order" if bf else "pts")
    with caplog.at_level(logging.WARNING), open_reader(path, reader="decord") as reader:
        for start in np.random.default_rng(0).integers(0, 190, 40).tolist():
            assert numbers_in(reader.read(range(start, start + 10))) == list(range(start, start + 10))
    assert ("read by PyAV instead of decord" in caplog.text) == bool(bf)

"""Clips that cross open GOPs: decord counts pictures, so it must not seek within its copy."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.video import index_video, open_reader
from tests.support.numbered_video import constant, numbers_in, write

CLIP_LEN = 40


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "gop", [24, 25]
)  # with two B-frames: an I-frame stored before pictures shown before it, or not
def test_decord_clips_at_random_equal_pyav_across_open_gops(gop: int, suffix: str, tmp_path: Path) -> None:
    options = {"g": str(gop), "bf": "2", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}
    path = write(tmp_path / "open", constant(Fraction(25), 300, suffix=suffix, options=options))
    index = index_video(path)
    assert not index.is_closed_gop_S[1:].any()
    assert len(index.is_closed_gop_S) > 10
    for fps in (Fraction(25), Fraction(25, 2)):
        with (
            open_reader(path, fps=fps, size=(80, 48)) as ours,
            open_reader(path, fps=fps, size=(80, 48), reader="decord") as theirs,
        ):
            starts = np.random.default_rng(0).integers(0, ours.info.num_frames - CLIP_LEN, 15)
            for start in starts.tolist():
                clip = range(start, start + CLIP_LEN)
                assert numbers_in(theirs.read(clip)) == numbers_in(ours.read(clip)), (fps, start)

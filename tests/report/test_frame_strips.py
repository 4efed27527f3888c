"""Strips hold the frames of the grid."""

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from e2espot.core.errors import ConfigurationError
from e2espot.report.frame_strips import FrameKey, cut_strips, find_videos
from tests.support.numbered_video import constant, number_in, write


def test_cut_strips_holds_the_frames_around_each_key(tmp_path: Path) -> None:
    path = write(tmp_path / "g", constant(Fraction(50), 120))
    keys = [FrameKey(game="g", half=1, frame=frame) for frame in (2, 30)]
    strips = cut_strips({("g", 1): path}, [*keys, FrameKey(game="other", half=1, frame=3)], 25)
    assert set(strips) == set(keys)
    shown = [[number_in(np.array(Image.open(BytesIO(jpeg)))) for jpeg in strips[key].jpegs] for key in keys]
    grid = [[0, 0, 2, 6, 10], [22, 26, 30, 34, 38]]
    assert shown == [[2 * frame + 1 for frame in frames] for frames in grid]


def test_find_videos_by_game_or_by_file_name(tmp_path: Path) -> None:
    for name in ("a/b/c/1_224p.mkv", "a/b/c/2_224p.mkv", "loose.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    videos = find_videos(tmp_path, ["a/b/c", "loose", "none"], "224p")
    assert {key: path.name for key, path in videos.items()} == {
        ("a/b/c", 1): "1_224p.mkv",
        ("a/b/c", 2): "2_224p.mkv",
        ("loose", 1): "loose.mp4",
    }
    with pytest.raises(ConfigurationError, match="no 720p video of 1 game"):
        find_videos(tmp_path, ["a/b/c"], "720p")
    with pytest.raises(ConfigurationError, match="no 224p video"):
        find_videos(tmp_path / "a", ["../loose"], "224p")

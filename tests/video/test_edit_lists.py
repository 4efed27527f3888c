"""Edit lists with several entries, as programs write them that cut without encoding."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dali_pipelines.routes import choose_route, dali_index
from e2espot.video import index_video, open_reader
from e2espot.video.transcode import transcode
from tests.support.mp4_boxes import Description, read_header, read_samples, write_mp4
from tests.support.numbered_video import HEIGHT, WIDTH, constant, expected, numbers_in, write

COUNT = 150
REASON = "its edit list hides pictures between those that are shown"
EDITS = {
    "cut": [(10, 40), (90, 135)],
    "two cuts": [(10, 40), (60, 80), (110, 135)],
    "repeated": [(10, 40), (10, 40)],
    "late start": [(-1, 10), (10, 40), (90, 135)],
}


@pytest.fixture(scope="module", params=[0, 2])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Closed GOPs of 25 pictures, without and with B-frames."""
    options = {"g": "25", "bf": str(request.param), "x264-params": "scenecut=0:b-adapt=0"}
    return write(tmp_path_factory.mktemp("edits") / "plain", constant(Fraction(25), COUNT, options=options))


def cut(plain: Path, edits: list[tuple[int, int]], folder: Path) -> Path:
    """The same packets with an edit list, in pictures."""
    samples = read_samples(plain)
    first = samples[0].offset  # B-frames delay all pictures
    shifted = [(start + first, end + first) if start >= 0 else (start, end) for start, end in edits]
    description = Description(header=read_header(plain), size=(WIDTH, HEIGHT))
    return write_mp4(folder / "cut.mp4", samples, [description], shifted)


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("reader", ["auto", "decord"])
def test_reader_shows_the_pictures_of_every_edit(
    plain: Path, edits: list[tuple[int, int]], reader: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = cut(plain, edits, tmp_path)
    index = index_video(path)
    numbers = [number for start, end in edits if start >= 0 for number in range(start, end)]
    assert index.num_pictures == len(numbers)
    times_s = [int(pts) * index.time_base for pts in index.pts_P]
    for fps, size in ((Fraction(25), (80, 48)), (Fraction(25, 2), None)):
        wanted = expected(times_s, numbers, fps)
        with open_reader(path, fps=fps, size=size, reader=reader) as frames:
            for start in np.random.default_rng(0).integers(0, len(wanted) - 10, 12).tolist():
                assert numbers_in(frames.read(range(start, start + 10))) == wanted[start : start + 10]
            assert numbers_in(frames.read(range(len(wanted)))) == wanted
    assert (REASON in caplog.text) == (reader == "decord")


def test_segments_begin_at_the_keyframe_of_every_edit(plain: Path, tmp_path: Path) -> None:
    index = index_video(cut(plain, EDITS["two cuts"], tmp_path))
    assert {0, 30, 50} <= set(index.start_picture_S.tolist())


def test_choose_route_leaves_several_edits_to_the_host(plain: Path, tmp_path: Path) -> None:
    assert choose_route(dali_index(cut(plain, EDITS["cut"], tmp_path)), "cuda") == ("host", REASON)


def test_single_edit_is_no_reason_to_leave_a_file_to_pyav(
    plain: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = cut(plain, [(10, 130)], tmp_path)
    assert choose_route(dali_index(path), "cuda")[0] == "decode"
    with caplog.at_level(logging.WARNING), open_reader(path, reader="decord") as frames:
        assert numbers_in(frames.read([50, 0, 119])) == [60, 10, 129]
    assert not caplog.text


def test_later_edit_replaces_the_pictures_of_the_one_before_where_they_overlap(plain: Path, tmp_path: Path) -> None:
    path = cut(plain, [(90, 135), (10, 40)], tmp_path)
    has_b_frames = read_samples(plain)[0].offset > 0
    # FFmpeg lets the second edit begin two pictures early then: 133 and 10 have one time, and 134 and 11.
    wanted = [*range(90, 133 if has_b_frames else 135), *range(10, 40)]
    with open_reader(path) as frames:
        assert numbers_in(frames.read(range(frames.info.num_frames))) == wanted
        for frame in (50, 43, 42, 44, 41):
            assert numbers_in(frames.read([frame])) == [wanted[frame]]


@pytest.mark.parametrize(
    "edits", [[(10, 40), (90, 135)], [(90, 135), (10, 40), (60, 80)], [(95, 133), (12, 44)]], ids=str
)
def test_transcode_shows_what_the_reader_shows_at_every_join(
    plain: Path, edits: list[tuple[int, int]], tmp_path: Path
) -> None:
    path, copy = cut(plain, edits, tmp_path), tmp_path / "copy.mp4"
    transcode(path, copy)
    with open_reader(path) as frames, open_reader(copy) as copied:
        wanted = numbers_in(frames.read(range(frames.info.num_frames)))
        assert numbers_in(copied.read(range(copied.info.num_frames))) == wanted

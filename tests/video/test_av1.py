"""AV1: read by PyAV, copied for cuts and for browsers, and not left to DALI, which would miscount its pictures."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dali_pipelines.routes import choose_route, dali_index
from e2espot.review.browser_video import prepare_browser_video
from e2espot.video import index_video, open_reader
from e2espot.video.stream_copy import cut_pictures
from tests.support.numbered_video import constant, number_in, numbers_in, write

COUNT, CLIP_LEN = 60, 12


@pytest.fixture(scope="module", params=[".mkv", ".mp4"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"preset": "12", "g": "24", "svtav1-params": "lp=1"}
    video = constant(Fraction(25), COUNT, codec="libsvtav1", suffix=request.param, options=options)
    return write(tmp_path_factory.mktemp("av1") / "video", video)


def test_reader_shows_av1_pictures_in_order_and_at_random(path: Path) -> None:
    for fps in (Fraction(25), Fraction(25, 2)):
        wanted = list(range(COUNT)) if fps == 25 else list(range(1, COUNT, 2))
        with open_reader(path, fps=fps) as frames:
            assert numbers_in(frames.read(range(len(wanted)))) == wanted
            for start in np.random.default_rng(0).integers(0, len(wanted) - CLIP_LEN, 8).tolist():
                assert numbers_in(frames.read(range(start, start + CLIP_LEN))) == wanted[start : start + CLIP_LEN]


def test_cut_of_av1_holds_the_pictures_asked_for(path: Path) -> None:
    index = index_video(path)
    for start in (0, 20, 30, COUNT - CLIP_LEN):
        cut = cut_pictures(index, start, start + CLIP_LEN - 1)
        with av.open(io.BytesIO(cut.data)) as container:
            numbers = [number_in(picture.to_ndarray(format="rgb24")) for picture in container.decode(video=0)]
        positions = cut.positions_of(np.arange(start, start + CLIP_LEN))
        assert [numbers[position] for position in positions] == list(range(start, start + CLIP_LEN))


def test_choose_route_leaves_av1_to_the_host(path: Path) -> None:
    route, reason = choose_route(dali_index(path), "cuda")
    assert (route, reason) == ("host", "DALI miscounts AV1 pictures that show an earlier one")


def test_browser_shows_a_copy_of_av1_in_matroska(path: Path, tmp_path: Path) -> None:
    served = prepare_browser_video(path, tmp_path)
    assert served.files[0].path.suffix == ".mp4"
    assert served.times_P == pytest.approx(np.arange(COUNT + 1) / 25)
    with open_reader(served.files[0].path) as frames:
        assert numbers_in(frames.read(range(COUNT))) == list(range(COUNT))

"""Real footage and conformance files, where this machine has them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.core.picture_options import PictureOptions
from e2espot.video import index_of, index_video, open_reader, pictures_of_grid, probe, stream_frames
from e2espot.video.black_bars import Area
from e2espot.video.preparation import Preparation, preparation_of
from tests.support.budget import sized

CLIPS = Path(__file__).parents[2].parent / "shared" / "clips"
SIZE = (64, 36)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no real footage in {CLIPS}"),
]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if path.suffix not in (".json", ".md") and path.is_file())


def player(path: Path, most: int) -> list[tuple[Fraction, np.ndarray]]:
    """Time and thumbnail of each picture, as a decoder that obeys the container gives them in order."""
    import av

    pictures = []
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            small = frame.reformat(*SIZE, format="rgb24", interpolation="BILINEAR").to_ndarray()
            pictures.append((frame.pts * frame.time_base, small))
            if len(pictures) == most:
                break
    return pictures


@pytest.mark.parametrize("name", names(CLIPS))
def test_reader_shows_what_a_player_shows(name: str) -> None:
    most = sized(100, 400)
    truth = player(CLIPS / name, most)
    index = index_video(CLIPS / name)
    assert [int(pts) * index.time_base for pts in index.pts_P[:most]] == [at_s for at_s, _ in truth]
    grid = pictures_of_grid(index, Fraction(25))
    frames = np.flatnonzero(grid < len(truth))
    with open_reader(CLIPS / name, size=SIZE, pictures=PictureOptions(crop_bars="off")) as reader:
        shown = reader.read(frames.tolist())
    wanted = np.stack([truth[rank][1] for rank in grid[frames]])
    assert np.abs(shown.astype(int) - wanted).mean(axis=(1, 2, 3)).max() < 1


BARRED = {
    "asone_football1.mp4": Area(left=0, top=46, width=1920, height=988),
    "pkglimmer_6.mp4": Area(left=0, top=32, width=720, height=416),
}


@pytest.mark.parametrize("name", names(CLIPS))
def test_only_clips_with_bars_are_prepared(name: str) -> None:
    assert preparation_of(index_of(CLIPS / name)) == Preparation(area=BARRED.get(name))


@pytest.mark.parametrize("name", ["lorenzo_match.mp4", "osasasasa_soccer.mp4", "tudor_football.mp4"])
def test_backends_and_reading_orders_agree(name: str) -> None:
    with open_reader(CLIPS / name, size=SIZE) as reader:
        count = min(reader.info.num_frames, sized(150, 100_000))
        in_order = reader.read(range(count))
        jumps = np.random.default_rng(1).integers(0, count, 5)
        assert np.array_equal(reader.read(jumps.tolist()), in_order[jumps])
    with open_reader(CLIPS / name, size=SIZE, reader="decord") as reader:
        assert np.abs(reader.read(range(count)).astype(int) - in_order).mean(axis=(1, 2, 3)).max() < 1
    streamed = np.concatenate([chunk.frames_THWC for chunk in stream_frames(CLIPS / name, size=SIZE, stop=count)])
    assert np.array_equal(streamed, in_order)


def test_index_excludes_pictures_hidden_by_edit_lists() -> None:
    index = index_video(CLIPS / "lorenzo_match.mp4")
    assert (index.num_packets, index.num_pictures) == (825, 817)
    assert probe(CLIPS / "lorenzo_match.mp4").num_frames == 817
    assert index_video(CLIPS / "osasasasa_soccer.mp4").num_packets - 50 == (
        index_video(CLIPS / "osasasasa_soccer.mp4").num_pictures
    )


def test_probe_where_headers_are_wrong() -> None:
    assert probe(CLIPS / "dfl_08fd33_4_small.mp4").source_fps == pytest.approx(25, abs=0.01)
    portrait = probe(CLIPS / "gking_soccer.mp4")
    assert (portrait.width, portrait.height, portrait.first_picture_s) == (720, 1280, Fraction(512, 15360))
    assert probe(CLIPS / "pkglimmer_6.mp4").first_picture_s == Fraction(5998, 90000)


@pytest.mark.parametrize("name", sorted(path.name for path in CLIPS.glob("*.labels.json")))
def test_labels_match_the_time_stamps_of_the_index(name: str) -> None:
    labels = json.loads((CLIPS / name).read_text())
    index = index_video(CLIPS / labels["video"])
    assert index.num_pictures == labels["num_frames"]
    for label in labels["annotations"]:
        since_first_s = int(index.pts_P[label["frame"]] - index.pts_P[0]) * index.time_base
        assert abs(float(since_first_s * 1000) - int(label["position"])) <= 1


@pytest.mark.parametrize("name", names(CLIPS / "awkward"))
def test_awkward_files_are_read_or_refused_in_one_line(name: str) -> None:
    path = CLIPS / "awkward" / name
    try:
        info = probe(path)
        frames = 0
        for chunk in stream_frames(path, size=SIZE, stop=min(info.num_frames, 130), timeout_s=120):
            frames += len(chunk.frames_THWC)
        assert frames == min(info.num_frames, 130) > 0
    except VideoError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", names(CLIPS / "awkward"))
def test_awkward_files_look_the_same_read_at_random(name: str) -> None:
    path = CLIPS / "awkward" / name
    try:
        count = min(probe(path).num_frames, 100)
    except VideoError:
        return  # covered by the test above
    with open_reader(path, size=SIZE) as reader:
        in_order = reader.read(range(count))
    for frame in (count - 1, count // 2):
        with open_reader(path, size=SIZE) as reader:
            assert np.array_equal(reader.read([frame])[0], in_order[frame])

"""Interlaced pictures: recognised by their combs, deinterlaced alike in order and at random, in readers and copies."""

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.picture_options import PictureOptions
from e2espot.video import index_of, open_reader, stream_frames
from e2espot.video.interlacing import is_combed, measured_order
from e2espot.video.preparation import preparation_of
from e2espot.video.transcode import transcode
from tests.support.numbered_video import numbers_in, picture
from tests.support.prepared_videos import BAND, SIZE, encode, interlaced, moment, woven

COUNT = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("interlaced")
    progressive = [moment(number, 0) for number in range(COUNT)]
    flags = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    return {
        "top": interlaced(folder / "top.mp4", COUNT),
        "bottom": interlaced(folder / "bottom.mp4", COUNT, order="bottom"),
        "unflagged": interlaced(folder / "unflagged.mp4", COUNT, flagged=False),
        "unflagged bottom": interlaced(folder / "unflagged-bottom.mkv", COUNT, order="bottom", flagged=False),
        "transport stream": interlaced(folder / "top.ts", COUNT),
        "mpeg2": interlaced(
            folder / "mpeg2.ts", COUNT, flagged=False, codec="mpeg2video", **{"bit_rate": 8_000_000, "gop_size": 10}
        ),
        "fine lines": encode(folder / "lines.mp4", [_fine_lines(number) for number in range(COUNT)]),
        "moving fine lines": encode(folder / "moving.mp4", [_moving_lines(number) for number in range(COUNT)]),
        "progressive": encode(folder / "progressive.mp4", progressive),
        "progressive, flagged": encode(folder / "psf.mp4", progressive, options=flags),
    }


def _fine_lines(number: int) -> np.ndarray:
    """A progressive picture of lines that look like a comb, such as a grille, and of something that moves."""
    image = moment(number, 0)
    image[120:180:2, 100:220] = 220
    image[121:180:2, 100:220] = 60
    return image


def _moving_lines(number: int) -> np.ndarray:
    """A progressive picture of lines of uneven brightness, such as rows of seats, over which a camera moves up slowly.

    Each line comes a third nearer to the one above, so the odd lines of a picture are like the even ones of the next.
    """
    image = moment(number, 0)
    random = np.random.default_rng(3)
    lines = 60.0 + 20 * random.random(len(image) + COUNT)
    lines[::2] += 90 * random.random(len(lines[::2]))
    position = np.arange(len(image)) + number / 3
    moved = np.interp(position, np.arange(len(lines)), lines)
    image[60:, 40:] = moved[60:, None, None].astype(np.uint8)
    return image


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("top", "top"),
        ("bottom", "bottom"),
        ("unflagged", "top"),
        ("unflagged bottom", "bottom"),
        ("transport stream", "top"),
        ("mpeg2", "top"),
        ("fine lines", None),
        ("moving fine lines", None),
        ("progressive", None),
        ("progressive, flagged", None),
    ],
)
def test_preparation_follows_the_pictures_whatever_the_flags_say(
    files: dict[str, Path], name: str, order: str | None
) -> None:
    assert preparation_of(index_of(files[name])).deinterlace == order


@pytest.mark.parametrize("name", ["top", "bottom", "unflagged", "unflagged bottom", "transport stream", "mpeg2"])
def test_reader_shows_each_number_and_the_first_field_without_combs(files: dict[str, Path], name: str) -> None:
    with open_reader(files[name]) as reader:
        frames_THWC = reader.read(range(COUNT))
        assert numbers_in(frames_THWC) == list(range(COUNT))
    with open_reader(files[name], pictures=PictureOptions(deinterlace="off")) as reader:
        as_stored_THWC = reader.read(range(COUNT))
    for number in range(COUNT):
        first_field = moment(number, 0)[BAND].astype(int)
        assert not is_combed(frames_THWC[number, ..., 1]) and is_combed(as_stored_THWC[number, ..., 1])
        # A pattern at another time is off by 6 of 20 columns, some 40 levels on average.
        assert np.abs(frames_THWC[number, BAND] - first_field)[4:-4].mean() < 14


def test_random_access_gives_the_same_pictures_as_reading_in_order(files: dict[str, Path]) -> None:
    for name in ("top", "transport stream"):
        in_order_THWC = np.concatenate([chunk.frames_THWC for chunk in stream_frames(files[name], size=SIZE)])
        order = np.random.default_rng(0).permutation(COUNT).tolist()
        with open_reader(files[name], size=SIZE) as reader:
            for frame in (0, COUNT - 1, *order):
                assert np.array_equal(reader.read([frame])[0], in_order_THWC[frame]), (name, frame)
            assert np.array_equal(reader.read([3, 7, 8, 30]), in_order_THWC[[3, 7, 8, 30]])


def test_decord_leaves_interlaced_files_to_pyav(files: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    with open_reader(files["top"], reader="decord") as reader, open_reader(files["top"]) as expected:
        assert np.array_equal(reader.read([5, 6]), expected.read([5, 6]))
    assert "read by PyAV instead of decord, since its pictures are deinterlaced (top field first)" in caplog.text


def test_preparation_is_logged_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = interlaced(tmp_path / "match.mp4", 30)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            list(stream_frames(path))
    assert [record.getMessage() for record in caplog.records if str(path) in record.getMessage()] == [
        f"{path}: pictures are deinterlaced (top field first)"
    ]


def test_transcode_deinterlaces_as_the_readers_do(files: dict[str, Path], tmp_path: Path) -> None:
    copy, woven_copy = tmp_path / "copy.mp4", tmp_path / "woven.mp4"
    assert transcode(files["top"], copy) == COUNT
    transcode(files["top"], woven_copy, deinterlace="off")
    with open_reader(files["top"]) as original, open_reader(copy) as reader:
        assert reader.info.preparation.is_plain
        frames_THWC, expected_THWC = reader.read(range(COUNT)), original.read(range(COUNT))
    assert numbers_in(frames_THWC) == list(range(COUNT))
    assert np.abs(frames_THWC.astype(int) - expected_THWC).mean() < 2
    with open_reader(woven_copy, pictures=PictureOptions(deinterlace="off")) as reader:
        assert is_combed(reader.read([20])[0, ..., 1])


def test_is_combed_needs_motion_between_the_fields() -> None:
    assert is_combed(woven(7)[..., 1])
    assert not is_combed(moment(7, 0)[..., 1])
    assert not is_combed(picture(7, SIZE)[..., 1])
    noise = np.random.default_rng(0).integers(0, 255, (240, 320)).astype(np.uint8)
    assert not is_combed(noise)


@pytest.mark.parametrize("order", ["top", "bottom"])
def test_measured_order_compares_fields_near_in_time(order: str) -> None:
    pictures = [woven(number, bottom_first=order == "bottom")[..., 1] for number in (4, 5, 6)]
    assert measured_order(list(pairwise(pictures))) == order
    assert measured_order([(pictures[0], pictures[0])]) is None
    assert measured_order([]) is None

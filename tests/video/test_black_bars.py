"""Black bars: cropped only where they are certain, alike on every path, and never a dark picture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.picture_options import PictureOptions
from e2espot.video import index_of, open_reader, probe, stream_frames
from e2espot.video.black_bars import Area, area_without_bars, lit_shares, may_have_bars
from e2espot.video.preparation import positions_within, preparation_of, window_of
from tests.support.mp4_boxes import set_matrix
from tests.support.numbered_video import numbers_in, picture
from tests.support.prepared_videos import SIZE, barred, encode

COUNT = 60


@pytest.mark.parametrize(
    ("bars", "area"),
    [
        ((0, 60, 0, 60), Area(left=0, top=60, width=320, height=240)),
        ((80, 0, 80, 0), Area(left=80, top=0, width=320, height=240)),
        ((80, 40, 80, 40), Area(left=80, top=40, width=320, height=240)),
        ((0, 41, 0, 43), Area(left=0, top=42, width=320, height=238)),  # to even numbers, inwards
        ((0, 0, 0, 0), None),
        ((0, 60, 0, 0), None),  # on one side only
    ],
)
def test_bars_of_a_file_are_cropped_and_the_numbers_stay(
    bars: tuple[int, int, int, int], area: Area | None, tmp_path: Path
) -> None:
    path = barred(tmp_path / "match.mp4", bars, COUNT)
    with open_reader(path) as reader:
        assert reader.info.preparation.area == area
        if area is not None:
            assert (reader.info.width, reader.info.height) == (area.width, area.height)
            frames_THWC = reader.read(range(COUNT))
            assert numbers_in(frames_THWC) == list(range(COUNT))
            assert np.abs(frames_THWC[7].astype(int) - picture(7, SIZE)[: area.height]).mean() < 4
            assert frames_THWC[:, 0].mean() > 30 and frames_THWC[:, :, 0].mean() > 30


def test_every_path_crops_alike(tmp_path: Path) -> None:
    path = barred(tmp_path / "match.mp4", (0, 60, 0, 60), COUNT)
    streamed_THWC = np.concatenate([chunk.frames_THWC for chunk in stream_frames(path, size=(160, 96))])
    for backend in ("auto", "decord"):
        with open_reader(path, size=(160, 96), reader=backend) as reader:  # type: ignore[arg-type]
            assert np.array_equal(reader.read(range(COUNT)), streamed_THWC)
    with open_reader(path, size=(160, 96), pictures=PictureOptions(crop_bars="320:240:0:60")) as reader:
        assert np.array_equal(reader.read(range(COUNT)), streamed_THWC)
    with open_reader(path, size=(160, 96), pictures=PictureOptions(crop_bars="off")) as reader:
        assert reader.read([5])[0, :14].max() < 10
    assert (probe(path).width, probe(path).height) == (320, 360)  # decodes nothing, so it knows of no bars


def test_a_crop_to_the_whole_picture_changes_no_pixel(tmp_path: Path) -> None:
    for tags in ({}, {"colorspace": 1, "color_range": 2}):
        path = encode(tmp_path / "match.mp4", [picture(number, SIZE, tint=True) for number in range(12)], **tags)
        whole, less = PictureOptions(crop_bars="off"), PictureOptions(crop_bars="320:238:0:0")
        with open_reader(path, pictures=whole) as reader, open_reader(path, pictures=less) as cropped:
            assert np.abs(reader.read([4])[0, :236].astype(int) - cropped.read([4])[0, :236]).max() <= 1


def test_rotated_pictures_are_cropped_as_they_are_shown(tmp_path: Path) -> None:
    # Stored lying, 240 wide with bars left and right, and turned by 90 degrees: bars above and below.
    pictures = [np.pad(np.rot90(picture(n, SIZE), -1), ((0, 0), (60, 60), (0, 0))) for n in range(COUNT)]
    path = encode(tmp_path / "phone.mp4", [np.ascontiguousarray(image) for image in pictures], rotation_degrees=90)
    with open_reader(path) as reader:
        assert reader.info.rotation_degrees == 90
        assert reader.info.preparation.area == Area(left=0, top=60, width=320, height=240)
        assert numbers_in(reader.read(range(COUNT))) == list(range(COUNT))
    with open_reader(path, pictures=PictureOptions(crop_bars="320:240:0:60")) as reader:
        assert numbers_in(reader.read(range(COUNT))) == list(range(COUNT))


def test_mirrored_pictures_are_cropped_as_they_are_shown(tmp_path: Path) -> None:
    # Shown: bars of 80 lines above and 40 below, left for right of what is stored.
    pictures = [np.pad(picture(n, SIZE)[:, ::-1], ((80, 40), (0, 0), (0, 0))) for n in range(COUNT)]
    path = set_matrix(encode(tmp_path / "selfie.mp4", pictures), (-1, 0, 0, 1))
    with open_reader(path, pictures=PictureOptions(crop_bars="320:240:0:80")) as reader:
        assert numbers_in(reader.read(range(COUNT))) == list(range(COUNT))


def test_area_turned_follows_the_pixels() -> None:
    image = np.zeros((40, 60), dtype=bool)
    area = Area(left=5, top=8, width=20, height=10)
    image[8:18, 5:25] = True
    for turns in range(4):
        turned = area.turned(turns, (60, 40))
        rows, columns = np.nonzero(np.rot90(image, turns))
        assert (turned.left, turned.top) == (columns.min(), rows.min())
        assert (turned.width, turned.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)


def scene(rng: np.random.Generator) -> np.ndarray:
    """Luma of a lit picture within bars of 40 lines."""
    luma = rng.integers(60, 200, (240, 320)).astype(np.uint8)
    luma[:40] = luma[-40:] = 16
    return luma


def _night(luma: np.ndarray) -> None:
    """A dark sky over a stand whose roof is no straight line, and a lit pitch down to the lower edge."""
    luma[200:] = 90
    heights = 30 + (20 * np.abs(np.sin(np.arange(320) / 30))).astype(int)
    luma[np.arange(240)[:, None] < heights] = 16


def _spot(luma: np.ndarray) -> None:
    """One lit disc on black, as in a title."""
    rows, columns = np.ogrid[:240, :320]
    luma[(rows - 120) ** 2 + (columns - 160) ** 2 > 80**2] = 16


def _logo(luma: np.ndarray) -> None:
    luma[10:20, 20:60] = 180


def _lifted(luma: np.ndarray) -> None:
    """Dark grey, as noise of a camera in the dark."""
    luma[:40] = luma[-40:] = 28


@pytest.mark.parametrize("change", [_night, _spot, _logo, _lifted])
def test_what_is_no_bar_is_not_cropped(change: Callable[[np.ndarray], None]) -> None:
    rng = np.random.default_rng(0)
    scenes = [scene(rng) for _ in range(24)]
    assert area_without_bars([lit_shares(luma, 16) for luma in scenes]) == Area(left=0, top=40, width=320, height=160)
    for luma in scenes:
        change(luma)
    assert area_without_bars([lit_shares(luma, 16) for luma in scenes]) is None


def test_one_full_picture_among_barred_ones_keeps_the_bars() -> None:
    rng = np.random.default_rng(0)
    shares = [lit_shares(scene(rng), 16) for _ in range(23)]
    full = lit_shares(rng.integers(60, 200, (240, 320)).astype(np.uint8), 16)
    assert area_without_bars([*shares, full]) is None
    assert not may_have_bars([full])


def test_fades_and_black_pictures_prove_nothing() -> None:
    rng = np.random.default_rng(0)
    black = lit_shares(np.full((240, 320), 16, dtype=np.uint8), 16)
    shares = [lit_shares(scene(rng), 16) for _ in range(12)]
    assert area_without_bars([black] * 12) is None
    assert area_without_bars([*shares[:3], *[black] * 21]) is None
    assert area_without_bars([*shares, *[black] * 12]) == Area(left=0, top=40, width=320, height=160)


def test_a_fade_at_each_end_and_a_dark_night_match_are_not_cropped(tmp_path: Path) -> None:
    pictures = []
    for number in range(COUNT):
        luma = np.full((240, 320), 90, dtype=np.uint8)
        _night(luma)
        level = min(number, COUNT - 1 - number, 10) / 10
        pictures.append(np.repeat((luma * level).astype(np.uint8)[..., None], 3, axis=2))
    path = encode(tmp_path / "night.mp4", pictures)
    assert preparation_of(index_of(path)).is_plain


def test_a_long_file_with_one_keyframe_keeps_its_bars(tmp_path: Path) -> None:
    options = {"g": "9999", "x264-params": "scenecut=0", "preset": "ultrafast"}
    short = barred(tmp_path / "short.mp4", (0, 60, 0, 60), 100, options=options)
    assert preparation_of(index_of(short)).area == Area(left=0, top=60, width=320, height=240)
    long = barred(tmp_path / "long.mp4", (0, 60, 0, 60), 1600, options=options)
    assert preparation_of(index_of(long)).area is None


@pytest.mark.parametrize("text", ["on", "320:240", "0:240:0:0", "320x240", "-1:2:3:4"])
def test_crop_bars_refuses_what_is_no_area(text: str) -> None:
    with pytest.raises(ConfigurationError, match="width:height:left:top"):
        PictureOptions(crop_bars=text)


def test_crop_bars_refuses_an_area_outside_the_picture(tmp_path: Path) -> None:
    path = barred(tmp_path / "match.mp4", (0, 0, 0, 0), 10)
    with pytest.raises(VideoError, match="not within its pictures of 320x240") as caught:
        open_reader(path, pictures=PictureOptions(crop_bars="320:240:0:60"))
    assert caught.value.option == "crop_bars"
    with pytest.raises(VideoError, match="not within"):  # from the decoder's process
        list(stream_frames(path, size=(64, 64), pictures=PictureOptions(crop_bars="320:240:0:60")))


def test_positions_follow_the_crop(tmp_path: Path) -> None:
    index = index_of(barred(tmp_path / "match.mp4", (0, 60, 0, 60), COUNT))
    window = window_of(index, preparation_of(index))
    assert window == (0.0, 60 / 360, 1.0, 300 / 360)
    positions = positions_within(np.array([[0.5, 0.5], [0.25, 0.3], [0.5, 0.1], [np.nan, np.nan]]), window)
    assert positions[:2] == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.2]]))
    assert np.isnan(positions[2:]).all()

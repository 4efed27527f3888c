"""Which picture each row shows, at the rates of real videos."""

from fractions import Fraction

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.features.grid import RowGrid, nominal_fps, pictures_of_rows, soccernet_pictures
from e2espot.video import index_of, pictures_of_grid
from tests.support.numbered_video import constant, write

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("fps", "rate", "first"),
    [
        (25, 2, [12, 24, 37, 49, 62, 74]),
        (25, 1, [24, 49, 74]),
        (25, 5, [4, 9, 14]),
        (25, 25, [0, 1, 2]),
        (NTSC, 2, [14, 29, 44, 59]),
        (30, 2, [14, 29, 44]),
        (50, 2, [24, 49, 74]),
        (50, 5, [9, 19, 29]),
    ],
)
def test_soccernet_grid_takes_the_last_picture_of_each_interval(fps: Fraction, rate: int, first: list[int]) -> None:
    pictures_N = soccernet_pictures(1000, Fraction(fps), Fraction(rate))
    assert pictures_N[: len(first)].tolist() == first
    # The definition: pictures counted from 1, taken where the count modulo the step is below 1.
    step = Fraction(fps) / rate
    assert pictures_N.tolist() == [count - 1 for count in range(1, 1001) if count % step < 1]


def test_soccernet_grid_of_50_minutes_at_29_97_has_a_row_less() -> None:
    pictures_N = soccernet_pictures(int(50 * 60 * NTSC), NTSC, Fraction(2))
    assert len(pictures_N) == 5999
    assert set(np.diff(pictures_N).tolist()) == {14, 15}


def test_soccernet_grid_refuses_more_rows_than_pictures() -> None:
    with pytest.raises(VideoError, match="at most") as raised:
        soccernet_pictures(100, Fraction(25), Fraction(50))
    assert raised.value.option == "rate"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return index_of(write(tmp_path_factory.mktemp("grid") / "a", constant(Fraction(25), 50)))


def test_middle_grid_is_the_frame_grid(index) -> None:  # type: ignore[no-untyped-def]
    (pictures_N,) = pictures_of_rows([index], RowGrid(rate=Fraction(2)))
    assert pictures_N.tolist() == pictures_of_grid(index, Fraction(2)).tolist() == [6, 18, 31, 43]


def test_start_and_duration_move_and_end_the_rows(index) -> None:  # type: ignore[no-untyped-def]
    grid = RowGrid(rate=Fraction(5), start_s=Fraction(2, 5), duration_s=Fraction(1))
    (pictures_N,) = pictures_of_rows([index], grid)
    assert pictures_N.tolist() == pictures_of_grid(index, Fraction(5))[2:7].tolist()
    grid = RowGrid(rate=Fraction(5), rule="soccernet", start_s=Fraction(2, 5), duration_s=Fraction(1))
    (pictures_N,) = pictures_of_rows([index], grid)
    # Counts from 10 to 35 stay: 5, 10, ... -> 10, 15, ..., 35
    assert pictures_N.tolist() == [9, 14, 19, 24, 29, 34]
    with pytest.raises(VideoError, match="holds no row"):
        pictures_of_rows([index], RowGrid(rate=Fraction(5), start_s=Fraction(60)))


def test_nominal_fps_is_the_rate_of_the_header(index) -> None:  # type: ignore[no-untyped-def]
    assert nominal_fps(index) == 25

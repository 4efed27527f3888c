"""decord fails at a few widths; at these its reader goes to PyAV, at all others it does not."""

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.video import open_reader
from e2espot.video.decord_reader import DecordDecoder, fails_at_width
from e2espot.video.indexing import index_of
from tests.support.numbered_video import constant, numbers_in, write

FAILING = [1, 2, 3, 4, 6, 8, 12, 16, 24, 48, 72]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("widths") / "plain", constant(Fraction(25), 12))


def test_rule_names_the_widths_at_which_decord_fails(path: Path) -> None:
    assert [width for width in range(1, 4096) if fails_at_width(width)] == FAILING
    failed = []
    for width in range(1, 104):
        decoder = DecordDecoder(index_of(path), (width, 40))
        try:
            list(decoder.decode([0, 3]))
        except Exception as error:  # the message is decord's own
            assert "size" in str(error), error
            failed.append(width)
        decoder.close()
    assert failed == FAILING


@pytest.mark.parametrize(("width", "is_by_pyav"), [(48, True), (72, True), (64, False), (80, False), (96, False)])
def test_decord_reader_never_fails_at_a_width(
    path: Path, width: int, is_by_pyav: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with (
                open_reader(path, size=(width, 40), reader="decord") as ours,
                open_reader(path, size=(width, 40), reader="pyav") as theirs,
            ):
                assert np.array_equal(ours.read(range(12)), theirs.read(range(12)))
    reason = f"{path}: read by PyAV instead of decord, which fails at widths such as {width}"
    assert caplog.messages == ([reason] if is_by_pyav else [])


def test_frames_at_a_failing_width_are_the_right_ones(path: Path) -> None:
    with open_reader(path, size=(72, 40), reader="decord") as reader:
        assert numbers_in(reader.read([11, 0, 5])) == [11, 0, 5]

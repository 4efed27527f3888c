"""Features that do not last as long as the video next to them: a warning that names the likely cause."""

import json
import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import E2ESpotError
from e2espot.formats.feature_files import open_features
from e2espot.formats.feature_lengths import (
    check_against_labels,
    check_against_video,
    likely_cause,
    video_of_features,
)
from tests.support.numbered_video import constant, write


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A half of forty seconds, one picture a second."""
    folder = tmp_path_factory.mktemp("game")
    write(folder / "1_224p", constant(Fraction(1), 40))
    return folder


@pytest.mark.parametrize(
    ("num_rows", "described", "cause"),
    [
        (80, None, ""),
        (78, None, ""),  # the last second may be incomplete
        (200, None, "set fps to that"),
        (60, None, "begin later"),
        (130, None, "longer recording"),
        (60, {"start_s": "10", "rows": 60}, ""),
        (20, {"start_s": "5", "duration_s": "10", "rows": 20}, ""),
        (60, {"start_s": "0", "rows": 80}, "one of the two was replaced"),
    ],
)
def test_another_length_than_the_video_is_a_warning_with_its_cause(
    game: Path, caplog: pytest.LogCaptureFixture, num_rows: int, described: dict[str, object] | None, cause: str
) -> None:
    path = game / "1_net.npy"
    np.save(path, np.zeros((num_rows, 4), dtype=np.float32))
    path.with_suffix(".json").unlink(missing_ok=True)
    if described is not None:
        path.with_suffix(".json").write_text(json.dumps({"name": "net", "dim": 4, "rate": "2", **described}))
    with caplog.at_level(logging.WARNING):
        check_against_video(open_features(path), Fraction(2))
    assert cause in caplog.text
    assert bool(caplog.text) == bool(cause)
    assert all("\n" not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("num_rows", "rate", "duration_s", "cause"),
    [
        (13500, "2", 2700, "they seem to be 5 rows a second"),
        (6006, "2", 3000, "30 or 30000/1001"),
        (5994, "2", 3000, "30 or 30000/1001"),
        (5625, "2", 2700, "25 or 24"),
        (5000, "2", 2700, "begin later"),
    ],
)
def test_likely_cause_names_why_features_and_video_differ_in_length(
    num_rows: int, rate: str, duration_s: int, cause: str
) -> None:
    assert cause in likely_cause(num_rows, Fraction(rate), Fraction(duration_s))


def test_video_of_features_goes_by_the_name_of_half_and_match(tmp_path: Path) -> None:
    for name in ("1_720p.mkv", "2_224p.mkv", "derby.mp4", "derby_old.mp4", "224p.webm", "3_224p_part1.mp4"):
        (tmp_path / name).touch()

    def video(name: str) -> str | None:
        path = video_of_features(tmp_path / name, "net")
        return None if path is None else path.name

    expected = {
        "1_net.npy": "1_720p.mkv",
        "2_net.npy": "2_224p.mkv",
        "3_net.npy": None,
        "net.npy": "224p.webm",
        "derby_net.npy": "derby.mp4",
        "derby_old_net.npy": "derby_old.mp4",
        "other_net.npy": None,
    }
    assert {name: video(name) for name in expected} == expected


def test_features_of_another_length_than_their_labels_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((13500, 2), dtype=np.float32))  # 45 minutes at 5 rows a second
    file, last_s = open_features(tmp_path / "a.npy"), 44 * 60
    check_against_labels(file, Fraction(5), last_s)
    check_against_labels(file, Fraction(5), 45 * 60 + 10)
    check_against_labels(file, Fraction(2), None)
    for rate, seconds, message, option in (
        ("2", last_s, "set fps to the rate", "fps"),
        ("25", last_s, "5 rows a second, set fps", "fps"),
        ("1", 30 * 3600, "end early, or begin later", "bad_labels"),
    ):
        with pytest.raises(E2ESpotError, match=message) as raised:
            check_against_labels(file, Fraction(rate), seconds)
        assert raised.value.option == option
        assert f"last label is at {int(seconds) // 60}:00" in str(raised.value)
        assert "\n" not in str(raised.value)

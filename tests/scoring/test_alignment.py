"""Labels of event feeds move to the moments of the video; what does not fit is left out and said."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2espot.cli.main import dispatch
from e2espot.core.annotated import merge_ranges
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.annotated_field import read_annotated, read_unsure
from e2espot.formats.soccernet_json import make_row
from e2espot.scoring.alignment import AlignmentOptions, align_labels
from e2espot.scoring.clock_offset import Moment
from tests.scoring.test_clock_offset import fed, play, seen

CLOCK_MS = {1: 20_000, 2: -7000}
"""How far the feed is behind the video, by half."""


def rows(kind: Any, half: int, moments: Sequence[Moment]) -> list[dict[str, Any]]:
    return [
        make_row(
            kind,
            half=half,
            position_ms=moment.position_ms,
            label=moment.label,
            confidence=moment.value if kind == "prediction" else None,
        )
        for moment in moments
        if moment.position_ms >= 0
    ]


def write(root: Path, feed: list[dict[str, Any]], predictions: list[dict[str, Any]], **fields: Any) -> Path:
    """A dataset of one game, with predictions next to it."""
    game, results = root / "data/l/s/g", root / "out/l/s/g"
    for folder in (game, results):
        folder.mkdir(parents=True)
    (game / "Labels-feed.json").write_text(json.dumps({"UrlLocal": "l/s/g", **fields, "annotations": feed}))
    (results / "results_spotting.json").write_text(json.dumps({"predictions": predictions}))
    return game


@pytest.fixture
def halves() -> dict[int, list[Moment]]:
    return {half: play(half) for half in (1, 2)}


def feed_of(halves: dict[int, list[Moment]]) -> list[dict[str, Any]]:
    return [row for half, truth in halves.items() for row in rows("label", half, fed(truth, half, CLOCK_MS[half]))]


def predictions_of(halves: dict[int, list[Moment]]) -> list[dict[str, Any]]:
    return [row for half, truth in halves.items() for row in rows("prediction", half, seen(truth, 10 + half))]


def align(root: Path, *flags: str) -> dict[str, Any]:
    dispatch(["align", str(root / "out"), "-l", str(root / "data"), *flags])
    return json.loads((root / "data/l/s/g/Labels-ball.json").read_text())


def errors_ms(content: dict[str, Any], half: int, truth: Sequence[Moment], start_ms: int = 0) -> np.ndarray:
    """Distance of every label of a half to the nearest event of its class."""
    distances_ms = [
        min(abs(int(row["position"]) - start_ms - event.position_ms) for event in truth if event.label == row["label"])
        for row in content["annotations"]
        if int(row["gameTime"][0]) == half
    ]
    return np.array(distances_ms)


def test_labels_move_to_what_the_spotter_sees(
    halves: dict[int, list[Moment]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, feed_of(halves), predictions_of(halves))
    content = align(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("l/s/g half 1: offset +19.")
    assert lines[1].startswith("l/s/g half 2: offset -7.")
    assert all("sharpness" in line and "labels moved to predictions" in line for line in lines[:2])
    assert lines[2].endswith("labels of 1 game -> Labels-ball.json next to Labels-feed.json")
    for half, truth in halves.items():
        before = np.array(
            [
                abs(moment.position_ms - true.position_ms + CLOCK_MS[half])
                for moment, true in zip(fed(truth, half, CLOCK_MS[half]), truth, strict=True)
            ]
        )
        errors = errors_ms(content, half, truth)
        assert len(errors) > 0.6 * len(truth)
        assert np.median(errors) < 150 < np.median(before)
    unsure, annotated = read_unsure(content, "g"), read_annotated(content, "g")
    labelled = {
        half: {int(row["position"]) for row in content["annotations"] if row["gameTime"][0] == str(half)}
        for half in (1, 2)
    }
    for half, truth in halves.items():
        # What is not labelled is hardly ever taught as background.
        missed = [
            event.position_ms for event in truth if min(abs(event.position_ms - at) for at in labelled[half]) > 200
        ]
        assert np.mean([unsure[half].contains(at) for at in missed]) > 0.8
        # The feed of half 1 starts 20 s late.
        inside = [event.position_ms for event in truth[:-1] if event.position_ms > max(0, CLOCK_MS[half]) + 5000]
        assert all(annotated[half].contains(at) for at in inside)
    assert all({"feed_position", "team"} <= set(row) for row in content["annotations"])


def test_half_that_does_not_fit_is_not_used(
    halves: dict[int, list[Moment]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {1: halves[1], 2: play(99)}
    write(tmp_path, feed_of(other), predictions_of(halves))
    content = align(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert "half 2: not used: the best offset" in lines[1]
    assert "state the offset" in lines[1]
    assert {row["gameTime"][0] for row in content["annotations"]} == {"1"}
    assert not read_annotated(content, "g")[2].ranges_ms


def test_no_half_that_fits_writes_nothing(halves: dict[int, list[Moment]], tmp_path: Path) -> None:
    write(tmp_path, feed_of({1: play(98), 2: play(99)}), predictions_of(halves))
    with pytest.raises(AnnotationError, match="no half is used, so nothing is written"):
        align(tmp_path)
    assert not (tmp_path / "data/l/s/g/Labels-ball.json").exists()


def test_offsets_can_be_given(
    halves: dict[int, list[Moment]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, feed_of(halves), predictions_of(halves))
    content = align(tmp_path, "--offset", "1/19.7,2/-7.3")
    assert "half 1: offset +19.70 s (as given)" in capsys.readouterr().out
    assert np.median(errors_ms(content, 1, halves[1])) < 150


def test_match_in_one_video_is_written_as_half_1(
    halves: dict[int, list[Moment]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second_ms = 900_000
    predictions = predictions_of({1: halves[1]})
    predictions += rows(
        "prediction",
        1,
        [
            Moment(position_ms=moment.position_ms + second_ms, label=moment.label, value=moment.value)
            for moment in seen(halves[2], 12)
        ],
    )
    write(tmp_path, feed_of(halves), predictions)
    content = align(tmp_path)
    assert "half 2: offset +89" in capsys.readouterr().out
    assert {row["gameTime"][0] for row in content["annotations"]} == {"1"}
    late = {
        **content,
        "annotations": [row for row in content["annotations"] if int(row["position"]) > second_ms - 9000],
    }
    assert np.median(errors_ms(late, 1, halves[2], second_ms)) < 150
    # Half-time is no background that anybody looked at.
    annotated = read_annotated(content, "g")[1]
    assert len(annotated.ranges_ms) == 2
    assert not annotated.contains(600_000)


def test_classes_are_seen_by_others(halves: dict[int, list[Moment]], tmp_path: Path) -> None:
    feed = [row | {"label": "CROSS"} if row["label"] == "PASS" else row for row in feed_of(halves)]
    write(tmp_path, feed, predictions_of(halves), annotated_classes=["CROSS", "DRIVE"])
    (tmp_path / "map.yaml").write_text("CROSS: PASS\n")
    unmapped, reports = align_labels(tmp_path / "out", tmp_path / "data", AlignmentOptions())
    assert {annotation.label for video in unmapped for annotation in video.annotations} == {"DRIVE"}
    assert unmapped[0].game_metadata["annotated_classes"] == ["DRIVE"]
    assert "classes that are not predicted: CROSS (" in reports[0].describe()
    content = align(tmp_path, "--map", str(tmp_path / "map.yaml"))
    assert {row["label"] for row in content["annotations"]} == {"CROSS", "DRIVE"} == set(content["annotated_classes"])


def test_stored_unsure_stretches_move_with_the_clock(halves: dict[int, list[Moment]], tmp_path: Path) -> None:
    # A minute in which the feed has nothing but one touch of which it does not know what it is.
    first = [row for row in feed_of({1: halves[1]}) if not 100_000 <= int(row["position"]) < 160_000]
    stored = [{"half": "1", "stretches": [{"from": 130_000, "to": 132_000}]}]
    write(tmp_path, first, predictions_of({1: halves[1]}), unsure=stored)
    content = align(tmp_path, "--offset", "20")
    unsure = read_unsure(content, "g")[1]
    assert merge_ranges(stretch for stretch in unsure.ranges_ms if 125_000 < stretch[0] < 170_000).ranges_ms == (
        (150_000, 152_000),
    )


def test_existing_labels_are_not_replaced_unasked(halves: dict[int, list[Moment]], tmp_path: Path) -> None:
    game = write(tmp_path, feed_of(halves), predictions_of(halves))
    (game / "Labels-ball.json").write_text('{"annotations": []}')
    with pytest.raises(ConfigurationError, match="exists with other content") as caught:
        align(tmp_path)
    assert caught.value.option == "overwrite"
    assert align(tmp_path, "--overwrite")["annotations"]


@pytest.mark.parametrize(
    ("flags", "option"),
    [
        (("--window", "nan"), "window"),
        (("--window", "0"), "window"),
        (("--max_offset", "-1"), "max_offset"),
        (("--min_confidence", "2"), "min_confidence"),
        (("--min_score", "2"), "min_confidence"),
        (("--offset", "soon"), "offset"),
    ],
)
def test_options_out_of_range_are_refused(flags: tuple[str, ...], option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        align(tmp_path, *flags)
    assert caught.value.option == option

"""Exports of the review page keep everything that is in the label file, or list what they drop."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.game import Video
from e2espot.formats.interchange import AnnotatedVideo, DroppedFields
from e2espot.formats.opensportslab import read_opensportslab
from e2espot.formats.soccernet_interchange import soccernet_files
from e2espot.review.export import ExportedGame, OpenSportsLabExport, export_opensportslab
from tests.support.numbered_video import constant, write

ROWS = [
    {"gameTime": "1 - 00:01", "label": "PASS", "position": "1013", "team": "left", "visibility": "visible"},
    {"gameTime": "1 - 00:03", "label": "DRIVE", "position": "3007", "team": "right", "visibility": "not shown", "x": 7},
    {"gameTime": "2 - 00:02", "label": "PASS", "position": "2001", "team": "", "visibility": "visible"},
]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("export") / "224p", constant(Fraction(30000, 1001), 90))


def export(rows: list[Any], videos: dict[int, Path], **top: Any) -> OpenSportsLabExport:
    text = json.dumps({**top, "annotations": rows}).encode()
    game = ExportedGame(
        name="l/s/g", videos=[Video(game="l/s/g", half=half, path=path) for half, path in videos.items()], text=text
    )
    return export_opensportslab([game], LABEL_SETS["ball-2"])


def read_back(result: OpenSportsLabExport, tmp_path: Path) -> tuple[AnnotatedVideo, ...]:
    (tmp_path / "labels.json").write_text(json.dumps(result.document))
    return read_opensportslab(tmp_path / "labels.json", predictions=False).videos


def test_labels_come_back_with_milliseconds_team_visibility_and_other_fields(tmp_path: Path, video: Path) -> None:
    result = export(ROWS, {1: video, 2: video}, UrlLocal="l/s/g", ours={"a": [1.5, None]})
    assert (result.num_labels, result.dropped) == (3, [])
    (tmp_path / "labels.json").write_text(json.dumps(result.document))
    dataset = read_opensportslab(tmp_path / "labels.json", predictions=False)
    assert dataset.classes == ("PASS", "DRIVE")
    files = soccernet_files(dataset, tmp_path / "back", DroppedFields())
    content = json.loads(files[tmp_path / "back" / "l/s/g" / "Labels-ball.json"])
    assert content["annotations"] == ROWS
    assert content["ours"] == {"a": [1.5, None]}


def test_half_without_a_video_is_exported(tmp_path: Path, video: Path) -> None:
    result = export(ROWS, {1: video})
    assert result.num_labels == 3
    assert result.dropped == ["1 x path of a video unknown: written as in SoccerNet's layout"]
    assert result.document["metadata"]["not_exported"] == result.dropped
    first, second = read_back(result, tmp_path)
    assert [(one.half, len(one.annotations)) for one in (first, second)] == [(1, 2), (2, 1)]
    assert (first.video, second.video) == (str(video), "l/s/g/2_224p.mkv")


def test_positions_written_as_floats_are_exported(tmp_path: Path, video: Path) -> None:
    rows = [{"gameTime": "1 - 00:01", "label": "PASS", "position": 1000.0 + k} for k in range(8)]
    result = export(rows, {1: video})
    assert (result.num_labels, result.dropped) == (8, [])
    (read,) = read_back(result, tmp_path)
    assert [annotation.position_ms for annotation in read.annotations] == [1000 + k for k in range(8)]


def test_rows_that_are_no_labels_are_listed(video: Path) -> None:
    rows = [*ROWS[:2], {"label": "no time"}, "not a row", {**ROWS[0], "position": 1234.5}]
    result = export(rows, {1: video})
    assert result.num_labels == 2
    assert result.dropped == ["3 x row of a label file without a valid time and class"]
    assert result.document["metadata"]["not_exported"] == result.dropped


def test_frame_rate_is_that_of_the_video(tmp_path: Path, video: Path) -> None:
    (read,) = read_back(export(ROWS[:2], {1: video}), tmp_path)
    assert read.metadata["fps"] == pytest.approx(30000 / 1001, abs=0.01)
    missing = export(ROWS[:2], {1: tmp_path / "missing.mp4"})
    assert missing.document["data"][0]["inputs"] == [{"type": "video", "path": str(tmp_path / "missing.mp4")}]


def test_predictions_to_confirm_have_a_confidence(tmp_path: Path, video: Path) -> None:
    text = json.dumps({"annotations": ROWS[:1]}).encode()
    game = ExportedGame(
        name="g",
        videos=[Video(game="g", half=1, path=video)],
        text=text,
        predictions=[Event(frame=10, label="DRIVE", confidence=0.25)],
    )
    (read,) = read_back(export_opensportslab([game], LABEL_SETS["ball-2"]), tmp_path)
    events = [(annotation.label, annotation.position_ms, annotation.confidence) for annotation in read.annotations]
    assert events == [("DRIVE", 420, 0.25), ("PASS", 1013, None)]
    assert read.game == "g"

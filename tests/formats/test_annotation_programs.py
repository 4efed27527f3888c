"""Labels of annotation and editing programs, in the forms in which these export them."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.conversion import Conversion, read_events
from e2espot.formats.guess_format import guess_format
from e2espot.formats.interchange import DroppedFields
from tests.support.annotation_programs import CVAT, FCPXML, TASK, VIA, VIA_FULL, VIA_SEGMENTS


def read(path: Path, name: str, **more: Any) -> tuple[dict[str, list[tuple[int, str, str]]], list[str]]:
    """Events by game, and what is left out."""
    dropped = DroppedFields()
    conversion = Conversion(
        source=path,
        target=path,
        from_format=name,  # type: ignore[arg-type]
        to_format="soccernet",
        predictions=False,
        **more,
    )
    videos = read_events(conversion, dropped).videos
    events = {video.game: [(e.position_ms, e.label, e.team) for e in video.annotations] for video in videos}
    return events, dropped.lines()


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_frames_of_label_studio_count_from_one(tmp_path: Path) -> None:
    events, dropped = read(write(tmp_path / "e.json", [TASK]), "labelstudio", fps=Fraction(25))
    assert events == {"derby": [(7500, "PASS", "home")]}  # the middle of frame 187
    assert dropped == [
        "1 x annotation of a task that has several (the ground truth, or the one changed last, stays)",
        "1 x region of Label Studio without a time and a label",
    ]


def test_the_ground_truth_of_label_studio_counts(tmp_path: Path) -> None:
    first, second = TASK["annotations"]
    task = {**TASK, "annotations": [first, {**second, "ground_truth": True}, {"was_cancelled": True, "result": []}]}
    events, _ = read(write(tmp_path / "e.json", [task]), "labelstudio", fps=Fraction(25))
    assert events == {"derby": [(340, "SHOT", "")]}


@pytest.mark.parametrize(
    ("video", "game"),
    [
        ("/data/local-files/?d=cup%2Fa%20derby.mp4", "cup/a derby"),
        ("s3://bucket/cup/derby.mp4", "cup/derby"),
        ("https://host.org/derby.mp4", "derby"),
        ("http://localhost:8080/data/upload/12/0a1b2c3d-derby.mkv", "derby"),
    ],
)
def test_json_min_and_addresses_of_label_studio(video: str, game: str, tmp_path: Path) -> None:
    task = {"id": 1, "clip": video, "labels": [{"ranges": [{"start": 1, "end": 2}], "timelinelabels": ["PASS"]}]}
    path = write(tmp_path / "e.json", [task])
    assert guess_format(path) == ("labelstudio", False)
    assert read(path, "labelstudio", fps=Fraction(50))[0] == {game: [(10, "PASS", "")]}


def test_labels_of_audio_in_label_studio_are_seconds(tmp_path: Path) -> None:
    result = {"id": "x", "type": "labels", "value": {"start": 7.48, "end": 8, "channel": 0, "labels": ["PASS"]}}
    task = {"data": {"video": "derby.mp4"}, "annotations": [{"result": [result]}]}
    assert read(write(tmp_path / "e.json", [task]), "labelstudio")[0] == {"derby": [(7480, "PASS", "")]}


def test_a_project_of_via(tmp_path: Path) -> None:
    events, dropped = read(write(tmp_path / "p.json", VIA), "via")
    assert events == {"derby": [(7480, "PASS", "home"), (15000, "heel", "")]}
    assert dropped == ["1 x entry of VIA that is drawn on a picture or has no time"]


@pytest.mark.parametrize("text", [VIA_FULL, VIA_SEGMENTS])
def test_exports_of_via(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", text)
    assert guess_format(path) == ("via", False)
    assert read(path, "via")[0] == {"derby": [(7480, "PASS", "home")]}


def test_the_class_of_via_is_the_attribute_that_is_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", VIA)
    assert read(path, "via", columns={"label": "team"})[0] == {"derby": [(7480, "home", "")]}
    with pytest.raises(ConfigurationError, match="no segment has an attribute 'Type'"):
        read(path, "via", columns={"label": "Type"})


def test_tags_of_cvat(tmp_path: Path) -> None:
    path = write(tmp_path / "annotations.xml", CVAT)
    assert guess_format(path) == ("cvat", False)
    events, dropped = read(path, "cvat", fps=Fraction(25))
    assert events == {"derby": [(7500, "PASS", "home"), (7620, "PASS", "")]}
    assert dropped == [
        "1 x box or other shape of CVAT",
        "1 x tag of CVAT on the frame after one of its class (one event)",
    ]


def test_tasks_of_a_cvat_project_are_games(tmp_path: Path) -> None:
    tasks = "<tasks><task><id>1</id><source>a.mp4</source></task><task><id>2</id><source>b.mp4</source></task></tasks>"
    images = "".join(f'<image id="0" name="f" task_id="{task}"><tag label="PASS"/></image>' for task in (1, 2))
    text = f"<annotations><meta><project>{tasks}</project></meta>{images}</annotations>"
    events, _ = read(write(tmp_path / "annotations.xml", text), "cvat", fps=Fraction(25))
    assert events == {"a": [(20, "PASS", "")], "b": [(20, "PASS", "")]}


def test_markers_of_fcpxml_are_on_the_clock_of_the_video(tmp_path: Path) -> None:
    path = write(tmp_path / "m.fcpxml", FCPXML)
    assert guess_format(path) == ("fcpxml", False)
    events, dropped = read(path, "fcpxml")
    assert events == {"the derby": [(7500, "PASS", ""), (8500, "SHOT", ""), (112000, "OUT", "")]}
    assert len(dropped) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labelstudio", [TASK], "task 0: result 0: Label Studio exports frames without their rate; .*fps=25"),
        ("labelstudio", [{"data": {"n": 1}, "annotations": []}], "no field 'video'"),
        ("labelstudio", {"a": 1}, "no export of Label Studio"),
        ("via", VIA_SEGMENTS.replace("7.48", "x"), "row 1: its time is 'x'; expected seconds"),
        ("via", VIA_SEGMENTS.replace("CSV_HEADER", "HEADER"), "CSV_HEADER"),
        ("via", {**VIA, "view": {}}, "view: field '1' is missing"),
        ("cvat", CVAT, "CVAT exports frames without their rate; .*fps=25"),
        ("cvat", CVAT.replace("interpolation", "annotation"), "a task of images"),
        ("cvat", CVAT.replace("<tag ", "<b ").replace("</tag>", "</b>"), "CVAT for images 1.1"),
        ("fcpxml", FCPXML.replace("108225/30s", "1/0s"), "marker 1: a time is '1/0s'"),
        ("fcpxml", FCPXML.replace("108225/30s", "1s"), "marker 1: its time is -3599000 ms"),
        ("fcpxml", FCPXML.replace('value="PASS"', 'value=""'), "marker 1: its label is empty"),
    ],
)
def test_errors_name_the_entry(name: str, content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=message):
        read(write(tmp_path / "e.txt", content), name)


def test_predictions_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.fcpxml", FCPXML)
    conversion = Conversion(source=path, target=path, from_format="fcpxml", to_format="soccernet", predictions=True)
    with pytest.raises(ConfigurationError, match="fcpxml is read as labels"):
        read_events(conversion)


def test_an_edl_without_a_rate_is_said_to_be_read_with_25(tmp_path: Path) -> None:
    text = "TITLE: x\n001  AX  V  C  00:10:00:00 00:10:08:00 00:00:00:00 00:00:08:00\n* FROM CLIP NAME: PASS\n"
    path = write(tmp_path / "m.edl", text)
    assert read(path, "edl") == (
        {"m": [(605_000, "PASS", "")]},
        [
            "1 x time of an EDL without a rate, taken for 25 frames per second (state another with fps: at 23.976 or "
            "29.97 times would drift)"
        ],
    )
    events, dropped = read(path, "edl", fps=Fraction("23.976"))
    assert events == {"m": [(605_600, "PASS", "")]}
    assert dropped == []

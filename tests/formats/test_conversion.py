"""Conversions there and back: what both formats can hold survives, and the rest is reported."""

import copy
import gzip
import json
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import frame_of_position_ms, game_time, position_ms_of_frame
from e2espot.formats.conversion import Conversion, convert
from e2espot.formats.retiming import parse_retiming
from e2espot.formats.soccernet import read_labels
from tests.support.conversions import GAME, read_json, run_conversion, write_json
from tests.support.tiny_dataset import write_game

GUESSED = "path of a video unknown: written as in SoccerNet's layout"
BALL = LABEL_SETS["ball-12"].names


# SoccerNet's files as they are.

positions = st.integers(0, 6_200_000)
extras = st.dictionaries(
    st.sampled_from(["player", "note", "id", "head"]), st.one_of(st.integers(), st.text(max_size=5), st.none())
)


@st.composite
def label_rows(draw, halves=(1, 2)):
    position, half = draw(positions), draw(st.sampled_from(halves))
    row = {
        "gameTime": game_time(position, half),
        "label": draw(st.sampled_from(BALL)),
        "position": str(position),
        "team": draw(st.sampled_from(["left", "right", "home", "not applicable", ""])),
        "visibility": draw(st.sampled_from(["visible", "not shown"])),
        **draw(extras),
    }
    if draw(st.integers(0, 9)) == 0:
        row["gameTime"] = f"{half} - 07:09"  # seconds that disagree with the position
    return row


@st.composite
def prediction_rows(draw):
    position, half = draw(positions), draw(st.sampled_from([1, 2]))
    row = {
        "gameTime": game_time(position, half),
        "label": draw(st.sampled_from(BALL)),
        "position": str(position),
        "half": str(half),
        "confidence": str(draw(st.floats(0, 1))),
    }
    return row | ({"team": draw(st.sampled_from(["left", "right"]))} if draw(st.booleans()) else {})


def by_half(rows: list[dict[str, Any]], half) -> list[dict[str, Any]]:
    """The order within a half is kept; halves come one after the other."""
    return sorted(rows, key=half)


@st.composite
def annotated_fields(draw):
    """The field ``annotated`` of a label file, or no field."""
    halves = draw(st.lists(st.sampled_from(["1", "2"]), unique=True, max_size=2))
    rows = []
    for half in sorted(halves):
        ends = sorted(draw(st.sets(positions, max_size=4)))
        pairs = zip(ends[::2], ends[1::2], strict=False)
        rows.append({"half": half, "stretches": [{"from": start, "to": stop} for start, stop in pairs]})
    return {"annotated": rows} if rows else {}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(label_rows(), max_size=6), extras, annotated_fields(), st.sampled_from(["opensportslab", "soccernet"]))
def test_soccernet_labels_survive_conversion_there_and_back(rows, about, annotated, way) -> None:
    content = {"UrlLocal": GAME, "UrlYoutube": "", "halftime": "1 - 46:04", **about, **annotated}
    content |= {"unsure": annotated["annotated"]} if annotated else {}
    content["annotations"] = by_half(rows, lambda row: row["gameTime"][0])
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "a" / GAME / "Labels-ball.json", content)
        assert all(GUESSED in line for line in run_conversion(root / "a", root / "b", "soccernet", way).dropped)
        run_conversion(root / "b", root / "c", way, "soccernet", label_file="Labels-ball.json")
        assert read_json(root / "c" / GAME / "Labels-ball.json") == content


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(prediction_rows(), max_size=6))
def test_soccernet_predictions_survive_conversion_to_opensportslab_and_back(rows) -> None:
    content = {"UrlLocal": GAME, "predictions": by_half(rows, lambda row: row["half"])}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "a" / GAME / "results_spotting.json", content)
        run_conversion(root / "a", root / "b.json", "soccernet", "opensportslab", predictions=True)
        for sample in read_json(root / "b.json")["data"]:
            assert all(event["confidence"] == event["confidence_score"] for event in sample["events"])
        run_conversion(root / "b.json", root / "c", "opensportslab", "soccernet", predictions=True)
        assert read_json(root / "c" / GAME / "results_spotting.json") == content


# E2E-Spot's.


@st.composite
def e2e_videos(draw):
    fps = draw(st.sampled_from([25, 12.5, 50, 29.97, 2]))
    events = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "frame": st.integers(0, 5000),
                    "label": st.sampled_from(BALL),
                    "comment": st.sampled_from(["left; visible", "right; not shown", "; ", "", "whatever; else"]),
                }
            ),
            max_size=6,
        )
    )
    return {
        "num_frames": 6000,
        "num_events": len(events),
        "events": sorted(events, key=lambda event: event["frame"]),
        "fps": fps,
        "width": draw(st.sampled_from([398, 796])),
        "height": 224,
    }


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(e2e_videos(), min_size=1, max_size=3), st.sampled_from(["soccernet", "opensportslab"]))
def test_e2e_spot_survives_conversion_there_and_back(videos, way) -> None:
    for number, video in enumerate(videos):
        video["video"] = f"league/season/game {number // 2}/{number % 2 + 1}"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "a" / "val.json", videos)
        write_json(root / "a" / "class.txt", "\n".join(BALL))
        run_conversion(root / "a", root / "b", "e2e-spot", way)
        assert run_conversion(root / "b", root / "c", way, "e2e-spot").dropped == []
        expected = copy.deepcopy(videos)
        for event in (event for video in expected for event in video["events"]):
            event["comment"] = event["comment"] or "; "
            if way == "soccernet" and event["comment"] == "; ":
                event["comment"] = "; visible"  # what SoccerNet's field says where nothing is said
        assert read_json(root / "c" / "val.json") == expected
        if way == "opensportslab":
            assert (root / "c" / "class.txt").read_text().splitlines() == list(BALL)


def test_e2e_spot_frames_equal_the_frames_of_read_labels(tmp_path: Path) -> None:
    rows = [
        {"gameTime": "1 - 00:00", "label": "PASS", "position": str(ms), "team": "left", "visibility": "visible"}
        for ms in range(1000, 9000, 37)
    ]
    path = write_json(tmp_path / "a" / GAME / "Labels-ball.json", {"annotations": rows})
    done = run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot")
    moved = sum(
        position_ms_of_frame(frame_of_position_ms(int(row["position"]))) != int(row["position"]) for row in rows
    )
    assert f"{moved} x time rounded to its frame" in done.dropped
    (video,) = read_json(tmp_path / "b" / "test.json")
    expected = read_labels(path, LABEL_SETS["ball-2"], fps=Fraction(25)).events
    assert [event["frame"] for event in video["events"]] == [event.frame for event in expected]
    assert video["video"] == f"{GAME}/1"
    assert (tmp_path / "b" / "class.txt").read_text() == "PASS"


def test_e2e_spot_length_and_size_are_those_of_the_video(tmp_path: Path) -> None:
    write_game(tmp_path / "a" / "league" / "season" / "game", seed=0, num_frames=60)
    done = run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot")
    (video,) = read_json(tmp_path / "b" / "all.json")
    assert (video["num_frames"], video["width"], video["height"]) == (60, 96, 64)
    assert not any("num_frames" in line for line in done.dropped)


def test_convert_counts_dropped_fields_by_name(tmp_path: Path) -> None:
    row = {"gameTime": "1 - 00:01", "label": "PASS", "position": "1020", "player": 7, "note": "", "foot": "left"}
    content = {"UrlLocal": GAME, "UrlYoutube": "", "halftime": "1 - 46:04", "annotations": [row, row]}
    write_json(tmp_path / "a" / GAME / "Labels-ball.json", content)
    assert run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot").dropped == [
        "2 x event field 'foot'",
        "2 x event field 'player'",
        "1 x game field 'halftime'",
        "1 x num_frames unknown without the video: written as if it ended with the last event",
    ]


def test_a_folder_of_videos_without_a_split_is_read_back(tmp_path: Path) -> None:
    row = {"gameTime": "1 - 00:01", "label": "PASS", "position": "1180"}
    write_json(tmp_path / "a" / "l/s/g" / "Labels-ball.json", {"annotations": [row]})
    run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "e2e-spot")
    assert (tmp_path / "b" / "all.json").exists()
    run_conversion(tmp_path / "b", tmp_path / "c", "e2e-spot", "soccernet")
    (again,) = read_json(tmp_path / "c" / "l/s/g" / "Labels-ball.json")["annotations"]
    assert (again["label"], again["position"]) == ("PASS", "1180")


def test_a_video_without_a_half_in_its_name_keeps_it(tmp_path: Path) -> None:
    videos = [
        {"video": name, "fps": 25, "num_frames": 90, "width": 398, "height": 224, "events": [], "num_events": 0}
        for name in ("l/s/whole", "l/s/halves/1", "l/s/halves/2")
    ]
    write_json(tmp_path / "a" / "test.json", videos)
    for way in ("soccernet", "opensportslab"):
        run_conversion(tmp_path / "a", tmp_path / way, "e2e-spot", way)
        run_conversion(tmp_path / way, tmp_path / f"{way} back", way, "e2e-spot")
        again = read_json(tmp_path / f"{way} back" / "test.json")
        assert {video["video"] for video in again} == {video["video"] for video in videos}


def test_convert_reads_gzipped_predictions_of_e2e_spot(tmp_path: Path) -> None:
    videos = [{"video": f"{GAME}/1", "fps": 25, "events": [{"label": "PASS", "frame": 29, "score": 0.25}]}]
    (tmp_path / "pred-test.9.recall.json.gz").write_bytes(gzip.compress(json.dumps(videos).encode()))
    run_conversion(tmp_path / "pred-test.9.recall.json.gz", tmp_path / "b", "e2e-spot", "soccernet", predictions=True)
    (row,) = read_json(tmp_path / "b" / GAME / "results_spotting.json")["predictions"]
    assert row == {
        "gameTime": "1 - 00:01",
        "label": "PASS",
        "position": "1180",
        "half": "1",
        "confidence": "0.25",
    }


# SoccerTrack's.


def soccertrack_row(position: int, half: int, label: str = "PASS", **more: Any) -> dict[str, Any]:
    minutes, seconds = divmod(position // 1000, 60)
    row = {"gameTime": f"{half} - {minutes:02d}:{seconds:02d}", "position": str(position), "label": label}
    return {**row, "team": "left", **more}


@pytest.mark.parametrize("way", ["soccernet", "opensportslab"])
def test_soccertrack_survives_conversion_there_and_back(tmp_path: Path, way: str) -> None:
    rows = [
        soccertrack_row(12_345, 1, player_id="117093_L_9"),
        soccertrack_row(2_880_000, 1, "HIGH PASS", player_id=None),
        soccertrack_row(2_700_760, 2, "GOAL", visibility="not shown"),
        soccertrack_row(2_700_760, 2, "SHOT", gameTime="2 - 45:01"),
    ]
    content = {"UrlLocal": "117093", "UrlYoutube": None, "actions": rows}
    write_json(tmp_path / "a" / "bas" / "117093" / "117093_12_class_events.json", content)
    (line,) = run_conversion(tmp_path / "a", tmp_path / "b", "soccertrack-v2", way).dropped
    assert ("order of the classes" if way == "soccernet" else GUESSED) in line
    run_conversion(tmp_path / "b", tmp_path / "c", way, "soccertrack-v2")
    back = read_json(tmp_path / "c" / "bas" / "117093" / "117093_12_class_events.json")
    if way == "soccernet":  # its readers stumble over an entry without a visibility
        for row in back["actions"]:
            if row["visibility"] == "visible":
                del row["visibility"]
    assert back == content


def test_labels_that_soccertrack_reads_as_not_filmed_are_listed_when_written(tmp_path: Path) -> None:
    rows = [{"gameTime": "1 - 00:00", "label": "PASS", "position": str(ms)} for ms in (3_599_999, 3_600_000)]
    write_json(tmp_path / "a" / "1" / "Labels-ball.json", {"annotations": rows})
    done = run_conversion(tmp_path / "a", tmp_path / "b", "soccernet", "soccertrack-v2")
    (line,) = [line for line in done.dropped if "past the end" in line]
    assert line.startswith("1 x event past the end of its half, so that it is left out when it is read")
    back = run_conversion(tmp_path / "b", tmp_path / "c", "soccertrack-v2", "soccernet")
    assert back.num_annotations == 1


def test_soccertrack_times_count_from_the_start_of_the_half_in_the_periods_file(tmp_path: Path) -> None:
    rows = [soccertrack_row(2_000, 1), soccertrack_row(500, 1), soccertrack_row(2_702_000, 2, "High Pass")]
    rows += [
        soccertrack_row(2_000 + 40 * 70_000, 1),
        {**soccertrack_row(8_127_120, 1), "gameTime": "135:27"},
        soccertrack_row(8_127_120, 1),
    ]
    write_json(tmp_path / "a" / "132831_12_class_events.json", {"annotations": rows})
    period = {"n_frames": 67_775}
    periods = {"1": {"t0_ms": 1040.0, **period}, "2": {"t0_ms": 2701000.0, **period}, "3": {"t0_ms": None}}
    table = write_json(tmp_path / "bas_periods.json", {"matches": {"132831": {"periods": periods}}})
    done = run_conversion(tmp_path / "a", tmp_path / "b", "soccertrack-v2", "soccernet", periods=table)
    read = read_json(tmp_path / "b" / "132831" / "Labels-ball.json")["annotations"]
    assert [(row["gameTime"], row["position"], row["label"]) for row in read] == [
        ("1 - 00:00", "960", "PASS"),
        ("2 - 00:01", "1000", "HIGH PASS"),
    ]
    assert "3 x event outside the filmed part of half 1" in done.dropped
    assert "1 x event of a period that was not filmed (its time names no half)" in done.dropped
    nominal = run_conversion(tmp_path / "a", tmp_path / "c", "soccertrack-v2", "soccernet")
    assert nominal.num_annotations == 4


# OpenSportsLab's own, and SN-GAR's dialect.

SN_GAR = {
    "version": "2.0",
    "task": "action_spotting",
    "modalities": ["video"],
    "dataset_name": "action_spotting_video_train",
    "metadata": {"split": "train", "modality": "video"},
    "labels": {"action": {"type": "single_label", "labels": ["PASS", "SHOT", "GOAL"]}},
    "data": [
        {
            "game_id": "3812",
            "split": "train",
            "inputs": [{"type": "video_mp4", "path": "train/videos/3812.mp4", "fps": 30.0}],
            "events": [
                {
                    "head": "action",
                    "label": "GOAL",
                    "position_ms": 4_004_001,
                    "gameTime": "2 - 47:11",
                    "team": "away",
                    "visibility": "visible",
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("way", ["soccernet", "opensportslab"])
def test_sn_gar_survives_conversion_there_and_back(tmp_path: Path, way: str) -> None:
    write_json(tmp_path / "annotations_train.json", SN_GAR)
    done = run_conversion(tmp_path / "annotations_train.json", tmp_path / "b", "sn-gar", way)
    run_conversion(tmp_path / "b", tmp_path / "c", way, "sn-gar")
    back = read_json(tmp_path / "c" / "annotations_train.json")
    assert back["data"] == SN_GAR["data"]
    if way == "soccernet":
        (row,) = read_json(tmp_path / "b" / "3812" / "Labels-ball.json")["annotations"]
        assert row["gameTime"] == "1 - 66:44"  # one video, so one half: the evaluators go by this
        (classes,) = (read_json(path)["annotated_classes"] for path in (tmp_path / "b").rglob("Labels-ball.json"))
        assert len(classes) == 10 and "DRIVE" not in classes
        assert "1 x dataset field 'dataset_name'" in done.dropped
        assert read_json(tmp_path / "b" / "splits.json") == {"train": ["3812"]}
    else:
        assert done.dropped == []
        assert {**back, "labels": SN_GAR["labels"]} == SN_GAR


def test_sn_gar_drops_classes_other_than_its_ten(tmp_path: Path) -> None:
    rows = [{"gameTime": "1 - 00:01", "label": label, "position": "1000"} for label in ("DRIVE", "PASS")]
    write_json(tmp_path / "a" / GAME / "Labels-ball.json", {"annotations": rows})
    done = run_conversion(tmp_path / "a", tmp_path / "b.json", "soccernet", "sn-gar")
    assert "1 x event of class 'DRIVE' (SN-GAR has ten others)" in done.dropped
    assert [event["label"] for event in read_json(tmp_path / "b.json")["data"][0]["events"]] == ["PASS"]


def test_opensportslab_keeps_every_field(tmp_path: Path) -> None:
    content = {
        "version": "2.0",
        "date": "2026-05-19",
        "task": "action_spotting",
        "modalities": ["video"],
        "description": "two views",
        "metadata": {"sport": "soccer", "split": "valid"},
        "labels": {"ball": {"type": "single_label", "labels": ["pass", "shot"]}, "foot": {"type": "multi_label"}},
        "data": [
            {
                "id": "attack_0001",
                "inputs": [
                    {"type": "tracking_parquet", "path": "t/1.parquet"},
                    {"type": "video", "path": "clips/attack_0001.mp4", "fps": 25.0, "camera": 2},
                ],
                "events": [{"head": "ball", "label": "pass", "position_ms": 1100, "gameTime": "1 - 00:01"}],
                "captions": [{"lang": "en", "text": "A pass."}],
            }
        ],
    }
    write_json(tmp_path / "a.json", content)
    assert run_conversion(tmp_path / "a.json", tmp_path / "b.json", "opensportslab", "opensportslab").dropped == []
    back = read_json(tmp_path / "b.json")
    assert back["labels"]["foot"] == content["labels"]["foot"]
    (sample,), (before,) = back["data"], content["data"]
    assert {name: sample[name] for name in ("id", "inputs", "events")} == {
        name: before[name] for name in ("id", "inputs", "events")
    }
    assert sample["metadata"]["captions"] == before["captions"]
    assert {name: back[name] for name in ("date", "description", "metadata")} == {
        name: content[name] for name in ("date", "description", "metadata")
    }


def test_opensportslab_reads_results_of_the_older_library(tmp_path: Path) -> None:
    rows = [{"frame": 73, "label": "PASS", "confidence": 0.5, "position": 36500, "gameTime": "00:36"}]
    write_json(tmp_path / "results.json", {"Url": f"{GAME}/1", "predictions": rows, "fps": 2})
    run_conversion(tmp_path / "results.json", tmp_path / "b", "opensportslab", "soccernet", predictions=True)
    (row,) = read_json(tmp_path / "b" / GAME / "results_spotting.json")["predictions"]
    assert (row["position"], row["half"], row["confidence"]) == ("36500", "1", "0.5")


# What was annotated.


def sample(name: str, **fields: Any) -> dict[str, Any]:
    """A sample of OpenSportsLab with one event at 1 s."""
    events = [{"head": "action", "label": "PASS", "position_ms": 1000}]
    return {"id": name, "inputs": [{"type": "video", "path": f"{name}.mp4"}], "events": events, **fields}


def test_annotation_status_and_intervals_say_what_was_annotated(tmp_path: Path) -> None:
    samples = [
        sample("a", annotation_status="verified"),
        sample("b", annotation_status="verified", intervals=[{"start_ms": 0, "end_ms": 5000}, [4000, 9000]]),
        sample("c", annotation_status="unlabeled", events=[]),
        sample("d", metadata={"annotation_status": "excluded"}),
        sample("e"),
    ]
    write_json(tmp_path / "osl.json", {"version": "2.0", "data": samples})
    run_conversion(tmp_path / "osl.json", tmp_path / "sn", "opensportslab", "soccernet", label_file="Labels-ball.json")
    stretches = {
        game: read_json(tmp_path / "sn" / game / "Labels-ball.json").get("annotated")
        for game in ("a", "b", "c", "d", "e")
    }
    nothing = [{"half": "1", "stretches": []}]
    some = [{"half": "1", "stretches": [{"from": 0, "to": 9000}]}]
    assert stretches == {"a": None, "b": some, "c": nothing, "d": nothing, "e": None}
    run_conversion(tmp_path / "sn", tmp_path / "again.json", "soccernet", "opensportslab")
    again = {entry["metadata"]["game"]: entry["metadata"] for entry in read_json(tmp_path / "again.json")["data"]}
    assert [again[game].get("annotation_status") for game in "abcde"] == [
        "verified",
        "verified",
        "unlabeled",
        "excluded",
        None,
    ]
    assert again["b"]["intervals"] == [{"start_ms": 0, "end_ms": 5000}, [4000, 9000]]


def test_moved_stretches_replace_what_the_file_stated(tmp_path: Path) -> None:
    samples = [sample("a", annotation_status="checked", intervals=[[4000, 9000], [9000, 9500]])]
    write_json(tmp_path / "osl.json", {"version": "2.0", "data": samples})
    conversion = Conversion(
        source=tmp_path / "osl.json",
        target=tmp_path / "moved.json",
        from_format="opensportslab",
        to_format="opensportslab",
        predictions=False,
        retiming=parse_retiming("2", "1", "", ""),
    )
    convert(conversion)
    (moved,) = read_json(tmp_path / "moved.json")["data"]
    assert moved["metadata"]["intervals"] == [{"start_ms": 6000, "end_ms": 11_500}]


@pytest.mark.parametrize("to_format", ["e2e-spot", "soccertrack-v2", "sn-gar"])
def test_formats_without_annotated_stretches_list_them_as_dropped(to_format: str, tmp_path: Path) -> None:
    content = {"annotated": [{"half": "1", "stretches": []}], "annotations": []}
    write_json(tmp_path / "a" / "g" / "Labels-ball.json", content)
    target = tmp_path / ("b.json" if to_format == "sn-gar" else "b")
    dropped = run_conversion(tmp_path / "a", target, "soccernet", to_format).dropped
    assert any(line.startswith("1 x annotated stretches of a video") for line in dropped)


@pytest.mark.parametrize("intervals", [7, [7], [[5000, 4000]], [{"start_ms": 5}]])
def test_broken_intervals_are_refused(intervals: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "osl.json", {"data": [sample("a", intervals=intervals)]})
    with pytest.raises(AnnotationError, match=r"data\[0\]"):
        run_conversion(tmp_path / "osl.json", tmp_path / "sn", "opensportslab", "soccernet")


_EVENT_ROWS = st.lists(
    st.tuples(
        st.sampled_from([1, 2]),
        st.integers(0, 5_400_000),
        st.sampled_from(["PASS", "HIGH PASS", "GOAL"]),
        st.sampled_from(["left", "right"]),
    ),
    max_size=6,
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(_EVENT_ROWS, st.sampled_from(["soccertrack-v2", "sn-gar"]))
def test_events_survive_soccertrack_and_sn_gar_there_and_back(rows: list[Any], way: str) -> None:
    rows = sorted(rows)
    documents = [
        {"gameTime": game_time(ms, half), "label": label, "position": str(ms), "team": team}
        for half, ms, label, team in rows
        if (ms < 3_600_000 if way == "soccertrack-v2" else half == 1)
    ]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "a" / "117093" / "Labels-ball.json", {"annotations": documents})
        run_conversion(root / "a", root / "x", "soccernet", way)
        run_conversion(root / "x", root / "b", way, "soccernet", label_file="Labels-ball.json")
        back = read_json(root / "b" / "117093" / "Labels-ball.json")["annotations"]
        assert sorted((row["gameTime"], row["label"], row["position"], row["team"]) for row in back) == sorted(
            (row["gameTime"], row["label"], row["position"], row["team"]) for row in documents
        )


def test_a_list_of_videos_without_events_names_the_files_that_hold_the_labels(tmp_path: Path) -> None:
    write_json(tmp_path / "train.json", [{"video": "efl/2019/leeds", "num_frames": 146479}])  # as T-DEED has it
    with pytest.raises(AnnotationError, match=r"videos\[0\]: no events; .*Labels-ball\.json"):
        run_conversion(tmp_path / "train.json", tmp_path / "o", "e2e-spot", "soccernet")

"""OpenSportsLab's files as people have them: of version 1, zipped, with paths of Windows or of another machine."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.formats.opensportslab import read_opensportslab
from e2espot.formats.video_paths import games_of_paths
from tests.support.conversions import GAME, read_json, run_conversion, write_json

ROW = {"gameTime": "1 - 00:01", "label": "PASS", "position": "1480", "team": "left", "visibility": "visible"}


def version_1(*videos: tuple[str, list[dict[str, Any]]], key: str = "path_video") -> dict[str, Any]:
    return {
        "version": 1,
        "labels": ["PASS", "DRIVE"],
        "videos": [{key: path, "annotations": rows} for path, rows in videos],
    }


def read(root: Path, content: dict[str, Any]) -> list[tuple[str, int, str, list[tuple[str, int, str]]]]:
    dataset = read_opensportslab(write_json(root / "train.json", content), predictions=False)
    return [
        (
            video.game,
            video.half,
            video.split,
            [(event.label, event.position_ms, event.team) for event in video.annotations],
        )
        for video in dataset.videos
    ]


@pytest.mark.parametrize("key", ["path_video", "path", "path_features"])
def test_version_1_is_read_video_by_video(key: str, tmp_path: Path) -> None:
    clock = {"gameTime": "2 - 01:05", "label": "DRIVE"}
    name = "2_ResNET_TF2.npy" if key == "path_features" else "2_224p.mkv"
    content = version_1((f"{GAME}/{name}", [ROW, clock]), ("own/clip.mp4", []), key=key)
    assert read(tmp_path, content) == [
        (GAME, 2, "train", [("PASS", 1480, "left"), ("DRIVE", 65_000, "")]),
        ("own/clip", 1, "train", []),
    ]
    assert read_opensportslab(tmp_path / "train.json", predictions=False).classes == ("PASS", "DRIVE")


_ROWS = st.lists(
    st.tuples(st.integers(0, 3_600_000), st.sampled_from(["PASS", "DRIVE"]), st.sampled_from(["left", ""]))
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(_ROWS, _ROWS)
def test_version_1_gives_the_labels_of_soccernet_s_files(first: list, second: list) -> None:
    halves = [
        [
            {"gameTime": f"{half} - 00:00", "position": str(ms), "label": label, "team": team, "visibility": "visible"}
            for ms, label, team in rows
        ]
        for half, rows in ((1, first), (2, second))
    ]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_json(root / "x.json", version_1((f"{GAME}/1_224p.mkv", halves[0]), (f"{GAME}/2_224p.mkv", halves[1])))
        run_conversion(root / "x.json", root / "out", "opensportslab", "soccernet", label_file="Labels-ball.json")
        rows = read_json(root / "out" / GAME / "Labels-ball.json")["annotations"]
    assert [row["position"] for row in rows] == [row["position"] for half in halves for row in half]
    assert [row["label"] for row in rows] == [row["label"] for half in halves for row in half]


def test_version_1_without_a_path_names_the_video(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"x\.json: videos\[0\]: no path of its video"):
        read_opensportslab(write_json(tmp_path / "x.json", version_1(("", []))), predictions=False)


@pytest.mark.parametrize(
    ("paths", "games"),
    [
        (["day/GX01.MP4+GX02.MP4"], [("day/GX01+GX02", 1)]),
        (["day/GX01.MP4+day/GX02.MP4", "a+b/c.mp4"], [("day/GX01+GX02", 1), ("a+b/c", 1)]),
        ([r"D:\videos\derby.mp4", r"D:\videos\cup\final.MP4"], [("derby", 1), ("cup/final", 1)]),
        (["/data/sn/l/s/a/1_224p.mkv", "/data/sn/l/s/a/2_224p.mkv"], [("a", 1), ("a", 2)]),
        ([r"l\s\a\224p.mp4", "l/s/b/1_720p.mkv"], [("l/s/a", 1), ("l/s/b", 1)]),
        ([r"\\server\share\x.mp4"], [("x", 1)]),
        (["../videos/x.mp4", "St. Mirren - Hearts"], [("videos/x", 1), ("St. Mirren - Hearts", 1)]),
    ],
)
def test_games_are_named_alike_whatever_system_wrote_the_paths(paths: list[str], games: list[tuple[str, int]]) -> None:
    assert list(games_of_paths(paths).values()) == games


def sample(path: str, name: str | None = None) -> dict[str, Any]:
    inputs = [{"type": "video", "path": path, "fps": 25}]
    events = [{"head": "action", "label": "PASS", "position_ms": 1480}]
    return {**({"id": name} if name else {}), "inputs": inputs, "events": events}


@pytest.mark.parametrize("named", [False, True])
def test_samples_of_version_2_may_have_paths_of_windows(named: bool, tmp_path: Path) -> None:
    paths = [r"C:\Users\me\sn\game one\1_224p.mkv", r"C:\Users\me\sn\game one\2_224p.mkv", r"C:\Users\me\sn\x.mp4"]
    content = {"labels": {"action": {"labels": ["PASS"]}}, "data": [sample(p, p if named else None) for p in paths]}
    event = [("PASS", 1480, "")]
    assert read(tmp_path, content) == [
        ("game one", 1, "train", event),
        ("game one", 2, "train", event),
        ("x", 1, "train", event),
    ]
    target = tmp_path / "again.json"
    run_conversion(tmp_path / "train.json", target, "opensportslab", "opensportslab")
    assert [entry["inputs"] for entry in read_json(target)["data"]] == [entry["inputs"] for entry in content["data"]]


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "\\").replace("_SLASH_", "/"), text)
    return path


def test_zips_are_read_as_the_folder_in_them(tmp_path: Path) -> None:
    text = json.dumps({"annotations": [ROW]})
    archive = zipped(tmp_path / "osl.zip", **{"set_SLASH_train.json": json.dumps(version_1(("a.mp4", [ROW])))})
    run_conversion(archive, tmp_path / "a", "opensportslab", "soccernet")
    archive = zipped(tmp_path / "sn.zip", **{"l__s__game__Labels-ball.json": text, "l__s__game__224p.mp4": "video"})
    run_conversion(archive, tmp_path / "b", "soccernet", "soccernet")
    archive = zipped(tmp_path / "t.zip", **{"b.csv": "time,label\n1.48,PASS\n"})
    run_conversion(archive, tmp_path / "c", "table", "soccernet")
    for path in ("a/a", "b/l/s/game", "c/b"):
        (row,) = read_json(tmp_path / path / "Labels-ball.json")["annotations"]
        assert (row["label"], row["position"]) == ("PASS", "1480")


def test_zips_that_are_broken_or_empty_are_refused_by_their_name(tmp_path: Path) -> None:
    bad = zipped(tmp_path / "bad.zip", **{"t.csv": "time,label\nsoon,PASS\n"})
    with pytest.raises(AnnotationError, match=r"bad\.zip/t\.csv: line 2: time is 'soon'"):
        run_conversion(bad, tmp_path / "x", "table", "soccernet")
    outside = zipped(tmp_path / "outside.zip", **{"_SLASH_.._SLASH_t.csv": "time,label\n1,PASS\n"})
    with pytest.raises(AnnotationError, match="outside of the folder"):
        run_conversion(outside, tmp_path / "x", "table", "soccernet")
    (tmp_path / "none.zip").write_bytes(b"PK")
    with pytest.raises(ConfigurationError, match=r"none\.zip: not a whole zip"):
        run_conversion(tmp_path / "none.zip", tmp_path / "x", "table", "soccernet")
    with pytest.raises(ConfigurationError, match=r"v\.zip: no \.json"):
        run_conversion(zipped(tmp_path / "v.zip", **{"x.mp4": ""}), tmp_path / "x", "table", "soccernet")


def test_heads_and_confidences_survive_soccernets_files(tmp_path: Path) -> None:
    events = [
        {"head": "ball_action", "label": "PASS", "position_ms": 360, "confidence": 0.5},
        {"head": "side", "label": "left", "position_ms": 360},
        {"head": "ball_action", "label": "DRIVE", "position_ms": 1520, "confidence": 1.0},
    ]
    heads = {
        "ball_action": {"type": "single_label", "labels": ["PASS", "DRIVE", "SHOT"]},
        "side": {"type": "single_label", "labels": ["left"]},
    }
    sample = {"id": "g/1", "inputs": [{"type": "video", "path": "g/224p.mp4"}], "events": events}
    write_json(tmp_path / "a.json", {"version": "2.0", "labels": heads, "data": [sample]})
    run_conversion(tmp_path / "a.json", tmp_path / "same.json", "opensportslab", "opensportslab")
    assert read_json(tmp_path / "same.json")["labels"] == heads
    run_conversion(tmp_path / "a.json", tmp_path / "b", "opensportslab", "soccernet")
    run_conversion(tmp_path / "b", tmp_path / "c.json", "soccernet", "opensportslab")
    again = read_json(tmp_path / "c.json")
    # Of classes without an event SoccerNet's files know nothing.
    assert {head: sorted(listed["labels"]) for head, listed in again["labels"].items()} == {
        "ball_action": ["DRIVE", "PASS"],
        "side": ["left"],
    }
    assert [(event["head"], event.get("confidence")) for event in again["data"][0]["events"]] == [
        ("ball_action", 0.5),
        ("side", None),
        ("ball_action", 1.0),
    ]

"""A converted dataset has links to its videos, so that it can be trained on at once."""

from pathlib import Path
from typing import Any

import pytest

from e2espot.cli.main import dispatch
from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.games import find_games
from e2espot.training.data import load_games
from tests.support.conversions import run_conversion, write_json
from tests.support.tiny_dataset import write_game

EVENT = {"head": "action", "label": "PASS", "position_ms": 1480}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video") / "v"
    write_game(folder, 0, num_frames=50)
    return folder / "224p.mp4"


def sample(name: str, path: str) -> dict[str, Any]:
    return {"id": name, "inputs": [{"type": "video", "path": path}], "events": [EVENT]}


def osl(root: Path, *samples: dict[str, Any], split: str = "train") -> Path:
    return write_json(root / f"{split}.json", {"labels": {"action": {"labels": ["PASS"]}}, "data": list(samples)})


def put(path: Path, video: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(video.read_bytes())
    return path


def test_a_converted_dataset_can_be_trained_on_at_once(tmp_path: Path, video: Path) -> None:
    put(tmp_path / "osl" / "clips" / "a.mov", video)
    elsewhere = put(tmp_path / "disk" / "b.ts", video)
    osl(tmp_path / "osl", sample("a", "clips/a.mov"), sample("b/2", str(elsewhere)), sample("b/1", "clips/a.mov"))
    done = run_conversion(
        tmp_path / "osl", tmp_path / "data", "opensportslab", "soccernet", label_file="Labels-ball.json"
    )
    assert (done.num_linked, done.not_linked) == (3, ())
    games = load_games(tmp_path / "data", "train", LABEL_SETS["ball-2"], DEFAULT_FPS)
    assert [(game.game.name, game.num_frames, len(game.events)) for game in games] == [
        ("a", {1: 50}, 1),
        ("b", {1: 50, 2: 50}, 2),
    ]
    assert (tmp_path / "data" / "a" / "224p.mp4").is_symlink()
    again = run_conversion(
        tmp_path / "data", tmp_path / "again", "soccernet", "soccernet", label_file="Labels-ball.json"
    )
    assert (again.num_linked, again.not_linked) == (3, ())


def test_a_match_in_several_files_is_linked_file_by_file(tmp_path: Path, video: Path) -> None:
    for name in ("GX01.MP4", "GX02.MP4"):
        put(tmp_path / "day" / name, video)
    (tmp_path / "t.csv").write_text("video,time,label\nday/GX01.MP4+GX02.MP4,0.5,PASS\n")
    done = run_conversion(tmp_path / "t.csv", tmp_path / "data", "table", "soccernet", label_file="Labels-ball.json")
    assert (done.num_linked, done.not_linked) == (2, ())
    folder = tmp_path / "data" / "day" / "GX01+GX02"
    assert sorted(path.name for path in folder.iterdir()) == ["224p_part1.mp4", "224p_part2.mp4", "Labels-ball.json"]
    # Again from there, and from a table whose videos have moved.
    run_conversion(tmp_path / "data", tmp_path / "again", "soccernet", "soccernet", label_file="Labels-ball.json")
    (tmp_path / "m.csv").write_text("video,time,label\nD:\\x\\GX01.MP4+GX02.MP4,0.5,PASS\n")
    moved = {"videos": tmp_path / "day", "label_file": "Labels-ball.json"}
    run_conversion(tmp_path / "m.csv", tmp_path / "moved", "table", "soccernet", **moved)
    for root in ("again", "moved"):
        assert sorted(path.name for path in (tmp_path / root).rglob("*.mp4")) == ["224p_part1.mp4", "224p_part2.mp4"]
    (tmp_path / "day" / "GX02.MP4").unlink()
    done = run_conversion(tmp_path / "t.csv", tmp_path / "half", "table", "soccernet", label_file="Labels-ball.json")
    assert done.not_linked == ("day/GX01.MP4+GX02.MP4",)


def test_videos_that_moved_are_looked_for_by_the_end_of_their_paths(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sn/a/1_224p.mkv", "sn/b/1_224p.mkv", "sn/x/only.mp4"):
        put(tmp_path / name, video)
    paths = [r"C:\old\a\1_224p.mkv", "/mnt/b/1_224p.mkv", "only.mp4", "gone.mp4"]
    osl(tmp_path / "osl", *(sample(f"g{number}", path) for number, path in enumerate(paths)))
    command = ["convert", "labels", str(tmp_path / "osl"), str(tmp_path / "data")]
    command += ["--from", "opensportslab", "--to", "soccernet"]
    dispatch(command)
    assert "4 videos not at the path that the source states, the first is C:" in capsys.readouterr().out
    dispatch([*command, "--videos", str(tmp_path / "sn")])
    output = capsys.readouterr().out
    assert "3 videos linked" in output
    assert "1 video not at the path that the source states, the first is gone.mp4" in output
    links = {game.name: game.videos[0].path.resolve() for game in find_games(tmp_path / "data")}
    assert links == {
        "g0": tmp_path / "sn/a/1_224p.mkv",
        "g1": tmp_path / "sn/b/1_224p.mkv",
        "g2": tmp_path / "sn/x/only.mp4",
    }


def test_games_without_a_path_are_looked_for_by_their_names(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("disk/a.mp4", "disk/b_1.mp4", "disk/b_2.mp4"):
        put(tmp_path / name, video)
    (tmp_path / "events.csv").write_text(
        "game,half,time,label\na,1,0.5,PASS\nb,1,0.5,PASS\nb,2,0.5,PASS\nc,1,0.5,PASS\n"
    )
    command = ["convert", "labels", str(tmp_path / "events.csv"), str(tmp_path / "data")]
    dispatch([*command, "--from", "table", "--to", "soccernet", "--videos", str(tmp_path / "disk")])
    assert "1 video not at the path that the source states, the first is c;" in capsys.readouterr().out
    links = {
        (game.name, video.half): video.path.resolve() for game in find_games(tmp_path / "data") for video in game.videos
    }
    assert links == {
        ("a", 1): tmp_path / "disk/a.mp4",
        ("b", 1): tmp_path / "disk/b_1.mp4",
        ("b", 2): tmp_path / "disk/b_2.mp4",
    }


def test_another_video_in_the_way_is_not_replaced(tmp_path: Path, video: Path) -> None:
    put(tmp_path / "osl" / "a.mp4", video)
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "224p.mp4").write_bytes(b"mine")
    osl(tmp_path / "osl", sample("a", "a.mp4"))
    with pytest.raises(ConfigurationError, match=r"224p\.mp4 exists and is another video"):
        run_conversion(tmp_path / "osl", tmp_path / "data", "opensportslab", "soccernet", overwrite=True)
    assert (tmp_path / "data" / "a" / "224p.mp4").read_bytes() == b"mine"
    with pytest.raises(ConfigurationError, match="no such folder of videos"):
        run_conversion(tmp_path / "osl", tmp_path / "d", "opensportslab", "soccernet", videos=tmp_path / "nowhere")

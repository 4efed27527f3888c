"""Games are folders; their names decide what is a video, of which half, and what holds the labels."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import ConfigurationError
from e2espot.formats.filenames import label_file_of, scores_file
from e2espot.formats.game import is_game_video
from e2espot.formats.games import check_label_file, find_games, loose_games, videos_among
from e2espot.video import parts_of


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.mark.parametrize(
    "name", ["224p.mp4", "720p.mkv", "1_224p.webm", "2_1080p.mkv", "3_224p.mkv", "5_224p.mp4", "224p_part1.mp4"]
)
def test_is_game_video_accepts_a_resolution_of_a_game_or_a_half(name: str) -> None:
    assert is_game_video(name)


@pytest.mark.parametrize(
    "name",
    [
        "224p.avi",
        "6_224p.mkv",
        "0_224p.mkv",
        "224.mp4",
        "p.mp4",
        "clip.mp4",
        "1_224p.mkv.part",
        "a_224p.mp4",
        "1_p.mkv",
        "1_224p_part.mkv",
        "",
    ],
)
def test_is_game_video_refuses_another_name(name: str) -> None:
    assert not is_game_video(name)


def test_videos_among_prefers_one_video_of_the_game_to_that_of_half_1() -> None:
    names = ["1_224p.mkv", "224p.mp4", "2_224p.mkv", "720p.mp4", "Labels-ball.json"]
    assert videos_among(names, "224p") == {1: "224p.mp4", 2: "2_224p.mkv"}
    assert videos_among(names[:1], "224p") == {1: "1_224p.mkv"}
    assert videos_among(names, "720p") == {1: "720p.mp4"}
    assert videos_among(names, "1080p") == {}
    assert videos_among([f"{half}_224p.mkv" for half in (1, 2, 3, 5, 6)], "224p") == {
        half: f"{half}_224p.mkv" for half in (1, 2, 3, 5)
    }


@given(st.sets(st.sampled_from([f"{head}224p{suffix}" for head in ("", "1_", "2_") for suffix in (".mp4", ".mkv")])))
def test_videos_among_finds_a_video_for_exactly_the_halves_that_have_one(names: set[str]) -> None:
    videos = videos_among(names, "224p")
    assert set(videos.values()) <= names
    assert (2 in videos) == any(name.startswith("2_") for name in names)
    assert (1 in videos) == any(not name.startswith("2_") for name in names)
    assert all(name.endswith(".mp4") or f"{Path(name).stem}.mp4" not in names for name in videos.values())


def test_find_games_without_split_takes_every_folder_with_a_video_or_labels(tmp_path: Path) -> None:
    write(tmp_path, "l/s/b/224p.mp4", "l/s/b/Labels-ball.json", "l/s/a/1_224p.mkv", "l/s/a/2_224p.mkv")
    write(tmp_path, "l/s/c/Labels-ball.json", "l/s/d/notes.txt", "l/s/e/720p.mp4")
    games = find_games(tmp_path)
    assert [game.name for game in games] == ["l/s/a", "l/s/b"]
    first, second = games
    assert [(video.half, video.path.name, video.game) for video in first.videos] == [
        (1, "1_224p.mkv", "l/s/a"),
        (2, "2_224p.mkv", "l/s/a"),
    ]
    assert first.labels_path is None
    assert second.labels_path == tmp_path / "l/s/b/Labels-ball.json"
    names = [game.name for game in find_games(tmp_path, need_videos=False)]
    assert names == ["l/s/a", "l/s/b", "l/s/c", "l/s/e"]
    assert [game.name for game in find_games(tmp_path, resolution="720p")] == ["l/s/e"]


def test_parts_of_a_video_are_joined_in_order_and_a_whole_file_wins(tmp_path: Path) -> None:
    parts = [f"1_224p_part{number}.mp4" for number in range(1, 12)]
    write(tmp_path, *[f"l/a/{name}" for name in [*parts[::-1], "2_224p_part1.mkv", "2_224p_part2.mp4"]])
    write(tmp_path, "l/b/224p_part1.mp4", "l/b/224p.mp4", "l/c/224p_part1.mp4", "l/c/224p_part2.webm")
    halves, whole, joined = find_games(tmp_path)
    assert [(video.half, video.path.name) for video in halves.videos] == [
        (1, "+".join(parts)),
        (2, "2_224p_part1.mkv+2_224p_part2.mp4"),
    ]
    assert [part.name for part in parts_of(halves.videos[0].path)] == parts
    assert [video.path.name for video in whole.videos] == ["224p.mp4"]
    assert parts_of(joined.videos[0].path) == (tmp_path / "l/c/224p_part1.mp4", tmp_path / "l/c/224p_part2.webm")


def test_a_missing_part_of_a_video_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "l/a/224p_part1.mp4", "l/a/224p_part3.mp4")
    with pytest.raises(ConfigurationError, match="224p_part3 has no 224p_part2 before it"):
        find_games(tmp_path)


def test_find_games_names_a_game_at_the_root_by_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "match", "224p.mp4")
    (game,) = find_games(tmp_path / "match")
    assert game.name == game.videos[0].game == "match"
    assert game.folder == tmp_path / "match"


def test_find_games_of_a_split_refuses_a_game_without_its_video(tmp_path: Path) -> None:
    write(tmp_path, "a/224p.mp4", "b/Labels-ball.json", "c/224p.mp4")
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["b", "a"]}))
    with pytest.raises(ConfigurationError, match=r"b: no 224p\.mp4") as caught:
        find_games(tmp_path, split="train")
    assert caught.value.option == "resolution"
    assert [game.name for game in find_games(tmp_path, split="train", need_videos=False)] == ["b", "a"]


def test_find_games_takes_no_folder_for_a_video(tmp_path: Path) -> None:
    (tmp_path / "a" / "224p.mp4").mkdir(parents=True)
    write(tmp_path, "a/720p.mp4")
    assert find_games(tmp_path) == []
    with pytest.raises(ConfigurationError, match="no such dataset folder"):
        find_games(tmp_path / "missing")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "*.json", "a?", "[a]", "a\0"])
def test_check_label_file_refuses_paths_and_patterns(name: str) -> None:
    with pytest.raises(ConfigurationError, match="give the plain name of a file") as caught:
        check_label_file(name)
    assert caught.value.option == "label_file"


def test_names_of_files_follow_halves_and_label_set() -> None:
    assert [scores_file(half, 2) for half in (1, 2)] == ["scores_1.npz", "scores_2.npz"]
    assert scores_file(1, 1) == "scores.npz"
    assert label_file_of("soccernet-v2-17") == "Labels-v2.json"
    assert label_file_of("ball-12") == label_file_of("data/class.txt") == "Labels-ball.json"


def test_loose_games_are_videos_of_discs_tapes_and_cameras(tmp_path: Path) -> None:
    write(tmp_path, "VTS_01_1.VOB", "tape.dv", "hdv.m2t", "camera.asf", "GX010012.MP4", "GX010012.THM", "notes.txt")
    assert [game.name for game in loose_games(tmp_path)] == ["GX010012", "VTS_01_1", "camera", "hdv", "tape"]


def test_videos_of_other_names_are_named_in_the_error(tmp_path: Path) -> None:
    write(tmp_path, "l/s/g/1_HQ.mkv", "l/s/g/2_HQ.mkv", "l/s/g/Labels-ball.json")
    (tmp_path / "splits.json").write_text('{"train": ["l/s/g"]}')
    with pytest.raises(
        ConfigurationError, match=r"no 224p\.mp4 .*; it has 1_HQ\.mkv and 2_HQ\.mkv; rename them, or list"
    ):
        find_games(tmp_path, split="train")

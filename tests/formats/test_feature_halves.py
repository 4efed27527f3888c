"""Which halves seem to be missing among a game's features, and why."""

import json
from pathlib import Path

import pytest

from e2espot.formats.feature_halves import missing_halves
from e2espot.formats.game import Game, Video
from e2espot.formats.games import find_games


def game(root: Path, name: str, *files: str, labels: tuple[str, ...] = ()) -> None:
    (root / name).mkdir(parents=True)
    for file in files:
        (root / name / file).write_bytes(b"")
    rows = [{"gameTime": time, "label": "Goal", "position": "0"} for time in labels]
    (root / name / "Labels-v2.json").write_text(json.dumps({"annotations": rows}))


@pytest.mark.parametrize(
    ("files", "labels", "cause"),
    [
        (("1_net.npy",), ("1 - 00:10",), ""),
        (("net.npy", "2_224p.mkv"), ("2 - 00:10",), ""),  # one file for the game
        (("1_net.npy", "2_net.npy"), ("2 - 00:10",), ""),
        (("1_net.npy",), ("1 - 00:10", "2 - 00:10"), "no 2_net.npy, and labels name that half"),
        (("2_net.npy",), (), "no 1_net.npy, and the game has half 2"),
        (("1_net.npy", "1_224p.mkv", "2_224p.mkv"), (), "2_224p.mkv is there: its features were not extracted"),
        (("1_net.npy", "1_old.npy", "2_old.npy"), (), "2_old.npy is there"),
        (("1_net.npy", ".2_net.npy.x3k9.rows.part"), (), "its extraction was interrupted"),
    ],
)
def test_a_half_is_missed_where_the_files_speak_for_it(
    files: tuple[str, ...], labels: tuple[str, ...], cause: str, tmp_path: Path
) -> None:
    game(tmp_path, "derby", *files, labels=labels)
    lines = missing_halves(find_games(tmp_path, resolution="net"), "net")
    assert len(lines) == bool(cause)
    assert cause in "".join(lines)


def test_games_of_one_half_among_games_of_two_are_named(tmp_path: Path) -> None:
    game(tmp_path, "a", "1_net.npy", "2_net.npy")
    game(tmp_path, "b", "1_net.npy")
    (line,) = missing_halves(find_games(tmp_path, resolution="net"), "net")
    assert line.startswith("b: no 2_net.npy, and other games have both halves")
    assert not missing_halves(find_games(tmp_path, resolution="net")[1:], "net")


def test_a_file_that_is_named_alone_misses_nothing(tmp_path: Path) -> None:
    game(tmp_path, "a", "1_net.npy", labels=("2 - 00:10",))
    video = Video(game="1_net", half=1, path=tmp_path / "a" / "1_net.npy")
    assert not missing_halves([Game(name="1_net", folder=tmp_path / "a", videos=(video,), labels_path=None)], "net")

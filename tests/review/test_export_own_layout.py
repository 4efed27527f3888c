"""A reviewed dataset of one's own layout, exported to train on."""

import json
from pathlib import Path

from e2espot.cli.main import dispatch
from e2espot.formats.games import find_games
from tests.support.tiny_dataset import write_game


def test_exported_dataset_has_the_splits_of_the_list_and_videos_that_are_read(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for seed, name in enumerate(("derby", "final")):
        write_game(tmp_path / name, seed, num_frames=22)
        root.mkdir(exist_ok=True)
        (tmp_path / name / "224p.mp4").rename(root / f"{name}.mp4")
        (tmp_path / name / "Labels-ball.json").rename(root / f"{name}.json")
    (root / "dataset.csv").write_text("video,labels,split\nderby.mp4,derby.json,train\nfinal.mp4,final.json,valid\n")
    dispatch(["review", str(root), "--export_dataset", str(tmp_path / "next")])
    assert json.loads((tmp_path / "next" / "splits.json").read_text()) == {"train": ["derby"], "valid": ["final"]}
    (game,) = find_games(tmp_path / "next", split="valid")
    assert (game.name, game.videos[0].path.resolve(), game.labels_path is not None) == (
        "final",
        root / "final.mp4",
        True,
    )

"""Datasets without SoccerNet's folders: every command finds the same games, videos, labels and splits."""

import json
from pathlib import Path

import pytest

from e2espot.cli.main import dispatch
from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.games import find_games
from e2espot.formats.soccernet_interchange import read_soccernet
from e2espot.report.dataset_summary import summarise
from e2espot.report.frame_strips import find_videos
from e2espot.review.inputs import load_inputs
from e2espot.review.label_store import LabelStore
from e2espot.scoring.inputs import games_to_score, read_labels
from e2espot.training.data import load_games
from tests.support.conversions import write_json
from tests.support.tiny_dataset import Layout, write_game

PASS = {"gameTime": "1 - 00:01", "label": "PASS", "position": "1000"}
SECOND = {"gameTime": "2 - 00:02", "label": "PASS", "position": "1500"}
TABLE = "time,label\n1.0,PASS\n"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video") / "v"
    write_game(folder, 0, num_frames=50, layout=Layout())
    return folder / "224p.mp4"


def put(root: Path, video: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(video.read_bytes())


def by_stem(root: Path, video: Path) -> Path:
    put(root, video, "train/a.MP4", "valid/b_1.mov", "valid/b_2.mov", "test/c.mkv")
    (root / "train" / "a.csv").write_text(TABLE)
    write_json(root / "valid" / "b.json", {"annotations": [PASS, SECOND]})
    return root


def by_csv(root: Path, video: Path) -> Path:
    put(root, video, "x/a.MP4", "x/b_1.mov", "x/b_2.mov", "x/c.mkv")
    (root / "labels").mkdir()
    (root / "labels" / "first.csv").write_text(TABLE)
    write_json(root / "labels" / "second.json", {"annotations": [PASS, SECOND]})
    (root / "dataset.csv").write_text(
        "video;labels;split;game;half\nx/a.MP4;labels/first.csv;train;train/a;\n"
        f"{root / 'x' / 'b_1.mov'};labels/second.json;val;valid/b;1\nx\\b_2.mov;;;valid/b;2\nx/c.mkv;;test;test/c;\n"
    )
    return root


def by_yaml(root: Path, video: Path) -> Path:
    by_csv(root, video)
    (root / "dataset.csv").unlink()
    path = root / "mine.yaml"
    path.write_text(
        "games:\n- {name: train/a, video: x/a.MP4, labels: labels/first.csv, split: train}\n"
        "- name: valid/b\n  videos: [x/b_1.mov, x/b_2.mov]\n  labels: labels/second.json\n  split: valid\n"
        "- {name: test/c, video: x/c.mkv, split: test}\n"
    )
    return path


LAYOUTS = {"names": by_stem, "csv": by_csv, "yaml": by_yaml}


@pytest.fixture(params=list(LAYOUTS))
def data(request: pytest.FixtureRequest, tmp_path: Path, video: Path) -> Path:
    return LAYOUTS[request.param](tmp_path, video)


def test_every_command_finds_the_same_games(data: Path) -> None:
    games = find_games(data)
    assert {game.name: (game.split, len(game.videos)) for game in games} == {
        "train/a": ("train", 1),
        "valid/b": ("valid", 2),
        "test/c": ("test", 1),
    }
    assert [game.name for game in find_games(data, split="val")] == ["valid/b"]
    # train
    (game,) = load_games(data, "valid", LABEL_SETS["ball-2"], DEFAULT_FPS)
    assert [(event.half, event.frame) for event in game.events] == [(1, 25), (2, 37)]
    (game,) = load_games(data, "train", LABEL_SETS["ball-2"], DEFAULT_FPS)
    assert [(event.half, event.frame) for event in game.events] == [(1, 25)]
    # evaluate and report
    assert sorted(games_to_score(data)) == ["train/a", "valid/b"]
    labels = read_labels(data, games_to_score(data, split="valid")).labels
    assert [(event.half, event.position_ms) for event in labels["valid/b"]] == [(1, 1000), (2, 1500)]
    assert set(find_videos(data, ["train/a", "valid/b"], "224p")) == {("train/a", 1), ("valid/b", 1), ("valid/b", 2)}
    # dataset
    counts = {(video.game, video.half): (video.split, video.num_labels) for video in summarise(data).videos}
    assert counts[("valid/b", 2)] == ("valid", 1)
    assert counts[("train/a", 1)] == ("train", 1)
    # convert
    videos = read_soccernet(data, predictions=False).videos
    assert sorted((video.game, video.half, video.split, len(video.annotations)) for video in videos) == [
        ("train/a", 1, "train", 1),
        ("valid/b", 1, "valid", 1),
        ("valid/b", 2, "valid", 1),
    ]
    assert all(Path(video.video).is_file() for video in videos)


def test_review_starts_from_a_table_and_writes_json_next_to_it(data: Path) -> None:
    game = next(game for game in load_inputs(data).games if game.name == "train/a")
    assert game.source is not None
    assert (game.source.suffix, game.target) == (".csv", game.source.with_suffix(".json"))
    store = LabelStore(game.target, game.source)
    try:
        assert [(label["frame"], label["label"]) for label in store.snapshot()["labels"]] == [(25, "PASS")]
    finally:
        store.close()


def test_infer_takes_every_game_under_its_name(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[str] = []
    monkeypatch.setattr("e2espot.cli.infer._spot", lambda args, run, games, write_copies: planned.extend(games))
    dispatch(["infer", str(data), "-o", str(tmp_path / "out")])
    assert sorted(planned) == ["test/c", "train/a", "valid/b"]
    planned.clear()
    dispatch(["infer", str(data), "-o", str(tmp_path / "out"), "-s", "test"])
    assert planned == ["test/c"]


def test_splits_json_names_games_by_their_names(tmp_path: Path, video: Path) -> None:
    put(tmp_path, video, "videos/a.mp4", "videos/b.mp4")
    for name in ("a", "b"):
        write_json(tmp_path / "labels" / f"{name}.json", {"annotations": [PASS]})
    write_json(tmp_path / "splits.json", {"train": ["b"], "valid": ["a"]})
    assert [game.name for game in find_games(tmp_path, split="train")] == ["b"]
    (tmp_path / "splits.json").unlink()
    for split in ("train", "valid"):
        with pytest.raises(ConfigurationError, match=f"no split '{split}'; it has none: name the split"):
            find_games(tmp_path, split=split)


def test_no_game_need_be_valid_where_each_has_a_split(tmp_path: Path, video: Path) -> None:
    put(tmp_path, video, "a.mp4")
    write_json(tmp_path / "a.json", {"annotations": [PASS]})
    for text, valid in (("video,labels,split\na.mp4,a.json,train\n", []), ("video,labels\na.mp4,a.json\n", None)):
        (tmp_path / "dataset.csv").write_text(text)
        if valid is None:
            with pytest.raises(ConfigurationError, match="no split 'valid'; it has none"):
                find_games(tmp_path, split="valid")
        else:
            assert find_games(tmp_path, split="valid") == valid
            assert [game.name for game in find_games(tmp_path, split="train")] == ["a"]


def test_lists_of_pandas_and_old_macs_are_read(tmp_path: Path, video: Path) -> None:
    put(tmp_path, video, "a_1.mp4", "a_2.mp4")
    write_json(tmp_path / "a.json", {"annotations": [PASS, SECOND]})
    lines = ("video,labels,game,half", "a_1.mp4,a.json,a,1.0", "a_2.mp4,a.json,a,2.0", "")
    (tmp_path / "dataset.csv").write_bytes("\r".join(lines).encode())
    (game,) = find_games(tmp_path)
    assert [(video.half, video.path.name) for video in game.videos] == [(1, "a_1.mp4"), (2, "a_2.mp4")]


@pytest.mark.parametrize("names", [["a.mp4"], ["a.mp4", "l/s/g/224p.mp4"]])
def test_folders_without_labels_of_the_same_names_keep_their_meaning(
    names: list[str], tmp_path: Path, video: Path
) -> None:
    put(tmp_path, video, *names)
    if len(names) > 1:
        write_json(tmp_path / "a.json", {"annotations": []})
    assert [game.name for game in find_games(tmp_path)] == ["l/s/g"] * (len(names) - 1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("dataset.yaml", "games: 3", "needs a list named games"),
        ("dataset.yaml", "a: [", "cannot be read"),
        ("dataset.csv", "label;time\nPASS;1,5\n", "no column video, .* a table of labels goes next to its video"),
        ("dataset.yaml", "games: [{labels: a.json}]", r"games\[0\]: it needs a video"),
        ("dataset.yaml", "games: [{video: a.mp4, split: [1]}]", r"games\[0\]: split is \[1\]"),
        ("dataset.yaml", "games: [{video: b.mp4}]", r"games\[0\]: no video .*b\.mp4"),
        ("dataset.yaml", "games: [{video: a.mp4, labels: b.json}]", r"games\[0\]: no label file .*b\.json"),
        ("dataset.csv", "video,half\na.mp4,7\n", "line 2: half is '7'"),
        ("dataset.csv", "video,game\na.mp4,x\na.mp4,x\n", "line 3: a second video of half 1"),
        ("dataset.csv", "video,game\n,x\n", "line 2: no video"),
        ("dataset.csv", "video\n", "lists no video"),
    ],
)
def test_broken_lists_are_refused_with_their_entry(
    name: str, text: str, message: str, tmp_path: Path, video: Path
) -> None:
    put(tmp_path, video, "a.mp4")
    (tmp_path / name).write_text(text)
    with pytest.raises(E2ESpotError, match=message):
        find_games(tmp_path)


def test_a_table_of_several_games_is_no_label_file_of_one(tmp_path: Path, video: Path) -> None:
    put(tmp_path, video, "a.mp4")
    (tmp_path / "a.csv").write_text("game,time,label\nx,1,PASS\ny,1,PASS\n")
    with pytest.raises(AnnotationError, match="labels of 2 games, 'x' and others"):
        read_labels(tmp_path, ["a"])


def test_evaluate_scores_results_of_a_list(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for game, rows in (("train/a", [PASS]), ("valid/b", [PASS, SECOND])):
        predictions = [{**row, "half": row["gameTime"][0], "confidence": 0.9} for row in rows]
        write_json(tmp_path / "out" / game / "results_spotting.json", {"predictions": predictions})
    dispatch(["evaluate", str(tmp_path / "out"), "-l", str(data), "--json", str(tmp_path / "scores.json")])
    assert "over 2 games, 3 labels" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())


def test_videos_without_labels_are_shown_with_what_they_lack(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, video, "derby vs x.MP4", "cup/final.mov")
    dispatch(["dataset", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "2 games, 2 videos" in shown and "cup/final, half 1: no label file" in shown
    lack = "2 videos and no labels of the same names; put derby vs x.json or derby vs x.csv next to derby vs x.MP4"
    assert lack in shown
    with pytest.raises(ConfigurationError, match=lack):
        find_games(tmp_path, split="train")
    with pytest.raises(ConfigurationError, match=lack):
        games_to_score(tmp_path)
    # The review page labels them, and what it writes makes a dataset of them.
    inputs = load_inputs(tmp_path)
    assert [(game.name, game.target) for game in inputs.games] == [
        ("cup/final", tmp_path / "cup" / "final.json"),
        ("derby vs x", tmp_path / "derby vs x.json"),
    ]
    write_json(inputs.games[1].target, {"annotations": [PASS]})
    assert [game.labels_path is not None for game in find_games(tmp_path)] == [False, True]

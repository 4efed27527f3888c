"""The files that belong to a video, a game or a dataset."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.scores import Scores
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.scores import write_scores
from e2espot.formats.soccernet import write_labels, write_predictions
from e2espot.review.export import ExportedGame, write_dataset
from e2espot.review.inputs import load_inputs
from e2espot.review.session import ChangeRequest, Review
from tests.support.numbered_video import constant, write


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A game of two halves, a game in one file, a loose video, and results of all three."""
    root = tmp_path_factory.mktemp("inputs")
    video = write(root / "v", constant(Fraction(25), 30))
    halves, whole = root / "data" / "l" / "s" / "halves", root / "data" / "l" / "s" / "whole"
    for path in (halves / "1_224p.mp4", halves / "2_224p.mp4", whole / "224p.mp4", root / "loose.mp4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video.read_bytes())
    write_labels(halves / "Labels-ball.json", url_local="", events=[Event(frame=3, label="GOAL")], fps=DEFAULT_FPS)
    for name in ("l/s/halves", "l/s/whole", "loose"):
        events = [Event(frame=9, label="PASS", confidence=0.5), Event(frame=7, label="PASS", half=2, confidence=0.6)]
        results = root / "p" / name / "results_spotting.json"
        write_predictions(results, url_local=name, events=events, fps=DEFAULT_FPS)
        scores = Scores(scores_TK=np.zeros((30, 1), np.float32), label_set=LabelSet(("PASS",)))
        for half in ("_1", "_2") if "halves" in name else ("",):
            write_scores(root / "p" / name / f"scores{half}.npz", scores)
    return root


def test_load_inputs_of_a_dataset(root: Path) -> None:
    inputs = load_inputs(root / "data", predictions=[root / "p"])
    halves, whole = inputs.games
    assert [video.half for video in halves.videos] == [1, 2]
    assert {half: path.name for half, path in halves.scores.items()} == {1: "scores_1.npz", 2: "scores_2.npz"}
    assert {half: path.name for half, path in whole.scores.items()} == {1: "scores.npz"}
    assert (whole.name, whole.target) == ("l/s/whole", root / "data" / "l" / "s" / "whole" / "Labels-ball.json")
    assert len(inputs.label_set) == 12  # the smallest known set with PASS and GOAL


def test_load_inputs_of_a_game_a_half_and_a_loose_video(root: Path, tmp_path: Path) -> None:
    game = load_inputs(root / "data" / "l" / "s" / "halves", predictions=[root / "p"], out=tmp_path).games[0]
    assert len(game.predictions[0]) == 2
    assert (game.target, game.source) == (
        tmp_path / "halves" / "Labels-ball.json",
        root / "data" / "l" / "s" / "halves" / "Labels-ball.json",
    )
    half = load_inputs(root / "data" / "l" / "s" / "halves" / "2_224p.mp4", predictions=[root / "p"]).games[0]
    assert [video.half for video in half.videos] == [2]
    assert half.target == root / "data" / "l" / "s" / "halves" / "Labels-ball.json"
    loose = load_inputs(root / "loose.mp4", predictions=[root / "p"]).games[0]
    assert loose.target == root / "loose" / "Labels-ball.json"
    assert len(loose.predictions[0]) == 2
    results = root / "p" / "l" / "s" / "whole" / "results_spotting.json"
    assert len(load_inputs(root / "loose.mp4", predictions=[results]).games[0].predictions[0]) == 2
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.write(results, "l/s/whole/results_spotting.json")
    whole = load_inputs(root / "data" / "l" / "s" / "whole", predictions=[tmp_path / "r.zip"]).games[0]
    assert (len(whole.predictions[0]), whole.scores) == (2, {})


@pytest.mark.parametrize("source", ["feats", "feats/l/s/game", "feats/l/s/game/1_net.npy", "own"])
def test_features_are_called_features_and_not_a_missing_video(tmp_path: Path, source: str) -> None:
    for file in ("feats/l/s/game/1_net.npy", "own/derby/net.npy"):
        (tmp_path / file).parent.mkdir(parents=True)
        np.save(tmp_path / file, np.zeros((4, 8), np.float32))
    (tmp_path / "own" / "dataset.csv").write_text("video,labels,split,game,half\nderby/net.npy,,,derby,1\n")
    with pytest.raises(ConfigurationError, match=r"features \(net\).* give the video or the dataset .* -l") as raised:
        load_inputs(tmp_path / source)
    assert "\n" not in str(raised.value)


def test_load_inputs_of_a_match_in_several_files(root: Path, tmp_path: Path) -> None:
    video = (root / "v.mp4").read_bytes()
    for name in ("GX01.MP4", "GX02.MP4", "game/2_224p_part1.mp4", "game/2_224p_part2.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(video)
    (loose,) = load_inputs(Path(f"{tmp_path}/GX01.MP4+GX02.MP4")).games
    assert (loose.name, loose.target) == ("GX01+GX02", tmp_path / "GX01+GX02" / "Labels-ball.json")
    for source in (tmp_path / "game", tmp_path / "game" / "2_224p_part1.mp4+2_224p_part2.mp4"):
        (game,) = load_inputs(source).games
        assert (game.name, [video.half for video in game.videos]) == ("game", [2])
        assert game.target == tmp_path / "game" / "Labels-ball.json"
    write_dataset(tmp_path / "next", [ExportedGame(name="g", videos=game.videos, text=b"{}")])
    assert sorted(path.name for path in (tmp_path / "next" / "g").iterdir()) == [
        "2_224p_part1.mp4",
        "2_224p_part2.mp4",
        "Labels-ball.json",
    ]
    with pytest.raises(E2ESpotError, match=r"there is no file .*GX03\.MP4"):
        load_inputs(Path(f"{tmp_path}/GX01.MP4+GX03.MP4"))


def test_load_inputs_refuses_results_of_other_games(root: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds results of 3 games.*but of none in this review"):
        load_inputs(root / "v.mp4", predictions=[root / "p"])
    with pytest.raises(ConfigurationError, match="is one file, and there are several games"):
        load_inputs(root / "data", labels=root / "data" / "l" / "s" / "halves" / "Labels-ball.json")


def test_accepted_prediction_is_written_to_its_half(root: Path, tmp_path: Path) -> None:
    inputs = load_inputs(root / "data" / "l" / "s" / "halves", predictions=[root / "p"], out=tmp_path)
    review = Review(inputs, tmp_path / "cache")
    assert [event.frame for event in review.predictions(1)] == [7]
    request = ChangeRequest(
        kind="accept", tab="t", op="o", seen=9, half=2, frame=7, label="PASS", of_frame=7, of_label="PASS"
    )
    review.change(0, request)
    text = (tmp_path / "halves" / "Labels-ball.json").read_text()
    assert '"gameTime": "2 - 00:00"' in text
    assert {question.video for question in review.questions("uncertain")} == {0}
    review.close()

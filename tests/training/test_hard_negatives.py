"""Labels of other classes as hard negatives: where nothing that is learnt happens, and only in games that have them."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.scores import Scores
from e2espot.formats.scores import write_scores
from e2espot.formats.soccernet_json import dump_document, label_document, make_row
from e2espot.training.config import resolve
from e2espot.training.recipe import Recipe, merge
from e2espot.training.setup import setup
from tests.support.tiny_dataset import Layout, write_game

NAME = "Labels-other.json"
SMALL = {
    **{"feature_arch": "small", "temporal_arch": "", "size": "64x48", "clip_len": 8, "batch_size": 2, "num_epochs": 1},
    **{"clips_per_epoch": 2, "num_workers": 0, "init_from": "none", "negative_label_file": NAME, "fps": 12.5},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for seed, name in enumerate("ab"):
        write_game(root / name, seed, num_frames=100, layout=Layout(classes=("PASS", "DRIVE")))
    (root / "splits.json").write_text(json.dumps({"train": ["a", "b"], "valid": []}))
    return root


def write_others(folder: Path, *others: tuple[int, str]) -> None:
    rows = [
        make_row("label", half=1, position_ms=position_ms, label=label, team="left", visibility="visible")
        for position_ms, label in others
    ]
    (folder / NAME).write_bytes(dump_document(label_document(folder.name, rows)))


def negatives_of(data: Path) -> list[tuple[int, ...]]:
    run = setup(resolve(merge(Recipe(), SMALL), data, data.parent / "run"))
    return [
        video.labelled.negative_frames
        for game in run.train_games
        for video in game.training_videos(run.config.label_set, negative_label_file=NAME)
    ]


def test_other_labels_are_hard_negatives_on_the_grid(data: Path) -> None:
    # At 12.5 frames a second 800 ms is frame 10; a PASS is none, and 60 s is after the end of the video.
    write_others(data / "b", (800, "SHOT"), (1600, "PASS"), (60_000, "CROSS"))
    assert negatives_of(data) == [(), (10,)]


def test_nothing_is_learnt_outside_of_what_was_annotated(data: Path) -> None:
    write_others(data / "b", (800, "SHOT"), (2400, "SHOT"))
    path = data / "b" / "Labels-ball.json"
    stretch = {"half": "1", "stretches": [{"from": 2000, "to": 4000}]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": [], "annotated": [stretch]}))
    assert negatives_of(data) == [(), (30,)]


def test_a_name_that_no_game_has_is_refused(data: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"no train game has a file {NAME} with labels of classes"):
        negatives_of(data)


def test_a_name_that_no_game_has_is_refused_where_scores_give_hard_negatives(data: Path) -> None:
    scores_TK = np.zeros((100, 2), dtype=np.float32)
    scores_TK[::4, 0] = 0.9
    labels = LABEL_SETS["ball-2"]
    for name in "ab":
        path = data / name / "Labels-ball.json"
        rows = [make_row("label", half=1, position_ms=200, label="PASS", team="left", visibility="visible")]
        path.write_bytes(dump_document(label_document(name, rows)))
        write_scores(
            data.parent / "oof" / name / "scores.npz", Scores(scores_TK=scores_TK, label_set=labels, fps=Fraction(25))
        )
    of_scores = {"hard_negatives": str(data.parent / "oof"), "negative_fraction": 0.5}
    run = setup(
        resolve(merge(Recipe(), {**SMALL, **of_scores, "negative_label_file": ""}), data, data.parent / "first")
    )
    assert any(
        video.labelled.negative_frames
        for game in run.train_games
        for video in game.training_videos(labels, negatives=data.parent / "oof")
    )
    with pytest.raises(ConfigurationError, match=f"no train game has a file {NAME}"):
        setup(resolve(merge(Recipe(), {**SMALL, **of_scores}), data, data.parent / "second"))


def test_an_invalid_label_is_named(data: Path) -> None:
    write_others(data / "b", (800, "SHOT"))
    (data / "b" / NAME).write_text((data / "b" / NAME).read_text().replace('"800"', '"soon"'))
    with pytest.raises(AnnotationError, match=rf"b/{NAME}.*position"):
        negatives_of(data)

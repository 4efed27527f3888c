"""What labels must give before training starts, and which epoch is kept when they cannot tell."""

import json
import logging
from pathlib import Path

import pytest

from e2espot.clips.sampler import ClipSpec
from e2espot.clips.targets import clip_targets
from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.training import fit as fit_module
from e2espot.training.config import TrainingConfig, resolve
from e2espot.training.fit import fit
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge
from e2espot.training.setup import setup
from tests.support.tiny_dataset import Layout, write_game

SMALL = {
    **{"feature_arch": "small", "temporal_arch": "", "size": "64x48", "clip_len": 8, "batch_size": 2, "num_epochs": 2},
    **{"clips_per_epoch": 2, "warm_up_epochs": 0, "num_workers": 0, "init_from": "none", "learning_rate": 1e-5},
}
LAYOUT = Layout(videos=("1_224p.mkv", "2_224p.mkv"), classes=("PASS", "DRIVE"), teams=("home", "away"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two games of two halves; game b is for validation."""
    for seed, game in enumerate("ab"):
        write_game(tmp_path / "data" / game, seed, num_frames=60, layout=LAYOUT)
    (tmp_path / "data" / "splits.json").write_text(json.dumps({"train": ["a"], "valid": ["b"]}))
    return tmp_path / "data"


def config_of(data: Path, recipe: dict[str, object] | None = None, **options: object) -> TrainingConfig:
    merged = merge(merge(Recipe(), SMALL), recipe or {})
    return resolve(merged, data, data.parent / "run", RunOptions(**options))


def edit(data: Path, game: str, **changes: object) -> None:
    """Change fields of a game's label file."""
    path = data / game / "Labels-ball.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_train_games_without_a_label_are_refused(data: Path) -> None:
    edit(data, "a", annotations=[])
    with pytest.raises(ConfigurationError, match="1 train game of the dataset has no label") as caught:
        setup(config_of(data))
    assert caught.value.option == "bad_labels"


def test_a_table_of_annotated_stretches_without_the_train_games_is_named_as_the_cause(data: Path) -> None:
    table = data.parent / "annotated.csv"
    table.write_text("game,half,start,end\nb,1,0:00,0:02\n")
    with pytest.raises(
        ConfigurationError, match=r"nothing of the 1 train game of the dataset was annotated.*: a$"
    ) as caught:
        setup(config_of(data, annotated=str(table)))
    assert caught.value.option == "annotated"


def test_what_labels_lack_is_named(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = json.loads((data / "a" / "Labels-ball.json").read_text())["annotations"]
    edit(data, "a", annotations=[row for row in rows if row["gameTime"].startswith("1") and row["label"] == "PASS"])
    edit(data, "b", annotations=[])
    with caplog.at_level(logging.WARNING):
        setup(config_of(data))
    lines = [record.getMessage() for record in caplog.records]
    assert "classes without an example in the train games of the dataset: DRIVE" in lines
    assert any(line.endswith("there: a (half 2), b; remove what was not annotated, or say what was") for line in lines)
    assert any(line.startswith("none of the 1 valid games has a label") for line in lines)


def test_last_epoch_is_kept_where_valid_games_have_no_label(data: Path) -> None:
    edit(data, "b", annotations=[])
    run = setup(config_of(data))
    progress = fit(run)
    assert not run.validates
    assert progress.best_epoch == -1
    assert "valid_mAP@1" not in progress.rows[-1]
    assert (run.config.folder / "best.safetensors").is_file()


def test_later_one_of_two_equal_epochs_is_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "validate", lambda _run: 0.25)
    assert fit(setup(config_of(data))).best_epoch == 1


def test_teams_other_than_left_and_right_are_refused_or_mapped(data: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the labels have: home \(2\), away \(2\)") as caught:
        setup(config_of(data, {"team": True}))
    assert caught.value.option == "team_map"
    run = setup(config_of(data, {"team": True}, team_map="home=left,away=right", second_half="swap"))
    teams = [video.labelled.event_teams for video in run.dataset.videos]
    assert teams == [("left", "right"), ("right", "left")]


def test_labels_without_any_team_are_refused_for_a_team_head(data: Path) -> None:
    rows = json.loads((data / "a" / "Labels-ball.json").read_text())["annotations"]
    edit(data, "a", annotations=[{**row, "team": ""} for row in rows])
    with pytest.raises(ConfigurationError, match=r"the labels have: empty \(4\)"):
        setup(config_of(data, {"team": True}))


def test_unsure_stretches_reach_targets_and_loss(data: Path) -> None:
    edit(data, "a", unsure=[{"half": "2", "stretches": [{"from": 600, "to": 1000}]}])
    run = setup(config_of(data))
    first, second = (video.labelled for video in run.dataset.videos)
    assert (first.unsure, second.unsure) == ((), (range(15, 25),))
    assert second.event_frames == (20, 45)
    targets = clip_targets(ClipSpec(video=1, start=10, length=20), second, label_radius=2)
    # Frames 18 to 22 are those of the event at 20; the others of the stretch say nothing.
    assert [frame for frame, teaches in enumerate(targets.annotated_T, 10) if not teaches] == [15, 16, 17, 23, 24]


def test_annotated_stretches_reach_sampler_and_targets(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(data, "a", annotated=[{"half": "2", "stretches": []}])
    with caplog.at_level(logging.WARNING):
        run = setup(config_of(data, annotated="0:00-0:01"))
    first, second = (video.labelled for video in run.dataset.videos)
    assert (first.annotated, first.event_frames) == ((range(25),), (20,))
    assert (second.annotated, second.event_frames) == ((), ())
    assert any("left out 3 labels outside" in record.getMessage() for record in caplog.records)
    assert not any("half 2" in record.getMessage() for record in caplog.records)  # said not to be annotated
    clips = [run.dataset.sampler.clip(0, index) for index in range(50)]
    assert all(clip.video == 0 and clip.start < 25 for clip in clips)
    config = run.config.to_fields("x")
    assert config["annotated"] == "0:00-0:01"


def test_scores_outside_of_what_was_annotated_give_no_events(data: Path) -> None:
    from e2espot.training.validation import score_games

    run = setup(config_of(data, annotated="1/0:00-0:01"))
    assert run.config.label_set == LABEL_SETS["ball-2"]
    scores = score_games(run.spotter.eval(), run.valid_games)["b"]
    assert scores[1].coverage is not None
    assert scores[1].coverage.ranges == (range(25),)
    assert scores[2].coverage is not None
    assert scores[2].coverage.ranges == ()


def test_events_of_two_classes_at_one_frame_are_counted(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = json.loads((data / "a" / "Labels-ball.json").read_text())["annotations"]
    other = {"PASS": "DRIVE", "DRIVE": "PASS"}
    edit(data, "a", annotations=[*rows, {**rows[0], "label": other[rows[0]["label"]]}, rows[1]])
    with caplog.at_level(logging.INFO):
        run = setup(config_of(data))
    (said,) = (text for text in caplog.messages if "share their frame" in text)
    assert said.startswith("1 of 6 events") and said.endswith("half of each target is learnt")
    first = run.dataset.videos[0].labelled
    spec = ClipSpec(video=0, start=first.event_frames[0], length=1)
    assert clip_targets(spec, first, label_radius=0).class_T.tolist() == [
        first.event_targets[0]
    ]  # the one listed first

"""Runs on features are runs: they train, resume, infer, and refuse what does not fit in one line."""

import json
import logging
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from e2espot.cli.main import dispatch
from e2espot.clips.chunk_samplers import ChunkSampler, WindowSampler
from e2espot.clips.dataset import TrainingVideo
from e2espot.clips.feature_clips import FeatureClips
from e2espot.clips.sampler import ClipSpec, LabelledVideo
from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.core.feature_kind import FeatureKind
from e2espot.formats.scores import read_scores
from e2espot.inference.predict import spot_video
from e2espot.models.weights.checkpoint import load_spotter
from e2espot.suppression.calibration import read_calibration
from e2espot.training.chunk_losses import window_targets
from tests.support.numbered_video import constant, write

CLASSES = ("Goal", "Foul")
DIM, RATE, ROWS = 16, 2, 240


def run(*words: object) -> None:
    dispatch([*map(str, words)])


def write_half(folder: Path, half: int, seed: int, name: str = "net") -> list[dict[str, str]]:
    """Features in which the rows around an event have a value of their own, and the labels of these events."""
    rng = np.random.default_rng(seed)
    rows_ND = rng.normal(size=(ROWS, DIM)).astype(np.float32)
    labels = []
    for number, row in enumerate(range(20 + seed % 7, ROWS - 20, 33)):
        rows_ND[row - 1 : row + 2, number % 2] += 6
        position_ms = (2 * row + 1) * 500 // RATE
        seconds = position_ms // 1000
        clock = f"{half} - {seconds // 60:02d}:{seconds % 60:02d}"
        labels.append({"gameTime": clock, "label": CLASSES[number % 2], "position": str(position_ms), "team": "home"})
    np.save(folder / f"{half}_{name}.npy", rows_ND)
    return labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three games of two halves: features, labels, splits, a class.txt."""
    root = tmp_path_factory.mktemp("features")
    for seed, game in enumerate(("a", "b", "c")):
        (root / game).mkdir()
        labels = [label for half in (1, 2) for label in write_half(root / game, half, 10 * seed + half)]
        (root / game / "Labels-ball.json").write_text(json.dumps({"UrlLocal": game, "annotations": labels}))
    (root / "splits.json").write_text(json.dumps({"train": ["a", "b"], "valid": ["c"], "test": ["c"]}))
    (root / "class.txt").write_text("\n".join(CLASSES))
    return root


def options(data: Path, *more: object) -> list[object]:
    return [
        *("--features", "net", "--label_set", data / "class.txt", "--device", "cpu", "--precision", "fp32"),
        *("--seed", 3, *more),
    ]


HEADS = {
    "netvlad++": ("v2-netvladpp", "--clip_len", 8, "--batch_size", 16, "--clips_per_epoch", 240, "--num_epochs", 2),
    "calf": ("v2-calf", "--clip_len", 48, "--batch_size", 8, "--clips_per_epoch", 16, "--num_epochs", 1),
    "rows_gru": ("v2-features-gru", "--clip_len", 40, "--batch_size", 8, "--clips_per_epoch", 48, "--num_epochs", 3),
}
LEARNT = {"netvlad++": 0.5, "rows_gru": 0.5}
"""Smallest loose mAP of the heads that learn these features within seconds."""


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, (recipe, *settings) in HEADS.items():
        more = (*settings, "--learning_rate", 0.003, "--start_val_epoch", 0, "--metric", "loose", "--ema_decay", 0.9)
        run("train", data, "-s", folder / name, "--recipe", recipe, *options(data, *more))
    return {name: folder / name for name in HEADS}


@pytest.mark.parametrize("head", HEADS)
def test_a_run_on_features_trains_infers_and_is_scored(
    head: str, runs: dict[str, Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("infer", runs[head], data, "-s", "test", "-o", tmp_path, "--device", "cpu", "--save_scores")
    assert (tmp_path / "c" / "results_spotting.json").is_file()
    scores = read_scores(tmp_path / "c" / "scores_1.npz")
    assert scores.scores_TK.shape == (ROWS, 2)
    assert (scores.fps, scores.label_set.names) == (Fraction(RATE), CLASSES)
    assert read_calibration(runs[head]) is not None
    capsys.readouterr()
    run("evaluate", tmp_path, "-l", data, "-s", "test", "--label_set", data / "class.txt", "--metric", "loose", "at1")
    value = float(re.search(r"^mAP +([0-9.]+)", capsys.readouterr().out, re.MULTILINE)[1])  # type: ignore[index]
    assert value >= 100 * LEARNT.get(head, 0)


@pytest.mark.parametrize("left", [None, "Corner\nGoal\n"], ids=["gone", "others"])
def test_a_run_resumes_with_its_classes_when_their_file_changed(
    left: str | None, runs: dict[str, Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs["netvlad++"], tmp_path / "run")
    assert tuple((tmp_path / "run" / "class.txt").read_text().splitlines()) == CLASSES
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(data / "class.txt"), str(tmp_path / "class.txt")))
    if left is not None:
        (tmp_path / "class.txt").write_text(left)
    run("train", data, "-s", tmp_path / "run", "--resume", "--device", "cpu")
    assert "weights: " in capsys.readouterr().out
    assert load_spotter(tmp_path / "run").label_set.names == CLASSES


def test_results_of_a_run_on_features_pack_into_a_report(runs: dict[str, Path], data: Path, tmp_path: Path) -> None:
    run("infer", runs["rows_gru"], data, "-s", "test", "-o", tmp_path / "out", "--device", "cpu")
    run(
        "report",
        tmp_path / "out",
        "-l",
        data,
        "-s",
        "test",
        "-o",
        tmp_path / "report.html",
        "--label_set",
        data / "class.txt",
    )
    assert "Goal" in (tmp_path / "report.html").read_text()


WINDOWS = (*HEADS["netvlad++"][:-4], "--clips_per_epoch", 32)
LOOK_AHEAD = (
    *("v2-features-gru", "--temporal_arch", "gru", "--look_ahead", "0.5-9"),
    *("--clip_len", 20, "--batch_size", 4, "--clips_per_epoch", 8),
)


@pytest.mark.parametrize("settings", [WINDOWS, LOOK_AHEAD], ids=["windows", "look-ahead"])
def test_training_on_features_resumes_bit_for_bit(settings: tuple[object, ...], data: Path, tmp_path: Path) -> None:
    recipe, *settings = settings
    common = ("--recipe", recipe, *options(data, *settings))
    run("train", data, "-s", tmp_path / "whole", *common, "--num_epochs", 2)
    from e2espot.training import fit as fitting

    def stop(*_: object) -> None:
        raise RuntimeError("stopped")

    original = fitting._end_epoch
    try:
        fitting._end_epoch = lambda state: stop() if state.progress.epoch else original(state)
        with pytest.raises(RuntimeError, match="stopped"):
            run("train", data, "-s", tmp_path / "parts", *common, "--num_epochs", 2)
    finally:
        fitting._end_epoch = original
    run("train", data, "-s", tmp_path / "parts", "--resume", "--device", "cpu")
    first, second = (load_spotter(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


BAD = {
    "not finite": (lambda path: np.save(path, np.full((ROWS, DIM), np.nan, dtype=np.float32)), "not finite"),
    "transposed": (lambda path: np.save(path, np.zeros((DIM, ROWS), dtype=np.float32)), "transposed"),
    "objects": (lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True), "never loaded"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-50]), "ends after"),
    "no rows": (lambda path: np.save(path, np.zeros((0, DIM), dtype=np.float32)), "no rows"),
    "far too long": (lambda path: np.save(path, np.zeros((20_000, DIM), dtype=np.float32)), "set fps"),
    "far too short": (lambda path: np.save(path, np.zeros((120, DIM), dtype=np.float32)), "1 rows a second, set fps"),
    "another kind": (
        lambda path: [
            file.with_suffix(".json").write_text(
                json.dumps({"name": "net", "dim": DIM, "rate": "2", "backbone": file.stem, "weights": "w"})
            )
            for file in (path, path.with_name("2_net.npy"))
        ],
        "another kind",
    ),
    "no such features": (
        lambda path: [file.rename(file.with_name(f"{file.stem[0]}_others.npy")) for file in path.parent.glob("*.npy")],
        "it has others",
    ),
    "a half without features": (lambda path: path.unlink(), "names half 1, which has no video or features"),
    "another rate": (
        lambda path: path.with_suffix(".json").write_text(json.dumps({"name": "net", "dim": DIM, "rate": "5"})),
        "set fps to 5",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_features_are_refused_before_a_run_begins(case: str, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    change, message = BAD[case]
    change(tmp_path / "data" / "b" / "1_net.npy")  # type: ignore[no-untyped-call]
    recipe, *settings = HEADS["netvlad++"]
    with pytest.raises(E2ESpotError, match=message) as raised:
        run("train", tmp_path / "data", "-s", tmp_path / "run", "--recipe", recipe, *options(data, *settings))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_run_refuses_features_of_another_kind_and_videos(runs: dict[str, Path], tmp_path: Path, data: Path) -> None:
    np.save(tmp_path / "1_net.npy", np.zeros((50, DIM + 1), dtype=np.float32))
    with pytest.raises(E2ESpotError, match="rows of 17 values"):
        run("infer", runs["netvlad++"], tmp_path / "1_net.npy", "-o", tmp_path / "out", "--device", "cpu")
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(E2ESpotError, match="extract them first"):
        spot_video(load_spotter(runs["netvlad++"]), tmp_path / "a.mp4")
    with pytest.raises(E2ESpotError, match="sees the frames of videos"):
        run("infer", data / "a" / "1_net.npy", "-o", tmp_path / "out", "--device", "cpu")
    assert not list((tmp_path / "out").glob("**/*.json"))


@pytest.mark.parametrize(
    ("name", "origin", "other", "other_origin", "is_doubtful"),
    [
        ("net", "", "net", "", False),
        ("net", "", "derby_net", "", False),
        ("net", "", "another", "", True),
        ("net", "", "net", "timm:resnet18", True),
        ("net", "timm:resnet18", "net", "", True),
        ("net", "timm:resnet18", "another", "timm:resnet18", False),
    ],
)
def test_features_of_unknown_origin_are_doubted(
    name: str, origin: str, other: str, other_origin: str, is_doubtful: bool
) -> None:
    kinds = [FeatureKind(name=n, dim=4, origin=o) for n, o in ((name, origin), (other, other_origin))]
    kinds[0].check(kinds[1], "a.npy")
    assert bool(kinds[0].doubt(kinds[1])) == is_doubtful


def test_inference_warns_of_features_that_may_be_others(
    runs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "1_net.npy", np.zeros((40, DIM), dtype=np.float32))
    spotter = load_spotter(runs["netvlad++"])
    description = {"name": "net", "dim": DIM, "rate": str(spotter.fps), "backbone": "timm:resnet18"}
    spot_video(spotter, tmp_path / "1_net.npy")
    assert not caplog.records
    (tmp_path / "1_net.json").write_text(json.dumps(description))
    spot_video(spotter, tmp_path / "1_net.npy")
    assert "made alike" in caplog.text


def test_training_warns_once_where_only_some_features_have_a_json(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(data, tmp_path / "data")
    description = {"name": "net", "dim": DIM, "rate": "2", "backbone": "timm:resnet18"}
    (tmp_path / "data" / "a" / "2_net.json").write_text(json.dumps(description))
    recipe, *settings = HEADS["netvlad++"]
    once = ("--clips_per_epoch", 16, "--num_epochs", 1)
    run("train", tmp_path / "data", "-s", tmp_path / "run", "--recipe", recipe, *options(data, *settings, *once))
    (line,) = [record.getMessage() for record in caplog.records if "made alike" in record.getMessage()]
    assert line.startswith("5 of 6 feature files are without a JSON, such as ")
    assert "1_net.npy, and the others are of backbone timm:resnet18;" in line


def test_a_recipe_for_frames_names_what_a_dataset_of_features_lacks(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it has features alone; name the dataset of their videos"):
        run("train", data, "-s", tmp_path / "run", "--recipe", "rendered", "--device", "cpu")
    assert not (tmp_path / "run").exists()


def test_work_on_frames_refuses_a_run_on_features(runs: dict[str, Path], tmp_path: Path) -> None:
    match = write(tmp_path / "match.mp4", constant(Fraction(25), 25))
    for words in (
        ("live", runs["calf"], match, "--replay", "-o", tmp_path / "out"),
        ("features", match, "-o", tmp_path / "out", "--backbone", runs["calf"]),
    ):
        with pytest.raises(ConfigurationError, match="reads features named net; give one that sees the frames"):
            run(*words, "--device", "cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("head", ["netvlad++", "calf", "rows_gru"])
def test_a_half_shorter_than_the_window_is_padded(head: str, runs: dict[str, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "1_net.npy", np.zeros((3, DIM), dtype=np.float32))
    assert spot_video(load_spotter(runs[head]), tmp_path / "1_net.npy").scores_TK.shape == (3, 2)


def test_clips_continue_the_first_and_last_row(tmp_path: Path) -> None:
    np.save(tmp_path / "1_net.npy", np.arange(10, dtype=np.float16)[:, None])
    labelled = LabelledVideo(num_frames=10, event_frames=(4,), event_targets=(1,))

    class Fixed:
        num_clips = 4

        def clip(self, epoch: int, index: int) -> ClipSpec:
            return ClipSpec(video=0, start=(-2, 3, 8, 12)[index], length=5)

    clips = FeatureClips(
        [TrainingVideo(path=tmp_path / "1_net.npy", labelled=labelled)], Fixed(), label_radius=0, row_targets=True
    )
    (batch,) = clips.batches(epoch=0, batch_size=4)
    assert batch.rows_BTD[..., 0].tolist() == [[0, 0, 0, 1, 2], [3, 4, 5, 6, 7], [8, 9, 9, 9, 9], [9, 9, 9, 9, 9]]
    assert batch.targets is not None
    assert batch.targets.valid_BT.tolist()[0] == [False, False, True, True, True]
    assert batch.targets.class_BT.tolist()[1] == [0, 1, 0, 0, 0]


def test_batches_share_memory_only_after_they_are_let_go(tmp_path: Path) -> None:
    np.save(tmp_path / "1_net.npy", np.arange(80, dtype=np.float32)[:, None])
    labelled = LabelledVideo(num_frames=80, event_frames=(), event_targets=())

    class InTurn:
        num_clips = 16

        def clip(self, epoch: int, index: int) -> ClipSpec:
            return ClipSpec(video=0, start=5 * index, length=5)

    video = TrainingVideo(path=tmp_path / "1_net.npy", labelled=labelled)
    clips = FeatureClips([video], InTurn(), label_radius=0, row_targets=False)
    views = [batch.rows_BTD[:, 1:] for batch in clips.batches(epoch=0, batch_size=2)]
    assert torch.cat(views).flatten().tolist() == [row for row in range(80) if row % 5]
    fresh = FeatureClips([video], InTurn(), label_radius=0, row_targets=False)
    addresses = set()
    for batch in fresh.batches(epoch=0, batch_size=2):
        assert float(batch.rows_BTD[0, 0]) == 5 * batch.indexes[0]
        addresses.add(batch.rows_BTD.untyped_storage().data_ptr())
    assert len(addresses) <= 3  # one that is learnt from, one that waits, one that is read


def test_windows_come_once_each_before_any_comes_again() -> None:
    videos = [LabelledVideo(num_frames=count, event_frames=(), event_targets=()) for count in (31, 61, 10)]
    sampler = WindowSampler(videos=videos, clip_len=30, num_clips=2)
    # The last row begins no window of its own: 31 rows -> 0; 61 rows -> 0, 30.
    assert sampler.windows == ((0, 0), (1, 0), (1, 30), (2, 0))
    drawn = [sampler.clip(epoch, index) for epoch in range(2) for index in range(2)]
    assert sorted((clip.video, clip.start) for clip in drawn) == sorted(sampler.windows)


def test_window_targets_name_every_class_and_leave_out_what_is_not_annotated() -> None:
    video = LabelledVideo(num_frames=60, event_frames=(5, 7, 40), event_targets=(1, 2, 2))
    windows = [ClipSpec(video=number, start=start, length=10) for number, start in ((0, 0), (0, 40), (0, 50), (1, 0))]
    partly = replace(video, annotated=(range(30, 60),), unannotated_targets=(2,))
    target_BK, weight_BK = window_targets(windows, [video, partly], 2)
    assert target_BK.tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0], [0, 1, 1]]
    assert weight_BK.tolist() == [[1, 1, 1]] * 3 + [[0, 0, 0]]


def test_chunks_hold_their_event_in_the_middle_third() -> None:
    video = LabelledVideo(num_frames=2000, event_frames=(1000,), event_targets=(1,))
    sampler = ChunkSampler(videos=[video], clip_len=240, num_clips=50, num_classes=2)
    starts = [sampler.clip(0, index).start for index in range(50)]
    around = [1000 - start for start in starts if start <= 1000 < start + 240]
    assert 15 < len(around) < 35  # the other half without an event
    assert all(80 <= offset < 160 for offset in around)


def test_training_and_inference_warn_of_another_length_than_the_video(
    runs: dict[str, Path], data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from e2espot.core.label_sets import LabelSet
    from e2espot.training.data import load_games

    shutil.copytree(data, tmp_path / "data")
    write(tmp_path / "data" / "c" / "2_224p", constant(Fraction(1), 40))
    with caplog.at_level(logging.WARNING):
        load_games(tmp_path / "data", "valid", LabelSet(CLASSES), Fraction(RATE), resolution="net")
        run("infer", runs["rows_gru"], tmp_path / "data", "-s", "test", "-o", tmp_path / "out", "--device", "cpu")
    assert caplog.text.count("240 rows at 2 a second last 2:00, and 2_224p.mp4 lasts 0:40") == 2


def test_inference_warns_of_a_half_without_features(
    runs: dict[str, Path], data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "c" / "2_net.npy").unlink()
    with caplog.at_level(logging.WARNING):
        run("infer", runs["netvlad++"], tmp_path / "data", "-s", "test", "-o", tmp_path / "out", "--device", "cpu")
    assert "c: no 2_net.npy, and labels name that half" in caplog.text
    assert (tmp_path / "out" / "c" / "results_spotting.json").is_file()


def test_labels_shortly_after_the_end_belong_to_the_last_row(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    from e2espot.core.label_sets import LabelSet
    from e2espot.training.data import load_games

    with caplog.at_level(logging.WARNING):
        (game,) = load_games(data, "valid", LabelSet(CLASSES), Fraction(RATE), resolution="net")
    assert max(event.frame for event in game.events) < ROWS
    labels = data / "c" / "Labels-ball.json"
    before = labels.read_text()
    content = json.loads(before)
    content["annotations"].append({"gameTime": "1 - 02:04", "label": "Goal", "position": "124000", "team": "home"})
    try:
        labels.write_text(json.dumps(content))
        (game,) = load_games(data, "valid", LabelSet(CLASSES), Fraction(RATE), resolution="net")
    finally:
        labels.write_text(before)
    assert max(event.frame for event in game.events if event.half == 1) == ROWS - 1

"""Readers of files that commands write for other commands: scores, states, weights, indexes, journals, zips."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from e2espot.clips.dataset import read_ball_track
from e2espot.core.label_sets import LABEL_SETS
from e2espot.formats.conversion import Conversion, convert
from e2espot.formats.scores import read_scores
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import load_spotter, read_initial_weights
from e2espot.models.weights.import_checkpoint import convert_checkpoint
from e2espot.models.weights.initial_weights import load_matching_weights
from e2espot.report.analysis import analyse_run
from e2espot.report.page import report_page
from e2espot.review.inputs import load_inputs
from e2espot.review.label_rows import EventKey
from e2espot.review.label_store import LabelStore
from e2espot.review.state import ChangeOrigin
from e2espot.scoring.inputs import games_to_score, read_labels, read_predictions
from e2espot.sources.soccernet.download import write_splits
from e2espot.sources.soccernet.manifest import FOLDER, Manifest
from e2espot.sources.soccernet.submission import check
from e2espot.suppression.calibration import Calibration, apply_calibration, read_calibration
from e2espot.suppression.nms import Suppression
from e2espot.synthetic.match import is_complete
from e2espot.synthetic.specs import DatasetSpec
from e2espot.training.config import resolve
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge
from e2espot.training.setup import setup
from e2espot.training.state import Run
from e2espot.video import index_cache, index_of
from e2espot.video.indexing import clear_index_cache
from tests.support.fuzz_targets_text import BALL, GAME, LABELS, PREDICTIONS, SCORES, Target
from tests.support.numbered_video import constant, write
from tests.support.sandbox import SMALL, e2e_spot_name
from tests.support.tiny_dataset import Layout, write_game

BALL_2 = LABEL_SETS["ball-2"]
LABEL_FILE = "Labels-ball.json"


def stored_targets(scratch: Path) -> dict[str, Target]:
    """All of them; ``scratch`` gets the videos and folders that they need."""
    return {
        **_arrays(),
        **_weights(),
        **_foreign(scratch),
        **_scored(scratch),
        **_reviewed(scratch),
        **_downloaded(),
        "state.pt": _state(scratch),
        "index": _index(scratch),
        "render.json": _render(),
    }


def _arrays() -> dict[str, Target]:
    scores = {"scores_TK": SCORES.scores_TK, "classes": np.array(BALL.names), "fps": np.array("25")}
    tracks = {"ball_xy": np.zeros((50, 2), np.float32), "ball_visible": np.ones(50, bool)}
    halves = {name: Suppression(method=how, window_s=0.4) for name, how in (("PASS", "peaks"), ("DRIVE", "gaussian"))}
    fitted = Calibration(by_class=halves, shift_s={"PASS": -0.1}, map_from=(0.2, 0.8), map_to=(0.1, 0.9))
    return {
        "scores.npz": Target(
            name="scores.npz",
            valid={**scores, "right_T": np.full(100, 0.5, np.float32), "valid_T": np.ones(100, bool)},
            read=lambda at: apply_calibration(Calibration(), read_scores(at / "scores.npz")),
            encoding="npz",
        ),
        "tracks.npz": Target(
            name="tracks.npz", valid=tracks, read=lambda at: read_ball_track(at / "tracks.npz"), encoding="npz"
        ),
        "calibration of classes": Target(
            name="calibration.json",
            valid=fitted.to_json(),
            read=lambda at: apply_calibration(read_calibration(at), SCORES),
        ),
    }


def _weights() -> dict[str, Target]:
    torch.manual_seed(0)
    valid = {"spec": vars(SMALL), "tensors": dict(Spotter(SMALL).state_dict())}
    frames = torch.zeros(1, 2, 3, 32, 64)

    def spot(at: Path) -> None:
        with torch.inference_mode():
            load_spotter(at / "best.safetensors")(frames)

    def start(at: Path) -> None:
        spec, state = read_initial_weights(at / "start.safetensors")
        load_matching_weights(Spotter(SMALL), state, spec)

    return {
        "weights": Target(name="best.safetensors", valid=valid, read=spot, encoding="tensors", cost=2),
        "weights to start from": Target(name="start.safetensors", valid=valid, read=start, encoding="tensors", cost=2),
    }


def _foreign(scratch: Path) -> dict[str, Target]:
    """Folders of E2E-Spot and OpenSportsLib, through ``e2espot convert checkpoint``."""
    spec = SpotterSpec(feature_arch="rny002", temporal_arch="", classes=BALL_2.names)
    state = {e2e_spot_name(name): value for name, value in Spotter(spec).state_dict().items()}
    config = {"feature_arch": "rny002", "temporal_arch": "", "dataset": "soccernet_ball", "clip_len": 100}
    config = {**config, "crop_dim": 224, "modality": "rgb"}
    rows = [{"epoch": epoch, "train": 1.0, "val": 1.0, "val_mAP": 0.1 * epoch} for epoch in (2, 3)]
    osl = {
        "DATA": {"classes": list(BALL_2.names), "clip_len": 100, "input_fps": 25, "extract_fps": 25, "modality": "rgb"},
        "MODEL": {"head": {"type": ""}, "backbone": {"type": "rny002"}},
    }

    def complete(at: Path, **files: Any) -> Path:
        """Write the rest of the folder; unlike the attacked file it is always valid."""
        for number in ("002", "003"):
            file = at / f"checkpoint_{number}.pt"
            if "state" in files and not file.exists():
                torch.save(files["state"], file)
        for name in ("config", "loss"):
            if name in files:
                (at / f"{name}.json").write_text(json.dumps(files[name]))
        return at

    def converted(source: Callable[[Path], Path]) -> Callable[[Path], object]:
        return lambda at: convert_checkpoint(str(source(at)), at / "made" / "x.safetensors")

    def osl_folder(at: Path) -> Path:
        if not (at / "best.pt").exists():
            torch.save(state, at / "best.pt")
        return at

    return {
        "checkpoint_003.pt": Target(
            name="checkpoint_003.pt",
            valid=state,
            read=converted(lambda at: complete(at, config=config)),
            encoding="torch",
            cost=12,
        ),
        "config.json": Target(
            name="config.json", valid=config, read=converted(lambda at: complete(at, state=state)), cost=12
        ),
        "loss.json": Target(
            name="loss.json", valid=rows, read=converted(lambda at: complete(at, state=state, config=config)), cost=12
        ),
        "OpenSportsLib's config.yaml": Target(
            name="config.yaml", valid=osl, read=converted(osl_folder), encoding="yaml", cost=12
        ),
    }


def _scored(scratch: Path) -> dict[str, Target]:
    results = f"{GAME}/results_spotting.json"
    second = GAME.replace("Reading - Fulham", "Stoke City - Huddersfield Town")
    whole = {results: PREDICTIONS, f"{second}/results_spotting.json": PREDICTIONS}
    labels = scratch / "scored"
    (labels / GAME).mkdir(parents=True)
    (labels / GAME / LABEL_FILE).write_text(json.dumps(LABELS))

    def report(at: Path) -> None:
        games = games_to_score(labels)
        truth = read_labels(labels, games).labels
        analysis = analyse_run("run", truth, read_predictions(at, games), BALL)
        report_page("report", games, [analysis])

    def controls(at: Path) -> None:
        from tests.support.command_lines import load

        load("controls")._score_of_demo(at / "scores.json")

    def all_formats(at: Path) -> None:
        for to in ("opensportslab", "e2e-spot", "soccertrack-v2", "sn-gar"):
            target = at / "made" / (f"{to}.json" if to in ("opensportslab", "sn-gar") else to)
            conversion = Conversion(
                source=at / "labels",
                target=target,
                from_format="soccernet",
                to_format=to,  # type: ignore[arg-type]
                predictions=False,
                overwrite=True,
            )
            convert(conversion)

    return {
        "report": Target(name=results, valid=PREDICTIONS, read=report, cost=6),
        "submission.zip": Target(
            name="results.zip",
            valid=whole,
            read=lambda at: check(at / "results.zip", "ball-2023", "test"),
            encoding="zip",
        ),
        "predictions.zip": Target(
            name="results.zip",
            valid=whole,
            read=lambda at: read_predictions(at / "results.zip", [GAME, second]),
            encoding="zip",
        ),
        "labels.zip": Target(
            name="labels.zip",
            valid={f"{GAME}/{LABEL_FILE}": LABELS},
            read=lambda at: read_labels(at / "labels.zip", games_to_score(at / "labels.zip")),
            encoding="zip",
        ),
        "demo scores": Target(name="scores.json", valid={"at1": {"mAP": 0.5}}, read=controls),
        "labels to all formats": Target(name=f"labels/{GAME}/{LABEL_FILE}", valid=LABELS, read=all_formats, cost=3),
    }


def _reviewed(scratch: Path) -> dict[str, Target]:
    game = scratch / "reviewed" / "game"
    write_game(game, 0, 50, layout=Layout(classes=BALL_2.names))
    store = LabelStore(scratch / "kept" / LABEL_FILE, game / LABEL_FILE)

    def origin(op: str) -> ChangeOrigin:
        return ChangeOrigin(tab="t", op=op, name="n", seen=9)

    store.add(EventKey(half=1, frame=3, label="PASS"), origin("1"))
    store.accept(EventKey(half=1, frame=9, label="DRIVE"), EventKey(half=1, frame=8, label="DRIVE"), origin("2"))
    store.set_verdict("1/30/PASS", "rejected", origin("3"))
    store.remove_label(2, origin("4"))
    store.undo("t", "5")
    store.close()
    journal = (scratch / "kept" / "Labels-ball.review.jsonl").read_text().splitlines()

    def take_up(at: Path) -> None:
        """Take up a review, look, change, take back, let go; the folder is as before but for the journal."""
        (at / LABEL_FILE).write_bytes((scratch / "kept" / LABEL_FILE).read_bytes())
        opened = LabelStore(at / LABEL_FILE)
        try:
            opened.snapshot()
            new = ChangeOrigin(tab="t", op="new", name="n", seen=opened.revision)
            opened.add(EventKey(half=1, frame=4, label="PASS"), new)
            opened.undo("t", "back")
            opened.text()
        finally:
            opened.close()

    def begin(at: Path) -> None:
        for left in at.glob("*.review.jsonl"):
            left.unlink()
        opened = LabelStore(at / LABEL_FILE)
        try:
            for number in list(opened._state.order)[:2]:
                if opened.row_for_page(number) is not None:
                    moved = EventKey(half=1, frame=5, label="X")
                    origin = ChangeOrigin(tab="t", op=f"{number}", name="n", seen=opened.revision)
                    opened.change_label(number, moved, origin)
            opened.snapshot()
        finally:
            opened.close()
            (at / LABEL_FILE).unlink(missing_ok=True)

    def shown(at: Path) -> None:
        load_inputs(game / "224p.mp4", predictions=[at / "results.json"], labels=None, out=at / "made")

    return {
        "review journal": Target(
            name="Labels-ball.review.jsonl",
            valid=[json.loads(line) for line in journal],
            read=take_up,
            encoding="jsonl",
        ),
        "reviewed labels": Target(name=LABEL_FILE, valid=LABELS, read=begin, cost=3),
        "reviewed predictions": Target(name="results.json", valid=PREDICTIONS, read=shown),
    }


def _downloaded() -> dict[str, Target]:
    note = {"url": "u", "sha256": "s", "etag": "e", "size": 100, "have": [[0, 10], [20, 30]]}
    record = {"task": "v2", "files": {"a/b/1_224p.mkv": 12}}

    def take_up(at: Path) -> None:
        import requests

        from e2espot.sources.soccernet.partial_file import PartialFile, RemoteFile

        (at / "part").write_bytes(bytes(50))
        remote = RemoteFile(url="u", name="n", size=100, sha256="s", if_refused="")
        PartialFile(remote, at / "part", requests.Session()).close()

    return {
        "download record": Target(
            name=f"{FOLDER}/complete.json",
            valid=record,
            read=lambda at: Manifest(at, "v2").is_complete("a/b/1_224p.mkv"),
        ),
        "splits.json of a download": Target(
            name="splits.json",
            valid={"train": ["a/b"], "valid": []},
            read=lambda at: write_splits(at, {"train": ["a/b", "a/c"]}),
        ),
        "transfer note": Target(name="part.json", valid=note, read=take_up),
    }


def _state(scratch: Path) -> Target:
    """The state that training resumes from, including the next step."""
    data = scratch / "learnt"
    for seed, split in enumerate(("train", "valid")):
        write_game(data / split, seed, 50, layout=Layout(classes=BALL_2.names))
    (data / "splits.json").write_text(json.dumps({"train": ["train"], "valid": ["valid"]}))
    tiny = {"feature_arch": "small", "init_from": "none", "clip_len": 8, "size": "64x32", "batch_size": 1}
    recipe = merge(Recipe(), {**tiny, "clips_per_epoch": 4, "num_workers": 0})

    def begun(run: Path, *, resume: bool) -> Run:
        return setup(resolve(recipe, data, run, RunOptions(device="cpu", resume=resume)))

    def step(run: Run) -> None:
        for weight in run.spotter.parameters():
            weight.grad = torch.zeros_like(weight)
        run.optimizer.step()
        run.progress.losses.append(0.5)
        sum(run.progress.losses)

    first = begun(scratch / "run", resume=False)
    step(first)
    valid = {
        "spotter": first.spotter.state_dict(),
        "averaged": first.ema,
        "optimizer": first.optimizer.state_dict(),
        "scaler": first.scaler.state_dict(),
        "progress": {**vars(first.progress), "rows": [{"epoch": 0, "loss": 1.0}]},
    }
    return Target(
        name="last/state.pt", valid=valid, read=lambda at: step(begun(at, resume=True)), encoding="torch", cost=4
    )


def _index(scratch: Path) -> Target:
    """An index on disk: whatever it holds, the index of the video is the same."""
    video = write(scratch / "indexed", constant(Fraction(25), 1100, size=(64, 48), options={"g": "50"}))
    fresh = index_of(video)
    entry = index_cache.entry_path(fresh.path, fresh.byte_size, fresh.mtime_ns)
    assert entry is not None
    with np.load(entry) as stored:
        valid = dict(stored)

    def read(at: Path) -> None:
        entry.write_bytes((at / "index.npz").read_bytes())
        clear_index_cache()
        index = index_of(video)
        for name, value in vars(fresh).items():
            assert np.array_equal(value, getattr(index, name)), name

    return Target(name="index.npz", valid=valid, read=read, encoding="npz", cost=3)


def _render() -> Target:
    (spec,), _ = DatasetSpec(games=1, minutes=1).plan()
    return Target(name=f"{spec.name}/render.json", valid=vars(spec), read=lambda at: is_complete(spec, at))

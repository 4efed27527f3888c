"""Every reader of text that a user can give, with a valid file for each."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from e2espot.core.label_sets import LABEL_SETS, label_set_named
from e2espot.core.scores import Scores
from e2espot.formats.conversion import Conversion, convert
from e2espot.formats.e2e_spot import read_e2e_spot
from e2espot.formats.games import find_games
from e2espot.formats.interchange import DroppedFields
from e2espot.formats.opensportslab import read_opensportslab
from e2espot.formats.soccernet import read_labels
from e2espot.formats.soccernet_interchange import read_soccernet
from e2espot.formats.soccernet_json import parse_document, read_rows
from e2espot.formats.soccertrack import read_periods, read_soccertrack
from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import read_weights
from e2espot.scoring.metric import evaluate
from e2espot.sources.soccernet.submission import check
from e2espot.suppression.calibration import Calibration, apply_calibration, read_calibration
from e2espot.training.checkpoints import load_config
from e2espot.training.recipe import Recipe, merge, read_recipe, recipe_fields

BALL = LABEL_SETS["ball-12"]
SCORES = Scores(scores_TK=np.linspace(0, 1, 1200, dtype=np.float32).reshape(100, 12), label_set=BALL, fps=Fraction(25))
GAME = "england_efl/2019-2020/2019-10-01 - Reading - Fulham"
LABELS = {
    "UrlLocal": GAME,
    "UrlYoutube": "",
    "halftime": "",
    "annotations": [
        {"gameTime": "1 - 00:04", "label": "PASS", "position": "4020", "team": "left", "visibility": "visible"},
        {"gameTime": "2 - 00:09", "label": "DRIVE", "position": 9020, "team": "right", "visibility": "not shown"},
    ],
}
PREDICTIONS = {
    "UrlLocal": GAME,
    "predictions": [
        {"gameTime": "1 - 00:04", "label": "PASS", "position": "4020", "half": "1", "confidence": "0.9"},
        {"gameTime": "2 - 00:09", "label": "DRIVE", "position": 9020, "half": 2, "confidence": 0.4, "team": "left"},
    ],
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One reader."""

    name: str
    """Path of its file below a folder."""
    valid: Any
    """Content of a valid file."""
    read: Callable[[Path], object]
    """What a command does with the folder."""
    encoding: str = "json"
    """How its content becomes bytes; see ``encodings.encode``."""
    cost: int = 1
    """Time relative to other readers; it is attacked less often by this factor."""


def _convert(kind: str, folder: Path, target: Path, to: str) -> None:
    predictions = kind.endswith("predictions")
    conversion = Conversion(
        source=folder, target=target, from_format="soccernet", to_format=to, predictions=predictions, overwrite=True
    )
    convert(conversion)


def _foreign(to: str, *, predictions: bool, scratch: Path) -> tuple[str, Any]:
    """(name, content) of the one file that a conversion of the labels writes."""
    source, target = scratch / f"{to}{predictions}_in", scratch / f"{to}{predictions}_out"
    name = "results_spotting.json" if predictions else "Labels-ball.json"
    (source / GAME).mkdir(parents=True)
    (source / GAME / name).write_text(json.dumps(PREDICTIONS if predictions else LABELS))
    if to in ("opensportslab", "sn-gar"):
        target = target / "all.json"
    _convert("predictions" if predictions else "labels", source, target, to)
    files = [target] if target.is_file() else sorted(target.rglob("*.json"))
    file = max(files, key=lambda path: path.stat().st_size)
    content = json.loads(file.read_text())
    return file.relative_to(target.parent if target.is_file() else target).as_posix(), content


def _score(folder: Path) -> None:
    _, rows = parse_document((folder / "results.json").read_bytes(), "prediction", "results")
    labels = {"g": read_rows(LABELS["annotations"], "labels", kind="label", mode="official")}
    predictions = {"g": read_rows(rows, "results", kind="prediction", mode="official")}
    evaluate(labels, predictions, BALL, ["at1"], 25)


def _score_labels(folder: Path) -> None:
    _, rows = parse_document((folder / "labels.json").read_bytes(), "label", "labels")
    predictions = {"g": read_rows(PREDICTIONS["predictions"], "results", kind="prediction", mode="official")}
    labels = {"g": read_rows(rows, "labels", kind="label", mode="official")}
    evaluate(labels, predictions, BALL, ["at1"], 25)


def _settings(folder: Path) -> None:
    fields = load_config(folder)
    merge(Recipe(), recipe_fields(fields))


def _spec(folder: Path) -> None:
    Spotter(read_weights(folder / "run.safetensors")[0])


def all_targets(scratch: Path, spec: dict[str, Any]) -> dict[str, Target]:
    half = {1: 50_000, 2: 50_000}
    halves = "Labels-ball.json"
    recipe = yaml.safe_load((Path(__file__).parents[2] / "e2espot" / "recipes" / "laptop.yaml").read_text())
    targets = {
        "labels": Target(
            name=halves,
            valid=LABELS,
            read=lambda at: read_labels(at / halves, BALL, fps=Fraction(25), num_frames=half),
        ),
        "scored predictions": Target(name="results.json", valid=PREDICTIONS, read=_score),
        "scored labels": Target(name="labels.json", valid=LABELS, read=_score_labels),
        "splits.json": Target(
            name="splits.json",
            valid={"train": ["a/b", "a/c"], "valid": ["a/d"], "test": []},
            read=lambda at: [find_games(at, split=split, need_videos=False) for split in ("train", "valid", "test")],
        ),
        "recipe": Target(
            name="recipe.yaml",
            valid=recipe,
            read=lambda at: merge(Recipe(), read_recipe(str(at / "recipe.yaml"))).data.frame_size(),
            encoding="yaml",
        ),
        "config.yaml": Target(
            name="config.yaml", valid={**Recipe().to_fields(), "start": "x"}, read=_settings, encoding="yaml"
        ),
        "class.txt": Target(
            name="class.txt",
            valid="PASS\nDRIVE\n",
            read=lambda at: label_set_named(str(at / "class.txt")),
            encoding="text",
        ),
        "calibration.json": Target(
            name="calibration.json",
            valid={**Calibration(map_from=(0.0, 1.0), map_to=(0.1, 0.9), shift_s={"PASS": 0.1}).to_json()},
            read=lambda at: apply_calibration(read_calibration(at), SCORES),
        ),
        "safetensors": Target(name="run.safetensors", valid=spec, read=_spec, encoding="header"),
        "submission": Target(name=f"{GAME}/results_spotting.json", valid=PREDICTIONS, read=check),
        "soccernet": Target(
            name=f"{GAME}/{halves}", valid=LABELS, read=lambda at: read_soccernet(at, predictions=False)
        ),
        "periods": Target(
            name="bas_periods.json",
            valid={"matches": {"117092": {"periods": {h: {"t0_ms": 1000, "n_frames": 5000} for h in "12"}}}},
            read=lambda at: read_periods(at / "bas_periods.json"),
        ),
    }
    for predictions in (False, True):
        kind = "predictions" if predictions else "labels"
        name, content = _foreign("opensportslab", predictions=predictions, scratch=scratch)
        targets[f"opensportslab {kind}"] = Target(
            name=name,
            valid=content,
            read=lambda at, name=name, p=predictions: read_opensportslab(at / name, predictions=p),
        )
        name, content = _foreign("sn-gar", predictions=predictions, scratch=scratch)
        targets[f"sn-gar {kind}"] = Target(
            name=name,
            valid=content,
            read=lambda at, name=name, p=predictions: read_opensportslab(at / name, predictions=p),
        )
    name, content = _foreign("e2e-spot", predictions=True, scratch=scratch)
    targets["e2e-spot"] = Target(
        name="x.json", valid=content, read=lambda at: read_e2e_spot(at / "x.json", predictions=True)
    )
    name, content = _foreign("soccertrack-v2", predictions=False, scratch=scratch)
    targets["soccertrack-v2"] = Target(
        name="117092_12_class_events.json",
        valid=content,
        read=lambda at: read_soccertrack(at / "117092_12_class_events.json", DroppedFields(), {}, predictions=False),
    )
    return targets


def alter_field(valid: Any, number: int, new: Any, edit: str) -> Any:
    """``valid`` with one field replaced, removed, renamed or doubled."""
    content = copy.deepcopy(valid)
    fields: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
        for key in keys:
            fields.append((node, key))
            walk(node[key])

    walk(content)
    if not fields:
        return new(content) if callable(new) else new
    node, key = fields[number % len(fields)]
    if edit == "remove":
        del node[key]
    elif edit == "rename" and isinstance(node, dict):
        node[str(new)] = node.pop(key)
    elif edit == "double" and isinstance(node, list):
        node.append(copy.deepcopy(node[key]))
    else:
        node[key] = new(node[key]) if callable(new) else new
    return content

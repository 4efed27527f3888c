"""Score predictions as SoccerNet does: python tools/evaluate.py PREDICTIONS -l LABELS -s test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from e2espot.command import run_command
from e2espot.errors import AnnotationError, ConfigurationError

if TYPE_CHECKING:
    from e2espot.formats.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score predictions as SoccerNet does."""

    predictions: tyro.conf.Positional[Path]
    """Folder or zip of <game>/results_spotting.json."""
    labels: Annotated[Path, tyro.conf.arg(aliases=["-l"])]
    """Folder or zip of <game>/<label file>."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split to score; every labelled game without it."""
    label_file: str = "Labels-ball.json"
    """Name of the label files."""
    label_set: str | None = None
    """ball-2, ball-12, soccernet-v2-17 or a class.txt; the classes in the label files without it."""
    fps: int = 25
    """Bins a second; ball results everywhere use 25."""
    metric: tuple[Literal["at1", "at2", "at3", "at4", "at5", "tight", "loose"], ...] = (
        "at1",
        "at2",
        "at3",
        "at4",
        "at5",
    )
    """Metrics to print."""
    team: bool = False
    """Also score which side acts (left, right; SoccerNet's Team-mAP of 2025), at the first of the metrics."""
    missing: Literal["error", "empty"] = "error"
    """A labelled game without predictions: refuse, or score it as empty."""
    json: Path | None = None
    """Also write all numbers to this file."""


def main() -> None:
    """Read, score, print."""
    told = tyro.cli(Evaluate)
    from e2espot.formats.soccernet import label_set_named, label_set_of
    from e2espot.scoring import evaluate

    labels, predictions, sides = _read(told)
    if told.label_set is None:
        label_set = label_set_of(entry.label for entries in labels.values() for entry in entries)
        print(
            f"classes: {', '.join(label_set.names)} (those in the label files; SoccerNet averages over the full "
            "dictionary, give it with --label_set)"
        )
    else:
        label_set = label_set_named(told.label_set)
    report = evaluate(labels, predictions, label_set, told.metric, told.fps)
    print(f"mAP in percent over {len(labels)} games, {sum(map(len, labels.values()))} labels")
    print(report.table())
    results = report.to_json()
    if told.team:
        results["team"] = _score_sides(told, labels, predictions, sides, label_set)
    if told.json is not None:
        from e2espot.formats.atomic import write_atomically

        write_atomically(told.json, json.dumps(results, indent=1).encode())


def _score_sides(
    told: Evaluate, labels: dict[str, Any], predictions: dict[str, Any], sides: dict[Any, list[str]], label_set: Any
) -> dict[str, Any]:
    """Print Team-mAP and give it as plain values."""
    import math

    from e2espot.scoring.team import SidedEntry, evaluate_teams

    both = [
        {
            game: [SidedEntry(entry=e, side=s) for e, s in zip(entries, sides[which, game], strict=True)]
            for game, entries in source.items()
        }
        for which, source in (("labels", labels), ("predictions", predictions))
    ]
    found = evaluate_teams(*both, label_set, told.metric[0], told.fps)
    print(
        f"Team-mAP {told.metric[0]}: {100 * found.team_mAP:.2f}, "
        f"without sides {100 * found.without_sides.mAP(told.metric[0]):.2f}"
    )
    for name, value in found.per_class.items():
        print(f"  {name:<24}{100 * value:8.2f}")
    plain = {name: None if math.isnan(value) else value for name, value in found.per_class.items()}
    return {
        "metric": told.metric[0],
        "team_mAP": None if math.isnan(found.team_mAP) else found.team_mAP,
        "per_class": plain,
    }


def _read(told: Evaluate) -> tuple[dict[str, Any], dict[str, Any], dict[Any, list[str]]]:
    """Entries of the labels and predictions of every game to be scored, and the side of each."""
    from e2espot.formats.bundle import Bundle
    from e2espot.formats.soccernet import entries_for_scoring, entries_in

    label_files, prediction_files = Bundle(told.labels), Bundle(told.predictions)
    labels, predictions = {}, {}
    sides: dict[Any, list[str]] = {}
    for game in _games(told, label_files):
        name = f"{game}/{told.label_file}"
        where = f"{told.labels}: {name}"
        rows = entries_in(label_files.text(name), "annotations", where)
        labels[game] = entries_for_scoring(rows, where, labels=True)
        sides["labels", game] = [str(row.get("team", "")) for row in rows]
        name = f"{game}/results_spotting.json"
        where = f"{told.predictions}: {name}"
        if name in prediction_files.names:
            rows = entries_in(prediction_files.text(name), "predictions", where)
            predictions[game] = entries_for_scoring(rows, where, labels=False)
            sides["predictions", game] = [str(row.get("team", "")) for row in rows]
        elif told.missing == "empty":
            predictions[game], sides["predictions", game] = [], []
        else:
            raise AnnotationError(f"{where}: missing; --missing empty scores such a game as having no predictions")
    return labels, predictions, sides


def _games(told: Evaluate, label_files: Bundle) -> list[str]:
    """Names of the games to score."""
    if told.split is not None:
        from e2espot.games import find_games

        if not told.labels.is_dir():
            raise ConfigurationError(f"{told.labels} is a zip; --split needs a folder")
        games = find_games(told.labels, split=told.split, label_file=told.label_file, need_videos=False)
        names = [game.name for game in games]
    else:
        ending = f"/{told.label_file}"
        names = sorted(name.removesuffix(ending) for name in label_files.names if name.endswith(ending))
    if not names:
        raise ConfigurationError(f"{told.labels}: no games with {told.label_file} to score")
    return names


if __name__ == "__main__":
    run_command(main)

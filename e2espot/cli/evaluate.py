"""Score predictions as SoccerNet does: e2espot evaluate PREDICTIONS -l LABELS -s test."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from e2espot.cli.label_args import LabelArgs
from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError
from e2espot.core.teams import SIDES, SecondHalf, check_sides, parse_team_map

if TYPE_CHECKING:
    from e2espot.core.label_sets import LabelSet
    from e2espot.scoring.inputs import EventsByGame, LabelledGames, ScoredGames


_OF_OTHER_SETS = ("dfl", "footpass")
"""Metrics of other datasets than SoccerNet's."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score predictions as SoccerNet does.

    Example: e2espot evaluate out/ -l DATA -s test --label_set ball-12 --metric at1 --team
    """

    predictions: tyro.conf.Positional[Path]
    """Folder or zip of <game>/results_spotting.json, or one results file: of a video, or in another format (.csv,
    OpenSportsLab's or E2E-Spot's .json, ...)."""
    games: tyro.conf.OmitArgPrefixes[LabelArgs]
    """What the predictions are scored against."""
    fps: int = 25
    """Time bins per second; published ball results use 25."""
    metric: tuple[Literal["at1", "at2", "at3", "at4", "at5", "tight", "loose", "dfl", "footpass"], ...] = (
        "at1",
        "at2",
        "at3",
        "at4",
        "at5",
    )
    """Metrics to print: SoccerNet's mAP, the metric of Kaggle's DFL data, or FOOTPASS's F1 of team and class."""
    team: bool = False
    """Also score which team acts, left or right (SoccerNet's Team-mAP of 2025), at the first of the metrics."""
    team_map: str = ""
    """Sides of teams that labels call something else than left and right, such as home=left,away=right."""
    second_half: SecondHalf = "same"
    """Sides of the mapped teams in the second half: the same, or swap."""
    json: Path | None = None
    """Also write all numbers to this file."""


def main(arguments: list[str]) -> None:
    """Read, score, print."""
    args = parse(Evaluate, arguments, "e2espot evaluate")
    if not args.metric or not 1 <= args.fps <= 1000:
        raise ConfigurationError(f"--fps is {args.fps}; give 1 to 1000 bins per second, and at least one --metric")
    from e2espot.core.wording import counted
    from e2espot.scoring import evaluate

    labelled = args.games.read_labels()
    scored = args.games.read_predictions(args.predictions, labelled)
    labels, predictions = _with_sides(args, labelled.labels), scored.predictions
    for note in (*labelled.notes, *scored.notes):
        print(f"note: {note}")
    metrics = tuple(name for name in args.metric if name not in _OF_OTHER_SETS)
    if args.team and not metrics:
        raise ConfigurationError("--team scores at the first --metric of SoccerNet; give one, such as at1")
    if args.team or "footpass" in args.metric:
        check_sides((event.team for events in labels.values() for event in events), "scores by team need")
    results: dict[str, Any] = {}
    if metrics:
        label_set, without = labelled.counted_classes(_label_set(args, labels))
        report = dataclasses.replace(evaluate(labels, predictions, label_set, metrics, args.fps), unannotated=without)
        counts = f"{counted(len(labels), 'game')}, {counted(sum(map(len, labels.values())), 'label')}"
        print(f"mAP in percent over {counts}")
        print(report.table())
        results = report.to_json()
        if args.team:
            results["team"] = _score_teams(args, labels, predictions, label_set)
    if "dfl" in args.metric:
        results["dfl"] = _score_dfl(labels, predictions)
    if "footpass" in args.metric:
        results["footpass"] = _score_footpass(args, labelled, scored)
    if args.json is not None:
        from e2espot.files.atomic import write_atomically

        write_atomically(args.json, json.dumps(results, indent=1).encode())


def _label_set(args: Evaluate, labels: EventsByGame) -> LabelSet:
    """The classes of ``label_set``; without it those that occur, which are printed."""
    from e2espot.core.label_sets import label_set_named, label_set_of

    if args.games.label_set is not None:
        return label_set_named(args.games.label_set)
    label_set = label_set_of(entry.label for entries in labels.values() for entry in entries)
    print(
        f"classes: {', '.join(label_set.names)} (those in the label files; SoccerNet averages over all "
        "classes of the task: name them with --label_set)"
    )
    return label_set


def _with_sides(args: Evaluate, labels: EventsByGame) -> EventsByGame:
    """The labels with their teams as left and right, as far as they are mapped."""
    teams = parse_team_map(args.team_map, args.second_half)
    return {
        game: [dataclasses.replace(event, team=teams.side_of(event.team, event.half)) for event in events]
        for game, events in labels.items()
    }


def _score_dfl(labels: EventsByGame, predictions: EventsByGame) -> dict[str, Any]:
    """Print the metric of Kaggle's DFL data and give it as plain values."""
    from e2espot.scoring.dfl import evaluate_dfl

    report = evaluate_dfl(labels, predictions)
    print(report.table())
    return report.to_json()


def _score_footpass(args: Evaluate, labelled: LabelledGames, scored: ScoredGames) -> dict[str, Any]:
    """Print FOOTPASS's F1 and give it as plain values: of what is shown, then with the events under replays."""
    from e2espot.core.label_sets import label_set_named
    from e2espot.scoring.footpass import evaluate_footpass

    label_set, _ = labelled.counted_classes(label_set_named(args.games.label_set or "footpass"))
    report = evaluate_footpass(_with_sides(args, labelled.labels), scored.predictions, label_set)
    print("F1 in percent of team and class, confidence 0.15 or more, within 12 frames")
    print(report.table())
    if not any(labelled.outside.values()):
        return report.to_json()
    labels = {game: [*events, *labelled.outside[game]] for game, events in labelled.labels.items()}
    predictions = {game: [*events, *scored.outside[game]] for game, events in scored.predictions.items()}
    whole = evaluate_footpass(_with_sides(args, labels), predictions, label_set)
    print(
        f"with everything outside of the annotated stretches, such as events under replays: F1 "
        f"{100 * whole.overall.f1:.2f}, precision {100 * whole.overall.precision:.2f}, recall "
        f"{100 * whole.overall.recall:.2f} (the challenge counts these events)"
    )
    return {**report.to_json(), "with_unannotated": whole.to_json()}


def _first(args: Evaluate) -> str:
    """The first of SoccerNet's metrics."""
    return next(name for name in args.metric if name not in _OF_OTHER_SETS)


def _score_teams(
    args: Evaluate, labels: EventsByGame, predictions: EventsByGame, label_set: LabelSet
) -> dict[str, Any]:
    """Print Team-mAP and give it as plain values."""
    import math

    from e2espot.scoring.team import evaluate_teams

    sides = [event.team in SIDES for events in predictions.values() for event in events]
    if not all(sides):
        print(f"note: {sides.count(False)} of {len(sides)} predictions have no team, left or right, and count for none")
    scored = evaluate_teams(labels, predictions, label_set, _first(args), args.fps)
    print(
        f"Team-mAP {_first(args)}: {100 * scored.team_mAP:.2f}, "
        f"without teams {100 * scored.without_teams.mAP(_first(args)):.2f}"
    )
    for name, value in scored.per_class.items():
        print(f"  {name:<24}{100 * value:8.2f}")
    plain = {name: None if math.isnan(value) else value for name, value in scored.per_class.items()}
    return {
        "metric": _first(args),
        "team_mAP": None if math.isnan(scored.team_mAP) else scored.team_mAP,
        "per_class": plain,
    }

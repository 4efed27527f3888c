"""Reads labels and results of many games, from a folder or a zip, as the official evaluator reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from e2espot.core.annotated import AnnotatedHalves, inside, intersect_annotated
from e2espot.core.annotated_classes import AnnotatedClasses, annotated_somewhere, intersect_classes, of_classes
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.core.wording import counted
from e2espot.files.bundle import Bundle
from e2espot.formats.annotated_field import read_annotated, read_annotated_classes
from e2espot.formats.annotated_table import StatedStretches
from e2espot.formats.filenames import BALL_LABEL_FILE, RESULTS_FILE
from e2espot.formats.game import Game
from e2espot.formats.guess_format import labels_in_other_form, results_in_other_form
from e2espot.formats.label_documents import read_label_document
from e2espot.formats.label_map import LabelMap
from e2espot.formats.own_games import games_in_split, lists_videos, own_games
from e2espot.formats.result_names import match_results
from e2espot.formats.soccernet import ONE_VIDEO_HINT
from e2espot.formats.soccernet_json import parse_document, read_rows

_SCORED_HALVES = (1, 2)

EventsByGame = dict[str, list[ScoredEvent]]
"""Game -> its labels or predictions."""


@dataclass(frozen=True, kw_only=True)
class LabelledGames:
    """The labels of several games, and which stretches of them are labelled at all."""

    labels: EventsByGame
    """Game -> its labels within what was annotated."""
    annotated: dict[str, AnnotatedHalves]
    """Game -> what was annotated of it."""
    classes: dict[str, AnnotatedClasses]
    """Game -> classes that were annotated in it."""
    outside: EventsByGame = field(default_factory=dict)
    """Game -> labels of these classes outside of what was annotated; metrics of others may count them."""
    notes: tuple[str, ...] = ()
    """What a person should know about them, one line each."""

    def counted_classes(self, label_set: LabelSet) -> tuple[LabelSet, tuple[str, ...]]:
        """The classes of a label set that at least one game annotates, and the others, which have no score."""
        counted = annotated_somewhere(label_set, self.classes.values())
        return counted, tuple(name for name in label_set.names if name not in counted)


@dataclass(frozen=True, kw_only=True)
class ScoredGames:
    """The predictions for labelled games."""

    predictions: EventsByGame
    """Game -> its predictions within what was annotated."""
    outside: EventsByGame = field(default_factory=dict)
    """Game -> its other predictions, of annotated classes."""
    notes: tuple[str, ...] = ()
    """What a person should know about them, one line each."""


def games_to_score(labels: Path, *, split: str | None = None, label_file: str = BALL_LABEL_FILE) -> list[str]:
    """List the labelled games.

    Args:
        labels: Folder or zip of labels, the label file of one game, or a file of labels in another format.
        split: Split of a folder; None for all labelled games.
        label_file: Name of the label files.

    Raises:
        ConfigurationError: there is no labelled game, or ``split`` is given for a zip.
    """
    from e2espot.formats.games import check_label_file, find_games, lack_of_labels

    check_label_file(label_file)
    listed = _listed_games(labels)
    if listed is not None:
        names = [game.name for game in games_in_split(labels, listed, split) if split or game.labels_path is not None]
    elif split is not None:
        if not labels.is_dir():
            raise ConfigurationError(f"{labels} is a file, which has no splits; give a folder", option="split")
        games = find_games(labels, split=split, label_file=label_file, need_videos=False)
        names = [game.name for game in games]
    elif (others := labels_in_other_form(labels)) is not None:
        names = list(others)
    elif (bundle := Bundle(labels)).is_file:
        names = [labels.name.removesuffix(".json").removesuffix(".labels")]
    else:
        ending = f"/{label_file}"
        names = sorted(name.removesuffix(ending) for name in bundle.names if name.endswith(ending))
    if not names:
        lack = lack_of_labels(labels)
        raise ConfigurationError(f"{labels}: no games with {label_file} to score" + (f" ({lack})" if lack else ""))
    return names


def read_labels(
    path: Path,
    games: Sequence[str],
    *,
    label_file: str = BALL_LABEL_FILE,
    annotated: StatedStretches | None = None,
    classes: AnnotatedClasses = None,
    label_map: LabelMap | None = None,
) -> LabelledGames:
    """Read the labels of the games.

    Args:
        path: Folder or zip of labels, the label file of one game, or a file of labels in another format.
        games: Names of the games.
        label_file: Name of the label files.
        annotated: What was annotated of every game, besides what the files say; None for everything.
        classes: Classes that were annotated in every game, besides what the files say; None for all of them.
        label_map: New names of classes; None for those of the files.

    Raises:
        AnnotationError: a file is missing or makes the evaluator crash.
        ConfigurationError: a table of annotated stretches that lists none of the games.
    """
    stated = annotated or StatedStretches()
    stated.check(games)
    labels_of = _label_reader(path, label_file)
    labels: EventsByGame = {}
    annotated_by_game: dict[str, AnnotatedHalves] = {}
    classes_by_game: dict[str, AnnotatedClasses] = {}
    outside: EventsByGame = {}
    num_outside, num_other = 0, 0
    for game in games:
        content, rows, context = labels_of(game)
        annotated_by_game[game] = intersect_annotated(read_annotated(content, context), stated.of(game))
        events = _renamed(read_rows(rows, context, kind="label", mode="official"), label_map)
        classes_by_game[game] = intersect_classes(read_annotated_classes(content, context, label_map), classes)
        within = inside(events, annotated_by_game[game])
        labels[game] = of_classes(within, classes_by_game[game])
        outside[game] = _others(of_classes(events, classes_by_game[game]), labels[game])
        num_outside += len(events) - len(within)
        num_other += len(within) - len(labels[game])
    notes = _uncounted("label", num_outside, num_other)
    if empty := [game for game in games if not labels[game]]:
        notes.append(f"without a single label: {_first_eight(empty)}")
    return LabelledGames(
        labels=labels, annotated=annotated_by_game, classes=classes_by_game, outside=outside, notes=tuple(notes)
    )


_LabelsOfGame = Callable[[str], tuple[dict[str, Any], list[Any], str]]
"""Game -> top-level fields and rows of its label file, and what names it in errors."""


def _listed_games(path: Path) -> list[Game] | None:
    return own_games(path) if path.is_dir() or lists_videos(path) else None


def _label_reader(path: Path, label_file: str) -> _LabelsOfGame:
    """Reads labels of a game by its name, from whatever holds them."""
    listed = _listed_games(path)
    if listed is not None:
        files = {game.name: game.labels_path for game in listed}
        return lambda game: _listed_labels(path, game, files.get(game))
    others = labels_in_other_form(path)
    if others is not None:
        return lambda game: (*parse_document(others[game], "label", f"{path}: {game}"), f"{path}: {game}")
    bundle = Bundle(path)
    return lambda game: _labels_in(bundle, game, label_file)


def _labels_in(bundle: Bundle, game: str, label_file: str) -> tuple[dict[str, Any], list[Any], str]:
    """Top-level fields and rows of a game's label file, and what names it in errors."""
    name = bundle.path.name if bundle.is_file else f"{game}/{label_file}"
    context = str(bundle.path) if bundle.is_file else f"{bundle.path}: {name}"
    return *parse_document(bundle.data(name), "label", context), context


def _listed_labels(path: Path, game: str, file: Path | None) -> tuple[dict[str, Any], list[Any], str]:
    """The same of a game in a list, or of a video with a label file of its name."""
    if file is None:
        raise AnnotationError(f"{path}: {game}: has no label file")
    return *read_label_document(file), str(file)


def score_inputs(
    path: Path,
    games: LabelledGames,
    *,
    missing: Literal["error", "empty"] = "error",
    label_map: LabelMap | None = None,
) -> ScoredGames:
    """Read the predictions for labelled games, and note what would distort their score silently.

    Args:
        path: Folder or zip of results.
        games: The labels.
        missing: Whether a game without results is an error, or has no predictions.
        label_map: New names of classes; None for those of the files.

    Raises:
        AnnotationError: as :func:`read_predictions`.
    """
    stored = read_predictions(path, list(games.labels), missing=missing)
    every = {game: _renamed(events, label_map) for game, events in stored.items()}
    within = {game: inside(events, games.annotated[game]) for game, events in every.items()}
    predictions = {game: of_classes(events, games.classes[game]) for game, events in within.items()}
    outside = {
        game: _others(of_classes(events, games.classes[game]), predictions[game]) for game, events in every.items()
    }
    num_every, num_within, num_counted = (sum(map(len, events.values())) for events in (every, within, predictions))
    notes = [
        *_uncounted("prediction", num_every - num_within, num_within - num_counted),
        *_halves_without_partner(games.labels, predictions),
        *_unusual_confidences([event.value for events in predictions.values() for event in events]),
    ]
    return ScoredGames(predictions=predictions, outside=outside, notes=tuple(notes))


def _uncounted(what: str, num_outside: int, num_other: int) -> list[str]:
    """Notes on events outside of the annotated stretches, and on those of classes that are not annotated."""
    reasons = {
        "outside of the annotated stretches": num_outside,
        "of classes that their game does not annotate": num_other,
    }
    return [
        f"{counted(count, what)} {reason} {'does' if count == 1 else 'do'} not count"
        for reason, count in reasons.items()
        if count
    ]


def _unusual_confidences(values: list[float]) -> list[str]:
    """Notes on confidences that the metric changes, ignores or cannot separate."""
    notes = []
    if above := sum(value > 1 for value in values):
        notes.append(f"{counted(above, 'confidence')} above 1, ranked as 1")
    if below := sum(value < 0 for value in values):
        notes.append(f"{counted(below, 'confidence')} below 0 or none, ignored")
    return notes + _too_close(values)


def _too_close(values: list[float]) -> list[str]:
    """A note if the metric's thresholds, 1/199 apart, separate few of the confidences because all are small.

    20 confidences from 0.0002 to 0.0049 lie between two thresholds: hits and false positives count at once, and the mAP
    is that of a ranking at random. From 0.02 to 0.49 every one has its own.
    """
    different = {value for value in values if value > 0}
    largest = max(different, default=1.0)
    if largest >= 0.1 or len(different) < 2:
        return []
    steps = len({int(value * 199) for value in different})
    return [
        f"the largest confidence is {largest:.2g}; the metric compares with thresholds 0.005 apart, which separate "
        f"{len(different)} different confidences into {counted(steps, 'group')}: scale them to a largest of 1"
    ]


def _first_eight(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")


def _others(events: list[ScoredEvent], counted: list[ScoredEvent]) -> list[ScoredEvent]:
    """The events that are not among the counted ones, which are some of the same objects."""
    if len(events) == len(counted):
        return []
    known = {id(event) for event in counted}
    return [event for event in events if id(event) not in known]


def _halves_without_partner(labels: EventsByGame, predictions: EventsByGame) -> list[str]:
    """Notes on events that cannot be hits: of halves without labels or results, or of periods that do not count."""
    notes = []
    if unlabelled := _halves_missing_in(labels, predictions):
        notes.append(
            f"predictions in halves without a single label count as false: {_first_eight(unlabelled)}; if they were "
            "not annotated, say what was"
        )
    if late := sum(event.half not in _SCORED_HALVES for events in labels.values() for event in events):
        of = "of extra time or penalties"
        what = counted(late, f"label {of} does", f"labels {of} do")
        notes.append(f"{what} not count: SoccerNet's evaluator has two halves")
    scored = {game: [event for event in events if event.half in _SCORED_HALVES] for game, events in labels.items()}
    if missed := _halves_missing_in(predictions, scored):
        notes.append(
            f"labels of halves without a single prediction count as missed: {_first_eight(missed)}; {ONE_VIDEO_HINT}"
        )
    return notes


def _halves_missing_in(events: EventsByGame, others: EventsByGame) -> list[str]:
    """``game (half 2: 31)`` for each half of ``others`` without events, if its game has events."""
    return [
        f"{game} (half {half}: {count})"
        for game, of_game in others.items()
        for half, count in sorted(Counter(event.half for event in of_game).items())
        if events[game] and half not in {event.half for event in events[game]}
    ]


def _renamed(events: list[ScoredEvent], label_map: LabelMap | None) -> list[ScoredEvent]:
    """The events under their new names, without those of classes that are left out."""
    if label_map is None or not label_map.names:
        return events
    names = ((event, label_map(event.label)) for event in events)
    return [replace(event, label=name) for event, name in names if name is not None]


def read_predictions(path: Path, games: Sequence[str], *, missing: Literal["error", "empty"] = "error") -> EventsByGame:
    """Read the predictions of the games, under whatever name of :mod:`e2espot.formats.result_names` they have.

    Args:
        path: Folder or zip of results, for one game also its results file, or a file of results in another format.
        games: Names of the games.
        missing: Whether a game without results is an error, or has no predictions.

    Raises:
        AnnotationError: a file makes the evaluator crash, or is missing although ``missing`` is ``"error"``, or no
            game has results.
    """
    names, data_of, are_of_one_file = _result_files(path)
    predictions: EventsByGame = {}
    if are_of_one_file and len(games) == len(names) == 1:
        file_of_game = {games[0]: next(iter(names))}
    else:
        file_of_game = match_results(games, names, RESULTS_FILE, str(path))
    if games and not file_of_game:
        raise AnnotationError(
            f"{path}: has no {RESULTS_FILE} for any of the {counted(len(games), 'labelled game')}, such as "
            f"{games[0]!r}; it holds: {_first_names(names)}"
        )
    for game in games:
        name = file_of_game.get(game, f"{game}/{RESULTS_FILE}")
        context = f"{path}: {name}"
        if game in file_of_game:
            _, rows = parse_document(data_of(name), "prediction", context)
            predictions[game] = read_rows(rows, context, kind="prediction", mode="official")
        elif missing == "empty":
            predictions[game] = []
        else:
            raise AnnotationError(
                f"{context}: missing; 'empty' scores such a game as having no predictions", option="missing"
            )
    return predictions


def _result_files(path: Path) -> tuple[Collection[str], Callable[[str], bytes], bool]:
    """Names of the result files in a folder, zip or file of any format, what reads one, and whether it is a file."""
    others = results_in_other_form(path)
    if others is None:
        bundle = Bundle(path)
        return bundle.names, bundle.data, bundle.is_file
    files = {f"{game}/{RESULTS_FILE}": data for game, data in others.items()}
    return files.keys(), files.__getitem__, True


def _first_names(files: Collection[str]) -> str:
    names = sorted(files)
    return (", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")) or "nothing"

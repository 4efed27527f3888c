"""What is scored: label files and results of many games, in a folder or a zip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import ScoredEvent
from e2espot.files.bundle import Bundle
from e2espot.formats.soccernet import entries_for_scoring, entries_in

Entries = dict[str, list[ScoredEvent]]
"""Game -> its labels or predictions."""
Sides = dict[str, list[str]]
"""Game -> the side each of them names, an empty string for none."""

RESULTS_FILE = "results_spotting.json"


def games_to_score(labels: Path, *, split: str | None = None, label_file: str = "Labels-ball.json") -> list[str]:
    """Names of the labelled games of a split, or of all.

    Raises:
        ConfigurationError: none, or a split is asked of a zip.
    """
    from e2espot.formats.games import check_label_file, find_games

    check_label_file(label_file)
    if split is not None:
        if not labels.is_dir():
            raise ConfigurationError(f"{labels} is a zip; --split needs a folder")
        games = find_games(labels, split=split, label_file=label_file, need_videos=False)
        names = [game.name for game in games]
    else:
        ending = f"/{label_file}"
        names = sorted(name.removesuffix(ending) for name in Bundle(labels).names if name.endswith(ending))
    if not names:
        raise ConfigurationError(f"{labels}: no games with {label_file} to score")
    return names


def read_labels(path: Path, games: Sequence[str], *, label_file: str = "Labels-ball.json") -> tuple[Entries, Sides]:
    """Labels of the games, as the official evaluator reads them, and the side of each.

    Raises:
        AnnotationError: a file that is missing or that the evaluator would crash on.
    """
    files = Bundle(path)
    labels: Entries = {}
    sides: Sides = {}
    for game in games:
        where = f"{path}: {game}/{label_file}"
        rows = entries_in(files.text(f"{game}/{label_file}"), "annotations", where)
        labels[game] = entries_for_scoring(rows, where, labels=True)
        sides[game] = [str(row.get("team", "")) for row in rows]
    return labels, sides


def read_predictions(
    path: Path, games: Sequence[str], *, missing: Literal["error", "empty"] = "error"
) -> tuple[Entries, Sides]:
    """Predictions of the games, as the official evaluator reads them, and the side of each.

    Raises:
        AnnotationError: a file that the evaluator would crash on, or that is missing where that is an error.
    """
    files = Bundle(path)
    predictions: Entries = {}
    sides: Sides = {}
    for game in games:
        name = f"{game}/{RESULTS_FILE}"
        where = f"{path}: {name}"
        if name in files.names:
            rows = entries_in(files.text(name), "predictions", where)
            predictions[game] = entries_for_scoring(rows, where, labels=False)
            sides[game] = [str(row.get("team", "")) for row in rows]
        elif missing == "empty":
            predictions[game], sides[game] = [], []
        else:
            raise AnnotationError(f"{where}: missing; --missing empty scores such a game as having no predictions")
    return predictions, sides

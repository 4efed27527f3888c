"""Reads labels and results of many games, from a folder or a zip, as the official evaluator reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import ScoredEvent
from e2espot.files.bundle import Bundle
from e2espot.formats.filenames import BALL_LABEL_FILE, RESULTS_FILE
from e2espot.formats.soccernet_json import parse_document, read_rows

EventsByGame = dict[str, list[ScoredEvent]]
"""Game -> its labels or predictions."""


def games_to_score(labels: Path, *, split: str | None = None, label_file: str = BALL_LABEL_FILE) -> list[str]:
    """List the labelled games.

    Args:
        labels: Folder or zip of labels.
        split: Split of a folder; None for all labelled games.
        label_file: Name of the label files.

    Raises:
        ConfigurationError: there is no labelled game, or ``split`` is given for a zip.
    """
    from e2espot.formats.games import check_label_file, find_games

    check_label_file(label_file)
    if split is not None:
        if not labels.is_dir():
            raise ConfigurationError(f"{labels} is a zip, which has no splits; give a folder", option="split")
        games = find_games(labels, split=split, label_file=label_file, need_videos=False)
        names = [game.name for game in games]
    else:
        ending = f"/{label_file}"
        names = sorted(name.removesuffix(ending) for name in Bundle(labels).names if name.endswith(ending))
    if not names:
        raise ConfigurationError(f"{labels}: no games with {label_file} to score")
    return names


def read_labels(path: Path, games: Sequence[str], *, label_file: str = BALL_LABEL_FILE) -> EventsByGame:
    """Read the labels of the games.

    Raises:
        AnnotationError: a file is missing or makes the evaluator crash.
    """
    bundle = Bundle(path)
    labels: EventsByGame = {}
    for game in games:
        context = f"{path}: {game}/{label_file}"
        _, rows = parse_document(bundle.data(f"{game}/{label_file}"), "label", context)
        labels[game] = read_rows(rows, context, kind="label", mode="official")
    return labels


def read_predictions(path: Path, games: Sequence[str], *, missing: Literal["error", "empty"] = "error") -> EventsByGame:
    """Read the predictions of the games.

    Args:
        path: Folder or zip of results.
        games: Names of the games.
        missing: Whether a game without results is an error, or has no predictions.

    Raises:
        AnnotationError: a file makes the evaluator crash, or is missing although ``missing`` is ``"error"``.
    """
    bundle = Bundle(path)
    predictions: EventsByGame = {}
    for game in games:
        name = f"{game}/{RESULTS_FILE}"
        context = f"{path}: {name}"
        if name in bundle.names:
            _, rows = parse_document(bundle.data(name), "prediction", context)
            predictions[game] = read_rows(rows, context, kind="prediction", mode="official")
        elif missing == "empty":
            predictions[game] = []
        else:
            raise AnnotationError(
                f"{context}: missing; 'empty' scores such a game as having no predictions", option="missing"
            )
    return predictions

"""Cross-validation: every labelled game is scored by a run that has not learnt from it.

What comes out serves three ends: an honest figure over all games, a calibration fitted on all of them, and hard
negatives for a second round (``--hard_negatives RUN/oof``).
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError
from e2espot.core.scores import Scores
from e2espot.files.atomic import write_atomically
from e2espot.formats.games import find_games
from e2espot.formats.scores import read_scores, write_scores
from e2espot.models.weights.checkpoint import load_spotter
from e2espot.scoring import Report
from e2espot.suppression.calibration import Calibration
from e2espot.training.data import LabelledGame
from e2espot.training.fit import fit
from e2espot.training.fit_calibration import fit_calibration
from e2espot.training.recipe import Recipe
from e2espot.training.setup import setup
from e2espot.training.validation import labels_of, report_on, score_games

_LOG = logging.getLogger(__name__)


def cross_validate(
    root: Path, folder: Path, recipe: Recipe, folds: int, options: Mapping[str, Any]
) -> tuple[Report, Calibration]:
    """Train ``folds`` runs under ``folder``, score every game out of fold, fit one calibration for all of them.

    What is finished is not done again, so it can be stopped at any time and called again.

    Args:
        root: Dataset folder.
        folder: Gets ``fold_1`` .. and ``oof`` with the scores of every game.
        recipe: What to train; its ``fold`` is set here.
        folds: Number of parts.
        options: More arguments of :func:`e2espot.training.setup.setup`.

    Returns:
        mAP@1..5 over all games out of fold, under the calibration fitted on them; and that calibration.

    Raises:
        ConfigurationError: ``folder`` was begun with other games, parts or settings, whose runs would be mixed in.
    """
    _begin(root, folder, recipe, folds, options)
    games: list[LabelledGame] = []
    scores: dict[str, dict[int, Scores]] = {}
    for number in range(1, folds + 1):
        part = folder / f"fold_{number}"
        run = setup(
            root,
            part,
            dataclasses.replace(recipe, fold=f"{number}/{folds}"),
            resume=(part / "config.yaml").exists(),
            **options,
        )
        _LOG.info("fold %d of %d: %s", number, folds, ", ".join(game.game.name for game in run.valid))
        fit(run)
        games += run.valid
        for game in run.valid:
            scores[game.game.name] = _out_of_fold(game, part, folder / "oof", run.device.type, run.reader)
    label_set = next(iter(next(iter(scores.values())).values())).label_set
    fps = next(iter(next(iter(scores.values())).values())).fps
    calibration = fit_calibration(scores, labels_of(games, fps), label_set)
    content = (json.dumps(calibration.to_json(), indent=1) + "\n").encode()
    for number in range(1, folds + 1):
        write_atomically(folder / f"fold_{number}" / "calibration.json", content)
    return report_on(scores, games, calibration, label_set), calibration


def _begin(root: Path, folder: Path, recipe: Recipe, folds: int, options: Mapping[str, Any]) -> None:
    """Note what is parted, or refuse a folder in which something else was: its runs know games they are asked about."""
    where = {name: options[name] for name in ("resolution", "label_file") if name in options}
    found = find_games(root, split=None, need_videos=True, **where)
    told = {
        "folds": folds,
        "games": [game.name for game in found if game.labels_path is not None],
        **dataclasses.asdict(recipe),
    }
    note = folder / "folds.json"
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        before = told
    except (OSError, ValueError, RecursionError):
        before = None
    others = [name for name in told if not isinstance(before, dict) or before.get(name) != told[name]]
    if others:
        raise ConfigurationError(
            f"{folder}: was begun with other {', '.join(others[:5])} (see {note.name}); choose another -s, or go on "
            "with what it was begun with"
        )
    write_atomically(note, (json.dumps(told, indent=1) + "\n").encode())


def _out_of_fold(game: LabelledGame, part: Path, oof: Path, device: str, reader: Any) -> dict[int, Scores]:
    """Scores of a game by the run that has not learnt from it, from the disk if they are there."""
    several = len(game.game.videos) > 1
    files = {
        video.half: oof / game.game.name / (f"scores_{video.half}.npz" if several else "scores.npz")
        for video in game.game.videos
    }
    newest = (part / "best.safetensors").stat().st_mtime
    if not all(file.is_file() and file.stat().st_mtime >= newest for file in files.values()):
        found = score_games(load_spotter(part, device), [game], reader)[game.game.name]
        for half, scores in found.items():
            write_scores(files[half], scores)
    return {half: read_scores(file) for half, file in files.items()}

"""Cross-validation: every labelled game is scored by a run that has not learnt from it.

    recipe -> fold_1 .. fold_N (runs) -> oof (scores of every game, out of fold) -> one calibration for all runs

The scores also provide hard negatives for a second round: ``hard_negatives="RUNS/oof"``.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError
from e2espot.core.scores import Scores
from e2espot.files.atomic import check_folder, write_atomically
from e2espot.formats.filenames import scores_file
from e2espot.formats.games import find_games
from e2espot.formats.scores import read_scores, write_scores
from e2espot.models.weights.checkpoint import load_spotter
from e2espot.scoring import Report
from e2espot.suppression.calibration import Calibration
from e2espot.training.config import TrainingConfig, resolve
from e2espot.training.data import LabelledGame
from e2espot.training.fit import fit
from e2espot.training.fit_calibration import fit_calibration
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, stored_fields
from e2espot.training.setup import setup
from e2espot.training.validation import classes_of, labels_of, score_games, score_predictions

_LOG = logging.getLogger(__name__)
_RECORD = "folds.json"
"""File in which a folder keeps what it was started with."""


def cross_validate(
    data: Path, folder: Path, recipe: Recipe, folds: int, options: RunOptions
) -> tuple[Report, Calibration]:
    """Train ``folds`` runs under ``folder``, score every game out of fold, fit one calibration for all of them.

    Finished work is not repeated, so this can be stopped at any time and called again.

    Args:
        data: Dataset folder.
        folder: Gets ``fold_1`` .. and ``oof`` with the scores of every game.
        recipe: What to train; its ``fold`` is set here.
        folds: Number of folds.
        options: Options of each run; ``resume`` is set here.

    Returns:
        mAP@1 to mAP@5 over all games out of fold, under the calibration fitted on them; and that calibration.

    Raises:
        ConfigurationError: ``folder`` was started with other games, folds or settings, whose runs would be mixed in.
    """
    configs = [_fold_config(data, folder, recipe, (number, folds), options) for number in range(1, folds + 1)]
    record = _checked_record(folder, configs[0], recipe, folds)
    games: list[LabelledGame] = []
    scores: dict[str, dict[int, Scores]] = {}
    for number, config in enumerate(configs, start=1):
        run = setup(config)
        write_atomically(folder / _RECORD, record)  # not before a fold is set up: games may be too few
        _LOG.info("fold %d of %d: %s", number, folds, ", ".join(game.game.name for game in run.valid_games))
        fit(run)
        games += run.valid_games
        for game in run.valid_games:
            scores[game.game.name] = _scores_out_of_fold(game, config, folder / "oof")
    some_scores = next(scores for halves in scores.values() for scores in halves.values())
    label_set, fps = some_scores.label_set, some_scores.fps
    calibration = fit_calibration(scores, labels_of(games, fps), label_set, classes_of(games))
    content = (json.dumps(calibration.to_json(), indent=1) + "\n").encode()
    for config in configs:
        write_atomically(config.folder / "calibration.json", content)
    return score_predictions(scores, games, calibration, label_set), calibration


def _fold_config(
    data: Path, folder: Path, recipe: Recipe, fold: tuple[int, int], options: RunOptions
) -> TrainingConfig:
    number, folds = fold
    run = folder / f"fold_{number}"
    return resolve(
        merge(recipe, {"fold": f"{number}/{folds}"}),
        data,
        run,
        dataclasses.replace(options, resume=(run / "config.yaml").exists()),
    )


def _checked_record(folder: Path, config: TrainingConfig, recipe: Recipe, folds: int) -> bytes:
    """Games, folds and settings for ``folds.json``; a folder that was started with others is refused.

    With another division into folds, runs would score games that they have learnt from.
    """
    check_folder(folder, option="save_dir")
    games = find_games(config.data, split=None, resolution=config.resolution, label_file=config.labels.label_file)
    record: dict[str, Any] = {
        "folds": folds,
        "games": [game.name for game in games if game.labels_path is not None],
        **recipe.to_fields(),
    }
    file = folder / _RECORD
    try:
        # Of an earlier version: settings that it did not have are what they are by default.
        recorded = {**Recipe().to_fields(), **stored_fields(json.loads(file.read_text(encoding="utf-8")))}
    except FileNotFoundError:
        recorded = record
    except (OSError, ValueError, RecursionError, AttributeError):
        recorded = {}
    different = [name for name, value in record.items() if recorded.get(name) != value]
    if different:
        raise ConfigurationError(
            f"{folder}: was started with other {', '.join(different[:5])} (see {file.name}); choose another folder, or "
            "continue with what it was started with",
            option="save_dir",
        )
    return (json.dumps(record, indent=1) + "\n").encode()


def _scores_out_of_fold(game: LabelledGame, config: TrainingConfig, oof: Path) -> dict[int, Scores]:
    """Scores of a game by the run that has not learnt from it, from the disk if they are newer than the run."""
    files = {
        video.half: oof / game.game.name / scores_file(video.half, len(game.game.videos)) for video in game.game.videos
    }
    # Scores from before the last change of the weights are of an earlier epoch, or of a run that was replaced.
    trained_s = (config.folder / "best.safetensors").stat().st_mtime
    if not all(file.is_file() and file.stat().st_mtime >= trained_s for file in files.values()):
        spotter = load_spotter(config.folder, config.device.type)
        for half, scores in score_games(spotter, [game], config.backend, config.pictures)[game.game.name].items():
            write_scores(files[half], scores)
    return {half: read_scores(file) for half, file in files.items()}

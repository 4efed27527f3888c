"""Train a spotter from raw video or from features: e2espot train DATA -s RUN --recipe laptop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.cli.recipe_args import parse_recipe_args, recipe_of, stored_run
from e2espot.cli.subcommand import command_line
from e2espot.core.wording import counted
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe

if TYPE_CHECKING:
    from e2espot.training.state import Progress, Run

_PROG, _DEFAULT_RECIPE = "e2espot train", "e2e-spot"


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a spotter from raw video.

    Examples: e2espot train DATA -s RUN --recipe laptop; e2espot train DATA -s RUN --resume
    """

    data: tyro.conf.Positional[Path]
    """Folder in SoccerNet's layout, videos with labels of the same names, a list (.yaml, .csv) of these, a video."""
    save_dir: Annotated[Path, tyro.conf.arg(aliases=["-s"])]
    """Run folder to write."""
    recipe: str = _DEFAULT_RECIPE
    """Shipped recipe, such as laptop or ball-2023-rny002, or a YAML file; an unknown name lists the shipped recipes."""
    config: Path | None = None
    """YAML file whose settings replace the recipe's; flags replace both."""
    options: Annotated[tyro.conf.OmitArgPrefixes[RunOptions], tyro.conf.arg(name="")] = field(
        default_factory=RunOptions
    )
    """Options of the run."""
    settings: Annotated[tyro.conf.OmitArgPrefixes[Recipe], tyro.conf.arg(name="")] = field(default_factory=Recipe)
    """The recipe's settings."""


def parse_train(arguments: list[str]) -> Train:
    """The command line over the defaults of its recipe."""
    return parse(Train, arguments, _PROG, _defaults(arguments))


def main(arguments: list[str]) -> None:
    """Parse, train, print how good the run is."""
    args = parse_train(arguments)

    from e2espot.training.config import resolve
    from e2espot.training.distributed import destroy_process_group
    from e2espot.training.fit import fit
    from e2espot.training.setup import setup

    run = setup(resolve(args.settings, args.data, args.save_dir, args.options))
    videos = run.dataset.videos
    num_events = sum(len(video.labelled.event_frames) for video in videos)
    _print_once(
        run,
        f"{counted(len(videos), 'training video')} with {counted(num_events, 'event')}, "
        f"{counted(len(run.valid_games), 'valid game')}; "
        f"start: {run.start}",
    )
    try:
        progress = fit(run)
    except KeyboardInterrupt:
        _print_once(run, f"stopped; continue with: {command_line('train', args.data, '-s', args.save_dir, '--resume')}")
        raise
    destroy_process_group()
    if run.group.is_main:
        _finish(run, progress)


def _defaults(arguments: list[str]) -> Train:
    """Defaults of all flags: those of the run to be resumed, else those of the recipe."""
    recipe_args = parse_recipe_args(arguments, _PROG)
    stored = stored_run(recipe_args)
    recipe, options = stored if stored is not None else (recipe_of(recipe_args, _DEFAULT_RECIPE), RunOptions())
    return Train(data=tyro.MISSING, save_dir=tyro.MISSING, settings=recipe, options=options)


def _print_once(run: Run, line: str) -> None:
    """Print a line on one of the processes."""
    if run.group.is_main:
        print(line)


def _finish(run: Run, progress: Progress) -> None:
    """Fit and print the calibration and the scores of a finished run."""
    from e2espot.suppression.nms import Suppression
    from e2espot.training.fit_calibration import first_calibration
    from e2espot.training.validation import finish_run, metric_title

    folder = run.config.folder
    if run.validates:
        result = finish_run(
            folder,
            run.train_games,
            run.valid_games,
            run.device.type,
            run.config.backend,
            run.config.pictures,
            run.recipe.optimisation.metric,
        )
        title = metric_title(run.recipe.optimisation.metric)
        start = first_calibration(run.spotter.spec).suppression
        plain = "plain soft suppression" if start == Suppression() else f"{start.method} suppression"
        print(f"best epoch {progress.best_epoch}: {title} {progress.best_mAP:.4f} with {plain}")
        print(
            f"\nmAP in percent on the valid games, which chose epoch and calibration: {result.calibration.describe()}"
        )
        print(result.spotter.table())
        print("\nperiodic baseline, fitted on the train games")
        print(result.baseline.table() + "\n")
    print(f"weights: {folder / 'best.safetensors'}")

"""Cross-validate: e2espot folds DATA -s RUNS --recipe ball-2023-folds --folds 7."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.cli.recipe_args import parse_recipe_args, recipe_of
from e2espot.cli.subcommand import command_line
from e2espot.core.errors import ConfigurationError
from e2espot.core.teams import SecondHalf
from e2espot.training.options import BadLabels, RunOptions
from e2espot.training.recipe import Recipe

_PROG, _DEFAULT_RECIPE = "e2espot folds", "ball-2023-folds"


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Train one run per fold, score every labelled game with the run that has not seen it, and fit a calibration.

    Example: e2espot folds DATA -s RUNS --folds 7
    """

    data: tyro.conf.Positional[Path]
    """Dataset folder; all its labelled games take part, whatever their split."""
    save_dir: Annotated[Path, tyro.conf.arg(aliases=["-s"])]
    """Folder for the runs (fold_1, fold_2, ...) and for the scores of all games (oof)."""
    folds: int = 7
    """Number of folds."""
    recipe: str = _DEFAULT_RECIPE
    """Shipped recipe, or a YAML file."""
    config: Path | None = None
    """YAML file whose settings replace the recipe's; flags replace both."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which video file of a game is read."""
    label_file: str = "auto"
    """Name of the label file in a game's folder; auto is SoccerNet's name for the label set."""
    bad_labels: BadLabels = "stop"
    """What to do about an invalid label: stop, or skip and count it."""
    video_stream: int | None = None
    """Which video stream of a file is read, counted from 0; by default the one that players choose."""
    map: Path | None = None
    """YAML file that renames or merges classes, with lines such as HEADER: PASS."""
    annotated: str = ""
    """Stretches of every game in which the labels are complete, such as 0:00-10:00 or 1/0:00-45:00,2/5:00-20:00, or
    a table of them with the columns game, start, end."""
    team_map: str = ""
    """Sides of teams that labels call something else than left and right, such as home=left,away=right."""
    second_half: SecondHalf = "same"
    """Sides of the mapped teams in the second half: the same, or swap."""
    reader: Literal["auto", "decord", "dali"] = "auto"
    """Decoder of the videos."""
    device: str = "auto"
    """cpu, cuda or auto."""
    settings: Annotated[tyro.conf.OmitArgPrefixes[Recipe], tyro.conf.arg(name="")] = field(default_factory=Recipe)
    """The recipe's settings."""


def main(arguments: list[str]) -> None:
    """Train the folds that are not trained yet, score, fit, print."""
    recipe = recipe_of(parse_recipe_args(arguments, _PROG), _DEFAULT_RECIPE)
    args = parse(Folds, arguments, _PROG, Folds(data=tyro.MISSING, save_dir=tyro.MISSING, settings=recipe))
    if args.folds < 2:
        raise ConfigurationError(f"folds is {args.folds}; it must be at least 2", option="folds")

    from e2espot.training.cross_validation import cross_validate

    options = RunOptions(
        resolution=args.resolution,
        label_file=args.label_file,
        bad_labels=args.bad_labels,
        video_stream=args.video_stream,
        map=args.map,
        annotated=args.annotated,
        team_map=args.team_map,
        second_half=args.second_half,
        reader=args.reader,
        device=args.device,
    )
    report, calibration = cross_validate(args.data, args.save_dir, args.settings, args.folds, options)
    print(
        "\nmAP in percent, every game scored by the run that has not seen it; the same games chose the epochs and the "
        f"calibration: {calibration.describe()}"
    )
    print(report.table())
    first, *others = (args.save_dir / f"fold_{number}" for number in range(1, args.folds + 1))
    oof = shlex.quote(str(args.save_dir / "oof"))
    print(f"\nsecond round with hard negatives: add --hard_negatives {oof} --negative_fraction 0.25")
    print(f"to average all folds: {command_line('infer', first, 'VIDEO', '-o', 'OUT', '--ensemble', *others)}")

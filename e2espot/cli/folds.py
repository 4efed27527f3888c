"""Cross-validate: e2espot folds DATA -s RUNS --recipe ball-2023-folds --folds 7."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from e2espot.cli.train import recipe_of
from e2espot.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Train one run a fold, score every labelled game by the run that has not seen it, fit post-processing on that."""

    data: tyro.conf.Positional[Path]
    """Dataset folder; all its labelled games take part, whatever their split."""
    save_dir: Annotated[Path, tyro.conf.arg(aliases=["-s"])]
    """Folder for the runs (fold_1 ..) and the scores out of fold (oof)."""
    folds: int = 7
    """Number of parts."""
    recipe: str = "ball-2023-folds"
    """Shipped recipe or a YAML file."""
    config: Path | None = None
    """YAML file whose fields go over the recipe's; flags go over both."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which of a game's files is read."""
    label_file: str = "Labels-ball.json"
    """Name of the label file in a game's folder."""
    bad_labels: Literal["stop", "skip"] = "stop"
    """What to do with a label that cannot be: stop, or leave it out and count it."""
    reader: Literal["auto", "decord", "dali"] = "auto"
    """What decodes the videos."""
    device: str = "auto"
    """cpu, cuda or auto."""
    settings: tyro.conf.OmitArgPrefixes[Recipe] = field(default_factory=Recipe)
    """The recipe's own fields."""


def main(arguments: list[str]) -> None:
    """Train what is not trained yet, score, fit, print."""
    settings = recipe_of(sys.argv[1:], "ball-2023-folds")
    args = tyro.cli(
        Folds,
        args=arguments,
        prog="e2espot folds",
        default=Folds(data=tyro.MISSING, save_dir=tyro.MISSING, settings=settings),
    )

    from e2espot.core.errors import ConfigurationError
    from e2espot.training.cross_validation import cross_validate

    if args.folds < 2:
        raise ConfigurationError(f"--folds is {args.folds}; it must be at least 2")
    names = ("resolution", "label_file", "bad_labels", "reader", "device")
    options = {name: getattr(args, name) for name in names}
    report, calibration = cross_validate(args.data, args.save_dir, args.settings, args.folds, options)
    print(f"\nmAP in percent out of fold, over the games that also chose the epochs and: {calibration.table()}")
    print(report.table())
    others = " ".join(str(args.save_dir / f"fold_{number}") for number in range(2, args.folds + 1))
    print(f"\nhard negatives for a second round: --hard_negatives {args.save_dir / 'oof'} --negative_fraction 0.25")
    print(f"all folds as one: e2espot infer {args.save_dir / 'fold_1'} VIDEO -o OUT --ensemble {others}")

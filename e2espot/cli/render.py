"""Render soccer matches with exact PASS and DRIVE labels, in SoccerNet's ball layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.wording import counted
from e2espot.synthetic.specs import DatasetSpec


@dataclass(frozen=True, kw_only=True)
class Render:
    """Render soccer matches with exact PASS and DRIVE labels, in SoccerNet's ball layout.

    Example: e2espot render out/matches --games 6 --minutes 2 --seed 0
    """

    out: Annotated[Path, tyro.conf.Positional]
    """Folder for rendered/<season>/<game>/ and splits.json."""
    dataset: tyro.conf.OmitArgPrefixes[DatasetSpec] = field(default_factory=DatasetSpec)
    """Which games are rendered."""
    jobs: int = 2
    """Number of processes."""
    stats: bool = False
    """Print statistics of the ball and of the events, next to those of real matches."""


def main(arguments: list[str]) -> None:
    """Parse, render, report."""
    args = parse(Render, arguments, "e2espot render")
    from e2espot.files.atomic import check_folder
    from e2espot.synthetic.dataset import render_dataset

    check_folder(args.out)
    splits = render_dataset(args.out, args.dataset, jobs=args.jobs, progress=True)
    count = sum(map(len, splits.values()))
    print(f"{counted(count, 'game')} under {args.out}")
    if args.stats:
        from e2espot.synthetic.measure import report

        print(report(args.out))

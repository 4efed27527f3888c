"""Render soccer matches with exact PASS and DRIVE labels, in SoccerNet's ball layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from e2espot.core.wording import counted


@dataclass(frozen=True, kw_only=True)
class Render:
    """Render soccer matches with exact PASS and DRIVE labels, in SoccerNet's ball layout.

    Example: e2espot render out/matches --games 6 --minutes 2 --seed 0
    """

    out: Annotated[Path, tyro.conf.Positional]
    """Folder for rendered/<season>/<game>/ and splits.json."""
    games: int = 6
    """Number of games: the last is test, the one before valid; fewer than three are all train."""
    minutes: float = 2.0
    """Length of a game in minutes."""
    seed: int = 0
    """The same seed gives the same games."""
    valid_minutes: float | None = None
    """Length of the valid game in minutes; by default that of the others."""
    test_minutes: float | None = None
    """Length of the test game in minutes; by default that of the others."""
    density: float = 1.0
    """Factor on the pace of events; 1 is the pace of real matches."""
    resolution: Literal["224p", "720p"] = "224p"
    """Frame size: 224p is 398x224, 720p is 1280x720."""
    world: Literal["plain", "tv", "mixed"] = "plain"
    """Looks: plain; tv for the variety of television (balls, kits, boards, graphics, cameras, signal); mixed for tv
    with every fourth game plain."""
    jobs: int = 2
    """Number of processes."""
    stats: bool = False
    """Print statistics of the ball and of the events, next to those of real matches."""


def main(arguments: list[str]) -> None:
    """Parse, render, report."""
    args = tyro.cli(Render, args=arguments, use_underscores=True, prog="e2espot render")
    from e2espot.synthetic.match import render_dataset

    splits = render_dataset(
        args.out,
        games=args.games,
        minutes=args.minutes,
        seed=args.seed,
        valid_minutes=args.valid_minutes,
        test_minutes=args.test_minutes,
        density=args.density,
        resolution=args.resolution,
        world=args.world,
        jobs=args.jobs,
        progress=True,
    )
    count = sum(map(len, splits.values()))
    print(f"{counted(count, 'game')} under {args.out}")
    if args.stats:
        from e2espot.synthetic.measure import report

        print(report(args.out))

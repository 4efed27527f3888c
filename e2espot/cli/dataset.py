"""Look at a dataset before training on it: e2espot dataset DATA -o dataset.html."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from e2espot.core.errors import ConfigurationError
from e2espot.formats.filenames import BALL_LABEL_FILE

if TYPE_CHECKING:
    from e2espot.report.dataset_summary import DatasetSummary


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """Look at a dataset before training: videos, labels, and what looks wrong.

    Examples: e2espot dataset DATA; e2espot dataset DATA -s train -o dataset.html
    """

    data: tyro.conf.Positional[Path]
    """Dataset folder, or the list (.yaml, .csv) of one."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split to look at; by default every game."""
    resolution: str = "224p"
    """Which video file of a game is read."""
    label_file: str = BALL_LABEL_FILE
    """Name of the label files."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Also write an HTML page with the pictures around some labels, which shows a wrong offset at once."""
    examples: int = 24
    """Number of labels whose pictures are on the page."""
    json: Path | None = None
    """Also write all numbers to this file."""


def main(arguments: list[str]) -> None:
    """Look, print, write."""
    args = tyro.cli(DatasetOptions, args=arguments, use_underscores=True, prog="e2espot dataset")
    if not 0 <= args.examples <= 500:
        raise ConfigurationError(f"--examples is {args.examples}; give 0 to 500")
    from tqdm import tqdm

    from e2espot.files.atomic import write_atomically
    from e2espot.report.dataset_summary import summarise

    with tqdm(desc="games", unit="game", disable=None) as bar:
        summary = summarise(
            args.data, split=args.split, resolution=args.resolution, label_file=args.label_file, progress=bar.update
        )
    if not summary.videos:
        raise ConfigurationError(f"{args.data}: no game with a {args.resolution} video or a {args.label_file}")
    print(summary.text())
    if args.json is not None:
        write_atomically(args.json, json.dumps(summary.to_json(), indent=1).encode())
    if args.out is not None:
        page = _page(args, summary).encode("utf-8", "replace")
        write_atomically(args.out, page)
        print(f"\n{args.out} ({len(page):,} bytes)")


def _page(args: DatasetOptions, summary: DatasetSummary) -> str:
    from tqdm import tqdm

    from e2espot.core.timeline import DEFAULT_FPS
    from e2espot.report.dataset_page import dataset_page, key_of, sample_events
    from e2espot.report.frame_strips import cut_strips

    keys = [key_of(video, event) for video, event in sample_events(summary, args.examples)]
    paths = {(video.game, video.half): Path(video.path) for video in summary.videos if video.path}
    with tqdm(total=len(set(keys)), desc="frames", unit="strip", disable=None) as bar:
        strips = cut_strips(paths, keys, int(DEFAULT_FPS), bar.update)
    return dataset_page(f"Dataset {args.data.resolve().name}", summary, args.examples, strips)

"""Write a report on predictions as one HTML file: e2espot report PREDICTIONS -l LABELS -o report.html."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.cli.label_args import LabelArgs
from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError
from e2espot.core.wording import counted

if TYPE_CHECKING:
    from e2espot.report.analysis import RunAnalysis
    from e2espot.report.frame_strips import FrameKey, Strip
    from e2espot.scoring.inputs import LabelledGames


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Write a report on predictions as one HTML file that opens anywhere, offline.

    Examples: e2espot report out/ -l DATA -v DATA -o report.html; e2espot report runA/ runB/ -l DATA
    """

    predictions: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(help_behavior_hint="(required)")]
    """Folders or zips of <game>/results_spotting.json; several runs are shown side by side."""
    games: tyro.conf.OmitArgPrefixes[LabelArgs]
    """What the predictions are scored against."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("report.html")
    """The file to write; it ends in .html, since browsers show another one as text."""
    videos: Annotated[Path | None, tyro.conf.arg(aliases=["-v"])] = None
    """Dataset folder, folder of <game>.mp4, or the video of one game; adds frames around misses and false positives."""
    fps: int = 25
    """Time bins per second; published ball results use 25."""
    tolerance: Literal[1, 2, 3, 4, 5] = 1
    """Tolerance in seconds that separates hits from misses, half of it to each side of a label, as in mAP@1."""
    examples: int = 12
    """Number of misses and of false positives listed per run."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which video file of a game the frames are taken from."""
    title: str = "Match report"
    """Heading of the page."""


def main(arguments: list[str]) -> None:
    """Read, score, cut the strips of frames, write."""
    args = parse(ReportOptions, arguments, "e2espot report")
    _check(args)
    from e2espot.files.atomic import write_atomically
    from e2espot.report.page import report_page

    labelled = args.games.read_labels()
    games = list(labelled.labels)
    runs = _analyse(args, labelled)
    page = report_page(args.title, games, runs, _strips(args, games, runs) if args.videos else None)
    write_atomically(args.out, page.encode("utf-8", "replace"))
    for run in runs:
        print(f"{run.name}: mAP@1 {100 * run.report.mAP('at1'):.2f}")
    print(
        f"{counted(len(games), 'game')}, {counted(len(runs[0].matching.labels), 'label')} "
        f"-> {args.out} ({args.out.stat().st_size:,} bytes)"
    )


def _check(args: ReportOptions) -> None:
    if not args.predictions:
        raise ConfigurationError("no predictions given; name a folder or zip of <game>/results_spotting.json")
    if not 1 <= args.fps <= 1000 or args.examples < 0:
        raise ConfigurationError(
            f"--fps is {args.fps} and --examples {args.examples}; give 1 to 1000 bins, and at least 0 examples"
        )
    if args.out.suffix.lower() not in (".html", ".htm") or args.out.is_dir():
        raise ConfigurationError(
            f"{args.out}: the report is one HTML file; give it a name that ends in .html", option="out"
        )


def _analyse(args: ReportOptions, labelled: LabelledGames) -> list[RunAnalysis]:
    """Score every run; the notes on what distorts a score are printed."""
    from e2espot.core.label_sets import label_set_named, label_set_of
    from e2espot.report.analysis import analyse_run

    labels = labelled.labels
    if args.games.label_set is None:
        label_set = label_set_of(entry.label for entries in labels.values() for entry in entries)
    else:
        label_set = label_set_named(args.games.label_set)
    label_set, without = labelled.counted_classes(label_set)
    scored = {name: args.games.read_predictions(path, labelled) for name, path in _named(args.predictions).items()}
    left_out = [f"no game annotates {', '.join(without)}; the mean is over the other classes"] if without else []
    for note in (
        *labelled.notes,
        *left_out,
        *(f"{name}: {note}" for name, run in scored.items() for note in run.notes),
    ):
        print(f"note: {note}")
    return [
        analyse_run(
            name,
            labels,
            run.predictions,
            label_set,
            tolerance_s=args.tolerance,
            framerate=args.fps,
            examples=args.examples,
        )
        for name, run in scored.items()
    ]


def _named(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Name of each run: the shortest end of its path that distinguishes it from the others."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    if len(set(parts)) < len(parts):
        raise ConfigurationError("the same predictions are given twice; name each run once")
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    return {"/".join(part[-length:]): path for part, path in zip(parts, paths, strict=True)}


def _strips(args: ReportOptions, games: list[str], runs: list[RunAnalysis]) -> dict[FrameKey, Strip]:
    from tqdm import tqdm

    from e2espot.report.frame_strips import FrameKey, cut_strips, find_videos

    assert args.videos is not None
    keys = {
        FrameKey(game=games[example.game], half=example.half, frame=example.bin)
        for run in runs
        for example in (*run.misses, *run.false_positives)
    }
    videos = find_videos(args.videos, games, args.resolution)
    with tqdm(total=len(keys), desc="frames", unit="strip", disable=None) as bar:
        return cut_strips(videos, keys, args.fps, bar.update)

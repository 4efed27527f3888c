"""Write a report on predictions as one HTML file: e2espot report PREDICTIONS -l LABELS -o report.html."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from e2espot.core.annotated_classes import parse_annotated_classes
from e2espot.core.errors import ConfigurationError
from e2espot.core.wording import counted


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Write a report on predictions as one HTML file that opens anywhere, offline.

    Examples: e2espot report out/ -l DATA -v DATA -o report.html; e2espot report runA/ runB/ -l DATA
    """

    predictions: tyro.conf.Positional[tuple[Path, ...]]
    """Folders or zips of <game>/results_spotting.json; several runs are shown side by side."""
    labels: Annotated[Path, tyro.conf.arg(aliases=["-l"])]
    """Folder or zip of <game>/<label file>, or one label file: of a video, or in another format (.csv, .xml, ...)."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("report.html")
    """The file to write; it ends in .html, since browsers show another one as text."""
    videos: Annotated[Path | None, tyro.conf.arg(aliases=["-v"])] = None
    """Dataset folder, folder of <game>.mp4, or the video of one game; adds frames around misses and false positives."""
    split: Annotated[str | None, tyro.conf.arg(aliases=["-s"])] = None
    """Split to score; by default every labelled game."""
    label_file: str = "auto"
    """Name of the label files; auto: Labels-ball.json or, for soccernet-v2-17 or where there are no others,
    Labels-v2.json."""
    label_set: str | None = None
    """ball-2, ball-12, soccernet-v2-17 or a class.txt; by default the classes in the label files."""
    fps: int = 25
    """Time bins per second; published ball results use 25."""
    tolerance: Literal[1, 2, 3, 4, 5] = 1
    """Tolerance in seconds that separates hits from misses, half of it to each side of a label, as in mAP@1."""
    examples: int = 12
    """Number of misses and of false positives listed per run."""
    resolution: Literal["224p", "720p"] = "224p"
    """Which video file of a game the frames are taken from."""
    map: Path | None = None
    """YAML file that renames or merges classes of labels and predictions, with lines such as HEADER: PASS."""
    annotated: str = ""
    """Stretches of every game in which the labels are complete, such as 0:00-10:00 or 1/0:00-45:00,2/5:00-20:00, or
    a table of them with the columns game, start, end; what is outside does not count. Empty for what the label files
    say, by default everything."""
    annotated_classes: str = ""
    """Classes that the labels of every game are complete in, such as PASS,SHOT; the others do not count. Empty for what
    the label files say, by default all."""
    missing: Literal["error", "empty"] = "error"
    """What to do about a labelled game without predictions: stop, or score it as empty."""
    title: str = "Match report"
    """Heading of the page."""


def main(arguments: list[str]) -> None:
    """Read, score, cut the strips of frames, write."""
    args = tyro.cli(ReportOptions, args=arguments, use_underscores=True, prog="e2espot report")
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
    from e2espot.core.label_sets import label_set_named, label_set_of
    from e2espot.files.atomic import write_atomically
    from e2espot.formats.annotated_table import stated_stretches
    from e2espot.formats.choose_label_file import chosen_label_file
    from e2espot.formats.label_map import read_label_map
    from e2espot.report.analysis import analyse_run
    from e2espot.report.page import report_page
    from e2espot.scoring.inputs import games_to_score, read_labels, score_inputs

    label_file = chosen_label_file(args.labels, args.label_file, args.label_set)
    games = games_to_score(args.labels, split=args.split, label_file=label_file)
    label_map = read_label_map(args.map)
    labelled = read_labels(
        args.labels,
        games,
        label_file=label_file,
        annotated=stated_stretches(args.annotated),
        classes=parse_annotated_classes(args.annotated_classes),
        label_map=label_map,
    )
    labels = labelled.labels
    if args.label_set is None:
        label_set = label_set_of(entry.label for entries in labels.values() for entry in entries)
    else:
        label_set = label_set_named(args.label_set)
    label_set, without = labelled.counted_classes(label_set)
    scored = {
        name: score_inputs(path, labelled, missing=args.missing, label_map=label_map)
        for name, path in _named(args.predictions).items()
    }
    left_out = [f"no game annotates {', '.join(without)}; the mean is over the other classes"] if without else []
    notes = [*labelled.notes, *left_out, *(f"{name}: {note}" for name, run in scored.items() for note in run.notes)]
    for note in notes:
        print(f"note: {note}")
    runs = [
        analyse_run(
            name,
            labels,
            games_of_run.predictions,
            label_set,
            tolerance_s=args.tolerance,
            framerate=args.fps,
            examples=args.examples,
        )
        for name, games_of_run in scored.items()
    ]
    page = report_page(args.title, games, runs, _strips(args, games, runs) if args.videos else None)
    write_atomically(args.out, page.encode("utf-8", "replace"))
    for run in runs:
        print(f"{run.name}: mAP@1 {100 * run.report.mAP('at1'):.2f}")
    print(
        f"{counted(len(games), 'game')}, {counted(len(runs[0].matching.labels), 'label')} "
        f"-> {args.out} ({args.out.stat().st_size:,} bytes)"
    )


def _named(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Name of each run: the shortest end of its path that distinguishes it from the others."""
    parts = [path.resolve().with_suffix("").parts for path in paths]
    if len(set(parts)) < len(parts):
        raise ConfigurationError("the same predictions are given twice; name each run once")
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    return {"/".join(part[-length:]): path for part, path in zip(parts, paths, strict=True)}


def _strips(args: ReportOptions, games: list[str], runs: list) -> dict:  # type: ignore[type-arg]
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

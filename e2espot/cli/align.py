"""Move the labels of event feeds to the moments of the video: e2espot align PREDICTIONS -l DATA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import MAX_DURATION_S
from e2espot.formats.filenames import BALL_LABEL_FILE, FEED_LABEL_FILE


@dataclass(frozen=True, kw_only=True)
class Align:
    """Move the labels of event feeds to the moments at which a spotter sees their events.

    Example: e2espot align out/ -l DATA
    """

    predictions: tyro.conf.Positional[Path]
    """Folder or zip of <game>/results_spotting.json, as e2espot infer writes them."""
    labels: Annotated[Path, tyro.conf.arg(aliases=["-l"])]
    """Folder of the dataset, with the labels of the feeds."""
    label_file: str = FEED_LABEL_FILE
    """Name of the label files that are read."""
    out_file: str = BALL_LABEL_FILE
    """Name of the label files that are written, next to those."""
    offset: str = ""
    """Seconds to add to the labels of each half, such as 1/12.4,2/-3; by default the offset that fits best."""
    max_offset: float | None = None
    """Largest offset that is looked for, in seconds; by default every one at which half of the labels are in the
    video."""
    min_sharpness: float = 3.0
    """A half whose offset stands out less is not used."""
    window: float = 1.5
    """A label is moved by less than this many seconds, after its offset."""
    min_confidence: Annotated[float, tyro.conf.arg(aliases=["--min_score"])] = 0.1
    """Weaker predictions are no moments of events."""
    map: Path | None = None
    """YAML file that states which of the spotter's classes sees a class of the labels, such as HEADER: PASS."""
    overwrite: bool = False
    """Replace existing files."""


def main(arguments: list[str]) -> None:
    """Align, write, print a line for each half."""
    args = parse(Align, arguments, "e2espot align")

    from e2espot.core.wording import counted
    from e2espot.files.atomic import write_atomically
    from e2espot.formats.conversion import refuse_to_replace
    from e2espot.formats.feeds import parse_offsets
    from e2espot.formats.filenames import SPLITS_FILE
    from e2espot.formats.interchange import AnnotationSet, DroppedFields
    from e2espot.formats.label_map import read_label_map
    from e2espot.formats.soccernet_interchange import soccernet_files
    from e2espot.scoring.alignment import AlignmentOptions, align_labels

    options = AlignmentOptions(
        offset_ms=parse_offsets(args.offset),
        max_offset_ms=None if args.max_offset is None else _ms(args.max_offset, "max_offset"),
        min_sharpness=args.min_sharpness,
        window_ms=_ms(args.window, "window"),
        min_confidence=args.min_confidence,
        label_map=read_label_map(args.map),
    )
    videos, reports = align_labels(args.predictions, args.labels, options, label_file=args.label_file)
    for report in reports:
        print(report.describe())
    if all(report.refused for report in reports):
        raise AnnotationError(f"{args.labels}: no half is used, so nothing is written", option="offset")
    dataset = AnnotationSet(videos=tuple(videos))
    files = {
        path: data
        for path, data in soccernet_files(dataset, args.labels, DroppedFields(), args.out_file).items()
        if path.name != SPLITS_FILE
    }
    if not args.overwrite:
        refuse_to_replace(files)
    for path, data in files.items():
        write_atomically(path, data)
    num_labels = sum(len(video.annotations) for video in videos)
    count = f"{counted(num_labels, 'label')} of {counted(len(files), 'game')}"
    print(f"{count} -> {args.out_file} next to {args.label_file}")


def _ms(seconds: float, option: str) -> int:
    """Seconds that a user gives, in milliseconds."""
    if not 0 <= seconds <= MAX_DURATION_S:  # refuses NaN as well
        raise ConfigurationError(f"{option} is {seconds}; give seconds from 0 to {MAX_DURATION_S}", option=option)
    return round(1000 * seconds)

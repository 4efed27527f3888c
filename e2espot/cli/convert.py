"""Convert files of other packages, and back: e2espot convert labels|predictions|checkpoint SRC DST."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.extras import SubcommandApp

from e2espot.cli.parse_errors import one_line_errors
from e2espot.cli.parsing import asks_for_help, join_field_docs, option_names
from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError
from e2espot.core.wording import counted
from e2espot.formats.format_names import CutListName, FeedName, FormatName, ToolName

if TYPE_CHECKING:
    from e2espot.formats.conversion import Converted

app = SubcommandApp()
_WHAT = ("labels", "predictions", "checkpoint")


@dataclass(frozen=True, kw_only=True)
class Events:
    """Files of events to convert."""

    source: tyro.conf.Positional[Path]
    """File, folder or zip to read."""
    target: tyro.conf.Positional[Path]
    """Folder to write to; for OpenSportsLab and SN-GAR also one .json file, for a table one .csv or .tsv file, for
    SportsCode one .xml file, for the DFL's data one .csv file, for FOOTPASS also one .json file."""
    from_format: Annotated[FormatName | FeedName | CutListName | ToolName, tyro.conf.arg(name="from")]
    """Format to read."""
    to_format: Annotated[FormatName | CutListName, tyro.conf.arg(name="to")]
    """Format to write."""
    label_file: str | None = None
    """Name of SoccerNet's label files; by default Labels-ball.json or Labels-v2.json, whichever fits, and
    Labels-feed.json from an event feed."""
    overwrite: bool = False
    """Replace existing files."""
    periods: Path | None = None
    """SoccerTrack's bas_periods.json, which states when each half was filmed; by default from 0:00 and 45:00."""
    map: Path | None = None
    """YAML file that renames or merges classes, with lines such as HEADER: PASS."""
    columns: str = ""
    """Names of a table's columns, or of SportsCode's groups of labels, besides those that are known:
    label=Type,time=Start,half=Period. Of VIA, the attribute that holds the class."""
    fps: str | None = None
    """Frames per second of the frames and timecodes (hh:mm:ss:ff) of a table or an EDL that states none, or of the
    frames of Label Studio and CVAT, such as 25 or 30000/1001."""
    shift: str = "0"
    """Seconds or a clock added to the times of all events, such as 2.5, or of each half: 0,-45:00."""
    rate: str = "1"
    """Factor of all times, before the shift: 25/24 where labels were made on a video that was played too fast."""
    join_halves: str = ""
    """Where each half starts in one video of the whole match, such as 0:00,47:12: all become half 1, on its clock."""
    split_halves: str = ""
    """Where each half starts on the clock of the whole match: labels of one clock become those of two videos."""
    classes: str = ""
    """Classes that stay, such as PASS,SHOT; by default all."""
    min_confidence: float = 0.0
    """Predictions of a lower confidence are left out."""
    per_minute: int | None = None
    """Most events of each minute of a video: the most confident ones."""
    lead: float = 5.0
    """Seconds of a SportsCode instance or a cut before its event."""
    lag: float = 3.0
    """Seconds of a SportsCode instance or a cut after its event."""
    half_starts: str = "0:00"
    """Where each half starts on the one time line of a match in SportsCode or FOOTPASS, such as 0:00,47:12."""
    second_file: Path | None = None
    """Lineups or match of an event feed: StatsBomb's lineups, Opta's F7, Stats Perform's MA1, Sportec's match."""
    game: str | None = None
    """Name of the game of an event feed in the dataset, such as league/season/game; by default that of the file."""
    offset: str = ""
    """Seconds from the start of each half's video to the kick-off of an event feed, such as 1/12.4,2/-3."""
    one_video: bool = False
    """The match of an event feed is one video: both halves are written as half 1."""
    videos: Path | None = None
    """Folder with the videos that the source names, if they are no longer where it says, or that have the names of the
    games. Labels in SoccerNet's layout get links to them."""


@app.command
def labels(args: Annotated[Events, tyro.conf.arg(name="")]) -> None:
    """Convert labels with all their fields from one format to another, and list what the new format cannot hold.

    Example: e2espot convert labels DATA out/osl --from soccernet --to opensportslab
    """
    _convert_events(args, predictions=False)


@app.command
def predictions(args: Annotated[Events, tyro.conf.arg(name="")]) -> None:
    """Convert predictions with all their fields from one format to another, and list what the new format cannot hold.

    Example: e2espot convert predictions pred.json.gz out/ --from e2e-spot --to soccernet
    """
    _convert_events(args, predictions=True)


def _convert_events(args: Events, *, predictions: bool) -> None:
    from e2espot.core.timeline import parse_stated_fps
    from e2espot.formats.conversion import Conversion, convert
    from e2espot.formats.feeds import FeedClock, parse_offsets
    from e2espot.formats.retiming import parse_retiming
    from e2espot.formats.sportscode import parse_instance_times
    from e2espot.formats.table_columns import parse_columns
    from e2espot.formats.thinning import parse_thinning

    parsed = {"fps", "lead", "lag", "half_starts", "offset", "one_video", "columns"}
    parsed |= {"shift", "rate", "join_halves", "split_halves", "classes", "min_confidence", "per_minute"}
    fields = {name: value for name, value in vars(args).items() if name not in parsed}
    times = parse_instance_times(args.lead, args.lag, args.half_starts)
    clock = FeedClock(offset_ms=parse_offsets(args.offset), one_video=args.one_video)
    conversion = Conversion(
        **fields,
        times=times,
        clock=clock,
        columns=parse_columns(args.columns),
        fps=parse_stated_fps(args.fps, "fps"),
        retiming=parse_retiming(args.shift, args.rate, args.join_halves, args.split_halves),
        thinning=parse_thinning(args.min_confidence, args.classes, args.per_minute),
        predictions=predictions,
    )
    try:
        converted = convert(conversion)
    except AnnotationError as error:
        raise AnnotationError(f"{error}{_looks_like(args)}", option=error.option) from None
    _report(converted)


def _report(converted: Converted) -> None:
    """Print what was written, and what the new format does not hold."""
    more = len(converted.paths) - 3
    names = ", ".join(map(str, converted.paths[:3])) + (f" and {more} more" if more > 0 else "")
    videos = counted(converted.num_videos, "video")
    print(f"{counted(converted.num_annotations, 'event')} of {videos} -> {names}")
    if converted.num_linked:
        print(f"{counted(converted.num_linked, 'video')} linked, so that the dataset can be trained on")
    if converted.not_linked:
        print(
            f"{counted(len(converted.not_linked), 'video')} not at the path that the source states, the first is "
            f"{converted.not_linked[0]}; name the folder that holds them with --videos"
        )
    print("dropped, rounded or filled in:" if converted.dropped else "nothing dropped")
    for line in converted.dropped:
        print(f"  {line}")


def _looks_like(args: Events) -> str:
    """The format that a source seems to be of, if that is not the one that was named."""
    from e2espot.files.json_fields import read_bytes
    from e2espot.formats.guess_format import guess_format

    if not args.source.is_file():
        return ""
    try:
        name, _ = guess_format(args.source)
    except E2ESpotError:
        return ""
    if name == "soccernet" and b'"gameTime"' not in read_bytes(args.source):  # which any other JSON is taken for
        return ""
    of_same_kind = {name, args.from_format} <= {"table", "boris", "dfl"}
    if of_same_kind or name == args.from_format:
        return ""
    return f"; the file looks like one of --from {name}"


@app.command
def checkpoint(
    source: tyro.conf.Positional[str],
    destination: tyro.conf.Positional[Path],
    epoch: int | None = None,
    classes: Path | None = None,
    fps: str | None = None,
) -> None:
    """Convert published weights to a run: E2E-Spot's, OpenSportsLib's, or an ImageNet backbone to start from.

    Example: e2espot convert checkpoint OpenSportsLab/OSL-loc-snbas-2025-e2e RUN

    Args:
        source: E2E-Spot folder, OpenSportsLib folder or weights file, timm:NAME, or owner/name on huggingface.co.
        destination: Run folder for e2espot infer, or a .safetensors file.
        epoch: Number NNN of the checkpoint_NNN.pt in an E2E-Spot folder; by default the best one.
        classes: class.txt with the names in order, if it is not in the folder of the weights.
        fps: Frame rate on which the network was trained, if it is not that of its dataset.
    """
    from e2espot.models.weights.import_checkpoint import ImportOptions, convert_checkpoint

    print(convert_checkpoint(source, destination, ImportOptions(epoch=epoch, classes=classes, fps=fps)))


def main(arguments: list[str]) -> None:
    """Run the subcommand."""
    if asks_for_help(arguments):
        join_field_docs(Events)
    if not arguments or (arguments[0] not in _WHAT and not arguments[0].startswith("-")):
        given = f"is followed by {arguments[0]!r:.60}" if arguments else "lacks its first word"
        raise ConfigurationError(f"e2espot convert {given}; choose from {', '.join(_WHAT)}")
    with one_line_errors(lambda: option_names(Events)):
        app.cli(
            args=arguments,
            use_underscores=True,
            prog="e2espot convert",
            description="Convert labels and predictions between formats, and published weights to runs.",
        )

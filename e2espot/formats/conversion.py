"""Converts annotations from any format to any other and lists what the target format cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from e2espot.core.collection import collection_paused
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.files.atomic import write_atomically
from e2espot.files.json_fields import read_bytes
from e2espot.files.unpacked import unpacked
from e2espot.formats.annotated_field import CLASSES_FIELD, with_renamed_classes
from e2espot.formats.cut_lists import cut_list_files
from e2espot.formats.cvat import read_cvat
from e2espot.formats.dfl import dfl_files, read_dfl
from e2espot.formats.e2e_spot import e2e_spot_files, read_e2e_spot
from e2espot.formats.elan import elan_files, read_elan
from e2espot.formats.fcpxml import read_fcpxml
from e2espot.formats.feeds import Feed, FeedClock, read_feed
from e2espot.formats.filenames import FEED_LABEL_FILE, files_ending_in
from e2espot.formats.footpass import footpass_files, read_footpass
from e2espot.formats.format_names import CutListName, FeedName, FormatName, ToolName
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.label_map import LabelMap, read_label_map
from e2espot.formats.label_studio import read_label_studio
from e2espot.formats.opensportslab import read_opensportslab
from e2espot.formats.opensportslab_documents import SN_GAR_CLASSES, opensportslab_files, sn_gar_files
from e2espot.formats.read_cut_lists import read_cut_lists
from e2espot.formats.retiming import Retiming, retimed
from e2espot.formats.soccernet_interchange import read_soccernet, soccernet_files
from e2espot.formats.soccertrack import Periods, read_periods, read_soccertrack, soccertrack_files
from e2espot.formats.sportscode import InstanceTimes, read_sportscode, sportscode_files
from e2espot.formats.table import read_table, table_files
from e2espot.formats.table_columns import Columns
from e2espot.formats.thinning import Thinning, thinned
from e2espot.formats.via import read_via
from e2espot.formats.video_links import VideoLinks, plan_links, write_links


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What to convert, and how."""

    source: Path
    """File, folder or zip to read."""
    target: Path
    """Folder to write to; for OpenSportsLab and SN-GAR also a name that ends in ``.json``, for a table one that ends in
    ``.csv`` or ``.tsv``, for SportsCode one that ends in ``.xml``."""
    from_format: FormatName | FeedName | CutListName | ToolName
    """Format of the source."""
    to_format: FormatName | CutListName
    """Format of the target."""
    predictions: bool
    """True for predictions, False for labels."""
    label_file: str | None = None
    """Name of SoccerNet's label files; None for the usual names, and for ``Labels-feed.json`` from an event feed."""
    overwrite: bool = False
    """Replace existing files."""
    periods: Path | None = None
    """SoccerTrack's ``bas_periods.json``; None for the nominal 0:00 and 45:00."""
    map: Path | None = None
    """YAML file that renames or merges classes; None for none."""
    columns: Columns | None = None
    """Names of a table's columns, SportsCode's groups of labels, or an attribute of VIA, that hold the fields of an
    event; None if the caller has no way to state any."""
    fps: Fraction | None = None
    """Frames per second of the frames and timecodes of a source that states none; None if it is not known."""
    retiming: Retiming = field(default_factory=Retiming)
    """How the times of events are moved."""
    thinning: Thinning = field(default_factory=Thinning)
    """Which events stay."""
    times: InstanceTimes = field(default_factory=InstanceTimes)
    """How events become instances of SportsCode and cuts, and back."""
    second_file: Path | None = None
    """Lineups or match of an event feed; None where it is known or none is needed."""
    game: str | None = None
    """Name of the game of an event feed; None for that of the file."""
    clock: FeedClock = field(default_factory=FeedClock)
    """Where each half of an event feed lies in the videos."""
    videos: Path | None = None
    """Folder with the videos that the source names, if they are not where it says; for links in SoccerNet's layout."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Result of a conversion."""

    paths: list[Path]
    """Files written."""
    num_videos: int
    """Number of videos read."""
    num_annotations: int
    """Number of events read, without those that the source format itself excludes."""
    dropped: list[str]
    """One line for each kind of thing that was dropped or changed."""
    num_linked: int = 0
    """Number of videos that the new dataset has links to."""
    not_linked: tuple[str, ...] = ()
    """Paths of videos that the source names, and that do not exist."""


def convert(conversion: Conversion) -> Converted:
    """Read one format and write another; every file is written atomically.

    Raises:
        AnnotationError: the source breaks its format; names file, entry and field.
        ConfigurationError: a source or target of the wrong kind, or an existing file that differs.
        E2ESpotError: a file cannot be written.
    """
    if not conversion.source.exists():
        raise ConfigurationError(f"{conversion.source}: no such file or folder")
    dropped = DroppedFields()
    periods = read_periods(conversion.periods) if conversion.periods is not None else {}
    dataset = _renamed(read_events(conversion, dropped, periods), read_label_map(conversion.map), dropped)
    dataset = thinned(retimed(dataset, conversion.retiming, dropped), conversion.thinning, dropped)
    files = files_of(conversion, dataset, dropped, periods)
    if not files:
        raise ConfigurationError(f"{conversion.source}: no event and no game in it, so there is nothing to write")
    if not conversion.overwrite:
        refuse_to_replace(files)
    links = _links(conversion, dataset)
    write_links(links.files, overwrite=conversion.overwrite)
    for path, data in files.items():
        write_atomically(path, data)
    return Converted(
        paths=list(files),
        num_videos=len(dataset.videos),
        num_annotations=sum(len(video.annotations) for video in dataset.videos),
        dropped=dropped.lines(),
        num_linked=len(links.files),
        not_linked=links.missing,
    )


def _links(conversion: Conversion, dataset: AnnotationSet) -> VideoLinks:
    """Links to the videos, for labels in SoccerNet's layout."""
    if conversion.predictions or conversion.to_format != "soccernet":
        return VideoLinks(files={}, missing=())
    return plan_links(dataset.videos, conversion.target, conversion.source, conversion.videos)


def _renamed(dataset: AnnotationSet, label_map: LabelMap, dropped: DroppedFields) -> AnnotationSet:
    """The dataset under the new names of its classes."""
    if not label_map.names:
        return dataset

    def renamed(annotations: Sequence[Annotation]) -> Iterator[Annotation]:
        for annotation in annotations:
            label = label_map(annotation.label)
            if label is None:
                dropped.add(f"event of class {annotation.label!r} (left out by the map)")
            else:
                yield replace(annotation, label=label)

    videos = tuple(
        replace(
            video,
            annotations=tuple(renamed(video.annotations)),
            game_metadata=with_renamed_classes(video.game_metadata, label_map),
        )
        for video in dataset.videos
    )
    classes = dict.fromkeys(name for name in map(label_map, dataset.classes) if name is not None)
    return replace(dataset, videos=videos, classes=tuple(classes))


def read_events(
    conversion: Conversion, dropped: DroppedFields | None = None, periods: Periods | None = None
) -> AnnotationSet:
    """Read the source, which may be a zip.

    Args:
        conversion: What to read; its target is not touched.
        dropped: Counts what the reader leaves out.
        periods: When each half was filmed, for SoccerTrack's files.

    Raises:
        AnnotationError: the source breaks its format; names file, entry and field.
        ConfigurationError: a source of the wrong kind.
    """
    dropped, periods = dropped or DroppedFields(), periods or {}
    at_top = conversion.from_format in ("opensportslab", "sn-gar", "e2e-spot")
    with collection_paused(), unpacked(conversion.source, descend=at_top) as source:
        return _read_folder(replace(conversion, source=source), dropped, periods)


def _read_folder(conversion: Conversion, dropped: DroppedFields, periods: Periods) -> AnnotationSet:
    source, predictions = conversion.source, conversion.predictions
    if conversion.columns and conversion.from_format not in ("table", "boris", "sportscode", "via"):
        raise ConfigurationError(
            f"columns are stated, and {conversion.from_format} has none; leave them out", option="columns"
        )
    if conversion.fps is not None and conversion.from_format not in ("table", "boris", "edl", "labelstudio", "cvat"):
        raise ConfigurationError(f"fps is stated, and {conversion.from_format} needs none; leave it out", option="fps")
    readers: dict[str, Callable[[], AnnotationSet]] = {
        "soccernet": lambda: read_soccernet(source, predictions=predictions, file_name=conversion.label_file),
        "e2e-spot": lambda: read_e2e_spot(source, predictions=predictions),
        "dfl": lambda: read_dfl(source, predictions=predictions),
        "footpass": lambda: read_footpass(source, predictions=predictions),
        **dict.fromkeys(
            ("table", "boris"),
            lambda: read_table(
                source, predictions=predictions, dropped=dropped, columns=conversion.columns, fps=conversion.fps
            ),
        ),
        "elan": lambda: _read_elan(conversion, dropped),
        "sportscode": lambda: _read_sportscode(conversion, dropped),
        "soccertrack-v2": lambda: read_soccertrack(source, dropped, periods, predictions=predictions),
        **dict.fromkeys(get_args(CutListName), lambda: _read_cut_lists(conversion, dropped)),
        **dict.fromkeys(get_args(ToolName), lambda: _read_tool(conversion, dropped)),
        **dict.fromkeys(get_args(FeedName), lambda: _read_feed(conversion, dropped)),
    }
    if conversion.from_format in readers:
        return readers[conversion.from_format]()
    dataset = read_opensportslab(conversion.source, predictions=conversion.predictions)
    if conversion.from_format == "sn-gar" and conversion.to_format == "soccernet" and not conversion.predictions:
        # Its files list ten classes, which a label file does in this field alone. Without it a spotter of twelve would
        # learn that a DRIVE and a BALL PLAYER BLOCK never happen.
        videos = (
            replace(video, game_metadata={**video.game_metadata, CLASSES_FIELD: list(SN_GAR_CLASSES)})
            for video in dataset.videos
        )
        dataset = replace(dataset, videos=tuple(videos))
    return dataset


def _read_cut_lists(conversion: Conversion, dropped: DroppedFields) -> AnnotationSet:
    name = cast(CutListName, conversion.from_format)
    dataset = read_cut_lists(
        conversion.source, name, conversion.times, predictions=conversion.predictions, fps=conversion.fps
    )
    if name == "edl" and conversion.fps is None:
        dropped.add(
            "time of an EDL without a rate, taken for 25 frames per second (state another with fps: at 23.976 or 29.97 "
            "times would drift)",
            sum(len(video.annotations) for video in dataset.videos),
        )
    return dataset


def _read_tool(conversion: Conversion, dropped: DroppedFields) -> AnnotationSet:
    name, source = cast(ToolName, conversion.from_format), conversion.source
    if conversion.predictions:
        raise ConfigurationError(f"{name} is read as labels; convert labels from it")
    readers: dict[ToolName, Callable[[], AnnotationSet]] = {
        "labelstudio": lambda: read_label_studio(source, conversion.fps, dropped),
        "via": lambda: read_via(source, conversion.columns, dropped),
        "cvat": lambda: read_cvat(source, conversion.fps, dropped),
        "fcpxml": lambda: read_fcpxml(source, dropped),
    }
    return readers[name]()


def _read_elan(conversion: Conversion, dropped: DroppedFields) -> AnnotationSet:
    if conversion.predictions:
        raise ConfigurationError("ELAN's files hold labels; convert labels from them")
    return read_elan(conversion.source, dropped)


def _read_sportscode(conversion: Conversion, dropped: DroppedFields) -> AnnotationSet:
    """One file, or every ``.xml`` file of a folder."""
    if conversion.predictions:
        raise ConfigurationError("SportsCode's XML holds labels; convert labels from it")
    source = conversion.source
    files = [source] if source.is_file() else files_ending_in(source, ".xml")
    if not files:
        raise ConfigurationError(f"{source}: no .xml file there")
    return AnnotationSet(
        videos=tuple(
            replace(video, game=file.relative_to(source).with_suffix("").as_posix()) if source.is_dir() else video
            for file in files
            for video in read_sportscode(file, conversion.times, dropped, conversion.columns).videos
        )
    )


def _read_feed(conversion: Conversion, dropped: DroppedFields) -> AnnotationSet:
    if conversion.predictions:
        raise ConfigurationError("event feeds hold labels; convert labels from them")
    feed = Feed(
        source=conversion.source,
        provider=cast(FeedName, conversion.from_format),
        second_file=conversion.second_file,
        game=conversion.game,
        clock=conversion.clock,
    )
    return read_feed(feed, dropped)


def files_of(
    conversion: Conversion, dataset: AnnotationSet, dropped: DroppedFields, periods: Periods
) -> dict[Path, bytes]:
    """Path -> content of the files of a dataset in the format of the target; nothing is written.

    Raises:
        ConfigurationError: a target of the wrong kind, or a dataset that the format cannot hold.
    """
    if not _states_splits(conversion):
        dropped.add("split without a game (the target states the split of each game only)", len(dataset.empty_splits))
    if conversion.to_format == "soccernet":
        feed_file = FEED_LABEL_FILE if conversion.from_format in get_args(FeedName) else None
        return soccernet_files(dataset, conversion.target, dropped, conversion.label_file or feed_file)
    if conversion.to_format == "e2e-spot":
        root = conversion.source if conversion.source.is_dir() else conversion.source.parent
        return e2e_spot_files(dataset, conversion.target, dropped, lambda video: _probe(root, video))
    if conversion.to_format == "soccertrack-v2":
        return soccertrack_files(dataset, conversion.target, dropped, periods)
    if conversion.to_format == "footpass":
        return footpass_files(dataset, conversion.target, conversion.times.half_starts_ms, dropped)
    if conversion.to_format == "sportscode":
        return sportscode_files(dataset, conversion.target, conversion.times, dropped)
    if conversion.to_format in get_args(CutListName):
        name = cast(CutListName, conversion.to_format)
        return cut_list_files(dataset, conversion.target, name, conversion.times, dropped)
    writers: dict[str, Callable[[AnnotationSet, Path, DroppedFields], dict[Path, bytes]]] = {
        "dfl": dfl_files,
        "opensportslab": opensportslab_files,
        "sn-gar": sn_gar_files,
        "table": table_files,
        "boris": partial(table_files, for_boris=True),
        "elan": elan_files,
    }
    return writers[conversion.to_format](dataset, conversion.target, dropped)


def _states_splits(conversion: Conversion) -> bool:
    """Whether the target has a list or a file for each split, which may be empty."""
    if conversion.to_format in ("opensportslab", "sn-gar", "footpass"):
        return conversion.target.suffix != ".json"
    return conversion.to_format in ("soccernet", "e2e-spot")


def refuse_to_replace(files: Mapping[Path, bytes]) -> None:
    """Check every target before the first write, so that a refused command changes nothing.

    Raises:
        ConfigurationError: one exists with other content.
    """
    for path, data in files.items():
        if path.exists() and (not path.is_file() or read_bytes(path) != data):
            raise ConfigurationError(
                f"{path} exists with other content; move it away, or pass overwrite=True", option="overwrite"
            )


def _probe(root: Path, video: AnnotatedVideo) -> Mapping[str, Any]:
    """Number of frames and size of a video; nothing if it cannot be read at the path that the source states."""
    path = root / video.video
    try:
        exists = bool(video.video) and path.is_file()
    except (OSError, ValueError):  # a name that no file system accepts
        exists = False
    if not exists:
        return {}
    from e2espot.video import probe

    fps = Fraction(str(video.metadata.get("fps", DEFAULT_FPS)))
    try:
        info = probe(path, fps)
    except VideoError:
        return {}
    return {"num_frames": info.num_frames, "width": info.width, "height": info.height}

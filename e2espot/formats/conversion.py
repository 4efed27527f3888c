"""From any format to any other, with a list of what was dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.files.atomic import write_atomically
from e2espot.files.json_fields import read_bytes
from e2espot.formats.e2e_spot import e2e_spot_files, read_e2e_spot
from e2espot.formats.interchange import Collection, Losses, Recording
from e2espot.formats.opensportslab import opensportslab_files, read_opensportslab, sn_gar_files
from e2espot.formats.soccernet_interchange import read_soccernet, soccernet_files
from e2espot.formats.soccertrack import Periods, read_periods, read_soccertrack, soccertrack_files

FormatName = Literal["soccernet", "opensportslab", "e2e-spot", "soccertrack-v2", "sn-gar"]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What to convert, and how."""

    source: Path
    """File or folder."""
    target: Path
    """Folder; for one file of OpenSportsLab or SN-GAR a name that ends in .json."""
    from_format: FormatName
    """Format of the source."""
    to_format: FormatName
    """Format of the target."""
    predictions: bool
    """Predictions, not labels."""
    label_file: str | None = None
    """Name of SoccerNet's label files."""
    overwrite: bool = False
    """Replace files that are there already."""
    periods: Path | None = None
    """SoccerTrack's ``bas_periods.json``."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What came of it."""

    paths: list[Path]
    """Files written."""
    num_recordings: int
    """Videos."""
    num_moments: int
    """Events read, less those the source's own format told to leave out."""
    losses: list[str]
    """One line for each kind of thing dropped or changed."""


def convert(told: Conversion) -> Converted:
    """Read one format, write another; files appear whole.

    Raises:
        AnnotationError: the source breaks its format; names file, entry and field.
        ConfigurationError: a source or target of the wrong kind, or files in the way.
        E2ESpotError: a file cannot be written.
    """
    if not told.source.exists():
        raise ConfigurationError(f"{told.source}: no such file or folder")
    losses = Losses()
    periods = read_periods(told.periods) if told.periods is not None else {}
    collection = _read(told, losses, periods)
    files = _files(told, collection, losses, periods)
    if not told.overwrite:
        _refuse_to_replace(files)
    for path, data in files.items():
        write_atomically(path, data)
    return Converted(
        paths=list(files),
        num_recordings=len(collection.recordings),
        num_moments=sum(len(recording.moments) for recording in collection.recordings),
        losses=losses.lines(),
    )


def _read(told: Conversion, losses: Losses, periods: Periods) -> Collection:
    if told.from_format == "soccernet":
        return read_soccernet(told.source, predictions=told.predictions, file_name=told.label_file)
    if told.from_format == "e2e-spot":
        return read_e2e_spot(told.source, predictions=told.predictions)
    if told.from_format == "soccertrack-v2":
        return read_soccertrack(told.source, losses, periods, predictions=told.predictions)
    return read_opensportslab(told.source, predictions=told.predictions)


def _files(told: Conversion, collection: Collection, losses: Losses, periods: Periods) -> dict[Path, bytes]:
    if told.to_format == "soccernet":
        return soccernet_files(collection, told.target, losses, told.label_file)
    if told.to_format == "e2e-spot":
        root = told.source if told.source.is_dir() else told.source.parent
        return e2e_spot_files(collection, told.target, losses, lambda recording: _probed(root, recording))
    if told.to_format == "soccertrack-v2":
        return soccertrack_files(collection, told.target, losses, periods)
    writers: dict[str, Callable[[Collection, Path, Losses], dict[Path, bytes]]] = {
        "opensportslab": opensportslab_files,
        "sn-gar": sn_gar_files,
    }
    return writers[told.to_format](collection, told.target, losses)


def _refuse_to_replace(files: Mapping[Path, bytes]) -> None:
    """Nothing is lost, and nothing is written by halves."""
    for path, data in files.items():
        if path.exists() and (not path.is_file() or read_bytes(path) != data):
            raise ConfigurationError(f"{path} is there already with other content; move it away, or say --overwrite")


def _probed(root: Path, recording: Recording) -> Mapping[str, Any]:
    """Length and size of a video that lies where the source says."""
    path = root / recording.video
    try:
        found = bool(recording.video) and path.is_file()
    except (OSError, ValueError):  # names no file system takes
        found = False
    if not found:
        return {}
    from fractions import Fraction

    from e2espot.core.timeline import DEFAULT_FPS
    from e2espot.video import probe

    fps = Fraction(str(recording.facts.get("fps", DEFAULT_FPS)))
    try:
        info = probe(path, fps)
    except VideoError:
        return {}
    return {"num_frames": info.num_frames, "width": info.width, "height": info.height}

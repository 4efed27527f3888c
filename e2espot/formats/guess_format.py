"""Reads events in whatever format they are, by the names and the content of the files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import cast

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.files.json_fields import decode_text, load_json, read_bytes
from e2espot.files.walk import folders_below
from e2espot.files.xml_root import read_xml
from e2espot.formats.conversion import Conversion, read_events
from e2espot.formats.cvat import is_cvat
from e2espot.formats.filenames import BALL_LABEL_FILE, RESULTS_FILE
from e2espot.formats.format_names import CutListName, FormatName, ToolName
from e2espot.formats.interchange import AnnotationSet, DroppedFields
from e2espot.formats.label_studio import is_label_studio
from e2espot.formats.soccernet_interchange import soccernet_files
from e2espot.formats.table import reject_spreadsheet
from e2espot.formats.via import is_via_export, is_via_project

_Guess = tuple[FormatName | CutListName | ToolName, bool | None]
"""A format, and whether the source holds predictions; None if only reading decides."""


def read_any(
    source: Path, from_format: FormatName | CutListName | ToolName | None, dropped: DroppedFields
) -> AnnotationSet:
    """Read labels or predictions; both, where a source may hold either.

    Args:
        source: File or folder.
        from_format: Its format; None to take it from its name and content.
        dropped: Counts what is not read.

    Raises:
        AnnotationError: the source breaks its format.
        ConfigurationError: no such source, or not a known one.
    """
    if not source.exists():
        raise ConfigurationError(f"{source}: no such file or folder")
    name, predictions = (from_format, None) if from_format is not None else guess_format(source)
    if predictions is not None:
        return _read(source, name, dropped, predictions=predictions)
    try:
        return _read(source, name, dropped, predictions=True)
    except (AnnotationError, ConfigurationError):  # labels have no confidences, and other file names
        return _read(source, name, dropped, predictions=False)


def guess_format(source: Path) -> _Guess:
    """Format of a source, and whether it holds predictions; None if only reading decides.

    Raises:
        ConfigurationError: a file of an unknown kind.
    """
    if source.is_dir():
        return "soccernet", any(RESULTS_FILE in files for _, files in folders_below(source))
    suffix = source.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _guess_table(source)
    if suffix == ".json":
        return _guess_json(source)
    if suffix == ".xml":
        return ("cvat" if is_cvat(read_xml(source, "export it again")) else "sportscode"), False
    if suffix in (".eaf", ".fcpxml"):
        return ("elan" if suffix == ".eaf" else "fcpxml"), False
    if suffix in (".srt", ".vtt", ".edl"):
        return cast(CutListName, suffix[1:]), None
    if suffix == ".gz":
        return "e2e-spot", None
    raise ConfigurationError(
        f"{source}: its format is not known by its name; state it, such as opensportslab", option="from"
    )


def _guess_table(source: Path) -> _Guess:
    text = decode_text(read_bytes(source), str(source))
    if is_via_export(text):
        return "via", False
    # Kaggle's DFL data, whose rows are not all events
    heading = text.lstrip("\ufeff").partition("\n")[0]
    is_dfl = {"video_id", "time", "event"} <= {name.strip() for name in heading.split(",")}
    return ("dfl" if is_dfl else "table"), None


def _guess_json(source: Path) -> _Guess:
    content = load_json(read_bytes(source), str(source))
    if is_label_studio(content):
        return "labelstudio", False
    if isinstance(content, list):
        of_videos = bool(content) and isinstance(content[0], dict) and "video" in content[0]
        return ("e2e-spot" if of_videos and "events" in content[0] else "table"), None
    if is_via_project(content):
        return "via", False
    if isinstance(content, dict) and "data" in content:
        return "opensportslab", None
    return "soccernet", isinstance(content, dict) and "predictions" in content


def labels_in_other_form(source: Path) -> dict[str, bytes] | None:
    """Labels of a file in another format than SoccerNet's: game -> its label file in SoccerNet's.

    Args:
        source: A table, Kaggle's DFL data, JSON of OpenSportsLab or E2E-Spot, XML of SportsCode or ELAN, subtitles, a
            cut list, or labels of VIA or FCPXML.

    Returns:
        None for SoccerNet's files, folders, zips, and lists of videos and labels.

    Raises:
        AnnotationError: the source breaks its format.
        ConfigurationError: a file of an unknown kind.
    """
    return _in_other_form(source, BALL_LABEL_FILE, predictions=False)


def results_in_other_form(source: Path) -> dict[str, bytes] | None:
    """Predictions of a file in another format than SoccerNet's: game -> its results file in SoccerNet's.

    Args:
        source: As of :func:`labels_in_other_form`, with a confidence for each event.

    Returns:
        None for SoccerNet's files, folders and zips.

    Raises:
        AnnotationError: the source breaks its format.
        ConfigurationError: a file of an unknown kind.
    """
    return _in_other_form(source, RESULTS_FILE, predictions=True)


def _in_other_form(source: Path, file_name: str, *, predictions: bool) -> dict[str, bytes] | None:
    if not source.is_file():
        return None
    reject_spreadsheet(source)
    if zipfile.is_zipfile(source):
        return None
    try:
        name, held = guess_format(source)
    except ConfigurationError:
        raise ConfigurationError(
            f"{source}: neither a folder nor a zip file, nor a file whose name shows its format, such as .json, .csv "
            "or .xml; convert it first"
        ) from None
    if name == "soccernet":
        return None
    if held not in (None, predictions):
        raise ConfigurationError(
            f"{source}: holds {'predictions; give labels' if held else 'labels; give predictions'}"
        )
    dataset = _read(source, name, DroppedFields(), predictions=predictions)
    files = soccernet_files(dataset, Path(), DroppedFields(), file_name)
    return {path.parent.as_posix(): data for path, data in files.items() if path.name == file_name}


def _read(
    source: Path, name: FormatName | CutListName | ToolName, dropped: DroppedFields, *, predictions: bool
) -> AnnotationSet:
    conversion = Conversion(
        source=source, target=source, from_format=name, to_format="soccernet", predictions=predictions
    )
    return read_events(conversion, dropped, {})

"""Labels of VIA 3, the VGG annotator of videos: its project (JSON), or either of its exports (CSV).

::

    "metadata": {"1_a": {"vid": "1", "z": [7.48, 9.1], "xy": [], "av": {"1": "PASS"}}}       7.48 s
    "1_a","[""derby.mp4""]",7.48,9.1,"{""TEMPORAL-SEGMENTS"":""PASS""}"                       the same

An event is at the start of its segment, or at the time of its frame.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.files.json_fields import decode_text, load_json, read_bytes, require
from e2espot.formats.annotated_paths import annotation_set_of, make_event, sources_ending_in
from e2espot.formats.interchange import Annotation, AnnotationSet, DroppedFields
from e2espot.formats.table_columns import Columns

_SEGMENTS = "TEMPORAL-SEGMENTS"
"""The attribute that the program makes for segments."""
_HEADING = "# CSV_HEADER = "
_SEGMENT_TIMES = ("temporal_segment_start", "temporal_segment_end")


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """One entry of a file."""

    video: str
    """Path or name of its video."""
    times_s: list[Any]
    """Start and end, one time of a frame, or none."""
    is_region: bool
    """Whether it is drawn on a picture."""
    attributes: Mapping[str, str]
    """Text of each attribute."""
    context: str
    """What an error message calls it."""


def read_via(source: Path, columns: Columns | None, dropped: DroppedFields) -> AnnotationSet:
    """Read one file, or every ``.json`` or ``.csv`` file of a folder.

    Args:
        source: File or folder.
        columns: ``{"label": NAME}`` where the class is the attribute of that name; without it, it is
            ``TEMPORAL-SEGMENTS``, else the first one.
        dropped: Counts what is left out: what is drawn on pictures, or has no time.

    Raises:
        AnnotationError: not such a file, or an entry without a label; names file and entry.
        ConfigurationError: no segment has the attribute that states the class.
    """
    if not {*(columns or {})} <= {"label"}:
        raise ConfigurationError("columns of VIA is the attribute that holds the class: label=NAME", option="columns")
    name = (columns or {}).get("label")
    events_of: dict[str, list[Annotation]] = {}
    num_read = 0
    for path in sources_ending_in(source, ".json", ".csv"):
        text = decode_text(read_bytes(path), str(path)).lstrip("\ufeff")
        for segment in _of_project(text, path) if text.lstrip().startswith("{") else _of_export(text, path):
            events = events_of.setdefault(segment.video, [])
            if segment.is_region or not segment.times_s:
                dropped.add("entry of VIA that is drawn on a picture or has no time")
            elif name is not None and name not in segment.attributes:
                dropped.add("segment without the attribute that states its class")
            else:
                events.append(_event(segment, name))
                num_read += 1
    if name is not None and not num_read:
        raise ConfigurationError(f"{source}: no segment has an attribute {name!r}", option="columns")
    return annotation_set_of(events_of, source)


def _event(segment: _Segment, name: str | None) -> Annotation:
    first = next(iter(segment.attributes), None)
    name = name or (_SEGMENTS if _SEGMENTS in segment.attributes else first)
    if name is None:
        raise AnnotationError(f"{segment.context}: no attribute, which is the label of its event")
    try:
        start_ms = round(1000 * float(segment.times_s[0]))
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(f"{segment.context}: its time is {segment.times_s[0]!r:.40}; expected seconds") from None
    others = {key: text for key, text in segment.attributes.items() if key != name}
    return make_event(segment.attributes[name], start_ms, others, segment.context)


def is_via_project(content: Any) -> bool:
    """Whether the content of a JSON file is a project of VIA 3."""
    return isinstance(content, dict) and {"project", "attribute", "file", "view", "metadata"} <= content.keys()


def is_via_export(text: str) -> bool:
    """Whether a CSV file is an export of VIA 3."""
    return _HEADING in text[:100_000] and text.lstrip("\ufeff").startswith("#")


def _of_project(text: str, path: Path) -> Iterator[_Segment]:
    content = load_json(text.encode(), str(path))
    if not is_via_project(content):
        raise AnnotationError(f"{path}: no project of VIA 3, which has project, attribute, file, view and metadata")
    for key, entry in require(content, "metadata", dict, str(path)).items():
        context = f"{path}: metadata {key!r:.40}"
        view = require(content["view"], str(require(entry, "vid", object, context)), dict, f"{path}: view")
        file = next(iter(require(view, "fid_list", list, f"{path}: view")), None)
        yield _Segment(
            video=require(require(content["file"], str(file), dict, f"{path}: file"), "fname", str, f"{path}: file"),
            times_s=require(entry, "z", list, context, []),
            is_region=bool(entry.get("xy")),
            attributes=_texts(require(entry, "av", dict, context, {}), content["attribute"]),
            context=context,
        )


def _of_export(text: str, path: Path) -> Iterator[_Segment]:
    """Rows under comments, which name the columns and the attributes."""
    comments = [line for line in text.splitlines() if line.startswith("#")]
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
    names = next((line[len(_HEADING) :].strip().split(",") for line in comments if line.startswith(_HEADING)), None)
    if names is None:
        raise AnnotationError(f"{path}: no export of VIA 3, whose comments name its columns in a line CSV_HEADER")
    stated = next((line.partition("=")[2] for line in comments if re.match(r"# ATTRIBUTES? =", line)), "{}")
    attributes = load_json(stated.encode(), f"{path}: ATTRIBUTE")
    for number, cells in enumerate(csv.reader(io.StringIO("".join(lines), newline="")), 1):
        if not cells:
            continue
        row, context = dict(zip(names, cells, strict=False)), f"{path}: row {number}"
        values = {name: _json_cell(row, name, context) for name in ("file_list", "metadata")}
        if not isinstance(values["file_list"], list) or not values["file_list"]:
            raise AnnotationError(f"{context}: file_list is {row['file_list']!r:.40}; expected a list of a name")
        is_of_segments = _SEGMENT_TIMES[0] in names
        times_s = [row.get(name, "") for name in _SEGMENT_TIMES] if is_of_segments else None
        times_s = times_s or _json_cell(row, "temporal_coordinates", context)
        yield _Segment(
            video=str(values["file_list"][0]),
            times_s=times_s if isinstance(times_s, list) else [],
            is_region=not is_of_segments and bool(_json_cell(row, "spatial_coordinates", context)),
            attributes=_texts(values["metadata"], attributes),
            context=context,
        )


def _json_cell(row: Mapping[str, str], name: str, context: str) -> Any:
    return load_json(row.get(name, "").encode(), f"{context}: {name}")


def _texts(values: Any, attributes: Any) -> dict[str, str]:
    """Text of each attribute by its name: of a choice, that of the option."""
    texts: dict[str, str] = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        attribute = attributes.get(key, {}) if isinstance(attributes, dict) else {}
        if not isinstance(attribute, dict):  # older exports state the name alone
            attribute = {"aname": attribute}
        options = attribute.get("options")
        option = options.get(str(value)) if isinstance(options, dict) else None
        texts[str(attribute.get("aname", key))] = str(value if option is None else option)
    return texts

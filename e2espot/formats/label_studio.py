"""Labels of Label Studio: its export as JSON or JSON-MIN, of videos with a time line or of their audio.

::

    "value": {"ranges": [{"start": 188, "end": 200}], "timelinelabels": ["PASS"]}     frame 187, as it counts from 1
    "value": {"start": 7.48, "end": 7.9, "labels": ["PASS"]}                          7.48 s

An event is at the start of its range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import position_ms_of_frame
from e2espot.files.json_fields import load_json, read_bytes, require, require_number
from e2espot.formats.annotated_paths import annotation_set_of, make_event, sources_ending_in
from e2espot.formats.filenames import VIDEO_SUFFIXES
from e2espot.formats.interchange import Annotation, AnnotationSet, DroppedFields

_Regions = Iterator[tuple[Mapping[str, Any], Mapping[str, str], str]]
"""Value of each region, its attributes, and what a message calls it."""

_UPLOAD = re.compile(r".*/data/upload/(?:\d+/)?(?:[0-9a-f]{8}-)?(.+)")
"""An uploaded file, before whose name the program puts eight hexadecimal digits."""
_LOCAL = re.compile(r".*/data/local-files/\?d=(.+)")


def is_label_studio(content: Any) -> bool:
    """Whether the content of a JSON file is an export of Label Studio with labels of times."""
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return False
    if isinstance(first.get("data"), dict) and isinstance(first.get("annotations"), list):
        return True
    return any(_has_range(entry) for task in content if isinstance(task, dict) for _, entry in _listed(task))


def read_label_studio(source: Path, fps: Fraction | None, dropped: DroppedFields) -> AnnotationSet:
    """Read one export, or every ``.json`` file of a folder.

    Args:
        source: File or folder.
        fps: Rate of the frames, which the export does not state; None if it is not known.
        dropped: Counts what is left out: regions without a time, and all annotations of a task but one.

    Raises:
        AnnotationError: not such an export, or frames without a rate; names file, task and region.
    """
    events_of: dict[str, list[Annotation]] = {}
    for path in sources_ending_in(source, ".json"):
        content = load_json(read_bytes(path), str(path))
        if not is_label_studio(content):
            raise AnnotationError(f"{path}: no export of Label Studio; expected its JSON or JSON-MIN, a list of tasks")
        for number, task in enumerate(content):
            context = f"{path}: task {number}"
            regions = list(_regions(task, context, dropped))
            data = require(task, "data", dict, context) if "annotations" in task else task
            events = events_of.setdefault(_video(data, context), [])
            for value, attributes, name in regions:
                if _has_range(value):
                    events += _events(value, attributes, fps, name)
                else:
                    dropped.add("region of Label Studio without a time and a label")
    return annotation_set_of(events_of, source)


def _regions(task: Any, context: str, dropped: DroppedFields) -> _Regions:
    """Regions of a task; labels of one region, such as its team, share its id."""
    if "annotations" not in task:
        for name, entry in _listed(task):
            yield entry, {}, f"{context}: {name}"
        return
    results = require(_chosen(task, context, dropped), "result", list, context, [])
    attributes: dict[str, dict[str, str]] = {}
    for entry in results:
        value = require(entry, "value", dict, context)
        chosen = value.get("choices") or value.get("text")
        if "id" in entry and isinstance(chosen, list) and chosen:
            attributes.setdefault(str(entry["id"]), {})[str(entry.get("from_name", "choices"))] = str(chosen[0])
    for number, entry in enumerate(results):
        value = entry["value"]
        if not ("choices" in value or "text" in value):
            yield value, attributes.get(str(entry.get("id")), {}), f"{context}: result {number}"


def _chosen(task: Mapping[str, Any], context: str, dropped: DroppedFields) -> Mapping[str, Any]:
    """The one annotation of a task that counts: the ground truth if there is one, else the one changed last."""
    done = [entry for entry in task["annotations"] if isinstance(entry, dict) and not entry.get("was_cancelled")]
    dropped.add(
        "annotation of a task that has several (the ground truth, or the one changed last, stays)", len(done[1:])
    )
    if len(done) < len(task["annotations"]):
        dropped.add("annotation that was cancelled", len(task["annotations"]) - len(done))
    if not done:
        return {}
    return max(done, key=lambda entry: (bool(entry.get("ground_truth")), str(entry.get("updated_at", ""))))


def _listed(task: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and entries of the fields of a task in JSON-MIN that list objects."""
    for name, field in task.items():
        for entry in field if isinstance(field, list) else []:
            if isinstance(entry, dict):
                yield name, entry


def _has_range(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("timelinelabels"), list):
        return isinstance(value.get("ranges"), list)
    return isinstance(value.get("labels"), list) and "start" in value and "text" not in value


def _events(
    value: Mapping[str, Any], attributes: Mapping[str, str], fps: Fraction | None, context: str
) -> Iterator[Annotation]:
    starts_ms = _starts_ms(value, fps, context)
    labels: Sequence[Any] = value.get("timelinelabels") or value.get("labels") or []
    for start_ms in starts_ms:
        for label in labels:
            yield make_event(str(label), start_ms, attributes, context)


def _starts_ms(value: Mapping[str, Any], fps: Fraction | None, context: str) -> list[int]:
    if "timelinelabels" not in value:
        return [round(1000 * min(require_number(value, "start", context), 1e9))]
    if fps is None:
        raise AnnotationError(
            f"{context}: Label Studio exports frames without their rate; state it when it is converted, as in the "
            "labelling configuration: fps=25"
        )
    frames = [require_number(entry, "start", f"{context}: ranges") for entry in value["ranges"]]
    return [position_ms_of_frame(max(0, int(frame) - 1), fps) for frame in frames]


def _video(data: Mapping[str, Any], context: str) -> str:
    """Path of the video of a task, without what an upload puts in front of its name."""
    texts = {name: unquote(text) for name, text in data.items() if isinstance(text, str)}
    ending = [text for text in texts.values() if PurePosixPath(text).suffix.lower() in VIDEO_SUFFIXES]
    text = texts.get("video") or next(iter(ending), "") or texts.get("audio", "")
    if not text:
        raise AnnotationError(f"{context}: no field 'video', and no other text that ends as the name of a video")
    for pattern in (_UPLOAD, _LOCAL):
        if match := pattern.fullmatch(text):
            return match[1]
    return re.sub(r"\w{2,}://[^/]*/", "", text)

"""SportsCode's XML, which coaches' tools read: instances with a start and an end on one time line for a match.

An event is a moment; an instance begins some seconds before it and ends some after it::

    instance   start |--------- lead ---------x----- lag -----| end        x: the event

    half 1 starts at 0:00      half 2 starts at 47:12     of the one time line: ``half_starts_ms = (0, 2832000)``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import HALVES, MAX_DURATION_S, parse_clock_ms
from e2espot.files.json_fields import relative_path
from e2espot.files.xml_root import read_xml
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.table_columns import Columns

_GROUPS = {"team": "Team", "visibility": "Visibility"}
"""Field of an event -> group of its label."""
_NO_GROUP = "labels"
"""Field of an event with its labels that have no group."""


@dataclass(frozen=True, kw_only=True)
class InstanceTimes:
    """How moments become instances on one time line, and back."""

    lead_ms: int = 5000
    """Milliseconds of an instance before its event."""
    lag_ms: int = 3000
    """Milliseconds of an instance after its event."""
    half_starts_ms: tuple[int, ...] = (0,)
    """Where each half starts on the time line, in milliseconds."""

    def event_ms(self, start_ms: int, stop_ms: int | None) -> int:
        """Where the event of an instance is; ``stop_ms`` is None for one without an end.

        # An instance of 0 to 5 s with lead 5 and lag 3: at 2 s, as it would have begun before the time line.
        """
        if start_ms == 0 and stop_ms is not None and 0 <= stop_ms - self.lag_ms <= self.lead_ms:
            return stop_ms - self.lag_ms
        return start_ms + self.lead_ms


def parse_instance_times(lead_s: float, lag_s: float, half_starts: str) -> InstanceTimes:
    """Instance times from seconds and from the starts of the halves as ``0:00,47:12``.

    Raises:
        ConfigurationError: a time that is negative, out of order or none.
    """
    starts_ms = [parse_clock_ms(part.strip()) for part in half_starts.split(",")]
    known_ms = [start_ms for start_ms in starts_ms if start_ms is not None]
    if len(known_ms) < len(starts_ms) or known_ms != sorted(set(known_ms)) or len(known_ms) > len(HALVES):
        raise ConfigurationError(
            f"half_starts is {half_starts!r}; give the times of one to five periods in order, such as 0:00,47:12",
            option="half_starts",
        )
    if not (0 <= lead_s <= 600 and 0 <= lag_s <= 600):
        raise ConfigurationError(f"lead and lag are {lead_s} and {lag_s}; give 0 to 600 seconds", option="lead")
    return InstanceTimes(lead_ms=round(1000 * lead_s), lag_ms=round(1000 * lag_s), half_starts_ms=tuple(known_ms))


def read_sportscode(
    source: Path, times: InstanceTimes, dropped: DroppedFields | None = None, columns: Columns | None = None
) -> AnnotationSet:
    """Read the labels of one match; the file names the game.

    Args:
        source: The file.
        times: How instances become moments.
        dropped: Counts what is left out.
        columns: Field of an event -> group of labels that holds it. Without one for ``label``, the class of an event is
            the code of its instance; with one, instances without a label of that group are left out.

    Raises:
        AnnotationError: not such a file, or an instance without a start and a code; names file and instance.
    """
    root = read_xml(source, "export the match again")
    instances = root.findall(".//ALL_INSTANCES/instance")
    if not instances:
        raise AnnotationError(
            f"{source}: no instances in its <{root.tag:.40}>; expected SportsCode's XML, with <ALL_INSTANCES><instance>"
        )
    groups = _groups(columns or {})
    read = [_event(entry, f"{source}: instance {number}", times, groups) for number, entry in enumerate(instances, 1)]
    events = [event for event in read if event is not None]
    if not events:
        group = (columns or {})["label"]
        raise ConfigurationError(f"{source}: no instance has a label of a group {group!r}", option="columns")
    if dropped is not None:
        dropped.add("instance without a label of the group that states its class", len(instances) - len(events))
    halves = sorted({half for half, _ in events})
    return AnnotationSet(
        videos=tuple(
            AnnotatedVideo(
                game=source.stem, half=half, annotations=tuple(event for its_half, event in events if its_half == half)
            )
            for half in halves
        )
    )


def _groups(columns: Columns) -> dict[str, str]:
    """Group of labels, in small letters -> field of an event."""
    unknown = sorted(columns.keys() - {"label", *_GROUPS})
    if unknown:
        raise ConfigurationError(
            f"columns has {', '.join(unknown)}; groups of SportsCode's labels hold {', '.join(('label', *_GROUPS))}",
            option="columns",
        )
    return {group.lower(): name for name, group in {**_GROUPS, **columns}.items()}


def _event(
    entry: ElementTree.Element, context: str, times: InstanceTimes, groups: Mapping[str, str]
) -> tuple[int, Annotation] | None:
    """Half and event of an instance; None without a label of the group that states its class."""
    # The first of each kind counts, as for findtext, which would search once for each.
    texts = {child.tag: child.text or "" for child in reversed(entry)}
    code = texts.get("code", "").strip()
    if not code:
        raise AnnotationError(f"{context}: no code, which is the label of its event")
    start_ms = _milliseconds(texts.get("start", ""))
    if start_ms is None:
        raise AnnotationError(f"{context}: start is {texts.get('start')!r:.40}; expected seconds")
    position_ms = times.event_ms(start_ms, _milliseconds(texts.get("end", "")))
    half = sum(start_ms <= position_ms for start_ms in times.half_starts_ms) or 1
    fields, extra = _labels(entry, groups)
    if "label" in groups.values():
        if "label" not in fields:
            return None
        extra = {"code": code, **extra}
    start_of_half_ms = times.half_starts_ms[half - 1] if times.half_starts_ms else 0
    return half, Annotation(
        label=fields.get("label", code),
        position_ms=max(0, position_ms - start_of_half_ms),
        team=fields.get("team", ""),
        visibility=fields.get("visibility", ""),
        extra=extra,
    )


def _labels(entry: ElementTree.Element, groups: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Labels of an instance: those of groups that are fields of an event, and the others by their groups."""
    fields: dict[str, str] = {}
    of_group: dict[str, list[str]] = {}
    for label in entry.findall("label"):
        group, text = (label.findtext("group") or "").strip(), (label.findtext("text") or "").strip()
        name = groups.get(group.lower())
        if name is not None and text and name not in fields:
            fields[name] = text
        elif text:
            of_group.setdefault(group or _NO_GROUP, []).append(text)
    return fields, {group: texts[0] if len(texts) == 1 else texts for group, texts in of_group.items()}


def _milliseconds(text: str) -> int | None:
    """Seconds as text in milliseconds; None if they are none, or not within a day."""
    try:
        seconds = float(text.replace(",", "."))
    except ValueError:
        return None
    return round(1000 * seconds) if 0 <= seconds <= MAX_DURATION_S else None


def sportscode_files(
    dataset: AnnotationSet, target: Path, times: InstanceTimes, dropped: DroppedFields
) -> dict[Path, bytes]:
    """One XML file for each game; in ASCII, which every tool reads.

    Raises:
        ConfigurationError: a second half whose start on the time line is not known, or several games for one file.
    """
    dropped.add_fields(dataset.metadata, "dataset")
    ordered = sorted(dataset.videos, key=lambda video: (video.game, video.half))
    files: dict[Path, bytes] = {}
    for game, group in groupby(ordered, key=lambda video: video.game):
        path = target if target.suffix == ".xml" else target / f"{relative_path(game, 'name of a game')}.xml"
        if path in files:
            raise ConfigurationError(f"{target}: one file holds one game; give a folder")
        files[path] = _document(game, list(group), times, dropped)
    return files


def _document(game: str, videos: Sequence[AnnotatedVideo], times: InstanceTimes, dropped: DroppedFields) -> bytes:
    root = ElementTree.Element("file")
    instances = ElementTree.SubElement(root, "ALL_INSTANCES")
    number = 0
    for video in videos:
        if video.annotations and video.half > len(times.half_starts_ms):
            raise ConfigurationError(
                f"{game}: SportsCode has one time line for a match; say where half {video.half} starts on it, such as "
                "0:00,47:12",
                option="half_starts",
            )
        dropped.add_annotated(video, "SportsCode")
        dropped.add_fields(video.metadata, "video")
        dropped.add_fields({key: value for key, value in video.game_metadata.items() if key != "UrlLocal"}, "game")
        for annotation in sorted(video.annotations, key=lambda annotation: annotation.position_ms):
            number += 1
            rounded = annotation.confidence is not None and round(annotation.confidence, 3) != annotation.confidence
            dropped.add("confidence, rounded to three decimals", int(rounded))
            start_of_half_ms = times.half_starts_ms[video.half - 1]
            instances.append(_instance(number, annotation, start_of_half_ms, times))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return data + b"\n"


def _instance(number: int, annotation: Annotation, start_of_half_ms: int, times: InstanceTimes) -> ElementTree.Element:
    position_ms = start_of_half_ms + annotation.position_ms
    entry = ElementTree.Element("instance")
    for name, text in (
        ("ID", str(number)),
        ("start", f"{max(0, position_ms - times.lead_ms) / 1000:.3f}"),
        ("end", f"{(position_ms + times.lag_ms) / 1000:.3f}"),
        ("code", annotation.label),
    ):
        ElementTree.SubElement(entry, name).text = text
    labels = [("Team", annotation.team), ("Visibility", annotation.visibility)]
    if annotation.confidence is not None:
        labels.append(("Confidence", f"{annotation.confidence:.3f}"))
    for key, value in annotation.extra.items():
        labels += [
            (str(key), str(text)) for text in (value if isinstance(value, list) else [value]) if text is not None
        ]
    for group, text in labels:
        if text:
            label = ElementTree.SubElement(entry, "label")
            if group != _NO_GROUP:
                ElementTree.SubElement(label, "group").text = printable(group)
            ElementTree.SubElement(label, "text").text = printable(text)
    return entry


def printable(text: str) -> str:
    """The text without control characters, which XML cannot hold."""
    return "".join(letter for letter in text if letter >= " " and not 0xD800 <= ord(letter) < 0xE000)

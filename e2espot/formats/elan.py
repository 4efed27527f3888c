"""ELAN: annotation files (.eaf) both ways, and its tab-delimited export.

An annotation is an event at its start. Its text is the class; without a text, the name of its tier is::

    tier  PASS          |pass|   |pass|             tab-delimited:
    tier  comments          |a note|                PASS<tab><tab>00:05:07.480<tab>00:05:08.000<tab>PASS

ELAN has one time line for each file, so each half is a file of its own. Teams are the participants of tiers.
Annotations of one tier cannot share a time: further events go to further tiers, ``PASS left 2``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import HALVES, MAX_DURATION_MS, parse_clock_ms
from e2espot.files.json_fields import decode_text, read_bytes, relative_path
from e2espot.files.xml_root import read_xml
from e2espot.formats.filenames import files_ending_in
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.sportscode import printable

_LENGTH_MS = 200
"""Length of the annotation of a moment: enough to be clicked on."""
_HALF = "half"
"""Property of a file that states the half; without it, the file is half 1."""
_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_TIME_HEADING = re.compile(r"(begin|end) time|duration", re.IGNORECASE)


def read_elan(source: Path, dropped: DroppedFields) -> AnnotationSet:
    """Read one file, or every ``.eaf`` file of a folder; the file names the game.

    Raises:
        AnnotationError: a broken file; names the file and the annotation or line.
        ConfigurationError: no such file.
    """
    files = [source] if source.is_file() else files_ending_in(source, ".eaf")
    if not files:
        raise ConfigurationError(f"{source}: no .eaf file there")
    videos = []
    for file in files:
        name = file.relative_to(source).with_suffix("").as_posix() if source.is_dir() else file.stem
        if file.suffix.lower() == ".eaf":
            videos.append(_read_eaf(file, name, dropped))
        else:
            videos.append(AnnotatedVideo(game=name, annotations=tuple(_read_tab_delimited(file))))
    return AnnotationSet(videos=tuple(sorted(videos, key=lambda video: (video.game, video.half))))


def _read_eaf(file: Path, name: str, dropped: DroppedFields) -> AnnotatedVideo:
    root = _xml(file)
    header = root.find("HEADER")
    if header is not None and header.get("TIME_UNITS", "milliseconds") != "milliseconds":
        raise AnnotationError(f"{file}: times are in {header.get('TIME_UNITS')!r:.40}; save it in milliseconds")
    media = next(root.iterfind("HEADER/MEDIA_DESCRIPTOR"), None)
    times_ms = _slot_times_ms(root, file, media)
    events = [event for tier in root.iterfind("TIER") for event in _events_of_tier(tier, times_ms, file, dropped)]
    properties = {entry.get("NAME"): (entry.text or "").strip() for entry in root.iterfind("HEADER/PROPERTY")}
    half = properties.get(_HALF, "1")
    if half not in map(str, HALVES):
        raise AnnotationError(f"{file}: property {_HALF} is {half!r:.40}; expected 1 to {max(HALVES)}")
    game = properties.get("game") or name
    return AnnotatedVideo(
        game=relative_path(game, f"{file}: name of the game"),
        half=int(half),
        annotations=tuple(sorted(events, key=lambda event: event.position_ms)),
        video="" if media is None else _media_path(media),
    )


def _slot_times_ms(root: ElementTree.Element, file: Path, media: ElementTree.Element | None) -> dict[str | None, int]:
    """Time slot -> milliseconds from the start of the video; slots without a time are left out."""
    # Where time 0 of the annotations is in the video.
    origin_ms = 0 if media is None else _ms(media.get("TIME_ORIGIN", "0"), f"{file}: TIME_ORIGIN")
    return {
        slot.get("TIME_SLOT_ID"): origin_ms
        + _ms(slot.get("TIME_VALUE"), f"{file}: time slot {slot.get('TIME_SLOT_ID')}")
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
        if slot.get("TIME_VALUE") is not None
    }


def _events_of_tier(
    tier: ElementTree.Element, times_ms: dict[str | None, int], file: Path, dropped: DroppedFields
) -> Iterator[Annotation]:
    tier_name, team = ((tier.get(key) or "").strip() for key in ("TIER_ID", "PARTICIPANT"))
    for entry in tier.iterfind("ANNOTATION/*"):
        context = f"{file}: annotation {entry.get('ANNOTATION_ID')}"
        start_ms = times_ms.get(entry.get("TIME_SLOT_REF1"))
        is_part = start_ms is None and tier.get("PARENT_REF") is not None  # of an annotation, without times
        if entry.tag != "ALIGNABLE_ANNOTATION" or is_part:
            dropped.add(f"annotation of tier {tier.get('TIER_ID')!r} without a time of its own")
            continue
        if start_ms is None:
            raise AnnotationError(f"{context}: its start has no time; give it one in ELAN")
        label = (entry.findtext("ANNOTATION_VALUE") or "").strip() or tier_name
        if not label:
            raise AnnotationError(f"{context}: neither a text nor a name of its tier")
        yield _event(label, start_ms, team, context)


def _xml(file: Path) -> ElementTree.Element:
    root = read_xml(file, "save it with ELAN again")
    if root.tag != "ANNOTATION_DOCUMENT":
        raise AnnotationError(f"{file}: not a file of ELAN, which starts with <ANNOTATION_DOCUMENT>")
    return root


def _ms(text: str | None, context: str) -> int:
    if text is None or re.fullmatch(r"-?[0-9]{1,12}", text.strip()) is None:
        raise AnnotationError(f"{context}: {text!r:.40} is no time; expected whole milliseconds")
    return int(text)


def _event(label: str, position_ms: int, team: str, context: str) -> Annotation:
    if not 0 <= position_ms <= MAX_DURATION_MS:
        raise AnnotationError(f"{context}: the time is {position_ms} ms; expected 0 to {MAX_DURATION_MS}")
    return Annotation(label=label, position_ms=position_ms, team=team)


def _media_path(media: ElementTree.Element) -> str:
    """Path of the video, relative if the file states it."""
    url = media.get("RELATIVE_MEDIA_URL") or media.get("MEDIA_URL") or ""
    path = re.sub(r"^file:(//)?(?=/)", "", url)
    return path if path and "\n" not in path else ""


# Tab-delimited text


def _read_tab_delimited(file: Path) -> list[Annotation]:
    text = decode_text(read_bytes(file), str(file))
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
    except csv.Error as error:
        raise AnnotationError(f"{file}: cannot be read ({error})") from None
    heading = next((row for row in rows if any(_TIME_HEADING.match(cell.strip()) for cell in row)), None)
    rows = [row if row is not heading else [] for row in rows]
    events = []
    for number, row in enumerate(rows, 1):
        if any(cell.strip() for cell in row):
            events += _events_of_row(row, heading, f"{file}: line {number}")
    return events


def _events_of_row(row: Sequence[str], heading: Sequence[str] | None, context: str) -> list[Annotation]:
    """The events of a line: one, or one for each tier if the tiers are columns."""
    cells = [cell.strip() for cell in row]
    if heading is None and _starts_with_times(cells):
        # times and text: without a tier, or of Audacity, whose second lines of a label have two frequencies
        return [] if cells[0] == "\\" else [_event(cells[-1], _time_ms(cells[0]) or 0, "", context)]
    if heading is None:
        # tier, participant, times, text
        times = [cell for cell in cells[1:-1] if _time_ms(cell) is not None]
        if len(cells) < 3 or not times:
            raise AnnotationError(f"{context}: expected a tier, a participant, times and a text, separated by tabs")
        return [
            _event(cells[-1] or cells[0], _time_ms(times[0]) or 0, cells[1] if cells[1] not in times else "", context)
        ]
    names = [name.strip() for name in heading]
    fields = dict(zip(names, cells, strict=False))
    begin = next((value for name, value in fields.items() if name.lower().startswith("begin time")), "")
    position_ms = _time_ms(begin)
    if position_ms is None:
        raise AnnotationError(f"{context}: begin time is {begin!r:.40}; expected hours:minutes:seconds, or seconds")
    fixed = {name.lower(): value for name, value in fields.items()}
    team = fixed.get("participant", "")
    if "annotation" in fixed or "tier" in fixed:
        label = fixed.get("annotation") or fixed.get("tier") or ""
        if not label:
            raise AnnotationError(f"{context}: neither a text nor a tier")
        return [_event(label, position_ms, team, context)]
    tiers = [name for name in names if name and name.lower() != "participant" and not _TIME_HEADING.match(name)]
    return [_event(fields[name], position_ms, team, context) for name in tiers if fields.get(name)]


def _starts_with_times(cells: Sequence[str]) -> bool:
    """Whether a line of two times or more has nothing in front of them; a tier may be called 10."""
    if len(cells) < 3 or _time_ms(cells[1]) is None or not cells[-1]:
        return False
    return cells[0] == "\\" or _time_ms(cells[0]) is not None


def _time_ms(text: str) -> int | None:
    """``00:05:07.480``, ``307.48`` or ``307480`` in milliseconds; None for anything else."""
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text)
    return parse_clock_ms(text) if re.fullmatch(r"[0-9:]+(\.[0-9]+)?", text) else None


# Writing


def elan_files(dataset: AnnotationSet, target: Path, dropped: DroppedFields) -> dict[Path, bytes]:
    """One ``.eaf`` file for each video.

    Raises:
        ConfigurationError: several videos for one file.
    """
    dropped.add_fields(dataset.metadata, "dataset")
    counts: dict[str, int] = {}
    for video in dataset.videos:
        counts[video.game] = max(counts.get(video.game, 1), video.half)
    files: dict[Path, bytes] = {}
    for video in dataset.videos:
        name = relative_path(video.game, "name of a game") + (f"_{video.half}" if counts[video.game] > 1 else "")
        path = target if target.suffix == ".eaf" else target / f"{name}.eaf"
        if path in files:
            raise ConfigurationError(f"{target}: one file holds one video; give a folder")
        files[path] = _document(video, dropped)
    return files


def _document(video: AnnotatedVideo, dropped: DroppedFields) -> bytes:
    dropped.add_annotated(video, "ELAN")
    dropped.add("split of a video", int(bool(video.split)))
    dropped.add_fields(video.metadata, "video")
    dropped.add_fields({key: value for key, value in video.game_metadata.items() if key != "UrlLocal"}, "game")
    attributes = {"AUTHOR": "e2espot", "DATE": "2020-01-01T00:00:00+00:00", "FORMAT": "3.0", "VERSION": "3.0"}
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT", {**attributes, _SCHEMA: "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"}
    )
    header = ElementTree.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if video.video:
        kind = {".mp4": "video/mp4", ".webm": "video/webm"}.get(PurePosixPath(video.video).suffix.lower(), "video/*")
        media = {"MEDIA_URL": video.video, "RELATIVE_MEDIA_URL": video.video, "MIME_TYPE": kind}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", media)
    for name, value in (("game", video.game), (_HALF, str(video.half))):
        ElementTree.SubElement(header, "PROPERTY", {"NAME": name}).text = printable(value)
    order = ElementTree.SubElement(root, "TIME_ORDER")
    number = 0
    for (tier_name, team), starts in _tiers(video, dropped).items():
        tier = ElementTree.SubElement(
            root, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": printable(tier_name)}
        )
        if team:
            tier.set("PARTICIPANT", printable(team))
        for index, (start_ms, label) in enumerate(starts):
            following_ms = starts[index + 1][0] if index + 1 < len(starts) else start_ms + _LENGTH_MS
            number += 1
            slots = [f"ts{2 * number - 1}", f"ts{2 * number}"]
            for slot, at_ms in zip(slots, (start_ms, min(start_ms + _LENGTH_MS, following_ms)), strict=True):
                ElementTree.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(at_ms)})
            wrapper = ElementTree.SubElement(tier, "ANNOTATION")
            fields = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": slots[0], "TIME_SLOT_REF2": slots[1]}
            entry = ElementTree.SubElement(wrapper, "ALIGNABLE_ANNOTATION", fields)
            ElementTree.SubElement(entry, "ANNOTATION_VALUE").text = printable(label)
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"},
    )  # fmt: skip
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return data + b"\n"


def _tiers(video: AnnotatedVideo, dropped: DroppedFields) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """Name of the tier and its team -> starts and texts of its annotations, ascending."""
    tiers: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for annotation in sorted(video.annotations, key=lambda annotation: annotation.position_ms):
        dropped.add("score of a prediction", int(annotation.confidence is not None))
        dropped.add("visibility of an event", int(annotation.visibility not in ("", "visible")))
        dropped.add_fields(annotation.extra, "event")
        stem = " ".join(part for part in (annotation.label, annotation.team) if part)
        number = 1
        while True:
            key = (stem if number == 1 else f"{stem} {number}", annotation.team)
            row = tiers.setdefault(key, [])
            if not row or row[-1][0] < annotation.position_ms:
                break
            number += 1  # ELAN's annotations of one tier have different times
        row.append((annotation.position_ms, annotation.label))
    return tiers

"""Reads events back from what players and editors hold: subtitles, chapters and cut lists.

::

    00:05:07,480 --> 00:05:08,000      an event of class PASS at 5:07.48, of the left team, with confidence 0.87
    PASS left 0.87

A caption begins at its event. A cut begins ``lead`` before it, except where the start of the video is in between.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.teams import SIDES
from e2espot.core.timeline import HALVES, MAX_DURATION_MS, parse_clock_ms
from e2espot.files.json_fields import decode_text, read_bytes
from e2espot.formats.cut_lists import EDL_FPS, SUFFIXES
from e2espot.formats.filenames import files_ending_in
from e2espot.formats.format_names import CutListName
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet
from e2espot.formats.sportscode import InstanceTimes
from e2espot.formats.timecodes import frame_and_rate_of_timecode

_Captions = Iterator[tuple[int, str, str]]
"""Position in milliseconds, caption, and what a message calls the entry."""

_TEAM_WORDS = (*SIDES, "home", "away")
_CONFIDENCE = re.compile(r"[01]\.\d{1,6}")
_CUE = re.compile(r"\s*([\d:.,]+)\s*-->\s*([\d:.,]+)")
_TAG = re.compile(r"</?(?:b|i|u|s|font)\b[^>\n]*>|\{\\[^}\n]*\}")
"""SRT: what HTML and Advanced SubStation write, such as ``<i>`` and ``{\\an8}``."""
_VTT_TAG = re.compile(r"<[^>\n]*>")
_EDL_EVENT = re.compile(r"\s*(\d+)\s+\S+\s+\S+\s+\S.*?\s(\d+:\d+:\d+[:;]\d+)\s+(\d+:\d+:\d+[:;]\d+)\s")
_NO_NAME = "no comment FROM CLIP NAME, which is the label of its event"
_EDL_MARKER = re.compile(r"\|C:\S+\s+\|M:(.*?)\s+\|D:\d+\s*$")
"""Marker of DaVinci Resolve, behind its note: ``low |C:ResolveColorBlue |M:PASS |D:1``."""
_LISTED = re.compile(r"\s*[\[(]?(\d{1,3}(?::\d\d){1,2}(?:\.\d+)?)[\])]?[\s:|\u2013\u2014-]+(\S.*)")
"""Chapter of a video's description: ``12:34 PASS``, ``[1:02:34] - PASS``."""
_HALF = re.compile(r"(.+)_([1-5])")


def read_cut_lists(
    source: Path, name: CutListName, times: InstanceTimes, *, predictions: bool, fps: Fraction | None = None
) -> AnnotationSet:
    """Read one file, or every file of the format below a folder; ``derby_1`` and ``derby_2`` are halves of one game.

    Args:
        source: File or folder.
        name: The format.
        times: How far before its event a cut begins.
        predictions: Whether captions end in a confidence, which is required then.
        fps: Rate of the timecodes of an EDL, which states none; None for 25, without drop-frame timecodes.

    Raises:
        AnnotationError: an entry without a time or a label; names file and entry.
        ConfigurationError: no such file.
    """
    suffix = SUFFIXES[name]
    paths = [source] if source.is_file() else files_ending_in(source, suffix)
    if not paths:
        raise ConfigurationError(f"{source}: no file there that ends in {suffix}")
    root = source.parent if source.is_file() else source
    names = {path: _without_ending(path.relative_to(root).as_posix(), suffix) for path in paths}
    videos = []
    for path, its_name in names.items():
        game, half = _game_and_half(its_name, set(names.values()))
        text = decode_text(read_bytes(path), str(path))
        captions = _edl(text, str(path), times, fps) if name == "edl" else _READERS[name](text, str(path), times)
        events = tuple(_event(*caption, predictions=predictions) for caption in captions)
        videos.append(AnnotatedVideo(game=game, half=half, annotations=events))
    return AnnotationSet(videos=tuple(videos), predictions=predictions)


def _without_ending(name: str, suffix: str) -> str:
    """``a/derby.SRT`` -> ``a/derby``; of a file of another ending, which was named alone, ``m.txt`` -> ``m``."""
    return name[: -len(suffix)] if name.lower().endswith(suffix) else str(PurePosixPath(name).with_suffix(""))


def _game_and_half(name: str, names: set[str]) -> tuple[str, int]:
    """``derby_2`` -> half 2 of derby if there is a ``derby_1`` too; else a game of its own."""
    match = _HALF.fullmatch(name)
    if match is None or not {f"{match[1]}_1"} < {f"{match[1]}_{half}" for half in HALVES} & names:
        return name, 1
    return match[1], int(match[2])


def _event(position_ms: int, caption: str, context: str, *, predictions: bool) -> Annotation:
    """``PASS left 0.87`` -> its label, team and confidence; the last two are left out where they are not known."""
    words, confidence, team = caption.split(), None, ""
    if len(words) > 1 and _CONFIDENCE.fullmatch(words[-1]) and float(words[-1]) <= 1:
        confidence = float(words.pop())
    if predictions and confidence is None:
        raise AnnotationError(f"{context}: {caption!r:.60} does not end in a confidence, as predictions do")
    if len(words) > 1 and words[-1] in _TEAM_WORDS:
        team = words.pop()
    if not words:
        raise AnnotationError(f"{context}: no text, which is the label of its event")
    if not 0 <= position_ms <= MAX_DURATION_MS:
        raise AnnotationError(f"{context}: its time is more than a day after the start")
    label = " ".join(words)
    return Annotation(label=label, position_ms=position_ms, team=team, confidence=confidence if predictions else None)


def _subtitles(text: str, path: str, _times: InstanceTimes) -> _Captions:
    """SRT and WebVTT: blocks with a line of two times and lines of text; others are comments and styles."""
    blocks = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n"))
    number, is_vtt = 0, text.lstrip("\ufeff").startswith("WEBVTT")
    for block in blocks:
        lines = block.strip("\n").split("\n")
        at = next((index for index, line in enumerate(lines[:2]) if _CUE.match(line)), None)
        if at is None:
            if "-->" in block and not block.lstrip().startswith(("NOTE", "STYLE")):
                raise AnnotationError(f"{path}: entry {number + 1}: its times are not such as 00:05:07,480")
            continue
        for start, words in _cues(lines[at:]):
            number += 1
            context = f"{path}: entry {number}"
            caption = html.unescape(_VTT_TAG.sub("", words)) if is_vtt else _TAG.sub("", words)
            yield _clock_ms(start.replace(",", "."), context), caption, context


def _cues(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Start and text of each entry of a block: one, or several if the empty lines between them are left out."""
    starts = [index for index, line in enumerate(lines) if _CUE.match(line)]
    for index, end in zip(starts, [*starts[1:], None], strict=True):
        text = lines[index + 1 : end]
        if end is not None and text and text[-1].strip().isdigit():
            text = text[:-1]  # the number of the entry that follows
        yield _CUE.match(lines[index])[1], " ".join(text)  # type: ignore[index]


def _clock_ms(text: str, context: str) -> int:
    position_ms = parse_clock_ms(text)
    if position_ms is None:
        raise AnnotationError(f"{context}: its time is {text!r:.40}; expected one such as 00:05:07.480")
    return position_ms


def _chapters(text: str, path: str, _times: InstanceTimes) -> _Captions:
    """FFmpeg's metadata file, whose other sections are of no interest, or lines of a time and a label."""
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    listed = [(line, _LISTED.fullmatch(line)) for line in lines if line]
    if listed and listed[0][1] is not None:
        for number, (line, chapter) in enumerate(listed, 1):
            context = f"{path}: chapter {number}"
            if chapter is None:
                raise AnnotationError(f"{context}: {line!r:.60} is no time and label such as 12:34 PASS")
            yield _clock_ms(chapter[1], context), chapter[2].strip(), context
        return
    sections = re.split(r"^\[(\w+)\][ \t]*$", text.replace("\r\n", "\n"), flags=re.MULTILINE)
    chapters = [body for name, body in zip(sections[1::2], sections[2::2], strict=True) if name == "CHAPTER"]
    if not text.lstrip("\ufeff").startswith(";FFMETADATA"):
        raise AnnotationError(
            f"{path}: neither FFmpeg's metadata file, which begins with ;FFMETADATA1, nor lines such as 12:34 PASS"
        )
    for number, body in enumerate(chapters, 1):
        context = f"{path}: chapter {number}"
        fields = dict(
            line.split("=", 1) for line in re.split(r"(?<!\\)\n", body) if "=" in line and line[0] not in ";#"
        )
        base = re.fullmatch(r"(\d{1,10})/(\d{1,10})", fields.get("TIMEBASE", "1/1000000000").strip())
        start = re.fullmatch(r"\d{1,18}", fields.get("START", "").strip())
        if base is None or start is None or int(base[2]) == 0:
            raise AnnotationError(f"{context}: START or TIMEBASE is missing or no number")
        title = re.sub(r"\\(.)", r"\1", fields.get("title", ""), flags=re.DOTALL)
        yield round(int(start[0]) * Fraction(int(base[1]), int(base[2])) * 1000), title, context


def _losslesscut(text: str, path: str, times: InstanceTimes) -> _Captions:
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline="")))
    except csv.Error as error:
        raise AnnotationError(f"{path}: not CSV ({error})") from None
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        context = f"{path}: row {number}"
        if len(row) < 3:
            raise AnnotationError(f"{context}: {len(row)} fields; expected start, end and label")
        start_ms = _clock_ms(row[0].strip() or "0", context)  # an open start is the beginning of the video
        stop_ms = _clock_ms(row[1].strip(), context) if row[1].strip() else None
        yield times.event_ms(start_ms, stop_ms), row[2], context


def _edl(text: str, path: str, times: InstanceTimes, fps: Fraction | None) -> _Captions:
    """Cuts with the times of the source, whose texts are in the comments after them; or markers, which are moments."""
    is_drop = re.search(r"^\s*FCM:\s*DROP FRAME", text, flags=re.MULTILINE | re.IGNORECASE) is not None
    if fps is None and (is_drop or any(";" in event[2] for event in map(_EDL_EVENT.match, text.splitlines()) if event)):
        raise AnnotationError(
            f"{path}: has drop-frame timecodes, and states no rate; state it when it is converted: fps=30000/1001 or "
            "60000/1001"
        )
    pending: tuple[int, int, str] | None = None
    for line in text.splitlines():
        event = _EDL_EVENT.match(f"{line} ")
        name, marker = re.match(r"\s*\*\s*FROM CLIP NAME:\s*(.*)", line), _EDL_MARKER.search(line)
        if event is not None:
            if pending is not None:
                raise AnnotationError(f"{pending[2]}: {_NO_NAME}")
            context = f"{path}: edit {event[1]:.9}"
            start_ms, stop_ms = (_edl_ms(event[group], is_drop, fps, context) for group in (2, 3))
            pending = start_ms, stop_ms, context
        elif pending is not None and (name is not None or marker is not None):
            start_ms, stop_ms, context = pending
            if name is not None:
                yield times.event_ms(start_ms, stop_ms), name[1], context
            elif marker is not None:
                yield start_ms, marker[1], context
            pending = None
    if pending is not None:
        raise AnnotationError(f"{pending[2]}: {_NO_NAME}")


def _edl_ms(code: str, is_drop: bool, fps: Fraction | None, context: str) -> int:
    """Start of a frame; in a file of drop-frame timecodes a colon may stand before it, too."""
    text = re.sub(r":(?=\d+$)", ";", code) if is_drop else code
    frame, rate = frame_and_rate_of_timecode(text, Fraction(EDL_FPS) if fps is None else fps, context)
    return int(1000 * frame / rate)


_READERS: dict[CutListName, Callable[[str, str, InstanceTimes], _Captions]] = {
    **{"srt": _subtitles, "vtt": _subtitles, "chapters": _chapters, "losslesscut": _losslesscut}
}

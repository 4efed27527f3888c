"""Events for players and editors: subtitles, chapters and cut lists; ``read_cut_lists`` reads them back.

srt, vtt    a caption at each event          chapters    FFmpeg's metadata file, a chapter an event
losslesscut LosslessCut's CSV of segments    edl         CMX 3600, a cut an event
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import MAX_DURATION_MS
from e2espot.files.json_fields import relative_path
from e2espot.formats.format_names import CutListName
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.sportscode import InstanceTimes

SUFFIXES: dict[CutListName, str] = {
    **{"srt": ".srt", "vtt": ".vtt", "chapters": ".chapters.txt", "losslesscut": ".cuts.csv", "edl": ".edl"}
}
"""Format -> what the names of its files end in."""
_CAPTION_MS = 1500
"""How long a caption is shown."""
EDL_FPS = 25
"""Frames a second of the timecodes of an EDL."""


def cut_list_files(
    dataset: AnnotationSet, target: Path, name: CutListName, times: InstanceTimes, dropped: DroppedFields
) -> dict[Path, bytes]:
    """One file for each video: ``target/GAME.srt``, or ``target/GAME_2.srt`` for a second half.

    Raises:
        ConfigurationError: the target is a file.
    """
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; give a folder, which gets one file for each video")
    dropped.add_fields(dataset.metadata, "dataset")
    write = _WRITERS[name]
    files: dict[Path, bytes] = {}
    ordered = sorted(dataset.videos, key=lambda video: (video.game, video.half))
    for game, group in groupby(ordered, key=lambda video: video.game):
        videos = list(group)
        for video in videos:
            half = f"_{video.half}" if len(videos) > 1 else ""
            path = target / f"{relative_path(game, 'name of a game')}{half}{SUFFIXES[name]}"
            events = sorted(video.annotations, key=lambda annotation: annotation.position_ms)
            files[path] = write(video, events, times).encode()
            dropped.add("half of a video that is the only one of its game", int(video.half > 1 and not half))
            dropped.add("times of an EDL, in whole frames of 25 a second", len(events) if name == "edl" else 0)
            dropped.add_annotated(video, name)
            for event in events:
                dropped.add("event field 'visibility'", int(event.visibility not in ("", "visible")))
                rounded = event.confidence is not None and round(event.confidence, 2) != event.confidence
                dropped.add("confidence, rounded to two decimals", int(rounded))
                dropped.add_fields(event.extra, "event")
    return files


def _caption(annotation: Annotation) -> str:
    words = [annotation.label, annotation.team]
    if annotation.confidence is not None:
        words.append(f"{annotation.confidence:.2f}")
    return " ".join(" ".join(word.split()) for word in words if word)


def _clock(position_ms: int, sign: str) -> str:
    """``00:05:07,480``."""
    seconds, ms = divmod(position_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{sign}{ms:03d}"


def _until(events: Sequence[Annotation], number: int) -> int:
    """End of a caption in milliseconds: before the next one, so that captions do not pile up."""
    start_ms = events[number].position_ms
    following = [event.position_ms for event in events[number + 1 :] if event.position_ms > start_ms]
    return min([start_ms + _CAPTION_MS, *following[:1]])


def _srt(_video: AnnotatedVideo, events: Sequence[Annotation], _times: InstanceTimes) -> str:
    return "\n".join(
        f"{number + 1}\n{_clock(event.position_ms, ',')} --> {_clock(_until(events, number), ',')}\n{_caption(event)}\n"
        for number, event in enumerate(events)
    )


def _vtt(_video: AnnotatedVideo, events: Sequence[Annotation], _times: InstanceTimes) -> str:
    cues = [
        f"{_clock(event.position_ms, '.')} --> {_clock(_until(events, number), '.')}\n{_escape(_caption(event))}\n"
        for number, event in enumerate(events)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _chapters(_video: AnnotatedVideo, events: Sequence[Annotation], _times: InstanceTimes) -> str:
    lines = [";FFMETADATA1"]
    for number, event in enumerate(events):
        stop_ms = events[number + 1].position_ms if number + 1 < len(events) else event.position_ms + _CAPTION_MS
        title = "".join(f"\\{letter}" if letter in "=;#\\" else letter for letter in _caption(event))
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={event.position_ms}", f"END={stop_ms}", f"title={title}"]
    return "\n".join(lines) + "\n"


def _losslesscut(_video: AnnotatedVideo, events: Sequence[Annotation], times: InstanceTimes) -> str:
    rows = []
    for event in events:
        start_ms, stop_ms = _cut(event, times)
        quoted = _caption(event).replace('"', '""')
        rows.append(f'{start_ms / 1000:.3f},{stop_ms / 1000:.3f},"{quoted}"\n')
    return "".join(rows)


def _cut(event: Annotation, times: InstanceTimes) -> tuple[int, int]:
    """Where the cut of an event begins and ends, in milliseconds of the day at most."""
    return max(0, event.position_ms - times.lead_ms), min(event.position_ms + times.lag_ms, MAX_DURATION_MS)


def _edl(video: AnnotatedVideo, events: Sequence[Annotation], times: InstanceTimes) -> str:
    lines, record = [f"TITLE: {' '.join(video.game.split())}", "FCM: NON-DROP FRAME", ""], 0
    for number, event in enumerate(events, 1):
        start, stop = (position_ms * EDL_FPS // 1000 for position_ms in _cut(event, times))
        codes = (start, stop, record, record + stop - start)
        lines.append(f"{number:03d}  AX       V     C        {' '.join(map(_timecode, codes))}")
        lines += [f"* FROM CLIP NAME: {_caption(event)}", ""]
        record += stop - start
    return "\n".join(lines) + "\n"


def _timecode(frame: int) -> str:
    """``01:02:03:04``: hours, minutes, seconds and frames of 25 a second."""
    seconds, frames = divmod(frame, EDL_FPS)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"


_WRITERS: dict[CutListName, Callable[[AnnotatedVideo, Sequence[Annotation], InstanceTimes], str]] = {
    **{"srt": _srt, "vtt": _vtt, "chapters": _chapters, "losslesscut": _losslesscut, "edl": _edl}
}

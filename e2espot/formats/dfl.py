"""Kaggle's DFL Bundesliga data: one table of all videos, whose labels are complete from a ``start`` to an ``end`` only.

    video_id,time,event,event_attributes              a submission:  video_id,time,event,score
    1606b0e6_0,200.265822,start,                                     1606b0e6_0,201.14,challenge,0.7
    1606b0e6_0,201.15,challenge,['ball_action_forced']
    1606b0e6_0,210.1,end,

A video is a game of its own here: 1606b0e6_0 and 1606b0e6_1 are the two halves of one match. Times are whole
milliseconds, both ends of a stretch included, as in Kaggle's evaluation.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.core.annotated import AnnotatedRanges, merge_ranges
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import MAX_DURATION_MS
from e2espot.files.json_fields import decode_text, read_bytes, relative_path
from e2espot.formats.annotated_field import CLASSES_FIELD
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.video_links import likely_video

DFL_CLASSES = LABEL_SETS["dfl"].names
"""The three classes of plays."""
_ATTRIBUTES = "event_attributes"
_VIDEO_FOLDERS = ("train", "test", ".")
"""Where Kaggle's archive has the videos, next to the table."""
_SPLITS = {"train": "train", "solution": "test"}
"""Name of the table -> split of its videos."""

_SECONDS = re.compile(r"(\d{1,9})(?:\.(\d{0,15}))?")

_Row = tuple[int, Mapping[str, str]]
"""Line of the file, and its fields by column."""


def read_dfl(source: Path, *, predictions: bool) -> AnnotationSet:
    """Read ``train.csv``, or a submission.

    Args:
        source: The table, or Kaggle's folder with ``train.csv``.
        predictions: True for a submission, which has scores; False for labels.

    Raises:
        AnnotationError: a column is missing, a row cannot be read, or a start has no end; names file and line.
        ConfigurationError: a folder in place of the table.
    """
    if source.is_dir() and not predictions and (source / "train.csv").is_file():
        source /= "train.csv"
    if source.is_dir():
        raise ConfigurationError(f"{source} is a folder; give the table in it, such as train.csv")
    rows_of: dict[str, list[_Row]] = {}
    games: dict[str, str] = {}
    for line, row in _rows(source, predictions):
        name = row["video_id"]
        if name not in games:
            games[name] = relative_path(name.strip(), f"{source}: line {line}: video_id")
        rows_of.setdefault(games[name], []).append((line, row))
    split = "" if predictions else _SPLITS.get(source.stem, "")
    return AnnotationSet(
        videos=tuple(
            AnnotatedVideo(
                game=game,
                split=split,
                annotations=tuple(
                    _annotation(row, f"{source}: line {line}", predictions)
                    for line, row in rows
                    if row["event"].strip() not in ("start", "end")
                ),
                annotated=None if predictions else _stretches(rows, str(source)),
                video="" if predictions else likely_video(source.parent, _VIDEO_FOLDERS, game),
                game_metadata={} if predictions else {CLASSES_FIELD: list(DFL_CLASSES)},
            )
            for game, rows in rows_of.items()
        ),
        predictions=predictions,
    )


def _rows(source: Path, predictions: bool) -> list[_Row]:
    needed = {"video_id", "time", "event"} | ({"score"} if predictions else set())
    try:
        text = io.StringIO(decode_text(read_bytes(source), str(source)), newline="")
        lines = list(csv.reader(text, strict=True))
    except csv.Error as error:
        raise AnnotationError(f"{source}: not a table with commas ({error})") from None
    names = [cell.strip().lstrip("\ufeff") for cell in lines[0]] if lines else []
    if missing := sorted(needed - set(names)):
        raise AnnotationError(f"{source}: no column {', '.join(missing)}; its first line is {','.join(names)[:80]!r}")
    rows: list[_Row] = []
    for number, cells in enumerate(lines[1:], 2):
        if not any(map(str.strip, cells)):
            continue
        if len(cells) < len(names):
            raise AnnotationError(f"{source}: line {number}: {len(cells)} fields; the first line has {len(names)}")
        rows.append((number, dict(zip(names, cells, strict=False))))
    return rows


def _annotation(row: Mapping[str, str], context: str, predictions: bool) -> Annotation:
    label = row["event"].strip()
    if label not in DFL_CLASSES:
        raise AnnotationError(f"{context}: event is {label!r:.60}; expected start, end, {', '.join(DFL_CLASSES)}")
    known = {"video_id", "time", "event", "score"} if predictions else {"video_id", "time", "event"}
    return Annotation(
        label=label,
        position_ms=round(_time_ms(row, context)),
        confidence=_score(row, context) if predictions else None,
        extra={name: value for name, value in row.items() if name and name not in known and value.strip()},
    )


def _time_ms(row: Mapping[str, str], context: str) -> int | Fraction:
    text = row["time"].strip()
    match = _SECONDS.fullmatch(text)
    if match is not None:
        seconds, decimals = match[1], match[2] or ""
        time_ms: int | Fraction = 1000 * int(seconds) + int(f"{decimals}000"[:3])
        if len(decimals) > 3:
            time_ms = Fraction(1000 * int(seconds + decimals), 10 ** len(decimals))
        if time_ms <= MAX_DURATION_MS:
            return time_ms
    raise AnnotationError(f"{context}: time is {text!r:.60}; expected seconds from 0 to {MAX_DURATION_MS // 1000}")


def _score(row: Mapping[str, str], context: str) -> float:
    try:
        score = float(row["score"])
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise AnnotationError(f"{context}: score is {row['score']!r:.60}; expected a number")
    return score


def _stretches(rows: Sequence[_Row], context: str) -> AnnotatedRanges:
    """The stretches of one video from its rows of start and end, in whatever order the file has them."""
    bounds = sorted(
        # At one time an end is before the start that follows it.
        (_time_ms(row, f"{context}: line {line}"), row["event"].strip() == "start", line)
        for line, row in rows
        if row["event"].strip() in ("start", "end")
    )
    for number, (_, is_start, line) in enumerate(bounds):
        if is_start != (number % 2 == 0):
            raise AnnotationError(f"{context}: line {line}: {'a start' if is_start else 'an end'} without its partner")
    if len(bounds) % 2:
        raise AnnotationError(f"{context}: line {bounds[-1][2]}: a start without an end after it")
    times_ms = [int(time_ms) for time_ms, _, _ in bounds]
    return merge_ranges((start, stop + 1) for start, stop in zip(times_ms[::2], times_ms[1::2], strict=True))


def dfl_files(dataset: AnnotationSet, target: Path, dropped: DroppedFields) -> dict[Path, bytes]:
    """The table of labels, or the submission.

    Raises:
        ConfigurationError: the target does not end in ``.csv``.
    """
    if target.suffix != ".csv":
        raise ConfigurationError(f"{target}: give the name of one table, such as submission.csv")
    dropped.add_fields(dataset.metadata, "dataset")
    halves: dict[str, int] = {}
    for video in dataset.videos:
        halves[video.game] = max(halves.get(video.game, 1), video.half)
        fields = {name: value for name, value in video.game_metadata.items() if name not in ("UrlLocal", CLASSES_FIELD)}
        dropped.add_fields({} if dataset.predictions else fields, "game")
        dropped.add_fields({} if dataset.predictions else video.metadata, "video")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["video_id", "time", "event", "score" if dataset.predictions else _ATTRIBUTES])
    for video in sorted(dataset.videos, key=lambda video: (video.game, video.half)):
        # A half in a video of its own is named as Kaggle's are: X_0 and X_1.
        name = f"{video.game}_{video.half - 1}" if halves[video.game] > 1 else video.game
        rows = [] if dataset.predictions else _bounds(video, dropped)
        rows += [_row(annotation, dataset.predictions) for annotation in _of_the_dfl(video, dropped)]
        for position_ms, _, event, last in sorted(rows, key=lambda row: row[:2]):
            writer.writerow([name, f"{position_ms // 1000}.{position_ms % 1000:03d}", event, last])
    return {target: out.getvalue().encode()}


def _of_the_dfl(video: AnnotatedVideo, dropped: DroppedFields) -> list[Annotation]:
    retained = []
    for annotation in video.annotations:
        if annotation.label not in DFL_CLASSES:
            dropped.add(f"event of class {annotation.label!r} (the DFL has {', '.join(DFL_CLASSES)}: use map)")
            continue
        dropped.add("team of an event", int(bool(annotation.team)))
        dropped.add("event that is not shown", int(annotation.visibility == "not shown"))
        others = {name: value for name, value in annotation.extra.items() if name != _ATTRIBUTES}
        dropped.add_fields(others, "event")
        retained.append(annotation)
    return retained


_Written = tuple[int, int, str, Any]
"""Milliseconds, rank among rows of one time, event, last column."""


def _row(annotation: Annotation, predictions: bool) -> _Written:
    confidence = 1.0 if annotation.confidence is None else annotation.confidence
    last = repr(confidence) if predictions else annotation.extra.get(_ATTRIBUTES, "")
    return annotation.position_ms, 1, annotation.label, last


def _bounds(video: AnnotatedVideo, dropped: DroppedFields) -> list[_Written]:
    annotated = video.annotated
    if annotated is None:
        dropped.add("end of a video: written as annotated to its last event")
        last_ms = max((annotation.position_ms for annotation in video.annotations), default=0)
        annotated = merge_ranges([(0, last_ms + 1)])
    return [
        row
        for start_ms, stop_ms in annotated.ranges_ms
        for row in ((start_ms, 0, "start", ""), (stop_ms - 1, 2, "end", ""))
    ]

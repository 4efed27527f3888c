"""Tables of events, one row an event: CSV and TSV as spreadsheets, BORIS and people write them.

    game;half;time;label;team            BORIS:  Media file,Time,FPS,Behavior,Comment
    derby;1;5:07,480;PASS;left                   derby.mp4,307.48,25,PASS,

Separator (comma, semicolon, tab, bar), decimal sign and the names of columns (``table_columns``) are recognised. Lines
in front of the heading, which BORIS writes, are skipped. Columns that are not known stay with the event.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import game_time
from e2espot.files.json_fields import decode_text, load_json, read_bytes, relative_path
from e2espot.formats.filenames import VIDEO_SUFFIXES, files_ending_in
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields
from e2espot.formats.row_times import half_and_position, read_number
from e2espot.formats.table_columns import COLUMNS, KIND, OFFSET, Columns, heading_names, is_boris
from e2espot.formats.video_paths import GamesOfPaths, games_of_paths

_NO_SUBJECT = "No focal subject"
_WRITTEN_FOR_BORIS = (
    *("Observation id", "half", "Time", "Behavior", "score", "Subject", "visibility"),
    *("Behavior type", "Media file name"),
)
"""Columns of the tables that are written for BORIS: those of its tabular events that hold something, and others."""

_WRITTEN = ("game", "half", "time", "position_ms", "label", "score", "team", "visibility")
"""Columns of the tables that are written."""

_Row = Mapping[str, str]
"""Fields of a line by the names of ``COLUMNS``, or by their own."""


def read_table(
    source: Path,
    *,
    predictions: bool,
    dropped: DroppedFields | None = None,
    columns: Columns | None = None,
    fps: Fraction | None = None,
) -> AnnotationSet:
    """Read one table, or all ``.csv`` and ``.tsv`` files of a folder; without a column for it, the file names the game.

    A table may also be a ``.json`` file that lists objects, one an event.

    Args:
        source: File or folder.
        predictions: True for events with scores.
        dropped: Counts what is left out.
        columns: Names of columns, besides those that are known; None if the caller has no way to state any.
        fps: Rate of frames and timecodes of rows that state none; None if it is not known.

    Raises:
        AnnotationError: no heading with a label and a time, or a row that cannot be read; names file, line and column.
        ConfigurationError: no such file.
    """
    paths = [source] if source.is_file() else files_ending_in(source, ".csv", ".tsv")
    if not paths:
        raise ConfigurationError(f"{source}: no .csv or .tsv file there")
    rows: list[tuple[str, int, Annotation]] = []
    num_ends = 0
    for path in paths:
        default = path.relative_to(source).with_suffix("").as_posix() if source.is_dir() else path.stem
        for line, row in _rows(path, columns):
            if row.get(KIND, "").strip().upper() == "STOP":
                num_ends += 1
            else:
                rows.append(_read_row(row, f"{path}: line {line}", default, fps, predictions))
    if dropped is not None:
        dropped.add("end of a BORIS state event, whose start is the event", num_ends)
    annotations_of: dict[tuple[str, int], list[Annotation]] = {}
    for name, half, annotation in rows:
        annotations_of.setdefault((name, half), []).append(annotation)
    games = games_of_paths(dict.fromkeys(name for name, _ in annotations_of))
    # Several names can be of one game: "a.mp4" and "a".
    events_of: dict[tuple[str, int], list[Annotation]] = {}
    files: dict[tuple[str, int], str] = {}
    for (name, half), of_name in annotations_of.items():
        game = _game(name, half, games, source)
        events_of.setdefault(game, []).extend(of_name)
        if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES:
            files[game] = name
    return AnnotationSet(
        videos=tuple(
            AnnotatedVideo(game=game, half=half, annotations=tuple(annotations), video=files.get((game, half), ""))
            for (game, half), annotations in sorted(events_of.items())
        ),
        predictions=predictions,
    )


def _game(name: str, half: int, games: GamesOfPaths, source: Path) -> tuple[str, int]:
    """Name of the game of a row, and its half: of the column, unless the name of the video states it."""
    # half 1 and "l/s/game/2_224p.mkv" -> ("l/s/game", 2)
    game, half_of_file = games.get(name, (name, 1))
    return relative_path(game, f"{source}: name of the game"), max(half, half_of_file)


def _rows(path: Path, columns: Columns | None) -> list[tuple[int, _Row]]:
    """Number of each line and its fields, by the keys of ``COLUMNS`` where a column has one of their names."""
    reject_spreadsheet(path)
    text = decode_text(read_bytes(path), str(path))
    records = _records(text, path)
    for weaker in (False, True):
        for lines in _separated(text) if records is None else [records]:
            for number, line in enumerate(lines[:50]):
                names = heading_names(line, columns or {}, weaker=weaker)
                if names is not None:
                    return _rows_below(path, lines, number, names)
    option = None if columns is None else "columns"
    widest = max((lines[0] for lines in ([records] if records else _separated(text)) if lines), key=len, default=[])
    raise AnnotationError(f"{path}: {_no_heading(widest, columns or {})}", option=option)


def reject_spreadsheet(path: Path) -> None:
    """Refuse the files of spreadsheets, by their endings.

    Raises:
        AnnotationError: it is one.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm", ".xls", ".ods", ".numbers"):
        raise AnnotationError(f"{path}: is a spreadsheet; save the sheet with the events as CSV UTF-8")


def _records(text: str, path: Path) -> list[list[str]] | None:
    """A heading and rows of a JSON file that lists objects, as pandas writes them; None for any other text."""
    # [{"type": "Pass", "t": 1.5}, {"type": "Shot", "x": [1, 2]}] -> type,t,x / Pass,1.5, / Shot,,[1, 2]
    if path.suffix.lower() != ".json":
        return None
    content = load_json(text.encode(), str(path))
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise AnnotationError(f"{path}: as a table it must be a list of objects, one an event")
    names = list(dict.fromkeys(name for entry in content for name in entry))
    return [names, *([_cell(entry.get(name)) for name in names] for entry in content)]


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else json.dumps(value)


def _separated(text: str) -> Iterator[list[list[str]]]:
    """The cells of each line, by each separator that the table may have."""
    for separator in (";", "\t", ",", "|"):
        # A field of more than 128 KiB is a quote that never closes under this separator.
        with suppress(csv.Error):
            yield list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _rows_below(path: Path, lines: Sequence[list[str]], heading: int, names: Sequence[str]) -> list[tuple[int, _Row]]:
    twice = next((name for name in names if name in COLUMNS and names.count(name) > 1), None)
    if twice is not None:
        raise AnnotationError(f"{path}: line {heading + 1}: two columns {twice!r}; rename the other one")
    stated = _stated_offset(lines[:heading]) if is_boris(lines[heading]) else {}
    return [
        (number, stated | dict(zip(names, line, strict=False)))
        for number, line in enumerate(lines[heading + 1 :], heading + 2)
        if any(map(str.strip, line))
    ]


def _no_heading(widest: Sequence[str], columns: Columns) -> str:
    """What to do about a table whose first line, of most cells, is no heading that is known."""
    first = ", ".join(repr(cell.strip()[:30]) for cell in widest[:12])
    if columns:
        wanted = ", ".join(map(repr, columns.values()))
        return f"no heading with the columns {wanted} and with a label and a time; its first line is {first}"
    return (
        f"no heading with a label and a time; its first line is {first}. Name two columns label and time (or "
        "position_ms, frame, or minute and second), or state them when it is converted: columns='label=NAME,time=NAME'"
    )


def _stated_offset(lines: Sequence[Sequence[str]]) -> dict[str, str]:
    """The offset of an observation of BORIS by its name, if lines in front of the heading state it."""
    stated = next((line[1] for line in lines if len(line) > 1 and line[0].strip().lower() == OFFSET), None)
    return {} if stated is None else {OFFSET: stated}


def _read_row(
    row: _Row, context: str, game: str, fps: Fraction | None, predictions: bool
) -> tuple[str, int, Annotation]:
    label = row.get("label", "").strip()  # a short line lacks its last cells
    if not label:
        raise AnnotationError(f"{context}: the label is empty")
    half, position_ms = half_and_position(row, fps, context)
    score = row.get("score", "").strip()
    if predictions and not score:
        raise AnnotationError(f"{context}: no score; every prediction has one")
    name = row.get("game", "").strip()
    extra = {
        key: value for key, value in row.items() if key not in COLUMNS and key not in (KIND, OFFSET) and value.strip()
    }
    team = row.get("team", "").strip()
    annotation = Annotation(
        label=label,
        position_ms=position_ms,
        confidence=float(read_number(score, context, "score")) if score else None,
        team="" if team == _NO_SUBJECT else team,
        visibility=row.get("visibility", "").strip(),
        extra=extra,
    )
    return name or game, half, annotation


def table_files(
    dataset: AnnotationSet, target: Path, dropped: DroppedFields, *, for_boris: bool = False
) -> dict[Path, bytes]:
    """One table of all events, or one for each game if ``target`` has no suffix ``.csv`` or ``.tsv``.

    Args:
        dataset: What to write.
        target: A file, or a folder.
        dropped: Counts what is left out.
        for_boris: Name the columns as BORIS's tabular events.

    Raises:
        ConfigurationError: the target is a file with another ending.
    """
    dropped.add_fields(dataset.metadata, "dataset")
    for video in dataset.videos:
        dropped.add_annotated(video, "a table")
        dropped.add_fields(video.metadata, "video")
        dropped.add_fields({key: value for key, value in video.game_metadata.items() if key != "UrlLocal"}, "game")
        dropped.add("split of a video", int(bool(video.split)))
    if target.suffix in (".csv", ".tsv"):
        return {target: _table(dataset.videos, "\t" if target.suffix == ".tsv" else ",", for_boris)}
    if target.is_file():
        raise ConfigurationError(f"{target} is a file; give a folder, or a name that ends in .csv or .tsv")
    ordered = sorted(dataset.videos, key=lambda video: (video.game, video.half))
    groups = groupby(ordered, key=lambda video: video.game)
    return {
        target / f"{relative_path(game, 'name of a game')}.csv": _table(list(videos), ",", for_boris)
        for game, videos in groups
    }


def _table(videos: Sequence[AnnotatedVideo], separator: str, for_boris: bool) -> bytes:
    rows = [(video, annotation) for video in videos for annotation in video.annotations]
    others = sorted({key for _, annotation in rows for key in annotation.extra})
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow([*(_WRITTEN_FOR_BORIS if for_boris else _WRITTEN), *others])
    for video, annotation in rows:
        cells = _boris_cells(video, annotation) if for_boris else _cells(video, annotation)
        writer.writerow([*cells, *(_plain(annotation.extra.get(key, "")) for key in others)])
    return out.getvalue().encode()


def _cells(video: AnnotatedVideo, annotation: Annotation) -> list[str]:
    seconds = game_time(annotation.position_ms, video.half).partition(" - ")[2]
    return [
        video.game,
        str(video.half),
        f"{seconds}.{annotation.position_ms % 1000:03d}",
        str(annotation.position_ms),
        annotation.label,
        "" if annotation.confidence is None else repr(annotation.confidence),
        annotation.team,
        annotation.visibility,
    ]


def _boris_cells(video: AnnotatedVideo, annotation: Annotation) -> list[str]:
    return [
        video.game,
        str(video.half),
        f"{annotation.position_ms // 1000}.{annotation.position_ms % 1000:03d}",
        annotation.label,
        "" if annotation.confidence is None else repr(annotation.confidence),
        annotation.team or _NO_SUBJECT,
        annotation.visibility,
        "POINT",
        video.video,
    ]


def _plain(value: Any) -> str:
    """``"a; b"`` for the list of a and b."""
    return "" if value is None else "; ".join(map(str, value)) if isinstance(value, list) else str(value)

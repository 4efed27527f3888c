"""The one reader and the one writer of SoccerNet's JSON: label files and result files, row by row.

There are two reading modes::

    strict     training, review, conversion: refuses what no valid file contains
    official   scoring: accepts what SoccerNet's evaluator accepts and reads it as the evaluator does

    row                                strict                       official
    position "1234", 1234, 1234.0      1234 ms                      1234 ms
    position 1234.5                    refused                      1234 ms, as int() truncates
    position missing in a label        whole seconds of gameTime    whole seconds of gameTime
    gameTime "05:07", without a half   half 1                       half 1
    position missing in a prediction   refused                      refused (the evaluator crashes)
    position -40, or half 6            refused                      read; the metric handles it
    half 3 to 5                        read                         read; the metric leaves it out

The evaluator takes "05:07" for half 0 and "15:07" for half 1, by the first digit, which no label means. Both modes
accept UTF-8 with or without a byte order mark, and UTF-16 and UTF-32. In strict mode a label without a position
takes its time from the clock because users expect the time that is scored.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from e2espot.core.errors import AnnotationError
from e2espot.core.events import ScoredEvent
from e2espot.core.timeline import HALVES, game_time, parse_game_time
from e2espot.files.json_fields import (
    KNOWN_HALVES,
    WHOLE_NUMBER,
    load_json,
    require,
    require_half,
    require_ms,
    require_number,
    require_text,
)

Kind = Literal["label", "prediction"]
"""What a row of a file is."""

Mode = Literal["strict", "official"]
"""How a row is read."""

LIST_NAMES: dict[Kind, str] = {"label": "annotations", "prediction": "predictions"}
"""Field at the top of a file that holds its rows."""

_CLOCK_WITHOUT_HALF = re.compile(r"\d{1,4}:\d{2}")

_EVALUATOR_LIMIT = 10**300
"""SoccerNet's evaluator converts positions to float and crashes on larger ones."""


def parse_document(data: bytes, kind: Kind, context: str) -> tuple[dict[str, Any], list[Any]]:
    """Top-level fields and rows of a label or result file.

    Args:
        data: Content of the file.
        kind: What its rows are.
        context: Names the file in errors.

    Raises:
        AnnotationError: not JSON, or no list of rows at the top.
    """
    name = LIST_NAMES[kind]
    content = load_json(data, context)
    rows = content.get(name) if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise AnnotationError(f"{context}: it needs a list named {name!r} at the top")
    return content, rows


def read_rows(rows: Sequence[Any], context: str, *, kind: Kind, mode: Mode) -> list[ScoredEvent]:
    """Events of all rows, in the order of the file.

    Args:
        rows: Rows of :func:`parse_document`.
        context: Names the file in errors.
        kind: What the rows are.
        mode: How they are read.

    Raises:
        AnnotationError: a row that the mode refuses; the message names file, row and field.
    """
    quick = kind == "prediction" and mode == "official"
    events = []
    for number, row in enumerate(rows):
        event = _read_plain_prediction(row) if quick else None
        events.append(event or read_row(row, f"{context}: {LIST_NAMES[kind]}[{number}]", kind=kind, mode=mode))
    return events


def read_row(row: Any, context: str, *, kind: Kind, mode: Mode) -> ScoredEvent:
    """The event of one row.

    Args:
        row: An entry of the list of rows.
        context: Names the row in errors, such as ``Labels-ball.json: annotations[3]``.
        kind: What the row is.
        mode: How it is read.

    Raises:
        AnnotationError: the mode refuses the row; the message names the field.
    """
    if mode == "official":
        return _official_label(row, context) if kind == "label" else _official_prediction(row, context)
    return _strict_label(row, context) if kind == "label" else _strict_prediction(row, context)


def _strict_label(row: Any, context: str) -> ScoredEvent:
    clock = require_text(row, "gameTime", context)
    try:
        half, seconds = parse_game_time(clock)
    except AnnotationError as error:
        raise AnnotationError(f"{context}: {error}") from None
    if half not in HALVES:
        raise AnnotationError(f"{context}: gameTime {clock!r} names half {half}; {KNOWN_HALVES}")
    position_ms = 1000 * seconds if row.get("position") is None else require_ms(row, "position", context)
    return ScoredEvent(
        half=half,
        position_ms=position_ms,
        label=require_text(row, "label", context),
        value=_label_value(row),
        team=_team(row),
    )


def _strict_prediction(row: Any, context: str) -> ScoredEvent:
    return ScoredEvent(
        half=require_half(row, context),
        position_ms=require_ms(row, "position", context),
        label=require_text(row, "label", context),
        value=require_number(row, "confidence", context),
        team=_team(row),
    )


def _official_label(row: Any, context: str) -> ScoredEvent:
    clock = require(row, "gameTime", str, context)
    try:
        # The evaluator takes fixed columns, whatever is between them: "1 - 05:07" -> 1, 05, 07.
        clock = f"1 - {clock}" if _CLOCK_WITHOUT_HALF.fullmatch(clock) else clock
        half, minutes, seconds = int(clock[0]), int(clock[-5:-3]), int(clock[-2:])
    except (ValueError, IndexError):
        raise AnnotationError(f'{context}: gameTime is {clock!r:.80}; it must look like "1 - 05:07"') from None
    return ScoredEvent(
        half=half,
        position_ms=1000 * (seconds + 60 * minutes)
        if row.get("position") is None
        else _official_int(row, "position", context),
        label=require(row, "label", str, context),
        value=_label_value(row),
        team=_team(row),
    )


def _official_prediction(row: Any, context: str) -> ScoredEvent:
    confidence: Any = require(row, "confidence", object, context)
    try:
        value = float(confidence)
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(f"{context}: field 'confidence' is {confidence!r:.80}; expected a number") from None
    return ScoredEvent(
        half=_official_int(row, "half", context),
        position_ms=_official_int(row, "position", context),
        label=require(row, "label", str, context),
        value=-1.0 if math.isnan(value) else value,
        team=_team(row),
    )


def _read_plain_prediction(row: Any) -> ScoredEvent | None:
    """The official reading of an ordinary row in a third of the time; None if the row needs the full checks."""
    try:
        label, value = row["label"], float(row["confidence"])
        half, position_ms = int(row["half"]), int(row["position"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if type(label) is not str or value != value or abs(position_ms) > _EVALUATOR_LIMIT:
        return None
    return ScoredEvent(half=half, position_ms=position_ms, label=label, value=value, team=_team(row))


def _official_int(row: Any, name: str, context: str) -> int:
    """The field as ``int()`` converts it, which is what the evaluator does; and ``"1234.0"``, at which it fails."""
    value: Any = require(row, name, object, context)
    if isinstance(value, str) and (whole := WHOLE_NUMBER.fullmatch(value)):
        value = whole[1]
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(f"{context}: field {name!r} is {value!r:.80}; expected a whole number") from None
    if abs(number) > _EVALUATOR_LIMIT:
        raise AnnotationError(f"{context}: field {name!r} is {value!r:.80}, which exceeds any floating-point number")
    return number


def _label_value(row: Mapping[str, Any]) -> float:
    return -1.0 if row.get("visibility") == "not shown" else 1.0


def _team(row: Mapping[str, Any]) -> str:
    team = row.get("team")
    return "" if team is None else str(team)


def make_row(
    kind: Kind,
    *,
    half: int,
    position_ms: int,
    label: str,
    team: str = "",
    visibility: str = "",
    confidence: float | None = None,
) -> dict[str, Any]:
    """One row as SoccerNet writes it: numbers as text, fields in SoccerNet's order.

    A label always states team and visibility, and a confidence only if there is one; a prediction always
    states its confidence (1 if None), and team and visibility only if they are not empty.
    """
    row: dict[str, Any] = {"gameTime": game_time(position_ms, half), "label": label, "position": str(position_ms)}
    if kind == "label":
        row |= {"team": team, "visibility": visibility or "visible"}
        return row if confidence is None else row | {"confidence": str(confidence)}
    row |= {"half": str(half), "confidence": str(1.0 if confidence is None else float(confidence))}
    optional = {"team": team, "visibility": visibility}
    return row | {name: value for name, value in optional.items() if value}


def label_document(url_local: str, rows: Sequence[Any]) -> dict[str, Any]:
    """Content of a new label file with SoccerNet's top-level fields."""
    return {"UrlLocal": url_local, "UrlYoutube": "", "halftime": "", "annotations": list(rows)}


def dump_document(content: Mapping[str, Any]) -> bytes:
    """A label or result file: indented JSON in ASCII, which every reader accepts."""
    return json.dumps(content, indent=1).encode()

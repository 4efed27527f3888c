"""SoccerNet's files: ``Labels-ball.json`` in, ``results_spotting.json`` out.

Training and inference read strictly, with integer arithmetic; scoring reads as the official
evaluator does (:func:`read_entries`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from e2espot.core.coverage import Readable
from e2espot.core.errors import AnnotationError
from e2espot.core.events import Entry, Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import frame_of_position_ms, game_time, parse_game_time, position_ms_of_frame
from e2espot.files.atomic import write_atomically

_FARTHEST_MS = 10**300
"""Beyond this SoccerNet's evaluator crashes, for want of a floating-point number so large."""


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """What a label file holds."""

    events: tuple[Event, ...]
    """Events in the order of the file."""
    skipped: int = 0
    """Entries left out because they cannot be."""


def read_labels(
    path: Path,
    label_set: LabelSet,
    *,
    fps: Fraction,
    num_frames: Mapping[int, int] | None = None,
    bad_labels: Literal["stop", "skip"] = "stop",
) -> LabelFile:
    """Labels of one game on the grid.

    Args:
        path: ``Labels-ball.json`` or a file of its form.
        label_set: Classes that may occur.
        fps: Rate of the grid.
        num_frames: Grid frames of each half, where the videos are known.
        bad_labels: ``skip`` leaves out and counts what would otherwise stop.

    Raises:
        AnnotationError: names the file, the entry and the field.
    """
    events, skipped = [], 0
    for number, entry in enumerate(_entries_of(path, "annotations")):
        try:
            event = _event_of(entry, label_set, fps)
            if num_frames is not None and event.frame >= num_frames.get(event.half, 0):
                raise AnnotationError(
                    f"position {entry['position']!r} lies past the last picture of half {event.half} "
                    f"({num_frames.get(event.half, 0)} frames)"
                )
            events.append(event)
        except AnnotationError as error:
            if bad_labels == "stop":
                raise AnnotationError(
                    f"{path}: annotations[{number}]: {error}; mend it, or leave such entries out with --bad_labels skip"
                ) from None
            skipped += 1
    return LabelFile(events=tuple(events), skipped=skipped)


def _event_of(entry: Any, label_set: LabelSet, fps: Fraction) -> Event:
    label = _field(entry, "label", str)
    label_set.target_of(label)
    half, _ = parse_game_time(_field(entry, "gameTime", str))
    if half not in (1, 2):
        raise AnnotationError(f"gameTime {entry['gameTime']!r} names half {half}; there are 1 and 2")
    position_ms = _whole(entry, "position")
    if position_ms < 0:
        raise AnnotationError(f"position is {position_ms}; it must be at least 0 ms")
    return Event(
        frame=frame_of_position_ms(position_ms, fps),
        label=label,
        half=half,
        visible=entry.get("visibility") != "not shown",
        team=str(entry.get("team", "")),
    )


def _entries_of(path: Path, key: str) -> list[Any]:
    """List under ``key`` of a JSON object in a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return entries_in(text, key, str(path))


def entries_in(text: str, key: str, where: str) -> list[Any]:
    """List under ``key`` of a JSON object given as text; ``where`` names it in errors."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{where}: not JSON ({error})") from None
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise AnnotationError(f"{where}: it needs a list named {key!r} at the top")
    return entries


def _field(entry: Any, name: str, kind: type) -> Any:
    if not isinstance(entry, dict):
        raise AnnotationError(f"is {type(entry).__name__}; expected an object")
    if name not in entry:
        raise AnnotationError(f"field {name!r} is missing")
    if not isinstance(entry[name], kind) or isinstance(entry[name], bool):
        raise AnnotationError(f"field {name!r} is {entry[name]!r}; expected {kind.__name__}")
    return entry[name]


def _whole(entry: Any, name: str) -> int:
    """A whole number, as JSON number or as string of digits."""
    value = _field(entry, name, object)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) < 20 and value.strip().lstrip("+-").isdecimal():
        return int(value)
    raise AnnotationError(f"field {name!r} is {value!r}; expected whole milliseconds")


def write_predictions(
    path: Path,
    *,
    url_local: str,
    events: Sequence[Event],
    fps: Fraction,
    readable: Mapping[int, Readable] | None = None,
) -> None:
    """Write ``results_spotting.json``, whole or not at all; times are the middles of frames.

    ``readable`` are the halves of which something could not be read; it becomes a field of its own beside the
    predictions, which no evaluator looks at.
    """
    rows = [
        {
            "gameTime": game_time(position_ms_of_frame(event.frame, fps), event.half),
            "label": event.label,
            "position": str(position_ms_of_frame(event.frame, fps)),
            "half": str(event.half),
            "confidence": str(float(event.confidence)),
            **({"team": event.team} if event.team else {}),
        }
        for event in _in_order(events)
    ]
    damaged = [_readable_row(half, (readable or {})[half], fps) for half in sorted(readable or {})]
    _write(path, {"UrlLocal": url_local, "predictions": rows, **({"readable": damaged} if damaged else {})})


def _readable_row(half: int, readable: Readable, fps: Fraction) -> dict[str, Any]:
    """What was read of a half, in milliseconds; the ends are not included."""
    stretches = [{"from": start_ms, "to": stop_ms} for start_ms, stop_ms in readable.stretches_ms(fps)]
    promised = {} if readable.promised_s is None else {"promised_to": int(1000 * readable.promised_s)}
    return {"half": str(half), "stretches": stretches, **promised}


def write_labels(path: Path, *, url_local: str, events: Sequence[Event], fps: Fraction) -> None:
    """Write ``Labels-ball.json``, whole or not at all."""
    rows = [
        {
            "gameTime": game_time(position_ms_of_frame(event.frame, fps), event.half),
            "label": event.label,
            "position": str(position_ms_of_frame(event.frame, fps)),
            "team": event.team,
            "visibility": "visible" if event.visible else "not shown",
        }
        for event in _in_order(events)
    ]
    _write(path, {"UrlLocal": url_local, "UrlYoutube": "", "halftime": "", "annotations": rows})


def _in_order(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.half, event.frame, event.label))


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1).encode())


def entries_for_scoring(rows: Sequence[Any], where: str, *, labels: bool) -> list[Entry]:
    """Entries as the official evaluator reads them; refused is only what makes it crash.

    Raises:
        AnnotationError: names the file, the entry and the field.
    """
    out = []
    for number, row in enumerate(rows):
        try:
            entry = None if labels else _whole_prediction(row)
            out.append(entry or (_scored_label(row) if labels else _scored_prediction(row)))
        except AnnotationError as error:
            raise AnnotationError(f"{where}: {'annotations' if labels else 'predictions'}[{number}]: {error}") from None
    return out


def _whole_prediction(row: Any) -> Entry | None:
    """A prediction with nothing odd about it, as nearly all are, in a third of the time; None for any other."""
    try:
        label, value = row["label"], float(row["confidence"])
        half, position_ms = int(row["half"]), int(row["position"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if type(label) is not str or value != value or abs(position_ms) > _FARTHEST_MS:
        return None
    return Entry(half=half, position_ms=position_ms, label=label, value=value)


def _scored_label(row: Any) -> Entry:
    clock = _field(row, "gameTime", str)
    try:
        half, minutes, seconds = int(clock[0]), int(clock[-5:-3]), int(clock[-2:])
    except (ValueError, IndexError):
        raise AnnotationError(f'gameTime is {clock!r}; it must look like "1 - 05:07"') from None
    position_ms = _as_int(row, "position") if "position" in row else 1000 * (seconds + 60 * minutes)
    value = -1.0 if row.get("visibility") == "not shown" else 1.0
    return Entry(half=half, position_ms=position_ms, label=_field(row, "label", str), value=value)


def _scored_prediction(row: Any) -> Entry:
    try:
        confidence = float(_field(row, "confidence", object))
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(f"field 'confidence' is {row['confidence']!r:.80}; expected a number") from None
    value = -1.0 if math.isnan(confidence) else confidence
    label = _field(row, "label", str)
    return Entry(half=_as_int(row, "half"), position_ms=_as_int(row, "position"), label=label, value=value)


def _as_int(row: Any, name: str) -> int:
    """What ``int()`` makes of a field, as the evaluator does."""
    value = _field(row, name, object)
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise AnnotationError(f"field {name!r} is {value!r:.80}; expected a whole number") from None
    if abs(number) > _FARTHEST_MS:
        raise AnnotationError(f"field {name!r} is {value!r:.80}, which no computer number holds")
    return number


def file_text(top: dict[str, Any], rows: list[Any]) -> bytes:
    """The label file: unknown fields at the top kept, the rows in their order."""
    content: dict[str, Any] = {"UrlLocal": "", "UrlYoutube": "", "halftime": ""} if not top else dict(top)
    content["annotations"] = rows
    return json.dumps(content, indent=1).encode()


def parse_file(data: bytes, where: str) -> tuple[dict[str, Any], list[Any]]:
    """Top-level fields and rows of a label file.

    Raises:
        AnnotationError: not such a file.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{where}: not JSON ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise AnnotationError(f"{where}: it needs a list named 'annotations' at the top")
    return content, content["annotations"]

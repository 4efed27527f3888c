"""Rows of a label file as the page sees them; what it does not know it leaves as it was. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms, game_time, parse_game_time, position_ms_of_frame

Row = dict[str, Any]

_LONGEST_MS = 24 * 3600 * 1000


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the page shows of a row."""

    half: int
    frame: int
    label: str


def place_of(row: Any) -> Place | None:
    """Where a row stands; None for one that cannot be shown."""
    try:
        half, seconds = parse_game_time(row["gameTime"])
        told = row.get("position")
        position_ms = 1000 * seconds if told is None else int(str(told))
        label = row["label"]
    except (AnnotationError, TypeError, KeyError, ValueError, AttributeError):
        return None
    if half not in (1, 2) or not 0 <= position_ms < _LONGEST_MS or not isinstance(label, str) or not label:
        return None
    return Place(half=half, frame=frame_of_position_ms(position_ms, DEFAULT_FPS), label=label)


def verdict_key(place: Place) -> str:
    """What a verdict on a prediction is filed under: its half, frame and class."""
    return f"{place.half}/{place.frame}/{place.label}"


def judged_place(key: str) -> Place | None:
    """The prediction a verdict is about; None where it is about a label."""
    half, _, rest = key.partition("/")
    frame, _, label = rest.partition("/")
    return Place(half=int(half), frame=int(frame), label=label) if half.isdecimal() and frame.isdecimal() else None


def new_row(place: Place) -> Row:
    """A row for an event the file does not have yet; its time is the middle of the frame."""
    return moved({"gameTime": "", "label": place.label, "position": "", "team": "", "visibility": "visible"}, place)


def moved(row: Row, place: Place) -> Row:
    """``row`` at another place or of another class, its other fields untouched."""
    position_ms = position_ms_of_frame(place.frame, DEFAULT_FPS)
    as_number = isinstance(row.get("position"), int)
    before = place_of(row)
    changed = dict(row)
    if before is None or (before.half, before.frame) != (place.half, place.frame):
        changed["gameTime"] = game_time(position_ms, place.half)
        changed["position"] = position_ms if as_number else str(position_ms)
    changed["label"] = place.label
    return changed


def inserted(order: list[int], places: dict[int, Place | None], new: int, at: int = -1) -> list[int]:
    """``order`` with ``new`` in it, the others where they were.

    Args:
        order: Numbers of the rows as they stand in the file.
        places: Where each stands in time.
        new: The row to put in; it has a place.
        at: Where it stood; kept where that is still in order of time, else it goes before the first later row.
    """

    def time(number: int) -> tuple[int, int] | None:
        place = places[number]
        return None if place is None else (place.half, place.frame)

    mine = time(new)
    assert mine is not None
    times = [time(number) for number in order]
    if at >= 0:
        before = [told for told in times[:at] if told is not None]
        after = [told for told in times[at:] if told is not None]
        if (not before or before[-1] <= mine) and (not after or mine <= after[0]):
            return [*order[:at], new, *order[at:]]
    place = next((place for place, told in enumerate(times) if told is not None and told > mine), len(order))
    return [*order[:place], new, *order[place:]]

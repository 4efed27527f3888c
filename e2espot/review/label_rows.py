"""Rows of a label file as the review page shows and changes them.

A row keeps every field that the page does not know, and a row that the page cannot show is kept as it is.
All functions are pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms, game_time, position_ms_of_frame
from e2espot.formats.soccernet_json import make_row, read_row

Row = dict[str, Any]
"""An entry of the list ``annotations``."""


@dataclass(frozen=True, kw_only=True)
class EventKey:
    """What identifies an event on the page: its time, to the frame, and its class."""

    half: int
    """1 or 2."""
    frame: int
    """Frame on the 25 fps grid of the half's video."""
    label: str
    """Class name."""


def event_of_row(row: Any) -> EventKey | None:
    """The event of a row; None if the row cannot be shown, because its time or class is missing or invalid."""
    try:
        event = read_row(row, "label", kind="label", mode="strict")
    except AnnotationError:
        return None
    frame = frame_of_position_ms(event.position_ms, DEFAULT_FPS)
    return EventKey(half=event.half, frame=frame, label=event.label)


def new_row(event: EventKey) -> Row:
    """A row for a new label; its position is the middle of the frame."""
    position_ms = position_ms_of_frame(event.frame, DEFAULT_FPS)
    return make_row("label", half=event.half, position_ms=position_ms, label=event.label)


def change_row(row: Row, event: EventKey) -> Row:
    """A copy of ``row`` with the time and class of ``event``; its other fields stay.

    If the frame stays, so does the position: a new class alone does not round the milliseconds of the file.
    """
    position_ms = position_ms_of_frame(event.frame, DEFAULT_FPS)
    position_is_number = isinstance(row.get("position"), (int, float))
    before = event_of_row(row)
    changed = dict(row)
    if before is None or (before.half, before.frame) != (event.half, event.frame):
        changed["gameTime"] = game_time(position_ms, event.half)
        changed["position"] = position_ms if position_is_number else str(position_ms)
    changed["label"] = event.label
    return changed


def insert_by_time(
    order: Sequence[int], events: Mapping[int, EventKey | None], new: int, previous_index: int | None = None
) -> list[int]:
    """Insert a row into the order of a file without moving the other rows.

    ::

        order 0 1 2 at frames 10, 30, 20; new row 3 at 25            -> 0 3 1 2    before the first later one
        row 1 changed from frame 30 to 15, previous_index 1          -> 0 1 2      stays, 10 <= 15 <= 20

    Args:
        order: Row ids in the order of the file.
        events: Row id -> event; None for rows without a readable time.
        new: Id of the row to insert.
        previous_index: Index the row had before it was changed. It returns there if the rows around it are still
            in order of time. Otherwise, and without it, the row goes before the first later one.
    """

    def time_of(row_id: int) -> tuple[int, int] | None:
        event = events[row_id]
        return None if event is None else (event.half, event.frame)

    new_time = time_of(new)
    times = [time_of(row_id) for row_id in order]
    if previous_index is not None:
        before = [time for time in times[:previous_index] if time is not None]
        after = [time for time in times[previous_index:] if time is not None]
        if new_time is None or ((not before or before[-1] <= new_time) and (not after or new_time <= after[0])):
            return [*order[:previous_index], new, *order[previous_index:]]
    later = (index for index, time in enumerate(times) if new_time and time is not None and time > new_time)
    index = next(later, len(order))
    return [*order[:index], new, *order[index:]]

"""Moves the times of all labels of a half, as ``e2espot convert`` does; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import frame_of_position_ms, game_time
from e2espot.formats.retiming import Retiming, parse_retiming
from e2espot.formats.soccernet_json import read_row
from e2espot.review.label_rows import EventKey, Row


@dataclass(frozen=True, kw_only=True)
class MovedLabels:
    """Where the labels of a half would be."""

    rows: Mapping[int, Row]
    """Id -> row with its new time, in an order in which rows stay sorted by time while one after another moves."""
    frames: Mapping[int, int]
    """Id -> new frame; negative, or past the end, for those outside the video."""
    num_outside: int
    """How many would be outside the video."""


def parse_move(shift: str, rate: str) -> Retiming:
    """A shift in seconds or as a clock, and a rate such as ``25/24``.

    Raises:
        AnnotationError: one of another form.
    """
    try:
        retiming = parse_retiming(shift, rate, "", "")
    except ConfigurationError as error:
        raise AnnotationError(str(error)) from None
    if len(retiming.offsets_ms) > 1:
        raise AnnotationError("give one shift: it moves the labels of the video on screen")
    return retiming


def moved_labels(
    rows: Mapping[int, Row], events: Mapping[int, EventKey], half: int, retiming: Retiming, num_frames: int
) -> MovedLabels:
    """Move the labels of a half; their milliseconds move too, and all other fields stay.

    Args:
        rows: Id -> row.
        events: Id -> event, of those that can be shown.
        half: The half.
        retiming: Shift and rate.
        num_frames: Frames of its video.
    """
    earlier: list[tuple[int, int]] = []
    later: list[tuple[int, int]] = []
    new_ms: dict[int, int] = {}
    for row_id, event in events.items():
        if event.half != half:
            continue
        position_ms = read_row(rows[row_id], "label", kind="label", mode="strict").position_ms
        new_ms[row_id] = retiming.moved_ms(position_ms, half)
        (earlier if new_ms[row_id] < position_ms else later).append((position_ms, row_id))
    # Those that move back go first to last, the others last to first, so that none overtakes one yet to be moved.
    order = [row_id for _, row_id in (*sorted(earlier), *sorted(later, reverse=True))]
    frames = {row_id: frame_of_position_ms(new_ms[row_id]) for row_id in order}
    return MovedLabels(
        rows={row_id: _moved_row(rows[row_id], half, new_ms[row_id]) for row_id in order if new_ms[row_id] >= 0},
        frames=frames,
        num_outside=sum(not 0 <= frame < num_frames for frame in frames.values()),
    )


def _moved_row(row: Row, half: int, position_ms: int) -> Row:
    is_number = isinstance(row.get("position"), (int, float))
    return {
        **row,
        "gameTime": game_time(position_ms, half),
        "position": position_ms if is_number else str(position_ms),
    }

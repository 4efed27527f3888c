"""What is said about an event of a live stream: one JSON object on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.core.events import Event
from e2espot.core.timeline import clock_text, frame_of_position_ms


@dataclass(frozen=True, kw_only=True)
class LiveEvent:
    """One event as it is printed and stored; it is never changed afterwards."""

    label: str
    """Class name."""
    confidence: float
    """In [0, 1]."""
    position_ms: int
    """Milliseconds from the first picture of the stream; also the position in the recording."""
    stream_time: str
    """The same as ``0:12:03.480``."""
    team: str = ""
    """``left``, ``right`` or empty."""
    wall_clock: str | None = None
    """When its picture arrived, UTC, as ``2026-05-01T18:45:03.120Z``; None if that is not known."""
    match_time: str | None = None
    """Time since the kick-off; None without one."""
    latency_s: float | None = None
    """From the arrival of its picture to this line."""

    def to_line(self) -> str:
        """One line of JSON; fields that are not known are left out."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in (None, "")})


def live_event(
    event: Event, *, arrival_s: float | None, now_s: float, wall_offset_s: float | None, kickoff_ms: int | None
) -> LiveEvent:
    """The line of an event.

    Args:
        event: On the grid of the stream.
        arrival_s: When its picture arrived, by ``time.monotonic``; None if that is not known any more.
        now_s: Now, on the same clock.
        wall_offset_s: What to add to that clock for seconds since 1970; None to leave the wall clock out.
        kickoff_ms: Position of the kick-off; None without one.
    """
    wall_clock = None
    if arrival_s is not None and wall_offset_s is not None:
        stamp = datetime.fromtimestamp(arrival_s + wall_offset_s, UTC)
        wall_clock = stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{stamp.microsecond // 1000:03d}Z"
    match_time = None
    if kickoff_ms is not None:
        since_ms = event.position_ms - kickoff_ms
        match_time = ("-" if since_ms < 0 else "") + clock_text(Fraction(abs(since_ms), 1000))
    return LiveEvent(
        label=event.label,
        confidence=event.confidence,
        position_ms=event.position_ms,
        stream_time=clock_text(Fraction(event.position_ms, 1000)),
        team=event.team,
        wall_clock=wall_clock,
        match_time=match_time,
        latency_s=None if arrival_s is None else round(now_s - arrival_s, 3),
    )


def read_events(path: Path, fps: Fraction) -> Iterator[Event]:
    """The events of a file of such lines."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            yield Event(
                frame=frame_of_position_ms(row["position_ms"], fps),
                label=row["label"],
                confidence=row["confidence"],
                team=row.get("team", ""),
                fps=fps,
            )

"""Which stretches of a game were annotated. Outside them a missing label does not mean that nothing happened.

One notion for training (frames outside teach nothing), scoring (predictions outside do not count) and calibration::

    video        |-----------------------------------------|
    annotated        [==========)            [=====)
    labels              x    x                  x
    prediction              p          q       p              p counts, q does not
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, TypeVar

from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import HALVES, MAX_DURATION_MS, minutes_text, parse_clock_ms, position_ms_of_frame

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class AnnotatedRanges:
    """The stretches of one video in which every event has a label; none for a video that was not annotated."""

    ranges_ms: tuple[tuple[int, int], ...] = ()
    """Start and end in milliseconds, half open, ascending, apart from each other."""

    def contains(self, position_ms: int) -> bool:
        """Whether a time is inside one of the stretches."""
        return any(start_ms <= position_ms < stop_ms for start_ms, stop_ms in self.ranges_ms)

    def mask(self, num_frames: int, fps: Fraction) -> np.ndarray:
        """Frames whose middle is inside: bool ``(num_frames,)``.

        # [0, 100) at 25 fps: middles at 20, 60 and 100 ms -> [True, True, False]
        """
        import numpy as np  # not at the top: the help of commands with these options is shown at once

        middle_ms_T = np.array([position_ms_of_frame(frame, fps) for frame in range(num_frames)], dtype=np.int64)
        inside_T = np.zeros(num_frames, dtype=bool)
        for start_ms, stop_ms in self.ranges_ms:
            inside_T |= (start_ms <= middle_ms_T) & (middle_ms_T < stop_ms)
        return inside_T

    def describe(self) -> str:
        """``0:00.0 to 10:00.0 and 15:00.0 to 20:00.0``, the first three and the number of more, or ``nothing``."""
        parts = [
            f"{minutes_text(start)} to {'the end' if stop >= MAX_DURATION_MS else minutes_text(stop)}"
            for start, stop in self.ranges_ms
        ]
        more = [f"{len(parts) - 3} more stretches"] if len(parts) > 4 else []
        return " and ".join([*(parts[:3] if more else parts), *more]) or "nothing"


AnnotatedHalves = Mapping[int, AnnotatedRanges]
"""Half -> what was labelled of it; a half that is not listed was labelled in full."""


def merge_ranges(ranges_ms: Iterable[tuple[int, int]]) -> AnnotatedRanges:
    """Stretches in any order, which may overlap, as :class:`AnnotatedRanges`; empty ones are left out.

    # (5000, 9000), (0, 6000), (7, 7) -> (0, 9000)
    """
    merged: list[tuple[int, int]] = []
    for start_ms, stop_ms in sorted(ranges_ms):
        if stop_ms <= start_ms:
            continue
        if merged and start_ms <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop_ms))
        else:
            merged.append((start_ms, stop_ms))
    return AnnotatedRanges(ranges_ms=tuple(merged))


def without_range(ranges: AnnotatedRanges, range_ms: tuple[int, int]) -> AnnotatedRanges:
    """The stretches without what is inside of ``range_ms``.

    # (0, 9000) without (2000, 3000) -> (0, 2000), (3000, 9000)
    """
    first_ms, last_ms = range_ms
    return merge_ranges(
        part
        for start_ms, stop_ms in ranges.ranges_ms
        for part in ((start_ms, min(stop_ms, first_ms)), (max(start_ms, last_ms), stop_ms))
    )


def intersect_annotated(first: AnnotatedHalves, second: AnnotatedHalves) -> dict[int, AnnotatedRanges]:
    """What both of two statements call labelled."""
    both = {**first, **second}
    for half in first.keys() & second.keys():
        both[half] = merge_ranges(
            (max(a_ms, c_ms), min(b_ms, d_ms))
            for a_ms, b_ms in first[half].ranges_ms
            for c_ms, d_ms in second[half].ranges_ms
        )
    return both


class _Timed(Protocol):
    """An event of either kind."""

    @property
    def half(self) -> int:
        """Half of the game."""

    @property
    def position_ms(self) -> int:
        """Milliseconds from the start of the half's video."""


_E = TypeVar("_E", bound=_Timed)


def inside(events: Sequence[_E], annotated: AnnotatedHalves) -> list[_E]:
    """The events within what was labelled, in their order."""
    if not annotated:
        return list(events)
    return [
        event for event in events if event.half not in annotated or annotated[event.half].contains(event.position_ms)
    ]


_RANGE = re.compile(r"(?:([1-5])/)?([0-9:.]+)-([0-9:.]+)")


def parse_annotated(text: str) -> dict[int, AnnotatedRanges]:
    """Stretches as a person writes them: ``0:00-10:00``, or with halves ``1/0:00-45:00,2/10:00-1:02:30.5``.

    Without a half, a stretch is one of every half. As soon as one half is named, the others that are not have nothing.

    Raises:
        ConfigurationError: not of that form, or a stretch that ends before it starts.
    """
    ranges: dict[int, list[tuple[int, int]]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _RANGE.fullmatch(part)
        times = [parse_clock_ms(time) for time in (match[2], match[3])] if match else [None, None]
        if match is None or times[0] is None or times[1] is None or times[0] >= times[1]:
            raise ConfigurationError(
                f"annotated has {part!r}; give start-end in minutes:seconds, such as 0:00-10:00, after the half and a "
                "slash if only that half is meant: 2/0:00-10:00",
                option="annotated",
            )
        for half in HALVES if match[1] is None else (int(match[1]),):
            ranges.setdefault(half, []).append((times[0], times[1]))
    return {half: merge_ranges(ranges.get(half, ())) for half in HALVES} if ranges else {}

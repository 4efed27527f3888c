"""Which clips are cut around events, what they are called, and the list of them.

::

    events      PASS 12.0 s, SHOT 13.5 s; 5 s before, 3 s after
    one each    1_00-00-12.000_PASS.mp4     7.0 ... 15.0 s
                1_00-00-13.500_SHOT.mp4     8.5 ... 16.5 s
    a reel      1_reel.mp4                  7.0 ... 16.5 s, since the two overlap
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import MAX_DURATION_S
from e2espot.formats.interchange import Annotation
from e2espot.video.clip_files import Stretch, offsets_s, picture_at, position_s, stretch_of
from e2espot.video.index import VideoIndex

_COLUMNS = (
    *("file", "half", "label", "team", "confidence", "position_ms", "event_in_file_ms"),
    *("begins_ms", "ends_ms", "begins_at"),
)


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """How clips are cut."""

    before_ms: int = 5000
    """Milliseconds before an event."""
    after_ms: int = 3000
    """Milliseconds after it."""
    exact: bool = False
    """Encode the pictures again, so that a clip begins where it should instead of at the key picture before."""
    reel: bool = False
    """One file for each video, in which overlapping clips are one."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One file to be cut."""

    name: str
    """Name of the file."""
    half: int
    """Half of the game that the video shows."""
    stretches: tuple[Stretch, ...]
    """What it shows, one after another."""
    events: tuple[Annotation, ...]
    """The events in it, in order of time."""
    copied: bool
    """Whether packets are copied, and it begins at a key picture."""


def parse_clip_options(before_s: float, after_s: float, *, exact: bool, reel: bool) -> ClipOptions:
    """Options from the values of a command.

    Raises:
        ConfigurationError: times out of range.
    """
    for name, seconds in (("before", before_s), ("after", after_s)):
        if not 0 <= seconds <= MAX_DURATION_S:
            raise ConfigurationError(f"{name} is {seconds}; give seconds from 0 on", option=name)
    return ClipOptions(before_ms=round(1000 * before_s), after_ms=round(1000 * after_s), exact=exact, reel=reel)


def plan_clips(
    index: VideoIndex,
    half: int,
    events: Sequence[Annotation],
    options: ClipOptions,
    *,
    suffix: str,
    copied: bool,
    part: int | None = None,
) -> list[Clip]:
    """Clips of one file, in order of time; events outside of it must have been left out.

    Args:
        index: The index of the file, or for a copied reel that of its closed GOPs.
        half: Half of the game that it shows.
        events: The events, on the clock of the half, which has run for ``index.starts_at_s`` where the file begins.
        options: How clips are cut.
        suffix: Ending of the files.
        copied: Whether packets are copied.
        part: Number of the file, of a half in several; None for the only one.
    """
    ordered = sorted(events, key=lambda event: event.position_ms)
    stretches = [
        stretch_of(
            index,
            max(Fraction(0), _in_source_ms(index, event) - options.before_ms),
            _in_source_ms(index, event) + options.after_ms,
            copied=copied,
        )
        for event in ordered
    ]
    if options.reel:
        merged = merge_stretches(stretches)
        return [
            Clip(
                name=f"{half}_reel{'' if part is None else f'_part{part}'}{suffix}",
                half=half,
                stretches=merged,
                events=tuple(ordered),
                copied=copied,
            )
        ] * bool(ordered)
    clips, taken = [], set()
    for event, stretch in zip(ordered, stretches, strict=True):
        stem = f"{half}_{_clock(event.position_ms)}_{_plain(event.label)}"
        number = 1
        while (name := f"{stem}{f'_{number}' if number > 1 else ''}{suffix}") in taken:
            number += 1  # two events of a class at one time
        taken.add(name)
        clips.append(Clip(name=name, half=half, stretches=(stretch,), events=(event,), copied=copied))
    return clips


def _in_source_ms(index: VideoIndex, event: Annotation) -> Fraction:
    """Milliseconds of an event from the first picture of the file."""
    return event.position_ms - 1000 * index.starts_at_s


def merge_stretches(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Stretches in order, with those that overlap or touch as one.

    ::

        0-9, 5-12, 13-20, 30-40 -> 0-20, 30-40
    """
    merged: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: stretch.first):
        if merged and stretch.first <= merged[-1].last + 1:
            merged[-1] = Stretch(first=merged[-1].first, last=max(merged[-1].last, stretch.last))
        else:
            merged.append(stretch)
    return tuple(merged)


def rows_of(index: VideoIndex, clip: Clip) -> list[dict[str, Any]]:
    """One row for each event of a clip: where it is in the video, and in the file."""
    offsets = offsets_s(index, clip.stretches)
    rows = []
    for event in clip.events:
        shown = picture_at(index, _in_source_ms(index, event))
        number = next(n for n, stretch in enumerate(clip.stretches) if stretch.first <= shown <= stretch.last)
        stretch = clip.stretches[number]
        begins_s, ends_s = position_s(index, stretch.first), position_s(index, stretch.last + 1)
        shift_s = offsets[number] - begins_s
        # A whole millisecond at which the same picture is on show: 1234.6 is up to 1234 before a picture at 1234.5.
        in_file_s = _in_source_ms(index, event) / 1000 + shift_s
        in_file_ms = max(math.floor(in_file_s * 1000), math.ceil((position_s(index, shown) + shift_s) * 1000))
        rows.append(
            {
                "file": clip.name,
                "half": clip.half,
                "label": event.label,
                "team": event.team,
                "confidence": event.confidence,
                "position_ms": event.position_ms,
                "event_in_file_ms": in_file_ms,
                "begins_ms": math.ceil((index.starts_at_s + begins_s) * 1000),
                "ends_ms": math.floor((index.starts_at_s + ends_s) * 1000),
                "begins_at": "key picture" if clip.copied else "picture",
            }
        )
    return rows


def table_of(rows: Sequence[dict[str, Any]]) -> bytes:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _clock(position_ms: int) -> str:
    """``00-45-12.480``, which every file system takes."""
    seconds, ms = divmod(position_ms, 1000)
    return f"{seconds // 3600:02d}-{seconds // 60 % 60:02d}-{seconds % 60:02d}.{ms:03d}"


def _plain(label: str) -> str:
    """A label as part of a file name: ``HIGH PASS`` -> ``HIGH_PASS``."""
    return re.sub(r"[^\w-]+", "_", label).strip("_")[:60] or "event"

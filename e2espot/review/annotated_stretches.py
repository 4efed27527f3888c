"""Marks which stretches of a game were reviewed: there, every event has a label. All functions are pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from e2espot.core.annotated import AnnotatedHalves, AnnotatedRanges, merge_ranges, without_range
from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import DEFAULT_FPS, MAX_DURATION_MS
from e2espot.formats.annotated_field import (
    ANNOTATED_FIELD,
    UNSURE_FIELD,
    annotated_field,
    read_annotated,
    read_unsure,
    unsure_field,
)
from e2espot.formats.retiming import moved_ranges

Fields = Mapping[str, Any]
"""Name -> new value of a field of the label file; None for one that is removed."""

_EVERYTHING = AnnotatedRanges(ranges_ms=((0, MAX_DURATION_MS),))


def range_of_frames(first: int, last: int) -> tuple[int, int]:
    """Milliseconds from the start of one frame to the end of another.

    # frames 25 to 49 at 25 fps -> (1000, 2000)
    """
    return int(first * 1000 / DEFAULT_FPS), int((last + 1) * 1000 / DEFAULT_FPS)


def fields_after_mark(
    top: Mapping[str, Any], half: int, range_ms: tuple[int, int], *, complete: bool, halves: Collection[int]
) -> Fields:
    """The fields that change when a stretch is marked as annotated, or as not annotated.

    As soon as the first stretch of a game is marked as annotated, nothing else of it is::

        half 1, 0:00 to 10:00 in a file that states nothing -> half 1: 0:00 to 10:00, half 2: nothing

    A missing label within an annotated stretch means that nothing happens, so ``unsure`` ends there.

    Args:
        top: Fields at the top of the label file.
        half: Half of the stretch.
        range_ms: Start and end of the stretch in milliseconds.
        complete: Whether its labels are complete.
        halves: Halves of the game.

    Raises:
        AnnotationError: The file's fields are broken, or the stretch is marked like that already.
    """
    annotated, unsure = read_annotated(top, "labels"), read_unsure(top, "labels")
    after, unsure_after = dict(annotated), dict(unsure)
    if complete:
        known = annotated or {other: AnnotatedRanges() for other in halves}
        after = {**known, half: merge_ranges([*known.get(half, _EVERYTHING).ranges_ms, range_ms])}
        if half in unsure:
            unsure_after[half] = without_range(unsure[half], range_ms)
    else:
        after[half] = without_range(annotated.get(half, _EVERYTHING), range_ms)
    changed = _changed(top, after, unsure_after)
    if not changed or (complete and annotated and half not in annotated and unsure == unsure_after):
        raise AnnotationError(f"that stretch is marked as {'' if complete else 'not '}annotated already")
    return changed


def fields_after_move(top: Mapping[str, Any], half: int, moved: Callable[[int], int]) -> Fields:
    """The fields that change when the times of a half are moved.

    Args:
        top: Fields at the top of the label file.
        half: The half.
        moved: New time of a time, both in milliseconds.

    Raises:
        AnnotationError: The file's fields are broken.
    """
    annotated, unsure = (_moved(halves, half, moved) for halves in (read_annotated(top, ""), read_unsure(top, "")))
    return _changed(top, annotated, unsure)


def complement(halves: AnnotatedHalves, of: Iterable[int]) -> dict[int, AnnotatedRanges]:
    """What is outside of the annotated stretches of some halves; a half that is not listed has nothing outside."""
    outside = {}
    for half in of:
        rest = AnnotatedRanges() if half not in halves else _EVERYTHING
        for range_ms in halves[half].ranges_ms if half in halves else ():
            rest = without_range(rest, range_ms)
        outside[half] = rest
    return outside


def _moved(halves: AnnotatedHalves, half: int, moved: Callable[[int], int]) -> dict[int, AnnotatedRanges]:
    return {**halves, **({half: moved_ranges(halves[half], moved)} if half in halves else {})}


def _changed(top: Mapping[str, Any], annotated: AnnotatedHalves, unsure: AnnotatedHalves) -> Fields:
    fields: dict[str, Any] = {}
    if annotated != read_annotated(top, ""):
        fields[ANNOTATED_FIELD] = annotated_field(annotated).get(ANNOTATED_FIELD)
    if unsure != read_unsure(top, ""):
        fields[UNSURE_FIELD] = unsure_field(unsure).get(UNSURE_FIELD)
    return fields

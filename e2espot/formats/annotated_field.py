"""Fields of a label file that state where, and for which classes, its labels are complete.

SoccerNet's files have no such fields, and its readers ignore ours::

    {"annotated": [{"half": "1", "stretches": [{"from": 0, "to": 600000}]}],
     "unsure": [{"half": "1", "stretches": [{"from": 12000, "to": 13500}]}],
     "annotated_classes": ["PASS", "SHOT"],
     "annotations": [...]}

Outside of ``annotated`` nothing was looked at. Within ``unsure`` an event may lie whose moment is not known exactly:
the labels there count, and frames without a label are not background. Classes that ``annotated_classes`` does not list
may happen anywhere without a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2espot.core.annotated import AnnotatedHalves, AnnotatedRanges, merge_ranges
from e2espot.core.annotated_classes import AnnotatedClasses
from e2espot.core.errors import AnnotationError
from e2espot.files.json_fields import parse_each, require, require_half, require_ms, require_text
from e2espot.formats.label_map import LabelMap

ANNOTATED_FIELD = "annotated"
"""Name of the field, next to ``annotations``."""
CLASSES_FIELD = "annotated_classes"
"""Name of the field that lists the annotated classes."""

UNSURE_FIELD = "unsure"
"""Name of the field, next to ``annotations``."""


def read_annotated(content: Mapping[str, Any], context: str) -> dict[int, AnnotatedRanges]:
    """Half -> what of it was labelled; empty if the file does not say, so that all of it was.

    Args:
        content: Top-level fields of a label file.
        context: Names the file in errors.

    Raises:
        AnnotationError: not of the form above, a half twice, or a stretch that ends before it starts.
    """
    return _read_field(content, ANNOTATED_FIELD, context)


def read_unsure(content: Mapping[str, Any], context: str) -> dict[int, AnnotatedRanges]:
    """Half -> stretches in which a missing label does not mean that nothing happens; empty if the file has none.

    Args:
        content: Top-level fields of a label file.
        context: Names the file in errors.

    Raises:
        AnnotationError: as :func:`read_annotated`.
    """
    return _read_field(content, UNSURE_FIELD, context)


def _read_field(content: Mapping[str, Any], name: str, context: str) -> dict[int, AnnotatedRanges]:
    rows = require(content, name, list, context, [])
    halves = parse_each(rows, name, context, _read_half)
    if len(dict(halves)) < len(halves):
        raise AnnotationError(f"{context}: {name!r} names a half twice; give each half one entry")
    return dict(halves)


def _read_half(row: Any, context: str) -> tuple[int, AnnotatedRanges]:
    return require_half(row, context), merge_ranges(read_stretches(require(row, "stretches", list, context), context))


def read_stretches(rows: list[Any], context: str) -> list[tuple[int, int]]:
    """``[{"from": 0, "to": 600000}, ...]`` as pairs of milliseconds; the end is exclusive.

    Raises:
        AnnotationError: not of that form, or a stretch that ends before it starts.
    """

    def read(row: Any, context: str) -> tuple[int, int]:
        start_ms, stop_ms = (require_ms(row, name, context) for name in ("from", "to"))
        if stop_ms < start_ms:
            raise AnnotationError(f"{context}: ends at {stop_ms} ms, before it starts at {start_ms} ms")
        return start_ms, stop_ms

    return list(parse_each(rows, "stretches", context, read))


def annotated_field(halves: AnnotatedHalves) -> dict[str, Any]:
    """The field for a label file; nothing if every half was labelled in full."""
    return {ANNOTATED_FIELD: _rows(halves)} if halves else {}


def unsure_field(halves: Mapping[int, AnnotatedRanges]) -> dict[str, Any]:
    """The field for a label file; nothing if no half has an unsure stretch."""
    rows = _rows({half: unsure for half, unsure in halves.items() if unsure.ranges_ms})
    return {UNSURE_FIELD: rows} if rows else {}


def _rows(halves: Mapping[int, AnnotatedRanges]) -> list[dict[str, Any]]:
    return [
        {"half": str(half), "stretches": [{"from": start, "to": stop} for start, stop in halves[half].ranges_ms]}
        for half in sorted(halves)
    ]


def read_annotated_classes(
    content: Mapping[str, Any], context: str, label_map: LabelMap | None = None
) -> AnnotatedClasses:
    """The classes that a label file says were annotated; None if it does not say, so that all of them were.

    Args:
        content: Top-level fields of a label file.
        context: Names the file in errors.
        label_map: New names of classes. A class that several are merged into counts as annotated if one of them was.

    Raises:
        AnnotationError: not a list of names, or an empty one.
    """
    if content.get(CLASSES_FIELD) is None:
        return None
    names = require(content, CLASSES_FIELD, list, context)
    if not names:
        raise AnnotationError(
            f"{context}: {CLASSES_FIELD!r} is empty; leave it out if every class was annotated, and state with "
            f"{ANNOTATED_FIELD!r} what was not looked at"
        )
    read = parse_each(names, CLASSES_FIELD, context, lambda name, at: require_text({"name": name}, "name", at))
    renamed = read if label_map is None else tuple(map(label_map, read))
    return frozenset(name for name in renamed if name is not None)


def with_renamed_classes(game_fields: Mapping[str, Any], label_map: LabelMap) -> dict[str, Any]:
    """Fields of a game with the annotated classes under their new names."""
    names = game_fields.get(CLASSES_FIELD)
    if not isinstance(names, list):
        return dict(game_fields)
    renamed = dict.fromkeys(new for name in names if (new := label_map(str(name))) is not None)
    return {**game_fields, CLASSES_FIELD: list(renamed)}

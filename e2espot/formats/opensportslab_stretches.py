"""What was annotated of a video, as a sample of OpenSportsLab's JSON says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2espot.core.annotated import AnnotatedRanges, merge_ranges
from e2espot.core.errors import AnnotationError
from e2espot.files.json_fields import optional_text, parse_each, require, require_ms

_NOT_ANNOTATED = ("unlabeled", "excluded")
"""Values of ``annotation_status`` for a sample that nothing can be learnt from."""


def annotated_of_sample(sample: Mapping[str, Any], metadata: Mapping[str, Any], context: str) -> AnnotatedRanges | None:
    """What a sample says was annotated, next to its events or in its metadata; None if it does not say.

    ``annotation_status`` ``unlabeled`` and ``excluded`` mean nothing; any other, such as ``verified``, means the
    ``intervals``, or without these everything.
    """
    fields = {**metadata, **sample}
    if optional_text(fields, "annotation_status", context) in _NOT_ANNOTATED:
        return AnnotatedRanges()
    if fields.get("intervals") is None:
        return None
    return merge_ranges(parse_each(require(fields, "intervals", list, context), "intervals", context, _interval))


def _interval(row: Any, context: str) -> tuple[int, int]:
    """Milliseconds of ``{"start_ms": 0, "end_ms": 5000}`` or ``[0, 5000]``; the end is exclusive."""
    if isinstance(row, list) and len(row) == 2:
        row = {"start_ms": row[0], "end_ms": row[1]}
    start_ms, stop_ms = require_ms(row, "start_ms", context), require_ms(row, "end_ms", context)
    if stop_ms < start_ms:
        raise AnnotationError(f"{context}: ends at {stop_ms} ms, before it starts at {start_ms} ms")
    return start_ms, stop_ms


def annotated_fields(annotated: AnnotatedRanges | None) -> dict[str, Any]:
    """The fields that :func:`annotated_of_sample` reads."""
    if annotated is None:
        return {}
    if not annotated.ranges_ms:
        return {"annotation_status": "unlabeled"}
    return {
        "annotation_status": "verified",
        "intervals": [{"start_ms": start_ms, "end_ms": stop_ms} for start_ms, stop_ms in annotated.ranges_ms],
    }

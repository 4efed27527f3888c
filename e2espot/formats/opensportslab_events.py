"""Events as OpenSportsLab's files write them, in all their versions."""

from __future__ import annotations

from typing import Any

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import game_time, parse_game_time
from e2espot.files.json_fields import optional_text, remaining_fields, require_ms, require_number, require_text
from e2espot.formats.interchange import Annotation

HEAD = "action"
"""Name of the one group of classes (a "head" in OpenSportsLab) that this package writes."""


def read_event(event: Any, context: str, half: int, *, from_soccernet: bool, predictions: bool) -> Annotation:
    """One event of a sample, or of a video in the form of the first version.

    Args:
        event: The entry.
        context: Names it in errors.
        half: Half of its video.
        from_soccernet: Whether its clock is SoccerNet's gameTime, and not the clock of the match.
        predictions: Whether it must have a confidence.

    Raises:
        AnnotationError: no time, no class or, for a prediction, no confidence.
    """
    if isinstance(event, dict) and "position_ms" in event:
        position_ms = require_ms(event, "position_ms", context)
    elif isinstance(event, dict) and "position" in event:
        position_ms = require_ms(event, "position", context)
    else:
        position_ms = _clock_ms(event, context)
    confidence = None
    score = next((name for name in ("confidence", "confidence_score") if isinstance(event, dict) and name in event), "")
    if score:
        confidence = require_number(event, score, context)
    elif predictions:
        raise AnnotationError(f"{context}: field 'confidence' is missing; every prediction has one")
    extra = remaining_fields(
        event,
        *("label", "position_ms", "position", "gameTime", "team", "visibility", "confidence", "confidence_score"),
    )
    if extra.get("head") == HEAD:
        del extra["head"]
    # A clock that is not the position's own is kept. In files converted from SoccerNet it is SoccerNet's gameTime,
    # rounded in another way; elsewhere it is the clock of the match:
    # position 5000 in half 1: "1 - 00:05" is dropped, "1 - 00:06" and "2 - 45:05" are kept
    clock = event.get("gameTime", game_time(position_ms, half))
    if clock != game_time(position_ms, half):
        extra["gameTime" if from_soccernet else "matchTime"] = clock
    return Annotation(
        label=require_text(event, "label", context),
        position_ms=position_ms,
        confidence=confidence,
        team=optional_text(event, "team", context),
        visibility=optional_text(event, "visibility", context),
        extra=extra,
    )


def _clock_ms(event: Any, context: str) -> int:
    """Milliseconds of an event without a position, from its clock; older results omit the half."""
    # "1 - 05:07" or "05:07" -> 307000
    clock = require_text(event, "gameTime", context)
    try:
        _, seconds = parse_game_time(clock)
    except AnnotationError:
        raise AnnotationError(f"{context}: no 'position_ms', and field 'gameTime' is {clock!r}") from None
    return 1000 * seconds

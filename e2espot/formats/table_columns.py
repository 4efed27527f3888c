"""What the columns of a table of events mean, by their names in the heading or as the user states them.

::

    Zeit;Ereignis;Halbzeit     with columns "time=Zeit,label=Ereignis,half=Halbzeit"     time, label, half
    period_id,time_seconds,type_name,start_x                                             half, time, label, start_x

Names that could mean something else, such as ``type`` or ``start``, count only where no better one is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from e2espot.core.errors import ConfigurationError

Columns = Mapping[str, str]
"""What a column means -> its name in the heading, as the user states it."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "game": ("game", "match", "video", "file", "media file", "media file name", "media file path", "observation id"),
    "half": ("half", "period"),
    "position_ms": ("position_ms", "position", "ms", "milliseconds", "time_ms", "start_ms"),
    "time": ("time", "start", "timestamp", "seconds", "time_s", "t", "start (s)", "clock", "gametime", "game time"),
    "minute": (),
    "second": (),
    "frame": ("frame", "image index"),
    "fps": ("fps", "fps (frame/s)"),
    "label": ("label", "class", "event", "action", "behavior", "behaviour", "code"),
    "score": ("score", "confidence"),
    "team": ("team", "side"),
    "visibility": ("visibility",),
}
"""What a column means -> the names that it is known by, in small letters."""
_WEAKER: dict[str, tuple[str, ...]] = {
    "game": ("game_id", "game id", "match_id", "match id", "matchid"),
    "half": ("period_id", "period id", "matchperiod", "match period"),
    "time": (
        *("start time", "start_time", "start time [s]", "start time (s)", "time [s]", "time (s)", "time_seconds"),
        *("eventsec", "event_sec", "video time", "video_time", "time_start", "begin", "in"),
    ),
    "minute": ("minute", "minutes", "min"),
    "second": ("second", "seconds", "sec"),
    "label": (
        *("type_name", "event_type", "event type", "eventname", "event name", "type", "category", "name", "row"),
        *("title", "marker name"),
    ),
}
"""The same, by the names that count only where none of ``COLUMNS`` is in the heading: the best first."""
_TIMES = ("time", "position_ms", "frame")
_PARTS = ("minute", "second")
"""Columns that are a time together."""

KIND = "kind of event"
"""Column of BORIS: a state event has two rows, START and STOP."""
OFFSET = "time offset (s)"
"""Column of BORIS: what its times hold besides the time of the video."""
_OF_BORIS = {"subject": "team", "behavior type": KIND, "behaviour type": KIND, "status": KIND, OFFSET: OFFSET}
"""Columns of BORIS that mean something else in other tables."""


def parse_columns(text: str) -> dict[str, str]:
    """Columns as ``label=Ereignis,time=Start Time [s]``; the empty text states none.

    Raises:
        ConfigurationError: not of that form, or a meaning that is not known, or stated twice.
    """
    columns: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        meaning, _, name = (part.strip() for part in pair.partition("="))
        if meaning not in COLUMNS or not name or meaning in columns:
            raise ConfigurationError(
                f"columns is {text!r:.200}; give each of {', '.join(COLUMNS)} once at most, with the name of its "
                "column, such as label=Type,time=Start Time",
                option="columns",
            )
        columns[meaning] = name
    return columns


def heading_names(line: Sequence[str], stated: Columns, *, weaker: bool) -> list[str] | None:
    """What each cell of a line is called if the line is a heading with a label and a time; else None.

    Args:
        line: Its cells.
        stated: Columns as the user states them.
        weaker: Whether names that could mean something else count.

    Returns:
        Of each column its meaning, a key of ``COLUMNS``, or else its name.
    """
    texts = _texts(line)
    if not {name.lower() for name in stated.values()} <= {*texts}:
        return None
    meaning_of = {name.lower(): meaning for meaning, name in stated.items()}
    of_boris = _OF_BORIS if is_boris(line) else {}
    # A time that is stated is the time: --columns time=Start leaves a column "position" to players.
    overruled = {*stated} if {*_TIMES, *_PARTS}.isdisjoint(stated) else {*stated, *_TIMES}
    has_minutes = not {*_WEAKER["minute"]}.isdisjoint(texts)
    names: list[str] = []
    for cell, text in zip(line, texts, strict=True):
        known = meaning_of.get(text) or of_boris.get(text) or _known(text)
        if text == "seconds" and has_minutes and text not in meaning_of:
            known = None  # those of the minute
        repeats = known in names and text not in of_boris
        if known in overruled and text not in meaning_of:
            names.append(f"column {cell.strip()}")
        else:
            names.append(cell.strip() if known is None or repeats else known)
    if weaker:
        for index, meaning in _weaker_columns(texts, names):
            names[index] = meaning
    has_time = not {*_TIMES}.isdisjoint(names) or {*_PARTS} <= {*names}
    return names if "label" in names and has_time else None


def _known(text: str) -> str | None:
    return next((meaning for meaning, others in COLUMNS.items() if text in others), None)


def _weaker_columns(texts: Sequence[str], names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Index and meaning of the columns whose names could mean something else, where nothing better is there."""
    for meaning, others in _WEAKER.items():
        better = {"time": (*_TIMES, *_PARTS), **{part: (*_TIMES, part) for part in _PARTS}}.get(meaning, (meaning,))
        if not {*better}.isdisjoint(names):
            continue
        index = next((texts.index(other) for other in others if other in texts), None)
        if index is not None:
            yield index, meaning


def _texts(line: Sequence[str]) -> list[str]:
    return [cell.strip().lstrip("\ufeff").lower() for cell in line]


def is_boris(line: Sequence[str]) -> bool:
    """Whether a heading is one of BORIS."""
    return not {"behavior", "behaviour"}.isdisjoint(_texts(line))

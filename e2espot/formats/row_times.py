"""When the event of a row of a table is: half and milliseconds, of whichever columns the table has.

::

    position_ms    time        half  minute  second    frame  fps    time         fps
    307480         5:07,480    1     5       7.48      7687   25     00:05:07:12  25
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import HALVES, MAX_DURATION_MS, parse_clock_ms, parse_fps, position_ms_of_frame
from e2espot.files.json_fields import KNOWN_HALVES
from e2espot.formats.table_columns import OFFSET
from e2espot.formats.timecodes import frame_and_rate_of_timecode, is_timecode

_HALVES_IN_WORDS = {
    **{"1h": "1", "h1": "1", "firsthalf": "1", "1sthalf": "1", "first": "1"},
    **{"2h": "2", "h2": "2", "secondhalf": "2", "2ndhalf": "2", "second": "2"},
    **{"e1": "3", "e2": "4", "p": "5"},
}
"""Names of the halves in small letters, without spaces and signs -> their numbers; the last three are Wyscout's."""


def half_and_position(row: Mapping[str, str], fps: Fraction | None, context: str) -> tuple[int, int]:
    """Half and milliseconds: of ``position_ms``, else of the time, of minute and second, or of the frame.

    Args:
        row: Fields of the line by what they mean.
        fps: Rate of frames and timecodes of a row that states none; None if it is not known.
        context: What an error message calls the row.

    Raises:
        AnnotationError: none of them is there, or one cannot be read.
    """
    half_text = row.get("half", "").strip().removesuffix(".0") or "1"  # pandas writes 1.0 where a cell is empty
    half_text = _HALVES_IN_WORDS.get(re.sub(r"[ _.-]", "", half_text).lower(), half_text)
    time = row.get("time", "").strip().removeprefix("0 days ")  # pandas, and so kloppy: 0 days 00:05:07.480000
    if match := re.fullmatch(r"([1-5]) - (.+)", time):  # SoccerNet's clock
        half_text, time = match[1], match[2]
    if half_text not in map(str, HALVES):
        raise AnnotationError(f"{context}: half is {half_text!r}; {KNOWN_HALVES}")
    if row.get("position_ms", "").strip():
        position_ms = _whole_number(row["position_ms"], context, "position_ms")
    elif is_timecode(time):
        frame, rate = frame_and_rate_of_timecode(time, _rate(row, fps, context, "timecode"), context)
        position_ms = position_ms_of_frame(frame, rate) - _offset_ms(row, context)
    elif time:
        position_ms = _clock_ms(time, context) - _offset_ms(row, context)
    elif row.get("minute", "").strip():
        position_ms = _minute_and_second_ms(row, context)
    elif row.get("frame", "").strip():
        rate = _rate(row, fps, context, "frame")
        position_ms = position_ms_of_frame(_whole_number(row["frame"], context, "frame"), rate)
    else:
        raise AnnotationError(f"{context}: no time")
    if not 0 <= position_ms <= MAX_DURATION_MS:
        raise AnnotationError(f"{context}: the time is {position_ms} ms; expected 0 to {MAX_DURATION_MS}")
    return int(half_text), position_ms


def _clock_ms(time: str, context: str) -> int:
    clock_ms = parse_clock_ms(time.replace(",", "."))
    if clock_ms is None:
        raise AnnotationError(
            f"{context}: time is {time!r:.60}; expected seconds, minutes:seconds or hours:minutes:seconds, such as "
            f"75.5, 1:15.5 or 0:01:15.5, up to {MAX_DURATION_MS // 3_600_000} hours"
        )
    return clock_ms


def _minute_and_second_ms(row: Mapping[str, str], context: str) -> int:
    minute = _whole_number(row["minute"], context, "minute")
    second = read_number(row.get("second", ""), context, "second")
    # minute 5, second 7.48 -> 307,480 ms, as is minute 5, second 307.48, which counts from the start like a time
    if 0 <= second < 60:
        second += 60 * minute
    elif second // 60 != minute:
        raise AnnotationError(f"{context}: second is {row['second']!r:.20} in minute {minute}; expected less than 60")
    return int(1000 * second)


def _rate(row: Mapping[str, str], fps: Fraction | None, context: str, what: str) -> Fraction:
    """Rate of the row, else the one that was stated."""
    text = row.get("fps", "").strip().replace(",", ".")
    if not text:
        if fps is None:
            raise AnnotationError(
                f"{context}: a {what} without a rate is no time; add a column fps, or state it when it is converted: "
                "fps=25"
            )
        return fps
    try:
        rate = parse_fps(text)
    except ValueError:
        rate = Fraction(0)
    if rate < 1:
        raise AnnotationError(f"{context}: fps is {row['fps']!r:.60}; expected 1 to 1000")
    return rate


def _offset_ms(row: Mapping[str, str], context: str) -> int:
    """Milliseconds that BORIS adds to the times of an observation."""
    text = row.get(OFFSET, "").strip()
    return 0 if text in ("", "NA") else round(1000 * read_number(text, context, OFFSET))


def read_number(text: str, context: str, column: str) -> Fraction:
    """A number with a decimal point or comma.

    Raises:
        AnnotationError: it is none.
    """
    if len(text) <= 15 and text.isascii() and text.isdigit():
        return Fraction(int(text))
    plain = text.strip().replace(",", ".")
    if re.fullmatch(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?", plain) is None:
        raise AnnotationError(f"{context}: {column} is {text!r:.60}; expected a number")
    return Fraction(plain)


def _whole_number(text: str, context: str, column: str) -> int:
    """A count of milliseconds or frames, rounded down; not 307,480, which may be either of two numbers."""
    if re.fullmatch(r"\d{1,3}([.,]\d{3})+", text.strip()):
        raise AnnotationError(
            f"{context}: {column} is {text.strip()!r:.60}, whose comma or dot may separate thousands or decimals; "
            f"write {re.sub('[.,]', '', text.strip())[:60]}, or a whole number"
        )
    return int(read_number(text, context, column))

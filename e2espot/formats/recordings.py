"""Events as files have them, with every field: what one format is turned into another through.

Training and inference work on whole frames (:class:`e2espot.events.Event`). A conversion must not
lose the milliseconds between them, nor fields nobody here uses.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from e2espot.errors import AnnotationError

_T = TypeVar("_T")
LATEST_MS = 1000 * 3600 * 24
"""No match lasts longer."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One event of one video."""

    label: str
    """Class name as spelt in the file."""
    position_ms: int
    """Milliseconds from the start of the video."""
    confidence: float | None = None
    """Score of a prediction; None for a label."""
    team: str = ""
    """``left``, ``right``, ``home``, ``away``, ``not applicable``, or empty where nothing is said."""
    visibility: str = ""
    """``visible``, ``not shown``, or empty where nothing is said."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the entry, by name."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One video and what happens in it."""

    game: str
    """``league/season/game``, or whatever else names the game, with forward slashes."""
    half: int = 1
    """1 or 2; a game in one video is all half 1."""
    split: str = ""
    """train, valid, test, challenge, or empty."""
    moments: tuple[Moment, ...] = ()
    """In the order of the file."""
    video: str = ""
    """Path of the video, relative to the dataset; empty where it is not known."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the video: ``fps``, ``num_frames``, ``width``, ``height``, and what else there is."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the game."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """All that one conversion reads."""

    recordings: tuple[Recording, ...]
    """Each game's halves together, in order."""
    classes: tuple[str, ...] = ()
    """Class names, where the format lists them; else those that occur."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the whole."""
    predictions: bool = False
    """Whether these are predictions, with confidences, and not labels."""

    def class_names(self) -> tuple[str, ...]:
        """Classes listed, and those that occur though they are not, in order."""
        seen = {moment.label for recording in self.recordings for moment in recording.moments}
        return (*self.classes, *sorted(seen - set(self.classes)))


class Losses:
    """What a conversion drops or changes, counted."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """Count something that the other format has no place for."""
        if count:
            self._counts[what] += count

    def add_fields(self, fields: Mapping[str, Any], where: str) -> None:
        """Count fields that say anything, by name."""
        for name, value in fields.items():
            self.add(f"{where} field {name!r}", int(value not in ("", None, [], {})))

    def lines(self) -> list[str]:
        """One line each, in order of what they say."""
        return [f"{count} x {what}" for what, count in sorted(self._counts.items())]


# Reading strictly: what was given, what is expected, and where.


def load_json(data: bytes, where: str) -> Any:
    """Parse a JSON file.

    Raises:
        AnnotationError: it is none.
    """
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{where}: not JSON ({error})") from None


def dump_json(content: Any) -> bytes:
    """A JSON file as written here: readable, UTF-8.

    Raises:
        AnnotationError: a field that travels along is nested too deeply.
    """
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False)
    except RecursionError:
        raise AnnotationError("a field is nested too deeply to be written again; remove it from the source") from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # halves of characters, which JSON can hold in its own spelling
        return json.dumps(content, indent=1).encode()


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises:
        AnnotationError: it cannot be read, or is something to wait for, such as a pipe.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise AnnotationError(f"{path}: is no ordinary file; give the name of a file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None


def take(entry: Any, name: str, kind: type[_T], where: str, default: _T | None = None) -> _T:
    """A field of an object, of one type.

    Raises:
        AnnotationError: no object, no such field where there is no default, or of another type.
    """
    if not isinstance(entry, dict):
        raise AnnotationError(f"{where}: is {type(entry).__name__}; expected an object")
    if name not in entry:
        if default is not None:
            return default
        raise AnnotationError(f"{where}: field {name!r} is missing")
    value = entry[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise AnnotationError(f"{where}: field {name!r} is {_short(value)}; expected {_KINDS.get(kind, kind.__name__)}")
    return value


_KINDS: dict[type, str] = {str: "text", int: "a whole number", list: "a list", dict: "an object"}


def take_text(entry: Any, name: str, where: str) -> str:
    """A field that holds text which is not empty.

    Raises:
        AnnotationError: as for :func:`take`.
    """
    text = take(entry, name, str, where)
    if not text.strip() or any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise AnnotationError(f"{where}: field {name!r} is {_short(text)}; expected text on one line")
    return text


def take_ms(entry: Any, name: str, where: str) -> int:
    """A field of whole milliseconds, as a number or as digits in quotes, from 0 to a day.

    Raises:
        AnnotationError: as for :func:`take`, or out of that range.
    """
    value = take(entry, name, object, where)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and len(value) < 20 and value.strip().removeprefix("-").isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise AnnotationError(f"{where}: field {name!r} is {_short(value)}; expected whole milliseconds")
    if not 0 <= value <= LATEST_MS:
        raise AnnotationError(f"{where}: field {name!r} is {value}; expected 0 to {LATEST_MS} ms")
    return value


def take_number(entry: Any, name: str, where: str) -> float:
    """A field that holds a finite number, as a number or in quotes.

    Raises:
        AnnotationError: as for :func:`take`.
    """
    value = take(entry, name, object, where)
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AnnotationError(f"{where}: field {name!r} is {_short(value)}; expected a number")
    return number


def take_fps(entry: Any, where: str) -> Fraction:
    """A field ``fps`` that holds a rate of 1 to 1000 frames a second.

    Raises:
        AnnotationError: as for :func:`take`.
    """
    fps = Fraction(str(take_number(entry, "fps", where)))
    if not 1 <= fps <= 1000:
        raise AnnotationError(f"{where}: field 'fps' is {entry['fps']!r}; expected 1 to 1000")
    return fps


def take_path(entry: Any, name: str, where: str) -> str:
    """A field that holds a relative path which stays below where it starts, with forward slashes.

    Raises:
        AnnotationError: as for :func:`take`, or another path.
    """
    return checked_path(take_text(entry, name, where), f"{where}: field {name!r}")


def checked_path(text: str, where: str) -> str:
    """A relative path that stays below where it starts.

    Raises:
        AnnotationError: another one.
    """
    path = PurePosixPath(text)
    strange = any(ord(letter) < 32 for letter in text) or "\\" in text or text[1:2] == ":"
    if path.is_absolute() or ".." in path.parts or not path.parts or strange:
        raise AnnotationError(f"{where} is {_short(text)}; expected a path below the dataset, with forward slashes")
    return path.as_posix()


def checked_facts(facts: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What is said of a video, with whole ``num_frames``, ``width`` and ``height``, and a rate that can be.

    Raises:
        AnnotationError: names the field.
    """
    for name in ("num_frames", "width", "height"):
        if name in facts and not 0 <= take(facts, name, int, where) < 1 << 40:
            raise AnnotationError(f"{where}: field {name!r} is {facts[name]}; expected 0 or more")
    if "fps" in facts:
        take_fps(facts, where)
    return dict(facts)


def take_word(entry: Mapping[str, Any], name: str, where: str) -> str:
    """A field of text that may be missing, null or empty.

    Raises:
        AnnotationError: another type.
    """
    return "" if entry.get(name) is None else take(entry, name, str, where)


def rest(entry: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """Fields of an entry but the known ones."""
    return {name: value for name, value in entry.items() if name not in known}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def each(entries: Sequence[Any], name: str, where: str, read: Callable[[Any, str], _T]) -> tuple[_T, ...]:
    """Read a list's entries, telling each its place: ``FILE: name[3]``."""
    return tuple(read(entry, f"{where}: {name}[{number}]") for number, entry in enumerate(entries))

"""JSON files read field by field; every error names file, entry and field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from e2espot.core.errors import AnnotationError

_T = TypeVar("_T")

LATEST_MS = 1000 * 3600 * 24
"""No match lasts longer."""


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

"""JSON files, decoded and checked field by field; every error names file, entry and field.

The ``require_*`` functions return the value of a field or raise. Their ``context`` is the start of the
error message, such as ``FILE: annotations[3]``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from e2espot.core.errors import AnnotationError
from e2espot.core.timeline import HALVES, MAX_DURATION_MS

_T = TypeVar("_T")

_TYPE_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    list: "a list",
    dict: "an object",
    object: "a number or text",
}
KNOWN_HALVES = "there are 1 and 2, 3 and 4 in extra time, and 5 for penalties"
"""What a message says about a half that does not exist."""
WHOLE_NUMBER = re.compile(r"(\s*[+-]?\d{1,18})(?:\.0*)?\s*", re.ASCII)
"""A whole number as text, the first group; ``1234.0`` is one, as tables of floats write it."""


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises:
        AnnotationError: the file cannot be read, or it is a pipe or device, which could block.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise AnnotationError(f"{path}: is not a regular file; give the name of a file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None


def decode_text(data: bytes, context: str) -> str:
    """Text of a JSON file or a table: UTF-8 with or without a byte order mark, UTF-16 or UTF-32.

    Raises:
        AnnotationError: the text is in none of these encodings.
    """
    # By the mark, else by the zero bytes among the first four (RFC 4627): "{" is 7B 00 in UTF-16-LE, 00 7B in UTF-16-BE
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except ValueError as error:
        remedy = "save it as UTF-8; in a spreadsheet, as CSV UTF-8"
        raise AnnotationError(f"{context}: not {encoding.upper()} text ({error}); {remedy}") from None


def load_json(data: bytes, context: str) -> Any:
    """Parse the content of a JSON file.

    Raises:
        AnnotationError: it is not JSON.
    """
    text = decode_text(data, context)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{context}: not JSON ({error})") from None


def dump_json(content: Any) -> bytes:
    """Content of a JSON file: indented, UTF-8.

    Raises:
        AnnotationError: a field is nested too deeply.
    """
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False)
    except RecursionError:
        raise AnnotationError("a field is nested too deeply to be written again; remove it from the source") from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can only express as \ud800 escapes
        return json.dumps(content, indent=1).encode()


def require(entry: Any, name: str, kind: type[_T], context: str, default: _T | None = None) -> _T:
    """The value of a field, checked to have a type.

    Args:
        entry: The object that holds the field.
        name: Name of the field.
        kind: Expected type; ``object`` accepts any value but true and false.
        context: Start of the error message.
        default: Value if the field is missing; None makes the field mandatory.

    Raises:
        AnnotationError: ``entry`` is not an object, or the field is missing or has another type.
    """
    if not isinstance(entry, dict):
        raise AnnotationError(f"{context}: is {type(entry).__name__}; expected an object")
    if name not in entry:
        if default is not None:
            return default
        raise AnnotationError(f"{context}: field {name!r} is missing")
    value = entry[name]
    # bool is a subclass of int in Python, but true in a file is not a number.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise AnnotationError(
            f"{context}: field {name!r} is {_shorten(value)}; expected {_TYPE_NAMES.get(kind, kind.__name__)}"
        )
    return value


def require_text(entry: Any, name: str, context: str) -> str:
    """A field that holds one line of text, not blank.

    Raises:
        AnnotationError: as :func:`require`, or the text is blank or has control characters.
    """
    text = require(entry, name, str, context)
    # Half of a surrogate pair (U+D800 to U+DFFF), which JSON can express, cannot be written as UTF-8.
    if not text.strip() or any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise AnnotationError(f"{context}: field {name!r} is {_shorten(text)}; expected text on one line")
    return text


def optional_text(entry: Mapping[str, Any], name: str, context: str) -> str:
    """A text field, or an empty string if it is missing or null.

    Raises:
        AnnotationError: the field has another type.
    """
    return "" if entry.get(name) is None else require(entry, name, str, context)


def require_ms(entry: Any, name: str, context: str) -> int:
    """A field of whole milliseconds from 0 to one day: ``1234``, ``1234.0``, ``"1234"`` or ``"1234.0"``.

    Raises:
        AnnotationError: as :func:`require`, or the value is not whole milliseconds in this range.
    """
    value = require(entry, name, object, context)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and (whole := WHOLE_NUMBER.fullmatch(value)):
        value = int(whole[1])
    if not isinstance(value, int) or isinstance(value, bool):
        raise AnnotationError(f"{context}: field {name!r} is {_shorten(value)}; expected whole milliseconds")
    if not 0 <= value <= MAX_DURATION_MS:
        raise AnnotationError(f"{context}: field {name!r} is {_shorten(value)}; expected 0 to {MAX_DURATION_MS} ms")
    return value


def require_number(entry: Any, name: str, context: str) -> float:
    """A field that holds a finite number, as a number or as text.

    Raises:
        AnnotationError: as :func:`require`, or the value is not a finite number.
    """
    value = require(entry, name, object, context)
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AnnotationError(f"{context}: field {name!r} is {_shorten(value)}; expected a number")
    return number


def require_half(entry: Any, context: str) -> int:
    """The field ``half``: the number of a period, as a number or as text.

    Raises:
        AnnotationError: as :func:`require`, or there is no such period.
    """
    half: Any = require(entry, "half", object, context)
    if half not in (*HALVES, *map(str, HALVES)):
        raise AnnotationError(f"{context}: field 'half' is {_shorten(half)}; {KNOWN_HALVES}")
    return int(half)


def require_fps(entry: Any, context: str) -> Fraction:
    """The field ``fps``: a rate of 1 to 1000 frames per second.

    Raises:
        AnnotationError: as :func:`require_number`, or out of range.
    """
    fps = Fraction(str(require_number(entry, "fps", context)))
    if not 1 <= fps <= 1000:
        raise AnnotationError(f"{context}: field 'fps' is {entry['fps']!r}; expected 1 to 1000")
    return fps


def require_path(entry: Any, name: str, context: str) -> str:
    """A field that holds a relative path, as :func:`relative_path` defines it.

    Raises:
        AnnotationError: as :func:`require_text`, or the path is absolute or leaves the folder.
    """
    return relative_path(require_text(entry, name, context), f"{context}: field {name!r}")


def relative_path(text: str, context: str) -> str:
    """A path with forward slashes that does not leave the folder it is relative to.

    Raises:
        AnnotationError: the path is absolute, leaves the folder, or is not portable.
    """
    path = PurePosixPath(text)
    # Windows would read these differently: "a\\b" as a folder and a file, "c:x" as a drive
    not_portable = any(ord(letter) < 32 for letter in text) or "\\" in text or text[1:2] == ":"
    if path.is_absolute() or ".." in path.parts or not path.parts or not_portable:
        raise AnnotationError(f"{context} is {_shorten(text)}; expected a path below the dataset, with forward slashes")
    return path.as_posix()


def check_video_metadata(metadata: Mapping[str, Any], context: str) -> dict[str, Any]:
    """Fields of a video; ``num_frames``, ``width``, ``height`` and ``fps`` are checked if they are there.

    Raises:
        AnnotationError: one of them is out of range or not a number.
    """
    for name in ("num_frames", "width", "height"):
        if name in metadata and not 0 <= require(metadata, name, int, context) < 1 << 40:
            raise AnnotationError(f"{context}: field {name!r} is {metadata[name]}; expected 0 or more")
    if "fps" in metadata:
        require_fps(metadata, context)
    return dict(metadata)


def remaining_fields(entry: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """The fields of an entry other than the known ones."""
    return {name: value for name, value in entry.items() if name not in known}


def parse_each(entries: Sequence[Any], name: str, context: str, parse: Callable[[Any, str], _T]) -> tuple[_T, ...]:
    """Parse every entry of a list, with a context that names it: ``FILE: name[3]``."""
    return tuple(parse(entry, f"{context}: {name}[{number}]") for number, entry in enumerate(entries))


def _shorten(value: Any) -> str:
    """``repr`` in at most 60 characters, so that an error stays one readable line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

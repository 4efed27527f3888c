"""XML files of other programs, read without what makes XML dangerous: definitions that expand or name other files."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from e2espot.core.errors import AnnotationError
from e2espot.files.json_fields import read_bytes


def read_xml(file: Path, remedy: str) -> ElementTree.Element:
    """Read the root element of a file.

    Args:
        file: The file.
        remedy: What to do about one with definitions of its own, such as ``export the match again``.

    Raises:
        AnnotationError: the file is missing, no XML, or holds definitions of its own.
    """
    data = read_bytes(file)
    # <!DOCTYPE fcpxml> names the kind of file, and defines nothing. Without the zeros of UTF-16:
    if re.search(rb"<!(DOCTYPE[^>]*\[|ENTITY)", data.replace(b"\0", b"")):
        raise AnnotationError(f"{file}: XML with definitions of its own is not read; {remedy}")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise AnnotationError(f"{file}: not XML ({error})") from None

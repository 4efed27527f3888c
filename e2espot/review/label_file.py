"""The label file on disk: written atomically, backed up once, and compared with what was written last."""

from __future__ import annotations

import hashlib
from pathlib import Path

from e2espot.core.errors import AnnotationError
from e2espot.files.atomic import write_atomically


class LabelFile:
    """One label file and the checksum of its last known content."""

    def __init__(self, path: Path) -> None:
        """Name the file without reading it."""
        self.path = path
        self.checksum: str | None = None
        """SHA-256 of the content that this process last read or wrote; None if the file did not exist."""

    def read(self) -> bytes | None:
        """Current content; None if there is no such file.

        Raises:
            AnnotationError: It cannot be read.
        """
        return read_if_exists(self.path)

    def write(self, text: bytes) -> None:
        """Write the file, whole or not at all."""
        write_atomically(self.path, text)
        self.checksum = checksum_of(text)

    def back_up(self) -> None:
        """Keep the present content as ``NAME.before-review``, or ``-2``, ``-3``, ... if that is another one."""
        content = self.read()
        number = 1
        while content is not None:
            suffix = "" if number == 1 else f"-{number}"
            backup = self.path.with_name(f"{self.path.name}.before-review{suffix}")
            if not backup.exists():
                write_atomically(backup, content)
                return
            if read_if_exists(backup) == content:
                return
            number += 1


def read_if_exists(path: Path) -> bytes | None:
    """Content of a file; None if there is none.

    Raises:
        AnnotationError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from None


def checksum_of(content: bytes | None) -> str | None:
    """Hexadecimal SHA-256; None for None."""
    return None if content is None else hashlib.sha256(content).hexdigest()

"""An append-only file of JSON lines that survives being killed at any instant."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2espot.errors import AnnotationError, ConfigurationError, E2ESpotError


class Journal:
    """One record a line; only whole lines count, and only one process writes."""

    def __init__(self, path: Path) -> None:
        """Open or begin the file, and keep others out of it.

        Raises:
            ConfigurationError: another process has it open.
            E2ESpotError: it cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise E2ESpotError(
                f"{path}: cannot be written ({error.strerror}); check permissions, or save elsewhere with -o"
            ) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._handle)
            raise ConfigurationError(
                f"{path}: these labels are open in another review; close it first, or use its page"
            ) from None

    def read(self) -> list[dict[str, Any]]:
        """All records; a line that was cut short by a crash is dropped, from the file too.

        Raises:
            AnnotationError: a whole line in the middle is not a record.
        """
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._handle, whole)
        records = []
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise AnnotationError(
                    f"{self.path}: line {number} is damaged; move the file away to begin anew from the labels"
                )
            records.append(record)
        os.lseek(self._handle, 0, os.SEEK_END)
        return records

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it is on the disk when this returns.

        Raises:
            E2ESpotError: the disk is full; what was there before is kept.
        """
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        end = os.lseek(self._handle, 0, os.SEEK_END)
        try:
            written = os.write(self._handle, line)
            if written < len(line):
                raise OSError(28, "no space left")
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, end)
            raise E2ESpotError(f"{self.path}: cannot be written ({error.strerror}); nothing was changed") from None

    def close(self) -> None:
        """Let others in; a journal nothing was written to is removed."""
        if os.fstat(self._handle).st_size == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._handle)

    def __enter__(self) -> Self:
        """Close at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

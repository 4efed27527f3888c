"""An append-only file of JSON lines that survives being killed at any instant."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError
from e2espot.review.label_rows import place_of


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


_MOST = 10**9


def check_record(record: dict[str, Any]) -> None:
    """Refuse a line that the store would trip over, now or when somebody takes it back.

    Raises:
        ValueError: a field of another type or an absurd number.
        KeyError: a field is missing.
    """
    _need(_is_number(record["revision"]), "revision")
    _need(record["sha"] is None or isinstance(record["sha"], str), "sha")
    if "start" in record:
        _need(_is_number(record["start"]), "start")
        _need(isinstance(record["top"], dict), "top")
        _need(isinstance(record["rows"], list), "rows")
        return
    _need(all(isinstance(record[name], str) for name in ("tab", "name", "op")), "tab, name, op")
    _need(record.get("undoes") is None or _is_number(record["undoes"]), "undoes")
    _need(isinstance(record["changes"], list), "changes")
    for change in record["changes"]:
        _check_change(change)


def _check_change(change: Any) -> None:
    _need(isinstance(change, dict) and change["kind"] in ("label", "verdict") and isinstance(change["key"], str), "key")
    kept = [value for value in (change["before"], change["after"]) if value is not None]
    if change["kind"] == "verdict":
        _need(all(isinstance(value, str) for value in kept), "verdict")
        return
    _need(change["key"].isascii() and change["key"].isdecimal() and len(change["key"]) < 10, "number of a row")
    _need(all(place_of(value) is not None for value in kept), "row")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _need(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what} cannot be")

"""An append-only file of JSON lines that stays valid if the process is killed at any moment."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2espot.core.errors import AnnotationError, E2ESpotError
from e2espot.files.lock import ProcessLock
from e2espot.formats.annotated_field import ANNOTATED_FIELD, UNSURE_FIELD

_MAX_NUMBER = 10**9
"""Bound on revisions and ids in a record."""


class Journal:
    """One record per line. Only complete lines count, and only one process can write."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and lock it.

        Args:
            path: The file.

        Raises:
            ConfigurationError: Another process has locked it.
            E2ESpotError: It cannot be written.
        """
        self.path = path
        try:
            self._lock = ProcessLock(
                path.with_name(f".{path.name}.lock"),
                f"{path}: these labels are open in another review; close it first, or use its page",
            )
            try:
                # Binary, for systems that would translate the ends of lines.
                self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            except BaseException:
                self._lock.release()
                raise
        except OSError as error:
            raise E2ESpotError(
                f"{path}: cannot be written ({error.strerror}); check the permissions, or write to another folder",
                option="out",
            ) from None

    def read(self) -> list[dict[str, Any]]:
        """Read all records; a last line that a crash cut short is removed from the file.

        Raises:
            AnnotationError: A complete line is not a record.
        """
        data = self.path.read_bytes()
        size = data.rfind(b"\n") + 1  # of the complete lines
        if size < len(data):
            os.ftruncate(self._descriptor, size)
        records = []
        for number, line in enumerate(data[:size].splitlines(), 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise AnnotationError(
                    f"{self.path}: line {number} is damaged; move the file away to start again from the labels"
                )
            records.append(record)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        return records

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it is on disk when this returns.

        Raises:
            E2ESpotError: It cannot be written, for example because the disk is full; the file is as before.
        """
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, "no space left")
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, end)  # a part of a line would join the next record
            raise E2ESpotError(f"{self.path}: cannot be written ({error.strerror}); nothing was changed") from None

    def close(self) -> None:
        """Unlock the file; an empty one is deleted."""
        is_empty = os.fstat(self._descriptor).st_size == 0
        os.close(self._descriptor)
        if is_empty:  # deleted while the lock is held; Windows deletes no open file
            self.path.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        """Close the journal at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the journal."""
        self.close()


def check_record(record: dict[str, Any]) -> None:
    """Check the types of a record, so that neither replaying nor undoing it can fail.

    A start record has ``revision``, ``sha``, ``start``, ``top`` and ``rows``; a change record has
    ``revision``, ``sha``, ``tab``, ``op``, ``name``, ``changes`` and perhaps ``undoes``.

    Raises:
        ValueError: A field has another type, or a number is out of range.
        KeyError: A field is missing.
    """
    _require(_is_number(record["revision"]), "revision")
    _require(record["sha"] is None or isinstance(record["sha"], str), "sha")
    if "start" in record:
        _require(_is_number(record["start"]), "start")
        _require(isinstance(record["top"], dict), "top")
        _require(isinstance(record["rows"], list), "rows")
        return
    _require(all(isinstance(record[name], str) for name in ("tab", "name", "op")), "tab, name, op")
    _require(record.get("undoes") is None or _is_number(record["undoes"]), "undoes")
    _require(isinstance(record["changes"], list), "changes")
    for change in record["changes"]:
        _check_change(change)


def _check_change(change: Any) -> None:
    key_is_text = isinstance(change, dict) and isinstance(change["key"], str)
    _require(key_is_text and change["kind"] in ("label", "verdict", "field"), "kind, key")
    values = [value for value in (change["before"], change["after"]) if value is not None]
    if change["kind"] == "field":
        _require(change["key"] in (ANNOTATED_FIELD, UNSURE_FIELD), "name of a field")
        return
    if change["kind"] == "verdict":
        _require(all(isinstance(value, str) for value in values), "verdict")
        return
    _require(change["key"].isascii() and change["key"].isdecimal() and len(change["key"]) < 10, "key of a row")
    _require(all(isinstance(value, dict) for value in values), "row")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER


def _require(condition: bool, field: str) -> None:
    if not condition:
        raise ValueError(f"invalid {field}")

"""The verified files of a dataset folder and their sizes, stored in ``.download/complete.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.sources.soccernet.tasks import TASKS

FOLDER = ".download"
"""Folder below the dataset that holds the manifest and partial downloads."""


class Manifest:
    """The verified files of one task in a dataset folder.

    A file is listed once all its bytes have passed their checksum. Labels may be edited after that,
    so :meth:`is_complete` compares the size with the file on disk, and :meth:`downloaded` does not.
    """

    def __init__(self, root: Path, task: str) -> None:
        """Load the manifest of earlier runs; an unreadable one counts as empty.

        Args:
            root: The dataset folder.
            task: Name of the task, a key of ``TASKS``.

        Raises:
            ConfigurationError: The folder holds files of another task, which have the same names.
        """
        self.root, self._task = root, task
        self._path = root / FOLDER / "complete.json"
        self._sizes: dict[str, int] = {}
        try:
            stored: Any = json.loads(self._path.read_text(encoding="utf-8"))
            stored_task, sizes = str(stored["task"]), {str(name): int(size) for name, size in stored["files"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return  # a damaged manifest only costs verifying every file again
        if stored_task in TASKS and stored_task != task:
            raise ConfigurationError(
                f"{root} holds {stored_task}; files of {task} have the same names, so give it a folder of its own"
            )
        self._sizes = sizes

    def is_complete(self, name: str) -> bool:
        """Whether a file was verified and still has its full size."""
        size = self._sizes.get(name)
        try:
            return size is not None and (self.root / name).stat().st_size == size
        except OSError:
            return False

    def downloaded(self, name: str) -> bool:
        """Whether an earlier run downloaded the file, even if it was edited or deleted since."""
        return name in self._sizes

    def add(self, name: str, size: int) -> None:
        """Record a verified file.

        Args:
            name: Path below the dataset folder.
            size: Size in bytes.
        """
        self._sizes[name] = size
        content = {"task": self._task, "files": dict(sorted(self._sizes.items()))}
        write_atomically(self._path, json.dumps(content, indent=1, ensure_ascii=False).encode())

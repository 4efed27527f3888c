"""What a dataset folder is known to hold: files whose every byte was tested, with their sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.sources.soccernet.tasks import TASKS

FOLDER = ".download"
"""Below the dataset: the record, and what has arrived of files under way."""


class Record:
    """The tested files of one task in a dataset folder."""

    def __init__(self, root: Path, task: str) -> None:
        """Read what earlier runs wrote.

        Raises:
            ConfigurationError: the folder holds another task's files; the names of both are the same.
        """
        self.root, self._task = root, task
        self._path = root / FOLDER / "complete.json"
        self._sizes: dict[str, int] = {}
        try:
            stored: Any = json.loads(self._path.read_text(encoding="utf-8"))
            known, sizes = str(stored["task"]), {str(name): int(size) for name, size in stored["files"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return  # broken: everything is tested anew
        if known in TASKS and known != task:
            raise ConfigurationError(
                f"{root} holds {known}; files of {task} have the same names, so give it a folder of its own"
            )
        self._sizes = sizes

    def holds(self, name: str) -> bool:
        """Whether a file was tested and is still there in full length."""
        size = self._sizes.get(name)
        try:
            return size is not None and (self.root / name).stat().st_size == size
        except OSError:
            return False

    def wrote(self, name: str) -> bool:
        """Whether a file came from here, whatever became of it since."""
        return name in self._sizes

    def add(self, name: str, size: int) -> None:
        """Write down a tested file."""
        self._sizes[name] = size
        content = {"task": self._task, "files": dict(sorted(self._sizes.items()))}
        write_atomically(self._path, json.dumps(content, indent=1, ensure_ascii=False).encode())

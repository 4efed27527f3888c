"""A lock that one process holds at a time, on every operating system; the system drops it when the process dies."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from e2espot.core.errors import ConfigurationError


class ProcessLock:
    """Exclusive use of something, by a small file that is deleted with the lock.

    A process that opened the file just before it was deleted does not get the lock: filelock 4 notices that the file
    has no name any more.
    """

    def __init__(self, path: Path, refusal: str) -> None:
        """Take the lock at once, or refuse.

        Args:
            path: The lock file; its folder is created.
            refusal: What is said if another process has the lock.

        Raises:
            ConfigurationError: another process has it.
            OSError: the file cannot be created.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not thread-local: the lock may be released by another thread than took it.
        self._lock = FileLock(path, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise ConfigurationError(refusal) from None

    def release(self) -> None:
        """Let others have it."""
        with suppress(OSError):  # Windows deletes no file that is locked; it stays there
            self._path.unlink()
        self._lock.release()

    def __enter__(self) -> Self:
        """The held lock."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()

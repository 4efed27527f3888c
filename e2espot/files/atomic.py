"""Atomic writes: a file appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from e2espot.core.errors import ConfigurationError, E2ESpotError


def _default_mode() -> int:
    """Permissions of a new file under this process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


_MODE = _default_mode()
"""Permissions of new files; read at import, before there are threads that a changed umask could affect."""


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` under a temporary name in the folder of ``path``, then rename it; both reach the disk.

    ::

        out/.a.json.x3k9.part   write, fsync
        out/a.json              rename, fsync of the folder

    Args:
        path: The file.
        data: All of its content.
        durable: Wait until the disk has it. Without, a power failure may leave an empty or damaged file: for caches
            that check their entries.

    Raises:
        E2ESpotError: the folder cannot be written or the disk is full; an existing file is unchanged.
    """
    temporary = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a rename would replace a device or pipe
            raise E2ESpotError(f"{path}: is not a regular file and stays as it is; give the name of a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).chmod(_MODE)  # mkstemp makes files that only their owner can read
        Path(temporary).replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if (file_above := _file_above(path)) is not None:
            raise E2ESpotError(
                f"{path}: cannot be written, as {file_above} is a file; name a folder in its place"
            ) from None
        raise E2ESpotError(f"{path}: cannot be written ({error.strerror}); check permissions and free space") from None


def _file_above(path: Path) -> Path | None:
    """The file that a path takes for a folder; None if there is none."""
    # Path.is_file raises at a name that the system refuses, such as one that is too long.
    return next((above for above in path.parents if os.path.isfile(above)), None)  # noqa: PTH113


def check_folder(folder: Path, *, option: str | None = None) -> None:
    """Refuse a folder that cannot be made or written to, before the work whose results it gets; nothing is made.

    Args:
        folder: Where results will go; it need not exist.
        option: The option that gives it, for the error.

    Raises:
        ConfigurationError: it or a folder above it is a file, or is not writable.
    """
    nearest = next(path for path in (folder, *folder.parents, Path()) if path.exists())
    if not nearest.is_dir():
        raise ConfigurationError(f"{nearest} is a file; name a folder for the results", option=option)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"{nearest}: nothing may be written there; name another folder, or change its permissions", option=option
        )


def sweep(folder: Path, name: str = "*") -> None:
    """Remove the temporary files that killed writers of ``folder / name`` left; no process may be writing them now."""
    for temporary in folder.glob(f".{name}.*.part"):
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure, on systems that can sync folders."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""A folder of local copies with a bound on its total size, shared by any number of processes.

Every copy is guarded by an operating-system lock on the file itself: shared for readers, exclusive
for the writer. The kernel drops the locks of a process that dies, so nothing stays locked, and a
file that can be locked is in use by no process and may be deleted. A lock on the folder makes each check
and the step that follows it one operation. It is held for moments, never while a file is copied::

    process A                               process B, same video, a moment later
    folder lock: no copy; lock KEY.part
      exclusively, evict, reserve its size
    copy into KEY.part                      folder lock: no copy, KEY.part is locked; wait and try again
    folder lock: rename to KEY, make
      the lock a shared one
    read KEY                                folder lock: lock KEY as a reader
                                            read KEY

Why not fsspec's own ``filecache``: it has no bound on size, no protection of files in use, and starts
a broken transfer from the beginning.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.files.cache import cache_dir
from e2espot.sources.remote.url import open_store, redact, translate_errors

try:
    import fcntl
except ImportError:  # Windows: no lock on a file is shared by several readers there
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_LOG = logging.getLogger(__name__)
_COPY_NAME = re.compile(r"[0-9a-f]{32}(\.[0-9A-Za-z]{1,7})?(\.part)?")
"""Names of copies. Other files in the folder are not ours; they are neither counted nor deleted."""
_VERSION_FIELDS = ("size", "ETag", "Content-MD5", "Digest", "Last-Modified")
"""Fields of a store's listing that change with the file. fsspec's own key of an HTTP file is its URL alone."""
_BLOCK_BYTES = 8 << 20
_MAX_ATTEMPTS = 4
"""Consecutive attempts without a new byte before giving up. A transfer resumes where it broke off."""
_WAIT_S = 0.2
"""Seconds between two looks at a copy that is in use; doubled with each failed attempt of a transfer."""
_DEFAULT_LIMIT_BYTES = 50 * 10**9


def default_cache_dir() -> Path:
    """Folder of copies where none is given."""
    return cache_dir("videos")


@dataclass(frozen=True, kw_only=True)
class _StoredFile:
    """A file in a store, as it is now."""

    url: str
    """As the user gave it; may hold secrets."""
    store: AbstractFileSystem
    """Its fsspec file system."""
    path: str
    """Path in the store."""
    size: int
    """Bytes."""
    key: str
    """Name of its copy; a new version of the file has another key."""


@dataclass(frozen=True, kw_only=True)
class VideoCache:
    """Local copies of stored videos."""

    folder: Path
    """Any folder on a local disk; several processes may share it."""
    limit_bytes: int
    """Bound on the total size of the copies, partial ones included."""

    @contextmanager
    def local_copy(self, url: str, progress: Callable[[int, int], None] | None = None) -> Iterator[Path]:
        """Provide a complete local copy that exists for as long as the context.

        The least recently used copies are deleted to make room. While those in use leave too little, this waits.

        Args:
            url: URL of a file.
            progress: Called with (bytes copied, bytes in all); never where a copy exists.

        Raises:
            VideoError: the store has no such file, refuses, or breaks off repeatedly; or the disk is full.
            ConfigurationError: the file is larger than the limit, or its kind of store is unknown.
        """
        if fcntl is None:
            raise ConfigurationError(
                f"{redact(url)}: videos in stores need an operating system with shared file locks, which this one is "
                "not; download the video and give its path"
            )
        stored = _look_up(url)
        if stored.size > self.limit_bytes:
            raise ConfigurationError(
                f"{redact(url)} has {_gigabytes(stored.size)}, and all copies together may have "
                f"{_gigabytes(self.limit_bytes)}; raise the limit",
                option="cache_gb",
            )
        copy = self.folder / stored.key
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self._open_copy(stored, copy, progress)
        except OSError as error:
            raise VideoError(
                f"{redact(url)}: cannot be copied to {self.folder}: {error.strerror}; choose another folder or a "
                "lower limit",
                option="cache",
            ) from None
        with file:
            yield copy
            with suppress(OSError):
                _mark_as_used(copy)

    def _open_copy(self, stored: _StoredFile, copy: Path, progress: Callable[[int, int], None] | None) -> IO[bytes]:
        """Open the copy with a shared lock on it, and create it where there is none."""
        part, waited = self.folder / f"{stored.key}.part", False
        while True:
            # Under the folder's lock a copy neither appears nor disappears between the check and its own lock.
            with self._folder_lock():
                if copy.is_file():
                    file = _try_lock(copy, fcntl.LOCK_SH)
                    if file is not None:
                        _mark_as_used(copy)
                        return file
                # No copy yet: write it, unless another process has locked its partial file and does so.
                file = _try_lock(part, fcntl.LOCK_EX)
                if file is not None and not self._reserve(file, part, stored.size):
                    file.close()
                    file = None
            if file is not None:
                return self._fill(stored, file, part, copy, progress)
            if not waited:
                _LOG.info("%s: waiting for other processes that use %s", redact(stored.url), self.folder)
            waited = True
            time.sleep(_WAIT_S)

    def _fill(
        self,
        stored: _StoredFile,
        file: IO[bytes],
        part: Path,
        copy: Path,
        progress: Callable[[int, int], None] | None,
    ) -> IO[bytes]:
        """Write the reserved file, give it its final name, and keep a shared lock on it."""
        try:
            offset = 0
            for block in _blocks(stored):
                file.write(block)
                offset += len(block)
                if progress is not None:
                    progress(offset, stored.size)
            file.flush()
            # The lock belongs to the open file, so it survives the rename. Turning it from exclusive to shared is
            # not atomic: flock lets it go first. The folder's lock keeps an eviction out of that gap.
            with self._folder_lock():
                part.replace(copy)
                fcntl.flock(file, fcntl.LOCK_SH)
            return file
        except BaseException:
            # Another process could open this file now, and lock it after it was deleted: it would write a copy that
            # has no name. Processes open and lock it under the folder's lock only, so delete and close it there.
            with self._folder_lock():
                part.unlink(missing_ok=True)
                file.close()
            raise

    @contextmanager
    def _folder_lock(self) -> Iterator[None]:
        """Exclude other processes from counting, reserving and evicting."""
        with (self.folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _reserve(self, file: IO[bytes], part: Path, size: int) -> bool:
        """Evict the least recently used copies and reserve the room.

        The caller holds the folder's lock, and an exclusive lock on ``part``, which ``file`` is.

        Returns:
            False if copies that are in use leave too little room; ``part`` is then deleted.
        """
        copies = {
            path: path.stat() for path in self.folder.iterdir() if _COPY_NAME.fullmatch(path.name) and path != part
        }
        total = sum(stat.st_size for stat in copies.values())
        for path in sorted(copies, key=lambda path: copies[path].st_atime_ns):
            if total + size <= self.limit_bytes:
                break
            # A copy that cannot be locked exclusively is being read or written.
            unused = _try_lock(path, fcntl.LOCK_EX)
            if unused is not None:
                with unused:
                    path.unlink()
                total -= copies[path].st_size
        if total + size > self.limit_bytes:
            part.unlink()
            return False
        # At full size from the start, so that the next process counts it in full.
        file.truncate(size)
        return True


def default_cache() -> VideoCache:
    """Copies in the default folder, 50 GB at most."""
    return VideoCache(folder=default_cache_dir(), limit_bytes=_DEFAULT_LIMIT_BYTES)


def _look_up(url: str) -> _StoredFile:
    store, path = open_store(url)
    with translate_errors(url):
        info = store.info(path)
        version = [str(store.ukey(path)), *(str(info.get(name)) for name in _VERSION_FIELDS)]
    if info.get("type") == "directory":
        raise VideoError(f"{redact(url)}: this is a folder; name a video")
    if not isinstance(info.get("size"), int):
        raise VideoError(f"{redact(url)}: the store does not report the size of this file; download it yourself")
    # The redacted URL: a signature that is renewed does not make it another file.
    digest = hashlib.sha256("\0".join([redact(url), *version]).encode()).hexdigest()[:32]
    suffix = PurePosixPath(path.partition("?")[0]).suffix[:8]
    key = digest + (suffix if suffix[1:].isalnum() and suffix != ".part" else "")
    return _StoredFile(url=url, store=store, path=path, size=info["size"], key=key)


def _try_lock(path: Path, kind: int) -> IO[bytes] | None:
    """Open the file, or create it, and lock it; None where another lock excludes this one."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _blocks(stored: _StoredFile) -> Iterator[bytes]:
    """Yield all bytes of a stored file; after a broken connection, continue at the byte where it broke."""
    offset = failures = 0
    while offset != stored.size:
        try:
            with stored.store.open(stored.path, "rb") as source:
                source.seek(offset)
                while block := source.read(_BLOCK_BYTES):
                    # A byte of progress resets the count: a slow, unreliable line is retried for as long as it moves.
                    offset, failures = offset + len(block), 0
                    yield block
            if offset != stored.size:
                raise EOFError(f"{stored.size:,} bytes expected, {offset:,} received")
        except Exception:
            failures += 1
            if failures >= _MAX_ATTEMPTS or offset > stored.size:
                with translate_errors(stored.url):
                    raise
            time.sleep(_WAIT_S * 2**failures)


def _mark_as_used(copy: Path) -> None:
    """Record the last use as the access time; the modification time identifies the file to the index cache."""
    os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"

"""A folder of copies of stored files that never holds more than it may, however many processes use it.

Every copy is guarded by a lock of the operating system on the copy itself: shared by those who read it,
exclusive for the one who writes it. So whoever is killed holds nothing, and what nobody holds may go.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.sources.remote.url import open_store, translate_errors, redact

_LOG = logging.getLogger(__name__)
_OURS = re.compile(r"[0-9a-f]{32}(\.[0-9A-Za-z]{1,7})?(\.part)?")
"""Names of copies; a folder may hold other files, which are nobody's to remove."""
_VERSION = ("size", "ETag", "Content-MD5", "Digest", "Last-Modified")
"""What servers say of a file that changes with it; fsspec takes what comes over HTTP to stay as it is."""
_BLOCK = 8 << 20
_ATTEMPTS = 4
"""Tries of a transfer that brings nothing more; it goes on where it broke off."""
_WAIT_S = 0.2


def default_cache_dir() -> Path:
    """Where copies are kept unless somebody says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "e2espot" / "videos"


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """A file in a store as it is now."""

    url: str
    store: Any
    path: str
    size: int
    key: str
    """Name of its copy: another one when the file changes."""


@dataclass(frozen=True, kw_only=True)
class VideoCache:
    """Where copies live, and how many bytes they may take together."""

    folder: Path
    """Any folder on a local disk; several processes may share it."""
    limit_bytes: int
    """Never more than this, half-written copies included."""

    @contextmanager
    def local_copy(self, url: str, progress: Callable[[int, int], None] | None = None) -> Iterator[Path]:
        """A whole local copy that stays as long as the context does; copies used longest ago make room for it.

        Waits while others use all the room. ``progress`` is called with (bytes here, bytes in all).

        Raises:
            VideoError: the store has no such file, refuses or breaks off again and again; or the disk is full.
            ConfigurationError: larger than the whole folder may be, or a store nobody here knows.
        """
        stored = _look_up(url)
        if stored.size > self.limit_bytes:
            raise ConfigurationError(
                f"{redact(url)} has {_gigabytes(stored.size)} and copies may take {_gigabytes(self.limit_bytes)} "
                "together; raise --cache_gb"
            )
        copy = self.folder / stored.key
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self._get(stored, copy, progress)
        except OSError as error:
            raise VideoError(
                f"{redact(url)}: no copy in {self.folder}: {error.strerror}; see --cache and --cache_gb"
            ) from None
        with file:
            yield copy
            with suppress(OSError):
                _mark_as_used(copy)

    def _get(self, stored: _Stored, copy: Path, progress: Callable[[int, int], None] | None) -> IO[bytes]:
        """The open copy with a shared lock on it, made if need be."""
        part, patient = self.folder / f"{stored.key}.part", False
        while True:
            with self._accounts():
                if copy.is_file():
                    file = _locked(copy, fcntl.LOCK_SH)
                    if file is not None:
                        _mark_as_used(copy)
                        return file
                file = _locked(part, fcntl.LOCK_EX)
                if file is not None and not self._reserve(file, part, stored.size):
                    file.close()
                    file = None
            if file is not None:
                return self._fill(stored, file, part, copy, progress)
            if not patient:
                _LOG.info("%s: waits until others are done with their copies in %s", redact(stored.url), self.folder)
            patient = True
            time.sleep(_WAIT_S)

    def _fill(
        self,
        stored: _Stored,
        file: IO[bytes],
        part: Path,
        copy: Path,
        progress: Callable[[int, int], None] | None,
    ) -> IO[bytes]:
        try:
            at = 0
            for block in _blocks(stored):
                file.write(block)
                at += len(block)
                if progress is not None:
                    progress(at, stored.size)
            file.flush()
            with self._accounts():
                part.replace(copy)
                fcntl.flock(file, fcntl.LOCK_SH)
            return file
        except BaseException:
            with self._accounts():  # or somebody takes up this part between its opening and its lock
                part.unlink(missing_ok=True)
                file.close()
            raise

    @contextmanager
    def _accounts(self) -> Iterator[None]:
        """Nobody else counts, reserves or evicts meanwhile."""
        with (self.folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _reserve(self, file: IO[bytes], part: Path, size: int) -> bool:
        """Make room, oldest copies first, and claim it; False where others use too much."""
        copies = {path: path.stat() for path in self.folder.iterdir() if _OURS.fullmatch(path.name) and path != part}
        total = sum(stat.st_size for stat in copies.values())
        for path in sorted(copies, key=lambda path: copies[path].st_atime_ns):
            if total + size <= self.limit_bytes:
                break
            unused = _locked(path, fcntl.LOCK_EX)
            if unused is not None:
                with unused:
                    path.unlink()
                total -= copies[path].st_size
        if total + size > self.limit_bytes:
            part.unlink()
            return False
        file.truncate(size)
        return True


def _look_up(url: str) -> _Stored:
    store, path = open_store(url)
    with translate_errors(url):
        facts = store.info(path)
        version = [str(store.ukey(path)), *(str(facts.get(name)) for name in _VERSION)]
    if facts.get("type") == "directory":
        raise VideoError(f"{redact(url)}: this is a folder; name a video")
    if not isinstance(facts.get("size"), int):
        raise VideoError(f"{redact(url)}: the store does not say how long this file is; fetch it yourself")
    name = hashlib.sha256("\0".join([redact(url), *version]).encode()).hexdigest()[:32]
    suffix = PurePosixPath(path.partition("?")[0]).suffix[:8]
    key = name + (suffix if suffix[1:].isalnum() and suffix != ".part" else "")
    return _Stored(url=url, store=store, path=path, size=facts["size"], key=key)


def _locked(path: Path, how: int) -> IO[bytes] | None:
    """The file, made if need be, with a lock on it; None where somebody else's lock forbids it."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _blocks(stored: _Stored) -> Iterator[bytes]:
    """All bytes of a stored file; after a broken connection it goes on where it stopped."""
    at = failures = 0
    while at != stored.size:
        try:
            with stored.store.open(stored.path, "rb") as source:
                source.seek(at)
                while block := source.read(_BLOCK):
                    at, failures = at + len(block), 0
                    yield block
            if at != stored.size:
                raise EOFError(f"{stored.size:,} bytes promised, {at:,} given")
        except Exception:
            failures += 1
            if failures >= _ATTEMPTS or at > stored.size:
                with translate_errors(stored.url):
                    raise
            time.sleep(_WAIT_S * 2**failures)


def _mark_as_used(copy: Path) -> None:
    """Last use is kept as the time of access; the time of change belongs to the index of the video."""
    os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g} GB"

"""A remote file and its local part, downloaded in byte ranges, in as many runs as it takes.

The local part is a sparse file ``NAME.part``. A note ``NAME.part.json`` next to it lists which of its
byte ranges are valid and which version of the remote file they belong to. A run that was stopped or
killed continues from the note::

    remote file   |---------------------------------------------|  ETag "abc", 700 bytes
    NAME.part     |#########|            |######|         |#####|  (# is valid, the rest is a hole)
    note           "have": [[0, 120], [300, 390], [600, 700]]

The bytes are flushed to disk before the note is written. The note may lag behind the bytes but never
lists bytes that are not there.

No library covers this. ``huggingface_hub`` downloads whole files only, not the members of an archive
that are needed, does not know ownCloud, and starts a killed download again from zero (each attempt has
a temporary file of its own). fsspec's ``filecache`` copies whole files as well; its ``blockcache`` marks
blocks as cached before they arrive, stores the list only when a file is opened or closed, and sends no
``If-Range``, so that blocks of two versions of a file may mix.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2espot.core.errors import DownloadError
from e2espot.sources.soccernet.byte_ranges import ByteRange, merge, missing_ranges, subtract, total_size

if TYPE_CHECKING:
    import requests

_LOG = logging.getLogger(__name__)
MAX_VERSIONS = 4
"""How many versions of one remote file are started before giving up."""

_CHUNK_BYTES = 1 << 18
_BLOCK_BYTES = 1 << 16
"""Reads are rounded to blocks of this size, so that small reads do not become many requests."""
_SAVE_NOTE_EVERY_BYTES = 64 << 20
_MAX_READ_BYTES = 64 << 20
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file on a server and how to access it."""

    url: str
    """Address of the file."""
    name: str
    """Name used in messages."""
    token: str | None = field(default=None, repr=False)
    """Bearer token, sent to the host of ``url`` only."""
    login: tuple[bytes, bytes] | None = field(default=None, repr=False)
    """User and password in UTF-8, sent to the host of ``url`` only."""
    size: int | None = None
    """Size in bytes according to the server's listing, if it has one."""
    sha256: str | None = None
    """Hexadecimal SHA-256 of the content according to the server's listing, if it has one."""
    if_refused: str = "ask for access, or log in"
    """What to do about status 401 or 403; part of the error message."""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When to repeat a failed request and when to give up."""

    max_attempts: int = 6
    """Consecutive requests without a new byte before giving up, at least 1."""
    initial_wait_s: float = 1.0
    """Seconds before the second attempt; doubled each time, unless the server sends Retry-After."""
    read_timeout_s: float = 60.0
    """Seconds without data after which a connection counts as lost."""


class _TransientError(Exception):
    """A failure that may go away; the text describes it."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class _RemoteFileChangedError(Exception):
    """The remote file is not the version that the local part belongs to."""


class PartialFile(io.RawIOBase):
    """Reads like a local file and downloads missing bytes first.

    Raises:
        DownloadError: The server refuses access, keeps failing or sends something inconsistent, or the
            disk is full. Bytes received so far are kept.
    """

    def __init__(
        self,
        remote: RemoteFile,
        path: Path,
        session: requests.Session,
        retry_policy: RetryPolicy | None = None,
        progress: Callable[[int], object] = lambda count: None,
    ) -> None:
        """Continue from what earlier runs left at ``path``.

        Args:
            remote: The file on the server.
            path: The local part.
            session: See :func:`new_session`.
            retry_policy: When to repeat requests; the default policy without it.
            progress: Called with the number of bytes of every chunk received.
        """
        super().__init__()
        self.remote, self.path = remote, path
        self._session, self._retry_policy, self._progress = session, retry_policy or RetryPolicy(), progress
        self._note_path = path.with_name(f"{path.name}.json")
        self.num_restarts = 0
        """How often the remote file turned out to have changed and the local part was discarded."""
        self._position, self._bytes_since_note = 0, 0
        self._have: list[ByteRange] = []
        self._etag: str | None = None
        self._size: int | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._load_note()
        self._file = path.open("r+b" if path.exists() else "w+b")

    @property
    def size(self) -> int:
        """Size of the remote file in bytes; requests its first byte if it is not known yet."""
        if self._size is None:
            self.ensure(0, 1)
        assert self._size is not None
        return self._size

    def num_missing(self, start: int, stop: int) -> int:
        """Number of bytes in ``[start, stop)`` that are still to be downloaded."""
        return total_size(missing_ranges(self._have, (start, stop)))

    def ensure(self, start: int, stop: int | None = None) -> None:
        """Download what is missing in ``[start, stop)``, or from ``start`` to the end of the file.

        If the remote file has changed, the local part is discarded. Without a ``stop`` the download then
        starts again. With one it fails, because ``stop`` was computed from the old version.
        """
        while True:
            try:
                for gap in missing_ranges(self._have, (start, self.size if stop is None else stop)):
                    self._fetch(gap)
            except _RemoteFileChangedError:
                self._restart()
                if stop is None:
                    continue
                raise DownloadError(f"{self.remote.name}: it changed on the server; run this again") from None
            except OSError as error:
                raise DownloadError(_disk_message(self.path, error)) from None
            finally:
                self._save_note()
            return

    def invalidate(self, start: int, stop: int) -> None:
        """Mark ``[start, stop)`` as damaged, so that it is downloaded again when next needed."""
        self._have = subtract(self._have, (start, stop))
        self._save_note()

    def discard(self) -> None:
        """Delete the local part and its note."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._note_path.unlink(missing_ok=True)

    def move_to(self, target: Path) -> None:
        """Move the complete file to its final path."""
        self.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._note_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the local part and keep it."""
        if not self.closed:
            self._file.close()
        super().close()

    # The file interface that zipfile needs.

    def seekable(self) -> bool:
        """Always true."""
        return True

    def readable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, as for any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        position = offset + (self.size if base is None else base)
        if position < 0:
            raise ValueError("negative seek position")
        self._position = position
        return position

    def read(self, size: int = -1, /) -> bytes:
        """Read up to ``size`` bytes and download them first if needed, in blocks of 64 KiB."""
        stop = self.size if size < 0 else min(self._position + size, self.size)
        if stop - self._position > _MAX_READ_BYTES:
            # zipfile reads the whole directory at once; a damaged archive may claim one of gigabytes.
            raise DownloadError(f"{self.remote.name}: a directory of {stop - self._position} bytes; not a zip archive")
        if stop <= self._position:
            return b""
        if missing_ranges(self._have, (self._position, stop)):
            first_block, last_block = self._position // _BLOCK_BYTES, -(-stop // _BLOCK_BYTES)
            self.ensure(first_block * _BLOCK_BYTES, min(last_block * _BLOCK_BYTES, self.size))
        self._file.seek(self._position)
        data = self._file.read(stop - self._position)
        self._position += len(data)
        return data

    # The note: which bytes are valid, and of which version of the remote file.

    def _load_note(self) -> None:
        try:
            note: Any = json.loads(self._note_path.read_text(encoding="utf-8"))
            # URLs on the hub contain the commit; an archive often stays the same from one commit to the next,
            # so its SHA-256 identifies it where the listing has one.
            same = note["sha256"] == self.remote.sha256 if self.remote.sha256 else note["url"] == self.remote.url
            if same and self.path.is_file():
                length = self.path.stat().st_size
                ranges = [(int(start), min(int(stop), length)) for start, stop in note["have"]]
                if any(start < 0 for start, _ in ranges) or not isinstance(note["etag"], str | None):
                    raise ValueError("invalid note")
                self._have, self._etag, self._size = merge(ranges), note["etag"], int(note["size"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self._have, self._etag, self._size = [], None, None
        if not self._have or (self.remote.size is not None and self._size != self.remote.size):
            self._have, self._etag, self._size = [], None, None
            self.path.unlink(missing_ok=True)

    def _save_note(self) -> None:
        """Write the note, after the bytes it lists are on disk."""
        if self._size is None or self._file.closed:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            temporary = self._note_path.with_name(f"{self._note_path.name}.new")
            note = {
                "url": self.remote.url,
                "sha256": self.remote.sha256,
                "etag": self._etag,
                "size": self._size,
                "have": self._have,
            }
            temporary.write_text(json.dumps(note), encoding="utf-8")
            temporary.replace(self._note_path)
        except OSError as error:
            raise DownloadError(_disk_message(self.path, error)) from None
        self._bytes_since_note = 0

    def _restart(self) -> None:
        """Discard the bytes of an outdated version."""
        self.num_restarts += 1
        if self.num_restarts >= MAX_VERSIONS:
            raise DownloadError(f"{self.remote.name}: the file on the server keeps changing; try again later")
        self._have, self._etag, self._size = [], None, None
        self._file.truncate(0)
        self._note_path.unlink(missing_ok=True)

    # Requests.

    def _fetch(self, wanted: ByteRange) -> None:
        """Download one range, resuming where a connection broke off."""
        failures, wait_s = 0, self._retry_policy.initial_wait_s
        while gaps := missing_ranges(self._have, wanted):
            size_before = total_size(self._have)
            try:
                self._request(gaps[0])
                reason, retry_after_s = "the connection closed early", None
            except _TransientError as error:
                reason, retry_after_s = str(error), error.retry_after_s
            # A request that brought any bytes is progress; only requests in vain count as failures.
            if total_size(self._have) > size_before:
                failures, wait_s = 0, self._retry_policy.initial_wait_s
                continue
            failures += 1
            if failures >= self._retry_policy.max_attempts:
                raise DownloadError(
                    f"{self.remote.name}: {reason}, {failures} times in a row; "
                    "the bytes received so far are kept, run this again later"
                )
            pause_s = min(120.0, wait_s if retry_after_s is None else retry_after_s)
            _LOG.info("%s: %s; trying again in %.0f s", self.remote.name, reason, pause_s)
            time.sleep(pause_s)
            wait_s *= 2

    def _request(self, wanted: ByteRange) -> None:
        import requests
        import urllib3

        headers = {"Range": f"bytes={wanted[0]}-{wanted[1] - 1}", "Accept-Encoding": "identity"}
        # With If-Range a server sends the whole file (status 200) if its version is not the one named. Weak
        # ETags (W/...) are not allowed there; for them the ETag of the answer is compared instead.
        if self._etag is not None and not self._etag.startswith("W/"):
            headers["If-Range"] = self._etag
        try:
            with self._session.get(
                self.remote.url,
                headers=headers,
                auth=self._authorize,
                stream=True,
                timeout=(20, self._retry_policy.read_timeout_s),
            ) as response:
                self._receive(response, wanted)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _TransientError(_network_message(error)) from None

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Callback that adds the credentials: set this way, requests drops them on redirects to other hosts."""
        if self.remote.token is not None:
            request.headers["Authorization"] = f"Bearer {self.remote.token}"
        elif self.remote.login is not None:
            request.headers["Authorization"] = f"Basic {b64encode(b':'.join(self.remote.login)).decode()}"
        return request

    def _receive(self, response: requests.Response, wanted: ByteRange) -> None:
        """Store the body of an answer, or raise what its status means."""
        status = response.status_code
        if status == 206:
            position, stop = self._check_partial_answer(response, wanted)
        elif status == 200:
            position, stop = self._check_whole_answer(response)
        elif status in _TRANSIENT_STATUS:
            raise _TransientError(f"the server answered {status}", _whole_seconds(response.headers.get("Retry-After")))
        elif status in (401, 403):
            raise DownloadError(f"{self.remote.name}: the server refused it ({status}); {self.remote.if_refused}")
        elif status == 416 and self._have:
            raise _RemoteFileChangedError  # the file is now shorter than the range asked for
        else:
            raise DownloadError(f"{self.remote.name}: the server answered {status} for {_without_query(response.url)}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError(f"{self.remote.name}: the server sent it compressed unasked; try again later")
        while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
            if position + len(chunk) > stop:
                raise DownloadError(f"{self.remote.name}: the server sent more bytes than it announced")
            self._store(position, chunk)
            position += len(chunk)

    def _check_partial_answer(self, response: requests.Response, wanted: ByteRange) -> ByteRange:
        """Check that status 206 is about our version and the range asked for; returns the range it contains."""
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if content_range is None or int(content_range[1]) != wanted[0] or int(content_range[2]) >= wanted[1]:
            raise DownloadError(f"{self.remote.name}: the server sent other bytes than asked for; try again later")
        etag, size = response.headers.get("ETag"), int(content_range[3])
        if self._have and ((self._etag is not None and etag != self._etag) or size != self._size):
            raise _RemoteFileChangedError
        self._set_version(etag, size)
        return wanted[0], int(content_range[2]) + 1

    def _check_whole_answer(self, response: requests.Response) -> ByteRange:
        """Status 200 sends the whole file: the server ignores ranges, or the version has changed."""
        length, etag = response.headers.get("Content-Length", str(self.remote.size)), response.headers.get("ETag")
        if not length.isdecimal():
            raise DownloadError(f"{self.remote.name}: the server does not say how long the file is")
        if self._size is not None and (int(length) != self._size or etag != self._etag):
            raise _RemoteFileChangedError
        self._have = []
        self._file.truncate(0)
        self._set_version(etag, int(length))
        return 0, int(length)

    def _set_version(self, etag: str | None, size: int) -> None:
        if self.remote.size is not None and size != self.remote.size:
            raise DownloadError(
                f"{self.remote.name}: the server offers {size} bytes and its listing says {self.remote.size}; "
                "try again later"
            )
        self._etag, self._size = etag, size

    def _store(self, position: int, chunk: bytes) -> None:
        self._file.seek(position)
        self._file.write(chunk)
        self._have = merge([*self._have, (position, position + len(chunk))])
        self._progress(len(chunk))
        self._bytes_since_note += len(chunk)
        if self._bytes_since_note >= _SAVE_NOTE_EVERY_BYTES:
            self._save_note()


def new_session() -> requests.Session:
    """A session that reuses its connection and honours the environment's proxies and certificates."""
    import requests

    session = requests.Session()
    session.headers["User-Agent"] = "e2espot"
    return session


def _whole_seconds(text: str | None) -> float | None:
    """Seconds of a Retry-After header; its other form, a date, is ignored."""
    return float(text) if text is not None and text.isdecimal() else None


def _without_query(url: str) -> str:
    """A URL without its query, which may contain a signature."""
    return url.split("?")[0]


def _network_message(error: Exception) -> str:
    """What went wrong on the network, without addresses and object names."""
    import requests
    import urllib3

    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no answer"
    if isinstance(error, (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return "the server stopped sending"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not valid"
    return "the connection failed or broke off"


def _disk_message(path: Path, error: OSError) -> str:
    return (
        f"{path}: cannot be written ({error.strerror}); the bytes received so far are kept, "
        "free some space or fix the permissions and run this again"
    )

"""A file on a server and as much of it as is here already, fetched in ranges, through all that can go wrong.

What is here lies under a temporary name, with a note beside it of which bytes those are and of
which version of the file. A run that was stopped, by whatever, goes on from that note.
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
from e2espot.sources.soccernet.byte_ranges import Span, missing, num_bytes, union, without

if TYPE_CHECKING:
    import requests

_LOG = logging.getLogger(__name__)
MAX_GENERATIONS = 4
"""How many versions of one file to begin with before giving up."""

_CHUNK = 1 << 18
_BLOCK = 1 << 16
_NOTE_EVERY = 64 << 20
_LONGEST_READ = 64 << 20
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on a server."""

    url: str
    """Where."""
    name: str
    """What messages call it."""
    token: str | None = field(default=None, repr=False)
    """Sent to the host of ``url`` alone, as a bearer's."""
    login: tuple[bytes, bytes] | None = field(default=None, repr=False)
    """User and password, sent to the host of ``url`` alone; passwords are UTF-8."""
    size: int | None = None
    """Bytes, where a listing says so."""
    sha256: str | None = None
    """Of the whole content, where a listing says so."""
    if_refused: str = "ask for access, or log in"
    """What to do when the server answers 401 or 403."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to bear with a server."""

    tries: int = 6
    """Requests in a row that bring nothing before giving up."""
    wait_s: float = 1.0
    """Wait before the second try; doubled each time, unless the server names a time."""
    timeout_s: float = 60.0
    """Silence after which a connection counts as dropped."""


class _PassingError(Exception):
    """A fault that may pass; the text says which."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class _ChangedError(Exception):
    """The file is another one than the part that is here."""


class PartialFile(io.RawIOBase):
    """Reads like a local file; bytes that are not here yet are fetched first.

    Raises:
        DownloadError: the server refuses, keeps failing or lies, or the disk is full. What had arrived stays.
    """

    def __init__(
        self,
        remote: Remote,
        path: Path,
        session: requests.Session,
        patience: Patience | None = None,
        progress: Callable[[int], object] = lambda count: None,
    ) -> None:
        """Take up what an earlier run left at ``path``."""
        super().__init__()
        self.remote, self.path = remote, path
        self._session, self._patience, self._progress = session, patience or Patience(), progress
        self._note_path = path.with_name(f"{path.name}.json")
        self.generation = 0
        """Grows when what was here turned out to be of another version of the file and was thrown away."""
        self._place, self._unnoted = 0, 0
        self._have: list[Span] = []
        self._etag: str | None = None
        self._size: int | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._take_up()
        self._file = path.open("r+b" if path.exists() else "w+b")

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        if self._size is None:
            self.ensure(0, 1)
        assert self._size is not None
        return self._size

    def missing_in(self, start: int, stop: int) -> int:
        """How many bytes of ``start`` to ``stop - 1`` are still to come."""
        return num_bytes(missing(self._have, (start, stop)))

    def ensure(self, start: int, stop: int | None = None) -> None:
        """Fetch what is missing of ``start`` to ``stop - 1``, or to the end.

        Where the file on the server turns out to be another one by now, what is here is thrown away; without
        a ``stop`` all begins again at once, with one the caller must think again and gets an error.
        """
        while True:
            try:
                for span in missing(self._have, (start, self.size if stop is None else stop)):
                    self._fetch(span)
            except _ChangedError:
                self._start_again()
                if stop is None:
                    continue
                raise DownloadError(f"{self.remote.name}: it changed on the server; run this again") from None
            except OSError as error:
                raise DownloadError(_disk(self.path, error)) from None
            finally:
                self._note()
            return

    def forget(self, start: int, stop: int) -> None:
        """Fetch these bytes anew the next time: they were found damaged."""
        self._have = without(self._have, (start, stop))
        self._note()

    def discard(self) -> None:
        """Remove what is here."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._note_path.unlink(missing_ok=True)

    def keep_as(self, target: Path) -> None:
        """Give the whole file its name; it must be complete."""
        self.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._note_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the local file; what is here stays."""
        if not self.closed:
            self._file.close()
        super().close()

    # What zipfile asks of a file.

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as files do."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place}.get(whence)
        place = offset + (self.size if base is None else base)
        if place < 0:
            raise ValueError("a place before the start")
        self._place = place
        return place

    def read(self, size: int = -1, /) -> bytes:
        """Read, fetching first what is missing, in blocks of 64 KiB at least."""
        stop = self.size if size < 0 else min(self._place + size, self.size)
        if stop - self._place > _LONGEST_READ:
            raise DownloadError(f"{self.remote.name}: a directory of {stop - self._place} bytes; this is no archive")
        if stop <= self._place:
            return b""
        if missing(self._have, (self._place, stop)):
            self.ensure(self._place - self._place % _BLOCK, min(-(-stop // _BLOCK) * _BLOCK, self.size))
        self._file.seek(self._place)
        data = self._file.read(stop - self._place)
        self._place += len(data)
        return data

    # What is here, and which version of it.

    def _take_up(self) -> None:
        try:
            note: Any = json.loads(self._note_path.read_text(encoding="utf-8"))
            # An address names a version of a data set; a file outlives most of them.
            same = note["sha256"] == self.remote.sha256 if self.remote.sha256 else note["url"] == self.remote.url
            if same and self.path.is_file():
                length = self.path.stat().st_size
                spans = [(int(start), min(int(stop), length)) for start, stop in note["have"]]
                if any(start < 0 for start, _ in spans) or not isinstance(note["etag"], str | None):
                    raise ValueError("not a note of ours")
                self._have, self._etag, self._size = union(spans), note["etag"], int(note["size"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self._have, self._etag, self._size = [], None, None
        if not self._have or (self.remote.size is not None and self._size != self.remote.size):
            self._have, self._etag, self._size = [], None, None
            self.path.unlink(missing_ok=True)

    def _note(self) -> None:
        """Write down what is here, after it is on the disk."""
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
            raise DownloadError(_disk(self.path, error)) from None
        self._unnoted = 0

    def _start_again(self) -> None:
        self.generation += 1
        if self.generation >= MAX_GENERATIONS:
            raise DownloadError(f"{self.remote.name}: the file on the server keeps changing; try again later")
        self._have, self._etag, self._size = [], None, None
        self._file.truncate(0)
        self._note_path.unlink(missing_ok=True)

    # The talk with the server.

    def _fetch(self, span: Span) -> None:
        """Bring one span, going on where a connection broke off."""
        vain, wait_s = 0, self._patience.wait_s
        while missing(self._have, span):
            before = num_bytes(self._have)
            try:
                self._request(missing(self._have, span)[0])
                what, named = "the connection closed early", None
            except _PassingError as fault:
                what, named = str(fault), fault.wait_s
            if num_bytes(self._have) > before:
                vain, wait_s = 0, self._patience.wait_s
                continue
            vain += 1
            if vain >= self._patience.tries:
                raise DownloadError(
                    f"{self.remote.name}: {what}, {vain} times in a row; what has arrived is kept, run this again later"
                )
            pause_s = min(120.0, wait_s if named is None else named)
            _LOG.info("%s: %s; trying again in %.0f s", self.remote.name, what, pause_s)
            time.sleep(pause_s)
            wait_s *= 2

    def _request(self, span: Span) -> None:
        import requests
        import urllib3

        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}", "Accept-Encoding": "identity"}
        if self._etag is not None and not self._etag.startswith("W/"):
            headers["If-Range"] = self._etag
        try:
            with self._session.get(
                self.remote.url,
                headers=headers,
                auth=self._login,
                stream=True,
                timeout=(20, self._patience.timeout_s),
            ) as response:
                self._receive(response, span)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _PassingError(_plain(error)) from None

    def _login(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set what opens the file, where requests expects it set, so that redirections to other hosts lose it."""
        if self.remote.token is not None:
            request.headers["Authorization"] = f"Bearer {self.remote.token}"
        elif self.remote.login is not None:
            request.headers["Authorization"] = f"Basic {b64encode(b':'.join(self.remote.login)).decode()}"
        return request

    def _receive(self, response: requests.Response, span: Span) -> None:
        status = response.status_code
        if status == 206:
            place, stop = self._agreed(response, span)
        elif status == 200:
            place, stop = self._whole(response)
        elif status in _PASSING:
            raise _PassingError(f"the server answered {status}", _seconds(response.headers.get("Retry-After")))
        elif status in (401, 403):
            raise DownloadError(f"{self.remote.name}: the server refused it ({status}); {self.remote.if_refused}")
        elif status == 416 and self._have:
            raise _ChangedError
        else:
            raise DownloadError(f"{self.remote.name}: the server answered {status} for {_shown(response.url)}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError(f"{self.remote.name}: the server sent it compressed unasked; try again later")
        while chunk := response.raw.read(_CHUNK, decode_content=False):
            if place + len(chunk) > stop:
                raise DownloadError(f"{self.remote.name}: the server sent more bytes than it announced")
            self._store(place, chunk)
            place += len(chunk)

    def _agreed(self, response: requests.Response, span: Span) -> Span:
        """Check that a partial answer is of our file and of the bytes asked for; which bytes those are."""
        said = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if said is None or int(said[1]) != span[0] or int(said[2]) >= span[1]:
            raise DownloadError(f"{self.remote.name}: the server sent other bytes than asked for; try again later")
        etag, size = response.headers.get("ETag"), int(said[3])
        if self._have and ((self._etag is not None and etag != self._etag) or size != self._size):
            raise _ChangedError
        self._meet(etag, size)
        return span[0], int(said[2]) + 1

    def _whole(self, response: requests.Response) -> Span:
        """The server sends everything from the start: it knows no ranges, or the file is another one now."""
        length, etag = response.headers.get("Content-Length", str(self.remote.size)), response.headers.get("ETag")
        if not length.isdecimal():
            raise DownloadError(f"{self.remote.name}: the server does not say how long the file is")
        if self._size is not None and (int(length) != self._size or etag != self._etag):
            raise _ChangedError
        self._have = []
        self._file.truncate(0)
        self._meet(etag, int(length))
        return 0, int(length)

    def _meet(self, etag: str | None, size: int) -> None:
        if self.remote.size is not None and size != self.remote.size:
            raise DownloadError(
                f"{self.remote.name}: the server offers {size} bytes and its listing says {self.remote.size}; "
                "try again later"
            )
        self._etag, self._size = etag, size

    def _store(self, place: int, chunk: bytes) -> None:
        self._file.seek(place)
        self._file.write(chunk)
        self._have = union([*self._have, (place, place + len(chunk))])
        self._progress(len(chunk))
        self._unnoted += len(chunk)
        if self._unnoted >= _NOTE_EVERY:
            self._note()


def new_session() -> requests.Session:
    """A session that keeps its connection; of the environment it honours proxies and certificates."""
    import requests

    session = requests.Session()
    session.headers["User-Agent"] = "e2espot"
    return session


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None


def _shown(url: str) -> str:
    """An address without its signature."""
    return url.split("?")[0]


def _plain(error: Exception) -> str:
    """What went wrong on the wire, without addresses and object names."""
    names = {
        "ConnectTimeout": "no answer",
        "ReadTimeout": "the server fell silent",
        "SSLError": "its certificate fails",
    }
    return names.get(type(error).__name__, "the connection failed or broke off")


def _disk(path: Path, error: OSError) -> str:
    return (
        f"{path}: cannot be written ({error.strerror}); what has arrived is kept, "
        "make room or mend permissions and run this again"
    )

"""SoccerNet's two servers on the loopback interface: the hub with redirections, and ownCloud with passwords.

Both support ranges, and fail in the ways that a test asks for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with one answer."""

    status: int = 0
    """Status to answer instead; 0 for the proper one."""
    drop_after: int | None = None
    """Close the connection after this many bytes of the body."""
    ignore_range: bool = False
    """Send everything from the start."""
    length_off_by: int = 0
    """Announce this many bytes more than there are."""
    chunked: bool = False
    """Do not announce a length."""
    range_off_by: int = 0
    """Send a range that begins this many bytes later."""
    extra: bytes = b""
    """Send this after the body, without a length."""
    flip: bool = False
    """Change the first byte."""
    ignore_if_range: bool = False
    """Send the range of another version."""
    headers: dict[str, str] = field(default_factory=dict)
    """Additional headers."""


@dataclass(kw_only=True)
class FakeServer:
    """The servers' content, their faults, and the requests they received."""

    hub: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Dataset, or ``dataset@branch``, -> path -> content."""
    gated: dict[str, str] = field(default_factory=dict)
    """Dataset -> the token that opens it."""
    cloud: dict[str, bytes] = field(default_factory=dict)
    """Path -> content."""
    logins: dict[str, tuple[str, str]] = field(default_factory=dict)
    """ownCloud path -> user and password."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """End of a path -> faults of the next requests for it, in order."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, Range and Authorization of every request."""
    weak_etags: bool = False
    """Whether ETags are weak (``W/...``)."""
    if_ranges: list[str] = field(default_factory=list)
    """If-Range of every request that had one."""
    sent: int = 0
    """Number of body bytes sent."""
    port: int = 0
    """Port on the loopback interface, once started."""

    @property
    def hub_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cloud_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webdav/"

    def start(self) -> ThreadingHTTPServer:
        fake_server = self

        class Handler(_Handler):
            content = fake_server

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def fault_for(self, path: str) -> Fault:
        for suffix, faults in self.faults.items():
            if path.endswith(suffix) and faults:
                return faults.pop(0)
        return Fault()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.content.requests.append((path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        try:
            self._answer(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, path: str) -> None:
        if path.startswith("/webdav/"):
            return self._cloud(path, path.removeprefix("/webdav/"))
        if path.startswith("/cdn/"):
            _, _, dataset_1, dataset_2, branch, *parts = path.split("/")
            content = self._files(f"{dataset_1}/{dataset_2}", branch)["/".join(parts)]
            return self._send(path, content)
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            return self._listing(path, *match.groups())
        if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(path, *match.groups())
        self._plain(404)

    def _files(self, dataset: str, revision: str) -> dict[str, bytes]:
        branch = "main" if revision == COMMIT else revision.removeprefix("commit-of-")
        return self.content.hub.get(f"{dataset}@{branch}") or self.content.hub.get(dataset) or {}

    def _listing(self, path: str, dataset: str, kind: str, revision: str) -> None:
        fault = self.content.fault_for(path)
        if fault.status:
            return self._plain(fault.status, fault.headers)
        if not any(name.split("@")[0] == dataset for name in self.content.hub):
            return self._plain(401, {"X-Error-Code": "RepoNotFound"})
        branch = revision.removeprefix("commit-of-")
        sha = COMMIT if branch in ("main", COMMIT) else f"commit-of-{branch}"
        files = self._files(dataset, branch)
        answer: Any = {"id": dataset, "sha": sha, "siblings": [{"rfilename": name} for name in files]}
        if kind == "tree":
            answer = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                    "lfs": {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134},
                }
                for name, content in files.items()
            ]
        self._plain(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _resolve(self, path: str, dataset: str, revision: str, name: str) -> None:
        if (token := self.content.gated.get(dataset)) is not None:
            authorization = self.headers.get("Authorization")
            if authorization != f"Bearer {token}":
                return self._plain(403 if authorization else 401, {"X-Error-Code": "GatedRepo"})
        if name not in self._files(dataset, revision):
            return self._plain(404, {"X-Error-Code": "EntryNotFound"})
        # Another host name, as on the hub, whose files are on a CDN: tokens must not follow.
        location = f"http://localhost:{self.content.port}/cdn/{dataset}/{revision}/{name}".replace(" ", "%20")
        self._plain(302, {"Location": f"{location}?Signature=secret", "X-Linked-Size": "1"})

    def _cloud(self, path: str, name: str) -> None:
        if name not in self.content.cloud:
            return self._plain(404)
        if (login := self.content.logins.get(name)) is not None:
            expected = base64.b64encode(":".join(login).encode()).decode()
            if self.headers.get("Authorization") != f"Basic {expected}":
                return self._plain(401, {"WWW-Authenticate": "Basic"})
        self._send(path, self.content.cloud[name])

    def _send(self, path: str, content: bytes) -> None:
        fault = self.content.fault_for(path)
        if fault.status:
            return self._plain(fault.status, fault.headers)
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        start, stop, status = 0, len(content), 200
        requested = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        expected = self.headers.get("If-Range")
        self.content.if_ranges += [expected] if expected is not None else []
        same = expected in (None, etag) or fault.ignore_if_range
        if self.content.weak_etags:
            etag, same = f"W/{etag}", expected is None
        if requested and not fault.ignore_range and same:
            start, stop, status = int(requested[1]), min(int(requested[2] or stop - 1) + 1, stop), 206
            start += fault.range_off_by
            if start >= len(content):
                return self._plain(416, {"Content-Range": f"bytes */{len(content)}"})
        self._send_range(content, (start, stop), status, etag, fault)

    def _send_range(self, content: bytes, byte_range: tuple[int, int], status: int, etag: str, fault: Fault) -> None:
        body = content[slice(*byte_range)]
        if fault.flip:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(status)
        self.send_header("ETag", etag)
        if not fault.chunked and not fault.extra:
            self.send_header("Content-Length", str(len(body) + fault.length_off_by))
        if status == 206:
            total = len(content) + fault.length_off_by
            self.send_header("Content-Range", f"bytes {byte_range[0]}-{byte_range[1] - 1}/{total}")
        if fault.chunked or fault.length_off_by or fault.extra:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        body += fault.extra
        if fault.drop_after is not None:
            body, self.close_connection = body[: fault.drop_after], True
        if self.command == "GET":
            self.content.sent += len(body)  # counted before the client can see the last byte
            self.wfile.write(body)

    def _plain(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

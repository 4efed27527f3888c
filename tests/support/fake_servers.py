"""SoccerNet's two servers on loopback: the hub with its redirections, and the ownCloud with its passwords.

Both serve what is put into them, by ranges, and fail as they are told to.
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
    """How one answer goes wrong."""

    status: int = 0
    """Answer this instead."""
    drop_after: int | None = None
    """Close the connection after so many bytes of the body."""
    ignore_range: bool = False
    """Send everything from the start."""
    length_off_by: int = 0
    """Announce so many bytes more than there are."""
    chunked: bool = False
    """Do not announce a length."""
    range_off_by: int = 0
    """Send a range that begins so many bytes later."""
    extra: bytes = b""
    """Send this after the body, without a length."""
    flip: bool = False
    """Send a wrong byte."""
    ignore_if_range: bool = False
    """Send the range of another version."""
    headers: dict[str, str] = field(default_factory=dict)
    """More headers."""


@dataclass(kw_only=True)
class StandIn:
    """What the servers hold, how they fail, and what they were asked."""

    hub: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Dataset, or ``dataset@branch``, -> path -> content."""
    gated: dict[str, str] = field(default_factory=dict)
    """Dataset -> the token that opens it."""
    cloud: dict[str, bytes] = field(default_factory=dict)
    """Path -> content."""
    logins: dict[str, tuple[str, str]] = field(default_factory=dict)
    """ownCloud path -> user and password."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """End of a path -> what goes wrong with the next requests for it, one after the other."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, Range and Authorization of every request."""
    weak_etags: bool = False
    """Whether ETags promise no equal bytes."""
    if_ranges: list[str] = field(default_factory=list)
    """If-Range of every request that had one."""
    sent: int = 0
    """Bytes of bodies sent."""
    port: int = 0

    @property
    def hub_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cloud_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webdav/"

    def start(self) -> ThreadingHTTPServer:
        stand_in = self

        class Handler(_Handler):
            held = stand_in

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def fault_for(self, path: str) -> Fault:
        for end, waiting in self.faults.items():
            if path.endswith(end) and waiting:
                return waiting.pop(0)
        return Fault()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.held.requests.append((path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
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
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            return self._listing(path, *found.groups())
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(path, *found.groups())
        self._plain(404)

    def _files(self, dataset: str, revision: str) -> dict[str, bytes]:
        branch = "main" if revision == COMMIT else revision.removeprefix("commit-of-")
        return self.held.hub.get(f"{dataset}@{branch}") or self.held.hub.get(dataset) or {}

    def _listing(self, path: str, dataset: str, kind: str, revision: str) -> None:
        fault = self.held.fault_for(path)
        if fault.status:
            return self._plain(fault.status, fault.headers)
        if not any(name.split("@")[0] == dataset for name in self.held.hub):
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
        if (token := self.held.gated.get(dataset)) is not None:
            given = self.headers.get("Authorization")
            if given != f"Bearer {token}":
                return self._plain(403 if given else 401, {"X-Error-Code": "GatedRepo"})
        if name not in self._files(dataset, revision):
            return self._plain(404, {"X-Error-Code": "EntryNotFound"})
        # Another host name, as the hub's files lie elsewhere: tokens must not follow.
        place = f"http://localhost:{self.held.port}/cdn/{dataset}/{revision}/{name}".replace(" ", "%20")
        self._plain(302, {"Location": f"{place}?Signature=secret", "X-Linked-Size": "1"})

    def _cloud(self, path: str, name: str) -> None:
        if name not in self.held.cloud:
            return self._plain(404)
        if (login := self.held.logins.get(name)) is not None:
            expected = base64.b64encode(":".join(login).encode()).decode()
            if self.headers.get("Authorization") != f"Basic {expected}":
                return self._plain(401, {"WWW-Authenticate": "Basic"})
        self._send(path, self.held.cloud[name])

    def _send(self, path: str, content: bytes) -> None:
        fault = self.held.fault_for(path)
        if fault.status:
            return self._plain(fault.status, fault.headers)
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        start, stop, status = 0, len(content), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        expected = self.headers.get("If-Range")
        self.held.if_ranges += [expected] if expected is not None else []
        same = expected in (None, etag) or fault.ignore_if_range
        if self.held.weak_etags:
            etag, same = f"W/{etag}", expected is None
        if asked and not fault.ignore_range and same:
            start, stop, status = int(asked[1]), min(int(asked[2] or stop - 1) + 1, stop), 206
            start += fault.range_off_by
            if start >= len(content):
                return self._plain(416, {"Content-Range": f"bytes */{len(content)}"})
        self._send_span(content, (start, stop), status, etag, fault)

    def _send_span(self, content: bytes, span: tuple[int, int], status: int, etag: str, fault: Fault) -> None:
        body = content[slice(*span)]
        if fault.flip:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(status)
        self.send_header("ETag", etag)
        if not fault.chunked and not fault.extra:
            self.send_header("Content-Length", str(len(body) + fault.length_off_by))
        if status == 206:
            total = len(content) + fault.length_off_by
            self.send_header("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{total}")
        if fault.chunked or fault.length_off_by or fault.extra:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        body += fault.extra
        if fault.drop_after is not None:
            body, self.close_connection = body[: fault.drop_after], True
        if self.command == "GET":
            self.held.sent += len(body)  # before the reader can see the last of it
            self.wfile.write(body)

    def _plain(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

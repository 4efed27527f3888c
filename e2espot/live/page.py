"""A small page with the events of a live stream, on this machine only, in the style of the review page."""

from __future__ import annotations

import socket
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError
from e2espot.live.lines import LiveEvent

_STATIC = Path(__file__).parent / "static"
_MOST_ROWS = 200


class LivePage:
    """A sink that serves the last events and the counts of all.

    Args:
        port: Port on 127.0.0.1; 0 for a free one.

    Raises:
        ConfigurationError: the port is in use, or the server is not installed.
    """

    def __init__(self, port: int) -> None:
        try:
            import uvicorn
        except ModuleNotFoundError as error:
            raise ConfigurationError(f'the page needs {error.name}; pip install "e2espot[review]"') from None
        self._lock = threading.Lock()
        self._rows: deque[dict[str, Any]] = deque(maxlen=_MOST_ROWS)
        self._counts: Counter[str] = Counter()
        listening = _listen(port)
        self.port = int(listening.getsockname()[1])
        config = uvicorn.Config(self._application(), log_level="warning", server_header=False, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="live page", daemon=True
        )
        self._thread.start()

    def add(self, events: Sequence[LiveEvent]) -> None:
        """Show them."""
        with self._lock:
            self._counts.update(event.label for event in events)
            self._rows.extend(asdict(event) for event in events)

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(3)

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.responses import FileResponse, JSONResponse, Response
        from starlette.routing import Route

        from e2espot.review.origin_guard import OriginGuard
        from e2espot.review.server import STATIC_FOLDER

        # Looked up by name: nothing outside these can be asked for. The style is that of the review page.
        files = {
            "/": (_STATIC / "live.html", "text/html; charset=utf-8"),
            "/static/live.js": (_STATIC / "live.js", "text/javascript"),
            "/static/review.css": (STATIC_FOLDER / "review.css", "text/css"),
            "/static/mark.svg": (STATIC_FOLDER / "mark.svg", "image/svg+xml"),
        }

        async def file(request: Request) -> Response:
            path, media_type = files[request.url.path]
            return FileResponse(path, media_type=media_type, headers={"cache-control": "no-cache"})

        async def events(request: Request) -> Response:
            with self._lock:
                content = {"counts": dict(self._counts), "events": list(self._rows)}
            return JSONResponse(content, headers={"cache-control": "no-store"})

        routes = [Route(path, file) for path in files]
        return OriginGuard(Starlette(routes=[*routes, Route("/api/live", events)]), self.port)


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(16)
    except OSError as error:
        listening.close()
        raise ConfigurationError(f"port {port}: {error.strerror}; choose another", option="page") from None
    return listening

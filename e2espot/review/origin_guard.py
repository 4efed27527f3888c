"""Restricts the review server to its own pages on this machine.

Other sites open in the same browser can send requests to 127.0.0.1, under that name or under one of their
own that they resolve to it (DNS rebinding). So the Host header must be the server's own, and requests that
change something must come from a page of the server.

Starlette's TrustedHostMiddleware checks neither the port nor the Origin header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
_MAX_PATH_CHARACTERS = 1000
"""Longer paths get status 414: ``/api/videos/N`` with thousands of digits would make Python raise an exception."""


class OriginGuard:
    """ASGI middleware that refuses foreign hosts and origins and adds security headers."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """Protect an application.

        Args:
            app: The application.
            port: Port on the loopback interface that it is served on.
        """
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self._hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests of the server's own pages, and answer others with an error."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        reason, status = self._refusal(scope), 403
        if reason is None and len(scope["path"]) > _MAX_PATH_CHARACTERS:
            reason, status = "the address is too long", 414

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if reason is None:
            await self._app(scope, receive, send_with_headers)
            return
        start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]}
        await send_with_headers(start)
        await send({"type": "http.response.body", "body": reason.encode()})

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None if it is not."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        hosts = [value.decode("latin-1").lower() for value in headers.get(b"host", [])]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "this server answers to 127.0.0.1 and localhost only"
        origins = [value.decode("latin-1").lower() for value in headers.get(b"origin", [])]
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return "this request comes from a page of another site"
        # A link on another site may open the page itself: a GET whose destination is a document.
        is_navigation = scope["method"] == "GET" and headers.get(b"sec-fetch-dest") == [b"document"]
        if not is_navigation and headers.get(b"sec-fetch-site", [b"same-origin"])[0] not in (b"same-origin", b"none"):
            return "this request comes from a page of another site"
        if scope["method"] not in ("GET", "HEAD") and not origins:
            return "changes are accepted from the review page only"
        return None

"""Who may speak to the review server: pages it served itself, on this machine, and nobody else.

Other pages open in the same browser can send requests to 127.0.0.1, under that name or under one of their
own that they point there (DNS rebinding). So the Host header must be ours, and what changes something must
come from a page of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)


_LONGEST_PATH = 1000
"""Characters; Python refuses to make a number of some thousands of digits, with an error."""


class Guard:
    """ASGI middleware: refuses foreign hosts and origins, and sets the headers that keep pages apart."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """Guard ``app``, which is served on ``port`` of the loopback device."""
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self._hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is ours."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        why, status = self._refusal(scope), 403
        if why is None and len(scope["path"]) > _LONGEST_PATH:
            why, status = "no address of this server is that long", 414

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if why is None:
            await self._app(scope, receive, send_with_headers)
            return
        body = why.encode()
        start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]}
        await send_with_headers(start)
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> str | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        hosts = [value.decode("latin-1").lower() for value in headers.get(b"host", [])]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "this server answers to 127.0.0.1 and localhost only"
        origins = [value.decode("latin-1").lower() for value in headers.get(b"origin", [])]
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return "this request comes from a page of another site"
        clicked = scope["method"] == "GET" and headers.get(b"sec-fetch-dest") == [b"document"]  # a link to the page
        if not clicked and headers.get(b"sec-fetch-site", [b"same-origin"])[0] not in (b"same-origin", b"none"):
            return "this request comes from a page of another site"
        if scope["method"] not in ("GET", "HEAD") and not origins:
            return "changes are taken from the review page only"
        return None

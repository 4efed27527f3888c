"""Browser tabs that are open, and messages to all of them."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field


@dataclass(eq=False)
class TabConnection:
    """The event stream of one open tab."""

    loop: asyncio.AbstractEventLoop
    """Event loop that the stream runs in."""
    queue: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    """Messages to send, in order."""


class OpenTabs:
    """Connections by tab id. A tab that reconnects has two for a moment. All methods may be called from any thread."""

    def __init__(self) -> None:
        """No tab is open yet."""
        self._lock = threading.Lock()
        self._connections: dict[str, list[TabConnection]] = {}

    def join(self, tab: str, connection: TabConnection) -> None:
        """Add a connection; it receives messages from now on."""
        with self._lock:
            self._connections.setdefault(tab, []).append(connection)

    def leave(self, tab: str, connection: TabConnection) -> None:
        """Remove a connection."""
        with self._lock:
            self._connections[tab].remove(connection)
            if not self._connections[tab]:
                del self._connections[tab]

    def is_closed(self, tab: str) -> bool:
        """Whether a tab has no connection."""
        with self._lock:
            return tab not in self._connections

    def broadcast(self, message: str) -> None:
        """Send a message to every open tab."""
        with self._lock:
            connections = [connection for tab in self._connections.values() for connection in tab]
        for connection in connections:
            # An asyncio queue may only be used in the thread of its event loop.
            connection.loop.call_soon_threadsafe(connection.queue.put_nowait, message)

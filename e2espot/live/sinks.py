"""Where the events of a stream go: a file, standard output as lines or as a table, an address on the web."""

from __future__ import annotations

import http.client
import json
import logging
import queue
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, TextIO
from urllib.parse import urlsplit

from e2espot.core.errors import ConfigurationError
from e2espot.live.lines import LiveEvent
from e2espot.sources.remote import redact

_LOG = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes events as they become final."""

    def add(self, events: Sequence[LiveEvent]) -> None:
        """Pass on some events."""

    def close(self) -> None:
        """Nothing more will come."""


class EventFile:
    """``events.jsonl``: every event, whatever its confidence, on the disk as soon as it is final."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            ConfigurationError: there is one already.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file: TextIO = path.open("x", encoding="utf-8")
        except FileExistsError:
            raise ConfigurationError(
                f"{path}: holds the events of another stream; name another folder", option="out"
            ) from None

    def add(self, events: Sequence[LiveEvent]) -> None:
        """Append one line for each."""
        if events:
            self._file.write("".join(event.to_line() + "\n" for event in events))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Lines:
    """One JSON line for each event."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, events: Sequence[LiveEvent]) -> None:
        """Print them."""
        for event in events:
            self._file.write(event.to_line() + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing to do."""


class Table:
    """Columns for people."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._file.write(f"{'time':>11}  {'match':>11}  {'label':<24} {'team':<6} confidence  latency\n")

    def add(self, events: Sequence[LiveEvent]) -> None:
        """Print a row for each."""
        for event in events:
            latency = "" if event.latency_s is None else f"{event.latency_s:5.1f} s"
            self._file.write(
                f"{event.stream_time:>11}  {event.match_time or '':>11}  {event.label:<24} {event.team:<6} "
                f"{event.confidence:>10.3f}  {latency}\n"
            )
        self._file.flush()

    def close(self) -> None:
        """Nothing to do."""


class Webhook:
    """Posts events as JSON to an address: ``{"events": [...]}``. Retried in a thread of its own; never waits.

    Args:
        url: http or https.
        max_waiting: Events that may wait for an address that does not answer; beyond, the oldest are given up.
        give_up_s: How long events that still wait at the end are retried.

    Raises:
        ConfigurationError: ``url`` is no such address.
    """

    def __init__(self, url: str, *, max_waiting: int = 10_000, give_up_s: float = 10.0) -> None:
        if not _is_web_address(url):
            raise ConfigurationError(
                f"webhook is {redact(url)}; give an address with http:// or https://, such as "
                "http://host:8080/events, with spaces and letters such as ö escaped (%20, %C3%B6)",
                option="webhook",
            )
        self._url, self._give_up_s = url, give_up_s
        self._queue: queue.Queue[LiveEvent] = queue.Queue(max_waiting)
        self._is_closing = threading.Event()
        self._deadline = 0.0
        self.num_lost = 0
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def add(self, events: Sequence[LiveEvent]) -> None:
        """Queue them."""
        for event in events:
            while True:
                try:
                    self._queue.put_nowait(event)
                    break
                except queue.Full:
                    self._lose(1)
                    try:
                        self._queue.get_nowait()
                    except queue.Empty:
                        continue

    def close(self) -> None:
        """Send what waits, for a limited time."""
        self._deadline = time.monotonic() + self._give_up_s
        self._is_closing.set()
        self._thread.join(self._give_up_s + 6)

    def _lose(self, count: int) -> None:
        if not self.num_lost:
            _LOG.warning(
                "webhook %s does not answer; the oldest events are not sent (they are in events.jsonl)",
                redact(self._url),
            )
        self.num_lost += count

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            if not batch:
                return
            wait_s, has_failed = 0.5, False
            while not self._send(batch):
                if not has_failed:
                    has_failed = True
                    _LOG.warning("webhook %s does not answer; trying again", redact(self._url))
                if self._is_closing.is_set() and time.monotonic() + wait_s > self._deadline:
                    self._lose(len(batch) + self._queue.qsize())
                    return
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, 10.0)

    def _next_batch(self) -> list[LiveEvent]:
        batch: list[LiveEvent] = []
        while not batch:
            # Asked before the queue is: events may be added, and the hook closed, just after a look at an empty queue.
            is_closing = self._is_closing.is_set()
            try:
                batch.append(self._queue.get(timeout=0.1))
            except queue.Empty:
                if is_closing:
                    return []
        while len(batch) < 100 and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    def _send(self, batch: list[LiveEvent]) -> bool:
        body = json.dumps({"events": [asdict(event) for event in batch]}).encode()
        request = urllib.request.Request(self._url, body, {"content-type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except (OSError, http.client.HTTPException, ValueError):  # an answer that is not HTTP is no OSError
            return False


def _is_web_address(url: str) -> bool:
    """Whether a request to ``url`` can be made at all."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0  # which raises where the port is no number
    except ValueError:
        return False
    is_sendable = url.isprintable() and " " not in url and (parts.path + parts.query).isascii()
    return has_host and parts.scheme in ("http", "https") and is_sendable

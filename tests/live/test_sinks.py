"""Events reach the page and the webhook, whatever these do, and never wait for them."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.live.lines import LiveEvent
from e2espot.live.page import LivePage
from e2espot.live.sinks import Webhook


def event(number: int) -> LiveEvent:
    return LiveEvent(label="PASS", confidence=0.5, position_ms=40 * number, stream_time="0:00:00.000")


class Receiver(http.server.BaseHTTPRequestHandler):
    failures = 0
    received: list[int] = []  # noqa: RUF012
    may_answer = threading.Event()

    def do_POST(self) -> None:
        Receiver.may_answer.wait()
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if Receiver.failures:
            Receiver.failures -= 1
            self.send_error(503)
            return
        Receiver.received += [row["position_ms"] // 40 for row in body["events"]]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_webhook_retries_in_order_and_never_blocks() -> None:
    """The receiver answers only after all have been added."""
    Receiver.failures, Receiver.received = 1, []
    Receiver.may_answer.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/events")
        for number in range(250):
            hook.add([event(number)])
        Receiver.may_answer.set()
        hook.close()
        server.shutdown()
    assert Receiver.received == list(range(250))


def test_webhook_without_an_answer_holds_a_bounded_number_and_gives_up() -> None:
    hook = Webhook("http://127.0.0.1:9/", max_waiting=10, give_up_s=0.3)
    for number in range(100):
        hook.add([event(number)])
    hook.close()
    assert hook.num_lost >= 90
    with pytest.raises(ConfigurationError, match="http"):
        Webhook("ftp://host/x")


def test_page_shows_the_last_events_and_all_counts() -> None:
    page = LivePage(0)
    try:
        page.add([event(number) for number in range(300)])
        address = f"http://127.0.0.1:{page.port}"
        content = json.loads(urllib.request.urlopen(f"{address}/api/live", timeout=60).read())
        assert content["counts"] == {"PASS": 300} and len(content["events"]) == 200
        assert content["events"][-1]["position_ms"] == 40 * 299
        for path in ("/", "/static/live.js", "/static/review.css"):
            assert urllib.request.urlopen(address + path, timeout=60).status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(f"{address}/api/live", headers={"host": "evil"}), timeout=60)
        with pytest.raises(ConfigurationError, match="in use"):
            LivePage(page.port)
    finally:
        page.close()

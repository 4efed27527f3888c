"""Events reach the page and the webhook, whatever these do, and never wait for them."""

from __future__ import annotations

import http.client
import http.server
import json
import queue
import socket
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


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "http:///x", "http://host/a b", "http://host/a\n", "http://host:port/x", "http://host/tör"]
)
def test_webhook_refuses_an_address_to_which_no_request_can_be_made(url: str) -> None:
    with pytest.raises(ConfigurationError, match="give an address with http:// or https://"):
        Webhook(url)


@pytest.mark.parametrize("url", ["http://müller.example/events", "HTTPS://user:word@[::1]:8080/a%20b?key=1"])
def test_webhook_takes_any_address_to_which_a_request_can_be_made(url: str) -> None:
    Webhook(url).close()


def test_webhook_retries_after_an_answer_that_is_not_http() -> None:
    """The first connection gets a line of another protocol, the second one a proper answer."""
    answers = [b"220 mail.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]
    bodies: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as request:
                    headers = http.client.parse_headers(request) if request.readline() else {}
                    bodies.append(request.read(int(headers["content-length"])))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        hook = Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/")
        hook.add([event(7)])
        hook.close()
        thread.join(60)
    assert len(bodies) == 2 and bodies[0] == bodies[1] and hook.num_lost == 0


def test_webhook_sends_events_that_are_added_just_before_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread sees an empty queue; before it goes on, the last event is added and the hook is closed."""
    is_added = threading.Event()

    class LateQueue(queue.Queue[LiveEvent]):
        def get(self, block: bool = True, timeout: float | None = None) -> LiveEvent:
            try:
                return super().get(block, timeout)
            except queue.Empty:
                if not is_added.is_set():
                    self.put(event(1))
                    is_added.set()
                    hook._is_closing.wait(60)
                raise

    monkeypatch.setattr("e2espot.live.sinks.queue.Queue", LateQueue)
    Receiver.failures, Receiver.received = 0, []
    Receiver.may_answer.set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/events")
        is_added.wait(60)
        hook.close()
        server.shutdown()
    assert Receiver.received == [1]


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

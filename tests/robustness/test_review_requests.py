"""No request to the review server causes a traceback, or labels that cannot be read."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.budget import print_figure, sized
from tests.support.fuzz_targets_text import alter_field
from tests.support.numbered_video import constant, write
from tests.support.strategies import ANY_VALUE, FIELD_EDITS

pytest.importorskip("starlette", reason="the review page is not installed; pip install 'e2espot[review]'")

from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.soccernet import read_labels, write_labels, write_predictions
from e2espot.review.inputs import load_inputs
from e2espot.review.origin_guard import OriginGuard
from e2espot.review.server import application
from e2espot.review.session import Review

PORT = 4321
NUM_FRAMES = 60
_THREAD = ThreadPoolExecutor(1)
KINDS = ("add", "accept", "reject", "confirm", "open", "change", "remove", "move", "annotate", "undo", "redo")
PATHS = (
    "/",
    "/static/app.js",
    "/api/session",
    *(f"/api/videos/0{part}" for part in ("", "/file/0", "/times", "/grid", "/scores")),
    "/api/games/0/labels",
    "/api/games/0/osl?threshold=0.5",
    "/api/queue/uncertain",
    "/api/changes/t",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A game with a video, two labels and two predictions."""
    root = tmp_path / "data"
    (root / "game").mkdir(parents=True)
    write(root / "game" / "224p", constant(Fraction(25), NUM_FRAMES))
    labels = [Event(frame=20, label="PASS"), Event(frame=30, label="DRIVE")]
    write_labels(root / "game" / "Labels-ball.json", url_local="", events=labels, fps=DEFAULT_FPS)
    predictions = [Event(frame=40, label="PASS", confidence=0.8), Event(frame=44, label="DRIVE", confidence=0.3)]
    write_predictions(root / "p" / "game" / "results_spotting.json", url_local="", events=predictions, fps=DEFAULT_FPS)
    return root


@contextlib.contextmanager
def reviewing(folder: Path) -> Iterator[Review]:
    inputs = load_inputs(folder / "game", predictions=[folder / "p"], out=folder / "out")
    with contextlib.closing(Review(inputs, folder / "cache")) as review:
        yield review


def ask(app: OriginGuard, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Status and body of the answer; an exception that leaves the application is raised here."""
    path, _, query = target.partition("?")
    all_headers = {"host": f"127.0.0.1:{PORT}", "origin": f"http://127.0.0.1:{PORT}", **headers}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": quote(path, errors="replace").encode(),
        "query_string": quote(query, safe="=&%", errors="replace").encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in all_headers.items()],
    }
    messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Any) -> None:
        sent.append(message)

    async def answer() -> None:
        await asyncio.wait_for(app(scope, receive, send), 300)

    # In another thread, because the browser of other tests has an event loop in this one.
    _THREAD.submit(lambda: asyncio.run(answer())).result()
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@st.composite
def changes(draw: st.DrawFn) -> tuple[bytes, bool]:
    """(body of a change request, whether it is a valid one with one field altered)."""
    frame, label = draw(st.sampled_from([0, 20, 30, 40, 44, 59])), draw(st.sampled_from(["PASS", "DRIVE"]))
    request = {
        "kind": draw(st.sampled_from(KINDS)),
        "tab": draw(st.sampled_from(["t", "u"])),
        "op": f"op {draw(st.integers(0, 10**9))}",
        "seen": 10**6,
        "id": draw(st.integers(0, 4)),
        "half": 1,
        "frame": frame,
        "label": label,
        "of_frame": frame,
        "of_label": label,
        "to_frame": draw(st.sampled_from([0, 30, 59])),
        "complete": draw(st.booleans()),
        "shift": draw(st.sampled_from(["0", "0.04", "-0.04"])),
        "rate": "1",
    }
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return json.dumps(request).encode(), False
    if kind < 5:
        return json.dumps(
            alter_field(request, draw(st.integers(0, 13)), draw(ANY_VALUE), draw(FIELD_EDITS))
        ).encode(), True
    body = bytearray(json.dumps(request).encode())
    at = draw(st.integers(0, len(body) - 1))
    body[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return bytes(body), False


def attacks(many: int) -> settings:
    return settings(
        max_examples=many,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def test_any_change_request_is_applied_or_refused(folder: Path) -> None:
    counts = Counter[str]()

    @attacks(sized(150, 6000))
    @given(changes())
    def attack(change: tuple[bytes, bool]) -> None:
        body, one_altered = change
        status, answer_body = ask(app, "POST", "/api/games/0/change", body)
        assert status in (200, 400, 404, 409, 413), (status, answer_body)
        answer = json.loads(answer_body)
        assert status == 200 or (answer["error"].strip() and "\n" not in answer["error"]), answer_body
        counts.update([f"{status}", *(["one field altered"] if one_altered else [])])

    with reviewing(folder) as review:
        app = application(review, PORT)
        attack()
        snapshot = review.store(0).snapshot()
    print_figure(f"changes asked of the review server: {dict(counts)}")
    assert counts["200"] > 10
    labels = folder / "out" / "game" / "Labels-ball.json"
    for event in read_labels(labels, LABEL_SETS["ball-2"], fps=Fraction(25), num_frames={1: NUM_FRAMES}).events:
        assert 0 <= event.frame < NUM_FRAMES
    with reviewing(folder) as review:
        assert review.store(0).snapshot() == snapshot
    assert {path.name for path in folder.iterdir()} <= {"game", "p", "out", "cache"}


def test_any_address_is_answered_or_refused(folder: Path) -> None:
    counts = Counter[int]()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    @attacks(sized(150, 3000))
    @given(st.sampled_from(PATHS), st.integers(0, 9), ANY_VALUE, st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT"]))
    def attack(path: str, index: int, new: Any, method: str) -> None:
        path, _, query = path.partition("?")
        parts = path.split("/")
        parts[index % len(parts)] = str(new)
        status, answer_body = ask(app, method, f"{path}?threshold={new}" if query and index % 3 else "/".join(parts))
        assert status < 500, (path, new, method, status, answer_body)
        counts[status] += 1

    with reviewing(folder) as review:
        app = application(review, PORT)
        attack()
    print_figure(f"addresses asked of the review server: {dict(counts)}")
    assert counts[200] and counts[404]
    assert before.items() <= {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}.items()

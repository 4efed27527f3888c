"""The server gives its own page what it was started with, and nobody else anything."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.events import Event
from e2espot.core.timeline import DEFAULT_FPS, position_ms_of_frame
from e2espot.formats.soccernet import write_labels, write_predictions
from tests.support.numbered_video import constant, recopied, write
from tests.support.review_process import ROOT, Server

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def game(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("server")
    (root / "game").mkdir()
    (root / "secret.txt").write_text("secret")
    write(root / "game" / "224p", constant(Fraction(25), 60))
    labels = [Event(frame=20, label="PASS"), Event(frame=30, label="DRIVE", half=2)]
    write_labels(root / "game" / "Labels-ball.json", url_local="", events=labels, fps=DEFAULT_FPS)
    found = [Event(frame=40, label="PASS", confidence=0.8), Event(frame=44, label="DRIVE", confidence=0.3)]
    write_predictions(root / "p" / "game" / "results_spotting.json", url_local="", events=found, fps=DEFAULT_FPS)
    return root


@pytest.fixture(scope="module")
def server(game: Path):
    with Server(game / "game", "-p", game / "p", "-o", game / "out") as started:
        yield started


def ask(server: Server, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    told = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return told


def change(server: Server, game: int = 0, **asked: object) -> Answer:
    body = {"tab": "t", "op": json.dumps(asked), "seen": 10**6, **asked}
    return ask(
        server, f"/api/games/{game}/change", "POST", json.dumps(body).encode(), Origin=f"http://127.0.0.1:{server.port}"
    )


def test_only_this_machine_can_connect(server: Server) -> None:
    for address in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
        if not address.startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection((address, server.port), timeout=1).close()


@pytest.mark.parametrize("path", ["/", "/api/session", "/api/videos/0/file", "/static/app.js", "/api/changes/x"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_foreign_hosts_are_refused(server: Server, path: str, host: str) -> None:
    status, headers, body = ask(server, path, Host=host.format(port=server.port))
    assert status == 403
    assert b"127.0.0.1 and localhost only" in body
    assert "default-src 'none'" in headers["content-security-policy"]


def test_localhost_is_this_machine(server: Server) -> None:
    assert ask(server, "/api/session", Host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", None]
)
def test_changes_come_from_the_page_only(server: Server, game: Path, origin: str | None) -> None:
    body = json.dumps({"kind": "add", "tab": "t", "op": "o", "seen": 9, "frame": 3, "label": "PASS"}).encode()
    headers = {} if origin is None else {"Origin": origin.format(port=server.port)}
    assert ask(server, "/api/games/0/change", "POST", body, **headers)[0] == 403
    assert ask(server, "/api/session", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")[0] == 200  # a link somewhere
    assert not (game / "out").exists() or not (game / "out" / "game" / "Labels-ball.json").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/server.py",
        "/static/%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/../../etc/passwd",
        "/secret.txt",
        "/static/..%5c..%5csecret.txt",
        "/api/videos/1/file",
        "/api/videos/-1/file",
        "/api/videos/0/../../secret.txt",
        "/api/games/7/labels",
        "/api/videos/9",
        "/static/",
        "/static/app.js%00",
    ],
)
def test_a_path_outside_is_refused(server: Server, path: str) -> None:
    status, _, body = ask(server, path)
    assert status == 404
    assert b"secret" not in body
    assert b"root:" not in body


def test_ranges_of_the_video(server: Server, game: Path) -> None:
    whole = (game / "game" / "224p.mp4").read_bytes()
    status, headers, body = ask(server, "/api/videos/0/file")
    assert (status, body, headers["content-type"], headers["accept-ranges"]) == (200, whole, "video/mp4", "bytes")
    status, headers, body = ask(server, "/api/videos/0/file", Range="bytes=100-299")
    assert (status, body, headers["content-range"]) == (206, whole[100:300], f"bytes 100-299/{len(whole)}")
    assert ask(server, "/api/videos/0/file", Range="bytes=-50")[2] == whole[-50:]
    assert ask(server, "/api/videos/0/file", Range=f"bytes={len(whole)}-")[0] == 416
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"kind":"rm -rf","tab":"t","op":"o"}', 400),
        (b'{"kind":"add","tab":"t","op":"o","frame":"3"}', 400),
        (b'{"kind":"add","tab":"t","op":"o","frame":3,"label":"PASS","path":"/etc/passwd"}', 400),
        (b'{"kind":"add","tab":"t","op":"o","frame":3,"label":"<b>"}', 400),
        (b'{"kind":"add","tab":"t","op":"o","frame":60,"label":"PASS"}', 400),
        (b'{"kind":"add","tab":"t","op":"o","frame":-1,"label":"PASS"}', 400),
        (b'{"kind":"add","tab":"t","op":"o","frame":1,"half":2,"label":"PASS"}', 400),
        (b'{"kind":"remove","tab":"t","op":"o","id":99}', 409),
        (b'{"kind":"confirm","tab":"t","op":"o","id":99}', 409),
        (b'{"kind":"undo","tab":"t","op":"o"}', 409),
        (b" " * 100_000, 413),
    ],
)
def test_nonsense_is_refused(server: Server, game: Path, body: bytes, status: int) -> None:
    told = ask(server, "/api/games/0/change", "POST", body, Origin=f"http://127.0.0.1:{server.port}")
    assert told[0] == status
    assert json.loads(told[2])["error"]
    assert not (game / "out" / "game" / "Labels-ball.json").exists()


def test_decisions_are_on_the_disk_and_exported(server: Server, game: Path) -> None:
    before = (game / "game" / "Labels-ball.json").read_bytes()
    status, _, body = change(server, kind="accept", frame=41, label="PASS", of_frame=40, of_label="PASS")
    assert status == 200
    assert json.loads(body)["changes"][1]["after"]["frame"] == 41
    rows = json.loads((game / "out" / "game" / "Labels-ball.json").read_text())["annotations"]
    assert [row["position"] for row in rows] == [str(position_ms_of_frame(k)) for k in (20, 41, 30)]
    assert (game / "game" / "Labels-ball.json").read_bytes() == before
    osl = json.loads(ask(server, "/api/games/0/osl?threshold=0.2")[2])
    assert osl["labels"] == {"action": {"type": "single_label", "labels": ["PASS", "DRIVE"]}}
    assert osl["data"][0]["events"] == [
        {"head": "action", "label": "PASS", "position_ms": 820},
        {"head": "action", "label": "PASS", "position_ms": 1660},
        {"head": "action", "label": "DRIVE", "position_ms": 1780, "confidence_score": 0.3},
    ]


def review(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "review.py"), *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_one_clear_line(game: Path, tmp_path: Path, server: Server) -> None:
    strange = write(tmp_path / "old", constant(Fraction(25), 20, codec="mpeg4"))
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "broken").mkdir()
    write(tmp_path / "broken" / "224p", constant(Fraction(25), 20))
    (tmp_path / "broken" / "Labels-ball.json").write_text("{")
    cases = {
        (strange,): "browsers do not play mpeg4; convert it to H.264 with tools/transcode.py",
        (tmp_path / "none.mp4",): "no such video or folder",
        (tmp_path / "text.mp4",): "not a video",
        (tmp_path / "broken",): "Labels-ball.json: not JSON",
        (game / "game", "-p", tmp_path): "no results_spotting.json in it",
        (game / "game", "--port", "99999"): "from 0 to 65535",
        (game / "game", "--port", server.port): f"--port {server.port}: Address already in use",
        (game / "game", "--queue", "uncertain"): "give some with -p",
        (game / "game", "-p", game / "p", "-o", game / "out"): "open in another review",
    }
    for arguments, message in cases.items():
        refused = review(*arguments)
        assert refused.returncode == 2, arguments
        last = refused.stderr.strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert message in last
        assert "Traceback" not in refused.stderr
    assert not list(tmp_path.glob("**/*.jsonl"))


def test_missing_parts_are_named(game: Path, tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('No module named starlette', name='starlette')")
    told = (game / "game", "-o", tmp_path / "o")
    refused = review(*told, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    assert refused.returncode == 2
    assert refused.stderr.strip() == "error: the review page needs starlette; pip install -e '.[review]'"


def test_exports_without_a_page(game: Path, tmp_path: Path) -> None:
    told = (
        "-p",
        game / "p",
        "-p",
        game / "p",
        game / "game",
        "-o",
        tmp_path / "o",
        "--export_osl",
        tmp_path / "x.json",
    )
    done = review(*told, "--export_dataset", tmp_path / "d", "--assume", "0.5")
    assert done.returncode == 0, done.stderr
    events = json.loads((tmp_path / "x.json").read_text())["data"][0]["events"]
    assert [event["position_ms"] for event in events] == [820]
    rows = json.loads((tmp_path / "d" / "game" / "Labels-ball.json").read_text())["annotations"]
    assert [(row["label"], row["position"]) for row in rows] == [("PASS", "820"), ("PASS", "1620"), ("DRIVE", "1220")]
    assert (tmp_path / "d" / "game" / "224p.mp4").samefile(game / "game" / "224p.mp4")
    assert not (tmp_path / "o").exists() or not list((tmp_path / "o").glob("**/*.json*"))


def test_matroska_is_copied_not_encoded_again(tmp_path: Path) -> None:
    from e2espot.review.browser_video import playable
    from e2espot.video import index_of

    whole = write(tmp_path / "a", constant(Fraction(50), 60))
    source = recopied(whole, tmp_path / "224p.mkv")
    ready = playable(source, tmp_path / "cache")
    assert ready.path.parent == tmp_path / "cache"
    assert index_of(ready.path).num_packets == 60
    before, after = (sum(1 for _ in path.read_bytes()) for path in (source, ready.path))
    assert abs(before - after) < 4000  # the same packets in another box
    stamp = ready.path.stat().st_mtime_ns
    assert playable(source, tmp_path / "cache").path.stat().st_mtime_ns == stamp  # once is enough
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".mp4"]
    assert playable(whole, tmp_path / "cache").path == whole


def test_sound_comes_along_and_stays_in_step(tmp_path: Path) -> None:
    import av

    from e2espot.review.browser_video import playable

    source = tmp_path / "sound.mkv"
    with av.open(str(source), "w") as written:
        pictures, sound = written.add_stream("libx264", rate=25), written.add_stream("aac", rate=48_000)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        for k in range(50):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * k, np.uint8), "rgb24")
            picture.pts, picture.time_base = 50 + k, Fraction(1, 25)  # two seconds late, with its sound
            written.mux(pictures.encode(picture))
        for k in range(90):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 96_000 + 1024 * k, Fraction(1, 48_000)
            written.mux(sound.encode(frame))
        written.mux(pictures.encode(None))
        written.mux(sound.encode(None))
    ready = playable(source, tmp_path / "cache")
    with av.open(str(ready.path)) as copied:
        assert [stream.type for stream in copied.streams] == ["video", "audio"]
        first = {stream.type: float(next(copied.demux(stream)).pts * stream.time_base) for stream in copied.streams}
    assert first["video"] == 0
    assert abs(first["audio"]) < 0.05
    assert ready.times_P[:3].tolist() == pytest.approx([0, 0.04, 0.08])

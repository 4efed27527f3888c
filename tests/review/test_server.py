"""The server answers its own page only, with what it was started with."""

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
from tests.support.numbered_video import constant, remux, write
from tests.support.review_process import Server
from tests.support.tools import tool

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def game(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("server")
    (root / "game").mkdir()
    (root / "secret.txt").write_text("secret")
    write(root / "game" / "224p", constant(Fraction(25), 60))
    labels = [Event(frame=20, label="PASS"), Event(frame=30, label="DRIVE", half=2)]
    write_labels(root / "game" / "Labels-ball.json", url_local="", events=labels, fps=DEFAULT_FPS)
    predictions = [Event(frame=40, label="PASS", confidence=0.8), Event(frame=44, label="DRIVE", confidence=0.3)]
    write_predictions(root / "p" / "game" / "results_spotting.json", url_local="", events=predictions, fps=DEFAULT_FPS)
    return root


@pytest.fixture(scope="module")
def server(game: Path):
    with Server(game / "game", "-p", game / "p", "-o", game / "out") as started:
        yield started


def ask(server: Server, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return answer


def change(server: Server, game: int = 0, **fields: object) -> Answer:
    body = {"tab": "t", "op": json.dumps(fields), "seen": 10**6, **fields}
    return ask(
        server, f"/api/games/{game}/change", "POST", json.dumps(body).encode(), Origin=f"http://127.0.0.1:{server.port}"
    )


def test_server_listens_on_the_loopback_interface_only(server: Server) -> None:
    for address in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
        if not address.startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection((address, server.port), timeout=1).close()


@pytest.mark.parametrize("path", ["/", "/api/session", "/api/videos/0/file/0", "/static/app.js", "/api/changes/x"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_foreign_host_is_refused(server: Server, path: str, host: str) -> None:
    status, headers, body = ask(server, path, Host=host.format(port=server.port))
    assert status == 403
    assert b"127.0.0.1 and localhost only" in body
    assert "default-src 'none'" in headers["content-security-policy"]


def test_host_localhost_is_accepted(server: Server) -> None:
    assert ask(server, "/api/session", Host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", None]
)
def test_change_from_another_origin_is_refused(server: Server, game: Path, origin: str | None) -> None:
    body = json.dumps({"kind": "add", "tab": "t", "op": "o", "seen": 9, "frame": 3, "label": "PASS"}).encode()
    headers = {} if origin is None else {"Origin": origin.format(port=server.port)}
    assert ask(server, "/api/games/0/change", "POST", body, **headers)[0] == 403
    assert ask(server, "/api/session", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document")[0] == 200  # a link on another site
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
        "/api/videos/1/file/0",
        "/api/videos/-1/file/0",
        "/api/videos/0/file/1",
        "/api/videos/0/../../secret.txt",
        "/api/games/7/labels",
        "/api/videos/9",
        "/static/",
        "/static/app.js%00",
    ],
)
def test_path_outside_the_static_files_is_not_found(server: Server, path: str) -> None:
    status, _, body = ask(server, path)
    assert status == 404
    assert b"secret" not in body
    assert b"root:" not in body


def test_video_is_served_by_ranges(server: Server, game: Path) -> None:
    whole = (game / "game" / "224p.mp4").read_bytes()
    status, headers, body = ask(server, "/api/videos/0/file/0")
    assert (status, body, headers["content-type"], headers["accept-ranges"]) == (200, whole, "video/mp4", "bytes")
    status, headers, body = ask(server, "/api/videos/0/file/0", Range="bytes=100-299")
    assert (status, body, headers["content-range"]) == (206, whole[100:300], f"bytes 100-299/{len(whole)}")
    assert ask(server, "/api/videos/0/file/0", Range="bytes=-50")[2] == whole[-50:]
    assert ask(server, "/api/videos/0/file/0", Range=f"bytes={len(whole)}-")[0] == 416
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
def test_invalid_change_is_refused(server: Server, game: Path, body: bytes, status: int) -> None:
    answer = ask(server, "/api/games/0/change", "POST", body, Origin=f"http://127.0.0.1:{server.port}")
    assert answer[0] == status
    assert json.loads(answer[2])["error"]
    assert not (game / "out" / "game" / "Labels-ball.json").exists()


def test_decision_is_on_disk_when_answered_and_is_exported(server: Server, game: Path) -> None:
    before = (game / "game" / "Labels-ball.json").read_bytes()
    status, _, body = change(server, kind="accept", frame=41, label="PASS", of_frame=40, of_label="PASS")
    assert status == 200
    assert json.loads(body)["changes"][1]["after"]["frame"] == 41
    rows = json.loads((game / "out" / "game" / "Labels-ball.json").read_text())["annotations"]
    assert [row["position"] for row in rows] == [str(position_ms_of_frame(k)) for k in (20, 41, 30)]
    assert (game / "game" / "Labels-ball.json").read_bytes() == before
    osl = json.loads(ask(server, "/api/games/0/osl?threshold=0.2")[2])
    assert osl["labels"] == {"action": {"type": "single_label", "labels": ["PASS", "DRIVE"]}}
    assert [sample["metadata"]["half"] for sample in osl["data"]] == [1, 2]
    exported = [
        (event["label"], event["position_ms"], event.get("confidence_score"))
        for sample in osl["data"]
        for event in sample["events"]
    ]
    assert exported == [("PASS", 820, None), ("PASS", 1660, None), ("DRIVE", 1780, 0.3), ("DRIVE", 1220, None)]


def review(*arguments: object) -> subprocess.CompletedProcess[str]:
    return tool("review", *arguments)


def test_errors_of_the_command_are_one_line(game: Path, tmp_path: Path, server: Server) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "broken").mkdir()
    write(tmp_path / "broken" / "224p", constant(Fraction(25), 20))
    (tmp_path / "broken" / "Labels-ball.json").write_text("{")
    cases = {
        (tmp_path / "none.mp4",): "no such video or folder",
        (tmp_path / "text.mp4",): "not a video",
        (tmp_path / "broken",): "Labels-ball.json: not JSON",
        (game / "game", "-p", tmp_path): "no results_spotting.json in it",
        (game / "game", "--port", "99999"): "from 0 to 65535",
        (game / "game", "--port", server.port): f"--port {server.port}: Address already in use",
        (game / "game", "--queue", "uncertain"): "name them with -p",
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


def test_missing_dependency_is_named(game: Path, tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('No module named starlette', name='starlette')")
    command = [sys.executable, "-m", "e2espot", "review", game / "game", "-o", tmp_path / "o"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert refused.returncode == 2
    assert refused.stderr.strip() == 'error: the review page needs starlette; pip install "e2espot[review]"'


def test_export_osl_and_export_dataset(game: Path, tmp_path: Path) -> None:
    options = (
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
    done = review(*options, "--export_dataset", tmp_path / "d", "--assume", "0.5")
    assert done.returncode == 0, done.stderr
    samples = json.loads((tmp_path / "x.json").read_text())["data"]
    assert [event["position_ms"] for sample in samples for event in sample["events"]] == [820, 1220]
    assert "2 labels of 1 game ->" in done.stdout
    assert "not exported: 1 x path of a video unknown" in done.stdout  # half 2 has a label but no video
    rows = json.loads((tmp_path / "d" / "game" / "Labels-ball.json").read_text())["annotations"]
    assert [(row["label"], row["position"]) for row in rows] == [("PASS", "820"), ("PASS", "1620"), ("DRIVE", "1220")]
    assert (tmp_path / "d" / "game" / "224p.mp4").samefile(game / "game" / "224p.mp4")
    assert not (tmp_path / "o").exists() or not list((tmp_path / "o").glob("**/*.json*"))


def test_matroska_is_remuxed_without_encoding(tmp_path: Path) -> None:
    from e2espot.review.browser_video import prepare_browser_video
    from e2espot.video import index_of

    whole = write(tmp_path / "a", constant(Fraction(50), 60))
    source = remux(whole, tmp_path / "224p.mkv")
    ready = prepare_browser_video(source, tmp_path / "cache")
    assert ready.files[0].path.parent == tmp_path / "cache"
    assert index_of(ready.files[0].path).num_packets == 60
    before, after = (sum(1 for _ in path.read_bytes()) for path in (source, ready.files[0].path))
    assert abs(before - after) < 4000  # the same packets in another container
    stamp = ready.files[0].path.stat().st_mtime_ns
    assert (
        prepare_browser_video(source, tmp_path / "cache").files[0].path.stat().st_mtime_ns == stamp
    )  # the copy is reused
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".mp4"]
    assert prepare_browser_video(whole, tmp_path / "cache").files[0].path == whole


def test_audio_is_copied_in_sync(tmp_path: Path) -> None:
    import av

    from e2espot.review.browser_video import prepare_browser_video

    source = tmp_path / "audio.mkv"
    with av.open(str(source), "w") as written:
        pictures, audio = written.add_stream("libx264", rate=25), written.add_stream("aac", rate=48_000)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        for k in range(50):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * k, np.uint8), "rgb24")
            picture.pts, picture.time_base = 50 + k, Fraction(1, 25)  # two seconds late, with its audio
            written.mux(pictures.encode(picture))
        for k in range(90):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 96_000 + 1024 * k, Fraction(1, 48_000)
            written.mux(audio.encode(frame))
        written.mux(pictures.encode(None))
        written.mux(audio.encode(None))
    ready = prepare_browser_video(source, tmp_path / "cache")
    with av.open(str(ready.files[0].path)) as copied:
        assert [stream.type for stream in copied.streams] == ["video", "audio"]
        first = {stream.type: float(next(copied.demux(stream)).pts * stream.time_base) for stream in copied.streams}
    assert first["video"] == 0
    assert abs(first["audio"]) < 0.05
    assert ready.times_P[:3].tolist() == pytest.approx([0, 0.04, 0.08])

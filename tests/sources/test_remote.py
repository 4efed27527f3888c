"""Videos in object stores: whole copies of bounded total size, whatever breaks; datasets known by their names."""

import functools
import io
import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from e2espot.core.errors import ConfigurationError, E2ESpotError, VideoError
from e2espot.sources.remote import VideoCache, find_remote_games, is_url, result_name
from e2espot.sources.remote.url import redact, scrub

KB = 1000


class Flaky(MemoryFileSystem):
    """A store whose connections break after some bytes, and which counts the bytes it sent."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    bytes_a_connection = 10**9
    broken = False
    sent = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("flaky://")))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        return _Breaking(file.getvalue()) if mode == "rb" else file


class _Breaking(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if Flaky.broken or (self.tell() and self.tell() >= self._first + Flaky.bytes_a_connection):
            raise ConnectionResetError("reset by peer")
        most = min(size or 0, Flaky.bytes_a_connection) if size and size > 0 else Flaky.bytes_a_connection
        block = super().read(most)
        Flaky.sent += len(block)
        return block

    _first = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._first = super().seek(offset, whence)
        return self._first


fsspec.register_implementation("flaky", Flaky, clobber=True)


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    monkeypatch.setattr("e2espot.sources.remote.cache._WAIT_S", 0.001)
    Flaky.store.clear()
    Flaky.bytes_a_connection, Flaky.broken, Flaky.sent = 10**9, False, 0
    yield fsspec.filesystem("flaky")


def put(store: Flaky, name: str, content: bytes) -> str:
    store.pipe_file(f"/{name}", content)
    return f"flaky://{name}"


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_local_copy_equals_file_and_is_fetched_once(store: Flaky, tmp_path: Path) -> None:
    copies, content = VideoCache(folder=tmp_path, limit_bytes=10 * KB), bytes(range(250)) * 8
    url = put(store, "a/match.mp4", content)
    for _ in range(3):
        with copies.local_copy(url) as path:
            assert path.read_bytes() == content
            assert path.suffix == ".mp4"
    assert Flaky.sent == len(content)
    put(store, "a/match.mp4", content[::-1])
    with copies.local_copy(url) as path:
        assert path.read_bytes() == content[::-1], "another file of the same name"


def test_local_copy_of_changed_http_file_is_fetched_again(tmp_path: Path) -> None:
    """fsspec assumes that the files of HTTP servers do not change."""
    pytest.importorskip("aiohttp", reason='HTTP is not installed; pip install "e2espot[stores]"')
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(QuietHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/match.mp4"
        copies = VideoCache(folder=tmp_path / "copies", limit_bytes=10 * KB)
        for content in (b"a" * 1000, b"b" * 2000):
            (served / "match.mp4").write_bytes(content)
            with copies.local_copy(url) as path:
                assert path.read_bytes() == content
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


SIGNATURE = "key=AKIA%2F20240101%2Fs3&sig=a%2Bb%3D"


class SigningHandler(QuietHandler):
    """Serves a request whose address is, to the byte, the one that was signed; and one redirect to it."""

    def do_GET(self) -> None:
        if self.path == f"/videos%2Fmatch.mp4?{SIGNATURE}":
            self.path = "/match.mp4"
            super().do_GET()
        elif self.path == "/latest.mp4":
            self.send_response(302)
            self.send_header("Location", f"/videos%2Fmatch.mp4?{SIGNATURE}")
            self.end_headers()
        else:
            self.send_error(403)

    do_HEAD = do_GET


@pytest.fixture
def signing_server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "match.mp4").write_bytes(b"a video")
    handler = functools.partial(SigningHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("address", [f"videos%2Fmatch.mp4?{SIGNATURE}", "latest.mp4"])
def test_local_copy_requests_a_signed_url_as_it_is(address: str, signing_server: str, tmp_path: Path) -> None:
    copies = VideoCache(folder=tmp_path / "copies", limit_bytes=10 * KB)
    with copies.local_copy(f"{signing_server}/{address}") as path:
        assert path.read_bytes() == b"a video"


def test_refused_signature_is_named_without_the_secret(
    signing_server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{signing_server.replace('//', '//me:password@')}/match.mp4?key=AKIA%2Fold&sig=secret"
    copies = VideoCache(folder=tmp_path / "copies", limit_bytes=10 * KB)
    with (
        pytest.raises(VideoError, match=r"match.mp4: the server denies access \(HTTP 403\)") as caught,
        copies.local_copy(url),
    ):
        pass
    for secret in ("AKIA", "sig=", "secret", "password"):
        assert secret not in str(caught.value) + caplog.text


@pytest.mark.parametrize(
    "quoted",
    [
        "https://me:password@host/a.mp4?key=A%2FB&sig=secret",
        "https://host/a.mp4?key=A/B&sig=secret",
        "GET /a.mp4?key=A/B&sig=secret",
        "GET /a.mp4?key=A%2FB&sig=secret as me:password",
    ],
)
def test_scrub_removes_the_secrets_of_a_url_however_they_are_quoted(quoted: str) -> None:
    text = scrub(f"403, message='Forbidden', url='{quoted}'", "https://me:password@host/a.mp4?key=A%2FB&sig=secret")
    assert text.startswith("403, message='Forbidden', url='")
    assert "/a.mp4" in text
    assert not any(secret in text for secret in ("secret", "A/B", "A%2FB", "password"))


def test_local_copy_resumes_broken_connection_where_it_broke(store: Flaky, tmp_path: Path) -> None:
    content = bytes(range(250)) * 100
    Flaky.bytes_a_connection = 1000
    with VideoCache(folder=tmp_path, limit_bytes=50 * KB).local_copy(put(store, "m.mp4", content)) as path:
        assert path.read_bytes() == content
    assert Flaky.sent == len(content), "no byte was fetched twice"


def test_local_copy_of_failing_store_raises_and_leaves_no_file(store: Flaky, tmp_path: Path) -> None:
    url = put(store, "m.mp4", b"x" * 100)
    Flaky.broken = True
    with (
        pytest.raises(VideoError, match=r"flaky://m.mp4: cannot be read .*reset by peer"),
        VideoCache(folder=tmp_path, limit_bytes=KB).local_copy(url),
    ):
        pass
    assert size_of(tmp_path) == 0


@settings(max_examples=60, deadline=None)
@given(order=st.lists(st.integers(0, 5), max_size=20))
def test_cache_keeps_its_limit_and_evicts_least_recently_used(
    order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, store = tmp_path_factory.mktemp("copies"), fsspec.filesystem("flaky")
    (folder / "holiday.mp4").write_bytes(b"text")
    copies = VideoCache(folder=folder, limit_bytes=3 * KB)
    urls = [put(store, f"{number}.mp4", bytes([number]) * KB) for number in range(6)]
    used: list[int] = []
    for number in order:
        before = Flaky.sent
        with copies.local_copy(urls[number]) as path:
            assert path.read_bytes() == bytes([number]) * KB
            assert size_of(folder) <= 3 * KB + 4
        assert (Flaky.sent == before) == (number in used[-3:]), "the three last used have copies"
        used = [other for other in used if other != number] + [number]
    assert (folder / "holiday.mp4").read_bytes() == b"text"


def test_cache_keeps_copy_in_use_while_others_wait(store: Flaky, tmp_path: Path) -> None:
    copies = VideoCache(folder=tmp_path, limit_bytes=KB)
    first, second = put(store, "1.mp4", b"1" * KB), put(store, "2.mp4", b"2" * KB)
    seen: list[bytes] = []

    def other() -> None:
        with copies.local_copy(second) as path:
            seen.append(path.read_bytes())

    with copies.local_copy(first) as path:
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.3)
        assert not seen
        assert path.read_bytes() == b"1" * KB
    thread.join(timeout=200)
    assert seen == [b"2" * KB]
    assert not path.exists()


def _copy_in_turn(root: str, folder: str, number: int, answers: Any) -> None:
    copies = VideoCache(folder=Path(folder), limit_bytes=2 * KB)
    for turn in range(10):
        name = (number + turn) % 5
        with copies.local_copy(f"file://{root}/{name}.mp4") as path:
            # Without the folder's lock a copy could be listed here, and evicted before its size is read.
            with copies._folder_lock():
                size = size_of(Path(folder))
            answers.put((name, path.read_bytes() == bytes([name]) * KB, size <= 2 * KB))


def test_cache_is_shared_by_processes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.mp4").write_bytes(bytes([number]) * KB)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    folder = str(tmp_path / "copies")
    workers = [
        context.Process(target=_copy_in_turn, args=(str(tmp_path / "in"), folder, number, queue)) for number in range(3)
    ]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=60) for _ in range(30)]
    for worker in workers:
        worker.join(timeout=200)
    assert all(right and bounded for _, right, bounded in answers)


def test_cache_evicts_partial_file_of_killed_process(store: Flaky, tmp_path: Path) -> None:
    (tmp_path / ("0" * 32 + ".mp4.part")).write_bytes(b"half" * 200)
    with VideoCache(folder=tmp_path, limit_bytes=KB).local_copy(put(store, "1.mp4", b"1" * KB)) as path:
        assert [other.name for other in tmp_path.iterdir() if other.name != "lock"] == [path.name]


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("flaky://none.mp4", VideoError, "no such file"),
        ("flaky://a.MP4+b.MP4", VideoError, "in several files is read from a local disk only"),
        ("flaky://folder", VideoError, "a folder"),
        ("flaky://large.mp4", ConfigurationError, "raise the limit"),
        ("nonsense://x.mp4", ConfigurationError, "nonsense"),
        ("s3://bucket/x.mp4", E2ESpotError, "s3"),
        ("zip://m.mp4::/no/such.zip", E2ESpotError, "such"),
        ("ftp://127.0.0.1:1/x.mp4", E2ESpotError, "ftp"),
        ("reference://x/a.mp4", E2ESpotError, "reference"),
        ("dir://x/a.mp4", E2ESpotError, "dir"),
    ],
)
def test_local_copy_errors_are_one_line(
    url: str, error: type[E2ESpotError], message: str, store: Flaky, tmp_path: Path
) -> None:
    put(store, "large.mp4", b"x" * 2 * KB)
    put(store, "folder/x.mp4", b"x")
    with pytest.raises(error, match=message) as caught, VideoCache(folder=tmp_path, limit_bytes=KB).local_copy(url):
        pass
    assert "\n" not in str(caught.value)


def test_redact_removes_secrets() -> None:
    assert redact("https://me:secret@host/a/m.mp4?signature=secret") == "https://host/a/m.mp4"
    assert result_name("https://me:secret@host/a/m%20n.mp4?signature=a/b.c") == "m n"
    assert is_url("s3://bucket/x") and not is_url("C:\\x") and not is_url("match.mp4") and not is_url("a/b://")


@pytest.mark.parametrize(
    "url", ["s3://", "s3://bucket", "s3://bucket/", "https://host/?x=y.mp4", "s3://b/..", "s3://b/a%00"]
)
def test_result_name_refuses_url_without_file(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no file name"):
        result_name(url)


def test_find_remote_games_uses_names_of_files(store: Flaky) -> None:
    for game, files in {
        "l/a": ["224p.mp4", "Labels-ball.json"],
        "l/b": ["1_224p.mkv", "2_224p.mkv"],
        "l/c": ["x.txt"],
    }.items():
        for file in files:
            put(store, f"data/{game}/{file}", b"x")
    games = find_remote_games("flaky://data", split=None, resolution="224p")
    assert games is not None
    assert [(game.name, [(video.half, video.url) for video in game.videos]) for game in games] == [
        ("l/a", [(1, "flaky://data/l/a/224p.mp4")]),
        ("l/b", [(1, "flaky://data/l/b/1_224p.mkv"), (2, "flaky://data/l/b/2_224p.mkv")]),
    ]
    for part in (1, 2):
        put(store, f"parts/l/d/224p_part{part}.mp4", b"x")
    with pytest.raises(E2ESpotError, match="read from local folders only"):
        find_remote_games("flaky://parts", split=None, resolution="224p")
    assert find_remote_games("flaky://data/l/a/224p.mp4", split=None, resolution="224p") is None
    put(store, "data/splits.json", json.dumps({"test": ["l/b"], "train": ["l/c"], "valid": ["../x"]}).encode())
    games = find_remote_games("flaky://data/", split="test", resolution="224p")
    assert games is not None and [game.name for game in games] == ["l/b"]
    for split, message in (("train", "no 224p.mp4"), ("valid", "below this folder"), ("other", "no split")):
        with pytest.raises(E2ESpotError, match=message):
            find_remote_games("flaky://data", split=split, resolution="224p")


def remote_videos(url: str, split: str | None = None) -> dict[str, list[tuple[int, str | None]]]:
    games = find_remote_games(url, split=split, resolution="224p")
    assert games is not None
    return {game.name: [(video.half, video.url) for video in game.videos] for game in games}


def test_stored_videos_of_any_name_are_games(store: Flaky) -> None:
    for name in ("own/train/a.MOV", "own/valid/b_1.mp4", "own/valid/b_2.mp4", "own/valid/b.json", "own/notes.txt"):
        put(store, name, b"x")
    a = {"train/a": [(1, "flaky://own/train/a.MOV")]}
    b = {"valid/b": [(1, "flaky://own/valid/b_1.mp4"), (2, "flaky://own/valid/b_2.mp4")]}
    assert remote_videos("flaky://own/") == {**a, **b}
    assert remote_videos("flaky://own", "val") == b
    with pytest.raises(E2ESpotError, match=r"no split 'test'; it has train, valid"):
        remote_videos("flaky://own", "test")
    put(store, "own/splits.json", json.dumps({"test": ["train/a"]}).encode())
    assert remote_videos("flaky://own", "test") == a
    put(store, "own/train/a.mp4", b"x")
    with pytest.raises(E2ESpotError, match=r"both have results named 'train/a'"):
        remote_videos("flaky://own")


@pytest.mark.parametrize("name", ["dataset.csv", "mine.csv"])
def test_stored_list_names_videos_halves_and_splits(store: Flaky, name: str) -> None:
    for video in ("x/a.mp4", "x/b_1.mp4", "x/b_2.mp4"):
        put(store, f"listed/{video}", b"x")
    rows = "video,labels,split,game,half\nx/a.mp4,a.json,train,,\n./x/b_1.mp4,,val,b,1\nx/b_2.mp4,,,b,2\n"
    put(store, f"listed/{name}", f"{rows}https://host/c.mp4,,test,c,\n".encode())
    url = "flaky://listed" if name == "dataset.csv" else f"flaky://listed/{name}"
    assert remote_videos(url) == {
        "x/a": [(1, "flaky://listed/x/a.mp4")],
        "b": [(1, "flaky://listed/x/b_1.mp4"), (2, "flaky://listed/x/b_2.mp4")],
        "c": [(1, "https://host/c.mp4")],
    }
    assert list(remote_videos(url, "valid")) == ["b"]
    put(store, f"listed/{name}", b"video,split\nx/z.mp4,train\n")
    with pytest.raises(E2ESpotError, match=r"line 2: no video x/z.mp4"):
        remote_videos(url)
    put(store, f"listed/{name}", b"video\nx/a.mp4+b.mp4\n")
    with pytest.raises(
        E2ESpotError, match=r"no video x/a.mp4\+b.mp4; a match in several files is read from a local disk"
    ):
        remote_videos(url)
    put(store, f"listed/{name}", b"nothing\n")
    with pytest.raises(E2ESpotError, match="lists no video"):
        remote_videos(url)

"""Whatever a server does wrong, the result is the complete file or a one-line error."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from e2espot.core.errors import DownloadError
from e2espot.sources.soccernet.partial_file import PartialFile, RemoteFile, RetryPolicy, new_session
from tests.support.fake_servers import FakeServer, Fault

SIZE = 700_000
QUICK = RetryPolicy(max_attempts=3, initial_wait_s=0.0, read_timeout_s=60.0)
CONTENT = random.Random(0).randbytes(SIZE)


@pytest.fixture
def cloud(servers: FakeServer) -> FakeServer:
    servers.cloud["train.zip"] = CONTENT
    return servers


def opened(cloud: FakeServer, path: Path, **more: object) -> PartialFile:
    remote = RemoteFile(url=f"{cloud.cloud_url}train.zip", name="train.zip", **more)  # type: ignore[arg-type]
    return PartialFile(remote, path / "train.zip.part", new_session(), QUICK)


def fetched(cloud: FakeServer, path: Path, **more: object) -> bytes:
    with opened(cloud, path, **more) as partial:
        partial.ensure(0)
        partial.seek(0)
        return partial.read()


TRANSIENT = {
    "errors before it works": [Fault(status=500), Fault(status=503), Fault()],
    "asked to wait": [Fault(status=429, headers={"Retry-After": "0"})],
    "dropped three times": [Fault(), Fault(drop_after=200_000), Fault(drop_after=1), Fault(drop_after=300_000)],
    "ranges ignored": [Fault(ignore_range=True)],
    "ranges ignored when going on": [Fault(), Fault(drop_after=300_000), Fault(ignore_range=True)],
    "ranges ignored and dropped": [Fault(ignore_range=True, drop_after=400_000), Fault()],
}


@pytest.mark.parametrize("faults", TRANSIENT.values(), ids=TRANSIENT)
def test_transient_faults_are_retried(cloud: FakeServer, tmp_path: Path, faults: list[Fault]) -> None:
    cloud.faults["train.zip"] = list(faults)
    assert fetched(cloud, tmp_path) == CONTENT
    assert not cloud.faults["train.zip"]


PERMANENT = {
    "401": ([Fault(status=401)], r"refused it \(401\); ask for access"),
    "403": ([Fault(status=403)], r"refused it \(403\)"),
    "404": ([Fault(status=404)], "answered 404"),
    "always 503": ([Fault(status=503)] * 9, "answered 503, 3 times in a row; the bytes received so far are kept"),
    "always dropped": ([Fault(drop_after=0)] * 9, "closed early|broke off"),
    "longer than it is": ([Fault(length_off_by=1000)] * 99, "keeps changing"),
    "another range": ([Fault(range_off_by=1)], "other bytes than asked for"),
    "more than announced": ([Fault(), Fault(extra=b"!" * 10)], "more bytes than it announced"),
    "no length": ([Fault(ignore_range=True, chunked=True)], "does not say how long"),
}


@pytest.mark.parametrize(("faults", "line"), PERMANENT.values(), ids=PERMANENT)
def test_permanent_faults_give_one_line_and_a_later_run_succeeds(
    cloud: FakeServer, tmp_path: Path, faults: list[Fault], line: str
) -> None:
    cloud.faults["train.zip"] = list(faults)
    with pytest.raises(DownloadError, match=line) as caught:
        fetched(cloud, tmp_path)
    assert "\n" not in str(caught.value)
    assert "train.zip" in str(caught.value)
    cloud.faults.clear()
    assert fetched(cloud, tmp_path) == CONTENT


def test_size_that_differs_from_the_listing_is_refused(cloud: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"offers {SIZE} bytes and its listing says {SIZE + 1}"):
        fetched(cloud, tmp_path, size=SIZE + 1)


def test_refused_connection_is_reported(tmp_path: Path) -> None:
    remote = RemoteFile(url="http://127.0.0.1:9/train.zip", name="train.zip")
    with (
        pytest.raises(DownloadError, match="connection failed"),
        PartialFile(remote, tmp_path / "part", new_session(), QUICK) as partial,
    ):
        partial.ensure(0)


def test_second_run_downloads_only_missing_bytes(cloud: FakeServer, tmp_path: Path) -> None:
    cloud.faults["train.zip"] = [Fault(), Fault(drop_after=500_000), *[Fault(status=503)] * 3]
    with pytest.raises(DownloadError):
        fetched(cloud, tmp_path)
    before = cloud.sent
    assert fetched(cloud, tmp_path) == CONTENT
    assert cloud.sent - before == SIZE - 1 - 500_000


def test_complete_part_is_not_downloaded_again(cloud: FakeServer, tmp_path: Path) -> None:
    fetched(cloud, tmp_path)
    num_requests = len(cloud.requests)
    assert fetched(cloud, tmp_path) == CONTENT
    assert len(cloud.requests) == num_requests


@pytest.mark.parametrize("new", [random.Random(1).randbytes(SIZE), CONTENT[: SIZE // 3]], ids=["other", "shorter"])
def test_file_that_changed_between_two_runs_is_downloaded_again(cloud: FakeServer, tmp_path: Path, new: bytes) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, SIZE // 2)
    cloud.cloud["train.zip"] = new
    with opened(cloud, tmp_path) as partial:
        assert partial.size == SIZE  # the new size is not known yet
        partial.ensure(0)
        assert partial.num_restarts == 1
        partial.seek(0)
        assert partial.read() == new


def test_range_of_another_version_is_detected_by_its_etag(cloud: FakeServer, tmp_path: Path) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, SIZE // 2)
    cloud.cloud["train.zip"] = new = random.Random(1).randbytes(SIZE)
    cloud.faults["train.zip"] = [Fault(ignore_if_range=True)]
    assert fetched(cloud, tmp_path) == new


def test_resumed_requests_send_if_range(cloud: FakeServer, tmp_path: Path) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, 1000)
    fetched(cloud, tmp_path)
    assert len(set(cloud.if_ranges)) == 1


def test_weak_etag_does_not_prevent_resuming(cloud: FakeServer, tmp_path: Path) -> None:
    cloud.weak_etags = True
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, 400_000)
    before = cloud.sent
    assert fetched(cloud, tmp_path) == CONTENT
    assert cloud.sent - before == SIZE - 400_000


def test_pauses_double_unless_the_server_sends_retry_after(
    cloud: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("e2espot.sources.soccernet.partial_file.time.sleep", pauses.append)
    cloud.faults["train.zip"] = [
        Fault(status=503),
        Fault(status=503),
        Fault(status=429, headers={"Retry-After": "7"}),
        Fault(status=503),
    ]
    remote = RemoteFile(url=f"{cloud.cloud_url}train.zip", name="train.zip")
    with PartialFile(
        remote, tmp_path / "part", new_session(), RetryPolicy(max_attempts=9, initial_wait_s=2.0)
    ) as partial:
        partial.ensure(0)
    assert pauses == [2.0, 4.0, 7.0, 16.0]


def test_read_downloads_only_the_blocks_it_needs(cloud: FakeServer, tmp_path: Path) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.seek(-1000, os.SEEK_END)
        assert partial.read() == CONTENT[-1000:]
        assert partial.read() == b""
        partial.seek(300_000)
        assert partial.read(10) == CONTENT[300_000:300_010]
    assert cloud.sent < 200_000


def test_invalidated_bytes_are_downloaded_again(cloud: FakeServer, tmp_path: Path) -> None:
    fetched(cloud, tmp_path)
    with opened(cloud, tmp_path) as partial:
        partial.invalidate(1000, 2000)
        assert partial.num_missing(0, SIZE) == 1000
        partial.ensure(0)
    assert cloud.requests[-1][1] == "bytes=1000-1999"


@pytest.mark.parametrize("note", ["", "[]", '{"url": 1}', '{"have": [[0, 5]]}', "\x00"])
def test_invalid_note_is_ignored(cloud: FakeServer, tmp_path: Path, note: str) -> None:
    fetched(cloud, tmp_path)
    (tmp_path / "train.zip.part.json").write_text(note)
    assert fetched(cloud, tmp_path) == CONTENT


def test_note_that_lists_more_than_the_part_holds_is_clipped(cloud: FakeServer, tmp_path: Path) -> None:
    fetched(cloud, tmp_path)
    with (tmp_path / "train.zip.part").open("r+b") as file:
        file.truncate(1234)
    assert fetched(cloud, tmp_path) == CONTENT


def test_token_is_not_sent_to_another_host_on_redirect(servers: FakeServer, tmp_path: Path) -> None:
    servers.hub["SoccerNet/X"] = {"train.zip": CONTENT}
    servers.gated["SoccerNet/X"] = "hf_token"
    url = f"{servers.hub_url}/datasets/SoccerNet/X/resolve/main/train.zip"
    remote = RemoteFile(url=url, name="train.zip", token="hf_token")
    with PartialFile(remote, tmp_path / "part", new_session(), QUICK) as partial:
        partial.ensure(0)
    for path, _, authorization in servers.requests:
        assert bool(authorization) == path.startswith("/datasets/")


def test_killed_download_is_resumed(cloud: FakeServer, tmp_path: Path) -> None:
    """The note may lag behind the bytes but never lists bytes that are not there."""
    script = f"""
import os, signal
from pathlib import Path
import e2espot.sources.soccernet.partial_file as partial_file
partial_file._SAVE_NOTE_EVERY_BYTES = 100_000
remote = partial_file.RemoteFile(url={cloud.cloud_url + "train.zip"!r}, name="train.zip")
count = 0
def progress(n):
    global count
    count += n
    if count > 500_000:
        os.kill(os.getpid(), signal.SIGKILL)
path = Path({str(tmp_path / "train.zip.part")!r})
partial = partial_file.PartialFile(remote, path, partial_file.new_session(), progress=progress)
partial.ensure(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert json.loads((tmp_path / "train.zip.part.json").read_text())["have"]
    before = cloud.sent
    assert fetched(cloud, tmp_path) == CONTENT
    assert cloud.sent - before < SIZE - 200_000


def test_full_disk_gives_one_line_and_keeps_received_bytes(cloud: FakeServer, tmp_path: Path) -> None:
    """A limit on the file size breaks a write half way, as a full disk does."""
    script = f"""
import resource
from pathlib import Path
from e2espot.cli.errors import run_command
from e2espot.sources.soccernet.partial_file import PartialFile, RemoteFile, new_session
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
remote = RemoteFile(url={cloud.cloud_url + "train.zip"!r}, name="train.zip")
partial = PartialFile(remote, Path({str(tmp_path / "train.zip.part")!r}), new_session())
run_command(lambda: partial.ensure(0))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cannot be written" in done.stderr
    assert fetched(cloud, tmp_path) == CONTENT

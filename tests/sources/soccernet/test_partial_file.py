"""A server may fail in every way it likes: what arrives is the file, or one clear line."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from e2espot.core.errors import DownloadError
from e2espot.sources.soccernet.partial_file import PartialFile, Patience, Remote, new_session
from tests.support.fake_servers import Fault, StandIn

SIZE = 700_000
QUICK = Patience(tries=3, wait_s=0.0, timeout_s=5.0)
CONTENT = random.Random(0).randbytes(SIZE)


@pytest.fixture
def cloud(servers: StandIn) -> StandIn:
    servers.cloud["train.zip"] = CONTENT
    return servers


def opened(cloud: StandIn, path: Path, **more: object) -> PartialFile:
    remote = Remote(url=f"{cloud.cloud_url}train.zip", name="train.zip", **more)  # type: ignore[arg-type]
    return PartialFile(remote, path / "train.zip.part", new_session(), QUICK)


def fetched(cloud: StandIn, path: Path, **more: object) -> bytes:
    with opened(cloud, path, **more) as partial:
        partial.ensure(0)
        partial.seek(0)
        return partial.read()


PASSING = {
    "errors before it works": [Fault(status=500), Fault(status=503), Fault()],
    "asked to wait": [Fault(status=429, headers={"Retry-After": "0"})],
    "dropped three times": [Fault(), Fault(drop_after=200_000), Fault(drop_after=1), Fault(drop_after=300_000)],
    "ranges ignored": [Fault(ignore_range=True)],
    "ranges ignored when going on": [Fault(), Fault(drop_after=300_000), Fault(ignore_range=True)],
    "ranges ignored and dropped": [Fault(ignore_range=True, drop_after=400_000), Fault()],
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_what_passes_is_borne(cloud: StandIn, tmp_path: Path, faults: list[Fault]) -> None:
    cloud.faults["train.zip"] = list(faults)
    assert fetched(cloud, tmp_path) == CONTENT
    assert not cloud.faults["train.zip"]


REFUSED = {
    "401": ([Fault(status=401)], r"refused it \(401\); ask for access"),
    "403": ([Fault(status=403)], r"refused it \(403\)"),
    "404": ([Fault(status=404)], "answered 404"),
    "always 503": ([Fault(status=503)] * 9, "answered 503, 3 times in a row; what has arrived is kept"),
    "always dropped": ([Fault(drop_after=0)] * 9, "closed early|broke off"),
    "longer than it is": ([Fault(length_off_by=1000)] * 99, "keeps changing"),
    "another range": ([Fault(range_off_by=1)], "other bytes than asked for"),
    "more than announced": ([Fault(), Fault(extra=b"!" * 10)], "more bytes than it announced"),
    "no length": ([Fault(ignore_range=True, chunked=True)], "does not say how long"),
}


@pytest.mark.parametrize(("faults", "line"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_pass_is_one_line(cloud: StandIn, tmp_path: Path, faults: list[Fault], line: str) -> None:
    cloud.faults["train.zip"] = list(faults)
    with pytest.raises(DownloadError, match=line) as caught:
        fetched(cloud, tmp_path)
    assert "\n" not in str(caught.value)
    assert "train.zip" in str(caught.value)
    cloud.faults.clear()
    assert fetched(cloud, tmp_path) == CONTENT


def test_a_length_other_than_the_listing_says_is_refused(cloud: StandIn, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"offers {SIZE} bytes and its listing says {SIZE + 1}"):
        fetched(cloud, tmp_path, size=SIZE + 1)


def test_nobody_there(tmp_path: Path) -> None:
    remote = Remote(url="http://127.0.0.1:9/train.zip", name="train.zip")
    with (
        pytest.raises(DownloadError, match="connection failed"),
        PartialFile(remote, tmp_path / "part", new_session(), QUICK) as partial,
    ):
        partial.ensure(0)


def test_a_second_run_fetches_only_the_rest(cloud: StandIn, tmp_path: Path) -> None:
    cloud.faults["train.zip"] = [Fault(), Fault(drop_after=500_000), *[Fault(status=503)] * 3]
    with pytest.raises(DownloadError):
        fetched(cloud, tmp_path)
    before = cloud.sent
    assert fetched(cloud, tmp_path) == CONTENT
    assert cloud.sent - before == SIZE - 1 - 500_000


def test_a_third_run_fetches_nothing(cloud: StandIn, tmp_path: Path) -> None:
    fetched(cloud, tmp_path)
    num_requests = len(cloud.requests)
    assert fetched(cloud, tmp_path) == CONTENT
    assert len(cloud.requests) == num_requests


@pytest.mark.parametrize("new", [random.Random(1).randbytes(SIZE), CONTENT[: SIZE // 3]], ids=["other", "shorter"])
def test_a_file_that_changed_between_two_runs_is_fetched_anew(cloud: StandIn, tmp_path: Path, new: bytes) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, SIZE // 2)
    cloud.cloud["train.zip"] = new
    with opened(cloud, tmp_path) as partial:
        assert partial.size == SIZE  # as far as is known here
        partial.ensure(0)
        assert partial.generation == 1
        partial.seek(0)
        assert partial.read() == new


def test_a_server_that_mixes_two_versions_is_found_out(cloud: StandIn, tmp_path: Path) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, SIZE // 2)
    cloud.cloud["train.zip"] = new = random.Random(1).randbytes(SIZE)
    cloud.faults["train.zip"] = [Fault(ignore_if_range=True)]
    assert fetched(cloud, tmp_path) == new


def test_going_on_names_the_version(cloud: StandIn, tmp_path: Path) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, 1000)
    fetched(cloud, tmp_path)
    assert len(set(cloud.if_ranges)) == 1


def test_a_version_named_weakly_goes_on_all_the_same(cloud: StandIn, tmp_path: Path) -> None:
    cloud.weak_etags = True
    with opened(cloud, tmp_path) as partial:
        partial.ensure(0, 400_000)
    before = cloud.sent
    assert fetched(cloud, tmp_path) == CONTENT
    assert cloud.sent - before == SIZE - 400_000


def test_pauses_double_unless_the_server_names_one(
    cloud: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("e2espot.sources.soccernet.partial_file.time.sleep", pauses.append)
    cloud.faults["train.zip"] = [
        Fault(status=503),
        Fault(status=503),
        Fault(status=429, headers={"Retry-After": "7"}),
        Fault(status=503),
    ]
    remote = Remote(url=f"{cloud.cloud_url}train.zip", name="train.zip")
    with PartialFile(remote, tmp_path / "part", new_session(), Patience(tries=9, wait_s=2.0)) as partial:
        partial.ensure(0)
    assert pauses == [2.0, 4.0, 7.0, 16.0]


def test_only_what_is_read_is_fetched(cloud: StandIn, tmp_path: Path) -> None:
    with opened(cloud, tmp_path) as partial:
        partial.seek(-1000, os.SEEK_END)
        assert partial.read() == CONTENT[-1000:]
        assert partial.read() == b""
        partial.seek(300_000)
        assert partial.read(10) == CONTENT[300_000:300_010]
    assert cloud.sent < 200_000


def test_damage_is_fetched_anew(cloud: StandIn, tmp_path: Path) -> None:
    fetched(cloud, tmp_path)
    with opened(cloud, tmp_path) as partial:
        partial.forget(1000, 2000)
        assert partial.missing_in(0, SIZE) == 1000
        partial.ensure(0)
    assert cloud.requests[-1][1] == "bytes=1000-1999"


@pytest.mark.parametrize("note", ["", "[]", '{"url": 1}', '{"have": [[0, 5]]}', "\x00"])
def test_a_broken_note_is_as_good_as_none(cloud: StandIn, tmp_path: Path, note: str) -> None:
    fetched(cloud, tmp_path)
    (tmp_path / "train.zip.part.json").write_text(note)
    assert fetched(cloud, tmp_path) == CONTENT


def test_a_note_that_claims_more_than_is_there_is_not_believed(cloud: StandIn, tmp_path: Path) -> None:
    fetched(cloud, tmp_path)
    with (tmp_path / "train.zip.part").open("r+b") as file:
        file.truncate(1234)
    assert fetched(cloud, tmp_path) == CONTENT


def test_a_token_does_not_follow_to_another_host(servers: StandIn, tmp_path: Path) -> None:
    servers.hub["SoccerNet/X"] = {"train.zip": CONTENT}
    servers.gated["SoccerNet/X"] = "hf_token"
    url = f"{servers.hub_url}/datasets/SoccerNet/X/resolve/main/train.zip"
    remote = Remote(url=url, name="train.zip", token="hf_token")
    with PartialFile(remote, tmp_path / "part", new_session(), QUICK) as partial:
        partial.ensure(0)
    for path, _, authorization in servers.requests:
        assert bool(authorization) == path.startswith("/datasets/")


def test_a_killed_download_goes_on(cloud: StandIn, tmp_path: Path) -> None:
    """The note may lag behind the bytes, never run ahead of them."""
    script = f"""
import os, signal
from pathlib import Path
import e2espot.sources.soccernet.partial_file as transfer
transfer._NOTE_EVERY = 100_000
remote = transfer.Remote(url={cloud.cloud_url + "train.zip"!r}, name="train.zip")
count = 0
def progress(n):
    global count
    count += n
    if count > 500_000:
        os.kill(os.getpid(), signal.SIGKILL)
path = Path({str(tmp_path / "train.zip.part")!r})
partial = transfer.PartialFile(remote, path, transfer.new_session(), progress=progress)
partial.ensure(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert json.loads((tmp_path / "train.zip.part.json").read_text())["have"]
    before = cloud.sent
    assert fetched(cloud, tmp_path) == CONTENT
    assert cloud.sent - before < SIZE - 200_000


def test_a_full_disk_is_one_line_and_loses_nothing(cloud: StandIn, tmp_path: Path) -> None:
    """A limit on the size of files breaks a write half way, as a full disk does."""
    script = f"""
import resource
from pathlib import Path
from e2espot.cli.errors import run_command
from e2espot.sources.soccernet.partial_file import PartialFile, Remote, new_session
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
remote = Remote(url={cloud.cloud_url + "train.zip"!r}, name="train.zip")
partial = PartialFile(remote, Path({str(tmp_path / "train.zip.part")!r}), new_session())
run_command(lambda: partial.ensure(0))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cannot be written" in done.stderr
    assert fetched(cloud, tmp_path) == CONTENT

"""From an empty folder to complete games, against fake servers."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from e2espot.core.errors import ConfigurationError, DownloadError
from e2espot.formats.games import find_games
from e2espot.sources.soccernet import fetch
from tests.support.fake_servers import FakeServer, Fault
from tests.support.split_2025 import LABELS, SECRET, VALID, files_in, games, get, video, zipped


def test_downloaded_splits_are_found_by_find_games(ball_2025: FakeServer, tmp_path: Path) -> None:
    assert get(tmp_path, splits=("valid", "challenge")) == []
    expected = games("valid", "224p.mp4") | games("challenge", "224p.mp4")
    assert files_in(tmp_path) == expected
    assert [game.name for game in find_games(tmp_path, split="valid")] == [VALID]
    assert len(find_games(tmp_path, split="challenge")) == 2


def test_second_run_sends_no_requests(ball_2025: FakeServer, tmp_path: Path) -> None:
    get(tmp_path)
    ball_2025.requests.clear()
    assert get(tmp_path) == []
    assert ball_2025.requests == []


def test_labels_only_downloads_no_videos(ball_2025: FakeServer, tmp_path: Path) -> None:
    assert get(tmp_path, labels_only=True) == []
    assert files_in(tmp_path) == {f"{VALID}/Labels-ball.json": LABELS}
    assert ball_2025.sent < 150_000 < len(ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"]) / 2
    before = ball_2025.sent
    assert get(tmp_path, resolutions=("224p", "720p")) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4", "720p.mp4")
    assert ball_2025.sent - before < 1_000_000


def test_truncated_file_is_downloaded_again(ball_2025: FakeServer, tmp_path: Path) -> None:
    get(tmp_path)
    path = tmp_path / VALID / "224p.mp4"
    path.write_bytes(path.read_bytes()[:1000])
    assert get(tmp_path) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4")


def test_edited_labels_are_not_replaced(ball_2025: FakeServer, tmp_path: Path) -> None:
    get(tmp_path)
    path = tmp_path / VALID / "Labels-ball.json"
    path.write_text("mine")
    with pytest.raises(DownloadError, match="exists already and differs"):
        get(tmp_path)
    assert path.read_text() == "mine"


def test_files_extracted_by_hand_are_verified_and_kept(ball_2025: FakeServer, tmp_path: Path) -> None:
    for name, content in games("valid", "224p.mp4").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert get(tmp_path) == []
    assert ball_2025.sent < 150_000


def test_file_from_elsewhere_is_not_replaced(ball_2025: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / VALID / "224p.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"from elsewhere")
    with pytest.raises(DownloadError, match=r"224p\.mp4 exists already and differs"):
        get(tmp_path)
    assert files_in(tmp_path)[f"{VALID}/224p.mp4"] == b"from elsewhere"


def test_wrong_password_downloads_little_and_leaves_no_file(ball_2025: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"valid\.zip: the password does not open it") as caught:
        get(tmp_path, password="guess")
    assert "guess" not in str(caught.value)
    assert files_in(tmp_path) == {}
    assert ball_2025.sent < 200_000
    assert get(tmp_path) == []


def test_wrong_password_is_detected_before_a_video_is_downloaded(ball_2025: FakeServer, tmp_path: Path) -> None:
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped({f"{VALID}/224p.mp4": video("big", 2_000_000)}, SECRET)
    with pytest.raises(DownloadError, match="does not open it"):
        get(tmp_path, password="guess")
    assert ball_2025.sent < 300_000


def test_outer_folder_of_an_archive_is_stripped(ball_2025: FakeServer, tmp_path: Path) -> None:
    files = {f"valid/{name}": content for name, content in games("valid", "224p.mp4").items()}
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(files)
    assert get(tmp_path) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4")
    twice = {f"other/{VALID}/224p.mp4": b"x", **files}
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(twice)
    with pytest.raises(DownloadError, match="twice, in different folders"):
        get(tmp_path / "twice")


def test_fault_while_reading_the_directory_keeps_received_bytes(ball_2025: FakeServer, tmp_path: Path) -> None:
    """Servers without ranges send the whole archive before its directory can be read."""
    ball_2025.faults["valid.zip"] = [Fault(ignore_range=True, drop_after=500_000), *[Fault(status=503)] * 2]
    with pytest.raises(DownloadError, match="503, 2 times in a row"):
        get(tmp_path)
    assert len(ball_2025.requests) < 12
    before = ball_2025.sent
    assert get(tmp_path, resolutions=("224p", "720p")) == []
    assert ball_2025.sent - before < len(ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"]) - 400_000


def test_other_members_of_an_archive_are_not_extracted(ball_2025: FakeServer, tmp_path: Path) -> None:
    files = {"Labels-ball.json": b"of no game", "README.md": b"hello", **games("valid", "224p.mp4", "720p.mp4")}
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(files)
    assert get(tmp_path) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4")


def test_member_damaged_on_disk_is_downloaded_again(
    ball_2025: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte changes between the server and the disk."""
    real_extract: Callable[..., None] = fetch.extract
    calls = []

    def damage_first(file: object, member: object, target: Path, **more: object) -> None:
        if not calls:
            part = tmp_path / ".download" / "valid.zip.part"
            with part.open("r+b") as on_disk:
                on_disk.seek(member.span[0] + 200)  # type: ignore[attr-defined]
                on_disk.write(b"\x00\xff\x00")
        calls.append(member)
        real_extract(file, member, target, **more)

    monkeypatch.setattr(fetch, "extract", damage_first)
    assert get(tmp_path) == []
    assert len(calls) == 3
    assert files_in(tmp_path) == games("valid", "224p.mp4")


def test_member_damaged_on_the_server_gives_one_line(ball_2025: FakeServer, tmp_path: Path) -> None:
    archive = bytearray(ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"])
    archive[50_000] ^= 1
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = bytes(archive)
    with pytest.raises(DownloadError, match=r"valid\.zip: member '.*224p\.mp4' is damaged"):
        get(tmp_path)
    assert files_in(tmp_path) == {f"{VALID}/Labels-ball.json": LABELS}


class _Interrupt:
    """Raises KeyboardInterrupt after a number of bytes."""

    def __init__(self, after: int) -> None:
        self.remaining = after

    def __call__(self, count: int) -> None:
        self.remaining -= count
        if self.remaining < 0:
            raise KeyboardInterrupt


def test_interrupted_download_is_resumed(ball_2025: FakeServer, tmp_path: Path) -> None:
    both = ("224p", "720p")
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, resolutions=both, advance=_Interrupt(300_000))
    before = ball_2025.sent
    assert get(tmp_path, resolutions=both) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4", "720p.mp4")
    assert ball_2025.sent - before < 400_000
    assert {path.name for path in (tmp_path / ".download").iterdir()} == {"complete.json"}


def test_temporary_file_of_a_killed_run_is_removed(ball_2025: FakeServer, tmp_path: Path) -> None:
    get(tmp_path)
    (tmp_path / ".download" / "unpacking").write_bytes(b"half a video")
    get(tmp_path)
    assert not (tmp_path / ".download" / "unpacking").exists()


@pytest.mark.parametrize("source", ["huggingface", "owncloud"])
def test_archive_that_changes_between_two_runs_is_downloaded_again(
    ball_2025: FakeServer, tmp_path: Path, source: str
) -> None:
    """The hub lists its SHA-256; on ownCloud only the next answer shows the change."""
    archives = ball_2025.cloud if source == "owncloud" else {}
    ball_2025.hub["SoccerNet/SN-BAS-2024"] = archives
    archives["valid.zip"] = zipped(games("valid", "224p.mp4", "720p.mp4"))
    options = {"task": "ball-2024", "source": source, "resolutions": ("224p", "720p")}
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, advance=_Interrupt(300_000), **options)  # type: ignore[arg-type]
    new = games("valid", "720p.mp4") | {f"{VALID}/224p.mp4": video("new", 120_000)}
    archives["valid.zip"] = zipped(new)
    assert get(tmp_path, **options) == []  # type: ignore[arg-type]
    assert files_in(tmp_path) == new


def test_html_page_instead_of_an_archive_is_not_kept(ball_2025: FakeServer, tmp_path: Path) -> None:
    ball_2025.cloud["valid.zip"] = b"<html>come back later</html>"
    with pytest.raises(DownloadError, match=r"valid\.zip: not a whole zip archive"):
        get(tmp_path, "ball-2024", source="owncloud")
    ball_2025.cloud["valid.zip"] = zipped(games("valid", "224p.mp4"))
    assert get(tmp_path, "ball-2024", source="owncloud") == []


def test_download_is_resumed_after_a_new_commit_with_the_same_archive(
    ball_2025: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, resolutions=("224p", "720p"), advance=_Interrupt(300_000))
    before = ball_2025.sent
    monkeypatch.setattr("tests.support.fake_servers.COMMIT", "f" * 40)
    assert get(tmp_path, resolutions=("224p", "720p")) == []
    assert ball_2025.sent - before < 400_000


HUB_FAULTS = {
    "transient": ([Fault(status=503)], None),
    "down": ([Fault(status=500)] * 2, "answered 500, 2 times in a row"),
    "private": ([Fault(status=401, headers={"X-Error-Code": "RepoNotFound"})], "not on the hub, or not visible"),
    "gated": ([Fault(status=403, headers={"X-Error-Code": "GatedRepo"})], "not visible|refused"),
    "moved": ([Fault(status=404, headers={"X-Error-Code": "RevisionNotFound"})], "its branch no longer exists"),
}


@pytest.mark.parametrize(("faults", "line"), HUB_FAULTS.values(), ids=HUB_FAULTS)
def test_hub_faults_are_retried_or_give_one_line(
    ball_2025: FakeServer, tmp_path: Path, faults: list[Fault], line: str | None
) -> None:
    ball_2025.faults["/revision/main"] = list(faults)
    if line is None:
        assert get(tmp_path) == []
        return
    with pytest.raises(DownloadError, match=line) as caught:
        get(tmp_path)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == {}


def test_files_missing_on_the_server_are_returned(ball_2025: FakeServer, tmp_path: Path) -> None:
    incomplete = games("valid", "720p.mp4")
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(incomplete, SECRET)
    assert get(tmp_path) == [f"{VALID}/224p.mp4"]


def test_symbolic_link_out_of_the_folder_is_refused(ball_2025: FakeServer, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "england_efl").symlink_to(outside)
    with pytest.raises(DownloadError, match="through a link"):
        get(root)
    assert list(outside.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("hostile", ["/etc/224p.mp4", "../../224p.mp4", f"{VALID}/../../../../224p.mp4"])
def test_hostile_archive_leaves_no_file(ball_2025: FakeServer, tmp_path: Path, hostile: str) -> None:
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(games("valid", "224p.mp4") | {hostile: b"x"}, SECRET)
    root = tmp_path / "a" / "b"
    with pytest.raises(DownloadError, match=r"valid\.zip: refused"):
        get(root)
    assert files_in(tmp_path) == {}


def test_full_disk_is_detected_before_the_download(
    ball_2025: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = fetch.shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"valid\.zip: needs 0\.00 GB on the disk .* make room"):
        get(tmp_path)
    assert files_in(tmp_path) == {}


def test_second_task_in_a_folder_is_refused(ball_2025: FakeServer, tmp_path: Path) -> None:
    get(tmp_path)
    for task in ("ball-2024", "ball-2023", "v2"):
        with pytest.raises(ConfigurationError, match="a folder of its own"):
            get(tmp_path, task)


def test_concurrent_download_is_refused(ball_2025: FakeServer, tmp_path: Path) -> None:
    (tmp_path / ".download").mkdir()
    with (tmp_path / ".download" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another download"):
            get(tmp_path)

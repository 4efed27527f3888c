"""From an empty folder to complete games, against the servers' stand-ins."""

import fcntl
import io
import json
import os
import pty
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in import Fault, StandIn

from e2espot.errors import ConfigurationError, DownloadError
from e2espot.games import BALL_SPLITS, find_games
from e2espot.soccernet import delivery
from e2espot.soccernet.delivery import Telling
from e2espot.soccernet.download import Wish, download, write_splits
from e2espot.soccernet.tasks import TASKS
from e2espot.soccernet.transfer import Patience

pyzipper = pytest.importorskip("pyzipper")
pytest.importorskip("SoccerNet.Downloader", reason="the SoccerNet package is not installed")
hub = pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).parents[2]
SECRET = "nda \N{SNOWMAN} pass/word"
LABELS = json.dumps({"annotations": [{"gameTime": "1 - 00:01", "label": "PASS", "position": "1120"}] * 300}).encode()
VALID = BALL_SPLITS["valid"][0]


def video(name: str, size: int) -> bytes:
    """Noise that begins as Matroska does."""
    return b"\x1a\x45\xdf\xa3" + random.Random(name).randbytes(size - 4)


def games(split: str, *videos: str) -> dict[str, bytes]:
    """Members of a split's archive."""
    files = {
        f"{game}/{name}": video(game + name, 100_000 if "224p" in name else 600_000)
        for game in BALL_SPLITS[split]
        for name in videos
    }
    if split != "challenge":
        files |= {f"{game}/Labels-ball.json": LABELS for game in BALL_SPLITS[split]}
    return files


def zipped(files: dict[str, bytes], password: str | None = None) -> bytes:
    buffer = io.BytesIO()
    kind = zipfile.ZipFile if password is None else pyzipper.AESZipFile
    with kind(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        if password is not None:
            archive.setpassword(password.encode())
            archive.setencryption(pyzipper.WZ_AES)
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def ball_2025(servers: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(hub.constants, "ENDPOINT", servers.hub_url)
    servers.hub["SoccerNet/SN-BAS-2025"] = {
        "README.md": b"hello",
        "ExtraLabelsActionSpotting500games/train_labels.zip": b"not asked for",
        **{f"{split}.zip": zipped(games(split, "224p.mp4", "720p.mp4"), SECRET) for split in ("valid", "challenge")},
    }
    return servers


def get(
    root: Path,
    task: str = "ball-2025",
    password: str = SECRET,
    advance: Callable[[int], object] = lambda count: None,
    **wish: object,
) -> list[str]:
    told = {"splits": ("valid",), **wish}
    telling = Telling(advance=advance, patience=Patience(tries=2, wait_s=0.0, timeout_s=5.0))
    return download(root, Wish(task=TASKS[task], **told), lambda: password.encode(), telling)  # type: ignore[arg-type]


def files_in(root: Path) -> dict[str, bytes]:
    """Files of the dataset, and of what is under way only those that would be taken for it."""
    paths = [path for path in root.rglob("*") if path.is_file() and ".download" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_a_split_is_laid_out_as_the_package_of_readers_expects(ball_2025: StandIn, tmp_path: Path) -> None:
    assert get(tmp_path, splits=("valid", "challenge")) == []
    expected = games("valid", "224p.mp4") | games("challenge", "224p.mp4")
    assert files_in(tmp_path) == expected
    assert [game.name for game in find_games(tmp_path, split="valid")] == [VALID]
    assert len(find_games(tmp_path, split="challenge")) == 2


def test_a_second_run_asks_nobody(ball_2025: StandIn, tmp_path: Path) -> None:
    get(tmp_path)
    ball_2025.requests.clear()
    assert get(tmp_path) == []
    assert ball_2025.requests == []


def test_labels_alone_do_not_cost_the_videos(ball_2025: StandIn, tmp_path: Path) -> None:
    assert get(tmp_path, labels_only=True) == []
    assert files_in(tmp_path) == {f"{VALID}/Labels-ball.json": LABELS}
    assert ball_2025.sent < 150_000 < len(ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"]) / 2
    before = ball_2025.sent
    assert get(tmp_path, resolutions=("224p", "720p")) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4", "720p.mp4")
    assert ball_2025.sent - before < 1_000_000


def test_a_file_that_was_cut_short_is_fetched_again(ball_2025: StandIn, tmp_path: Path) -> None:
    get(tmp_path)
    path = tmp_path / VALID / "224p.mp4"
    path.write_bytes(path.read_bytes()[:1000])
    assert get(tmp_path) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4")


def test_labels_that_were_worked_on_are_not_lost(ball_2025: StandIn, tmp_path: Path) -> None:
    get(tmp_path)
    path = tmp_path / VALID / "Labels-ball.json"
    path.write_text("mine")
    with pytest.raises(DownloadError, match="is there already and differs"):
        get(tmp_path)
    assert path.read_text() == "mine"


def test_files_unpacked_by_hand_are_taken_as_they_are(ball_2025: StandIn, tmp_path: Path) -> None:
    for name, content in games("valid", "224p.mp4").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert get(tmp_path) == []
    assert ball_2025.sent < 150_000


def test_an_unlike_file_is_not_overwritten(ball_2025: StandIn, tmp_path: Path) -> None:
    path = tmp_path / VALID / "224p.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"from elsewhere")
    with pytest.raises(DownloadError, match=r"224p\.mp4 is there already and differs"):
        get(tmp_path)
    assert files_in(tmp_path)[f"{VALID}/224p.mp4"] == b"from elsewhere"


def test_the_wrong_password_costs_little_and_leaves_nothing(ball_2025: StandIn, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"valid\.zip: the password does not open it") as caught:
        get(tmp_path, password="guess")
    assert "guess" not in str(caught.value)
    assert files_in(tmp_path) == {}
    assert ball_2025.sent < 200_000
    assert get(tmp_path) == []


def test_the_wrong_password_is_found_before_a_video_comes(ball_2025: StandIn, tmp_path: Path) -> None:
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped({f"{VALID}/224p.mp4": video("big", 2_000_000)}, SECRET)
    with pytest.raises(DownloadError, match="does not open it"):
        get(tmp_path, password="guess")
    assert ball_2025.sent < 300_000


def test_members_below_a_folder_of_the_archives_own(ball_2025: StandIn, tmp_path: Path) -> None:
    files = {f"valid/{name}": content for name, content in games("valid", "224p.mp4").items()}
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(files)
    assert get(tmp_path) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4")
    twice = {f"other/{VALID}/224p.mp4": b"x", **files}
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(twice)
    with pytest.raises(DownloadError, match="twice, in different folders"):
        get(tmp_path / "twice")


def test_a_fault_while_the_directory_is_read_loses_nothing(ball_2025: StandIn, tmp_path: Path) -> None:
    """Servers without ranges send all of an archive before its directory can be read."""
    ball_2025.faults["valid.zip"] = [Fault(ignore_range=True, drop_after=500_000), *[Fault(status=503)] * 2]
    with pytest.raises(DownloadError, match="503, 2 times in a row"):
        get(tmp_path)
    assert len(ball_2025.requests) < 12
    before = ball_2025.sent
    assert get(tmp_path, resolutions=("224p", "720p")) == []
    assert ball_2025.sent - before < len(ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"]) - 400_000


def test_what_else_an_archive_holds_stays_there(ball_2025: StandIn, tmp_path: Path) -> None:
    files = {"Labels-ball.json": b"of no game", "README.md": b"hello", **games("valid", "224p.mp4", "720p.mp4")}
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(files)
    assert get(tmp_path) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4")


def test_damage_on_the_way_is_fetched_again(
    ball_2025: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte that goes bad between the server and the disk."""
    real: Callable[..., None] = delivery.extract
    calls = []

    def bad_once(file: object, member: object, target: Path, **more: object) -> None:
        if not calls:
            part = tmp_path / ".download" / "valid.zip.part"
            with part.open("r+b") as on_disk:
                on_disk.seek(member.span[0] + 200)  # type: ignore[attr-defined]
                on_disk.write(b"\x00\xff\x00")
        calls.append(member)
        real(file, member, target, **more)

    monkeypatch.setattr(delivery, "extract", bad_once)
    assert get(tmp_path) == []
    assert len(calls) == 3
    assert files_in(tmp_path) == games("valid", "224p.mp4")


def test_damage_on_the_server_is_one_line_and_keeps_the_rest(ball_2025: StandIn, tmp_path: Path) -> None:
    archive = bytearray(ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"])
    archive[50_000] ^= 1
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = bytes(archive)
    with pytest.raises(DownloadError, match=r"valid\.zip: member '.*224p\.mp4' is damaged"):
        get(tmp_path)
    assert files_in(tmp_path) == {f"{VALID}/Labels-ball.json": LABELS}


class _Interrupt:
    """Ctrl-C after so many bytes."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_interrupted_download_goes_on(ball_2025: StandIn, tmp_path: Path) -> None:
    both = ("224p", "720p")
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, resolutions=both, advance=_Interrupt(300_000))
    before = ball_2025.sent
    assert get(tmp_path, resolutions=both) == []
    assert files_in(tmp_path) == games("valid", "224p.mp4", "720p.mp4")
    assert ball_2025.sent - before < 400_000
    assert {path.name for path in (tmp_path / ".download").iterdir()} == {"complete.json", "lock"}


def test_the_rest_of_a_killed_run_is_cleared_away(ball_2025: StandIn, tmp_path: Path) -> None:
    get(tmp_path)
    (tmp_path / ".download" / "unpacking").write_bytes(b"half a video")
    get(tmp_path)
    assert not (tmp_path / ".download" / "unpacking").exists()


@pytest.mark.parametrize("source", ["huggingface", "owncloud"])
def test_an_archive_that_changes_between_two_runs(ball_2025: StandIn, tmp_path: Path, source: str) -> None:
    """The hub tells its SHA-256; with the ownCloud only the answer to the next request gives it away."""
    archives = ball_2025.cloud if source == "owncloud" else {}
    ball_2025.hub["SoccerNet/SN-BAS-2024"] = archives
    archives["valid.zip"] = zipped(games("valid", "224p.mp4", "720p.mp4"))
    told = {"task": "ball-2024", "source": source, "resolutions": ("224p", "720p")}
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, advance=_Interrupt(300_000), **told)  # type: ignore[arg-type]
    new = games("valid", "720p.mp4") | {f"{VALID}/224p.mp4": video("new", 120_000)}
    archives["valid.zip"] = zipped(new)
    assert get(tmp_path, **told) == []  # type: ignore[arg-type]
    assert files_in(tmp_path) == new


def test_a_page_in_place_of_an_archive_is_not_kept(ball_2025: StandIn, tmp_path: Path) -> None:
    ball_2025.cloud["valid.zip"] = b"<html>come back later</html>"
    with pytest.raises(DownloadError, match=r"valid\.zip: not a whole zip archive"):
        get(tmp_path, "ball-2024", source="owncloud")
    ball_2025.cloud["valid.zip"] = zipped(games("valid", "224p.mp4"))
    assert get(tmp_path, "ball-2024", source="owncloud") == []


def test_a_new_version_of_the_data_set_with_the_same_archive_goes_on(
    ball_2025: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        get(tmp_path, resolutions=("224p", "720p"), advance=_Interrupt(300_000))
    before = ball_2025.sent
    monkeypatch.setattr("stand_in.COMMIT", "f" * 40)
    assert get(tmp_path, resolutions=("224p", "720p")) == []
    assert ball_2025.sent - before < 400_000


HUB_FAULTS = {
    "passing": ([Fault(status=503)], None),
    "down": ([Fault(status=500)] * 2, "answered 500, 2 times in a row"),
    "private": ([Fault(status=401, headers={"X-Error-Code": "RepoNotFound"})], "not on the hub, or not for you"),
    "gated": ([Fault(status=403, headers={"X-Error-Code": "GatedRepo"})], "not for you|refused"),
    "moved": ([Fault(status=404, headers={"X-Error-Code": "RevisionNotFound"})], "its branch is gone"),
}


@pytest.mark.parametrize(("faults", "line"), HUB_FAULTS.values(), ids=HUB_FAULTS)
def test_the_hubs_faults_are_borne_or_one_line(
    ball_2025: StandIn, tmp_path: Path, faults: list[Fault], line: str | None
) -> None:
    ball_2025.faults["/revision/main"] = list(faults)
    if line is None:
        assert get(tmp_path) == []
        return
    with pytest.raises(DownloadError, match=line) as caught:
        get(tmp_path)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == {}


def test_what_the_server_lacks_is_named(ball_2025: StandIn, tmp_path: Path) -> None:
    lacking = games("valid", "720p.mp4")
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(lacking, SECRET)
    assert get(tmp_path) == [f"{VALID}/224p.mp4"]


def test_no_path_leaves_the_folder_through_a_link(ball_2025: StandIn, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "england_efl").symlink_to(outside)
    with pytest.raises(DownloadError, match="through a link"):
        get(root)
    assert list(outside.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("evil", ["/etc/224p.mp4", "../../224p.mp4", f"{VALID}/../../../../224p.mp4"])
def test_a_hostile_archive_leaves_nothing(ball_2025: StandIn, tmp_path: Path, evil: str) -> None:
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["valid.zip"] = zipped(games("valid", "224p.mp4") | {evil: b"x"}, SECRET)
    root = tmp_path / "a" / "b"
    with pytest.raises(DownloadError, match=r"valid\.zip: refused"):
        get(root)
    assert files_in(tmp_path) == {}


def test_no_room_is_known_beforehand(ball_2025: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = delivery.shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(delivery.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"valid\.zip: needs 0\.00 GB on the disk .* make room"):
        get(tmp_path)
    assert files_in(tmp_path) == {}


def test_two_tasks_do_not_mix(ball_2025: StandIn, tmp_path: Path) -> None:
    get(tmp_path)
    for task in ("ball-2024", "ball-2023", "v2"):
        with pytest.raises(ConfigurationError, match="a folder of its own"):
            get(tmp_path, task)


def test_two_downloads_do_not_meet(ball_2025: StandIn, tmp_path: Path) -> None:
    (tmp_path / ".download").mkdir()
    with (tmp_path / ".download" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another download"):
            get(tmp_path)


def test_2023_is_gated_on_the_hub_and_behind_the_password_on_the_owncloud(
    ball_2025: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = games("valid", "1_224p.mkv", "2_224p.mkv")
    ball_2025.hub["SoccerNet/SN-BAS-2023"] = {"valid.zip": zipped(files)}
    ball_2025.gated["SoccerNet/SN-BAS-2023"] = "hf_granted"
    with pytest.raises(DownloadError, match=r"\(401\); ask for access at .*/datasets/SoccerNet/SN-BAS-2023"):
        get(tmp_path / "hub", "ball-2023")
    monkeypatch.setenv("HF_TOKEN", "hf_granted")
    assert get(tmp_path / "hub", "ball-2023") == []
    assert files_in(tmp_path / "hub") == files

    ball_2025.cloud["valid.zip"] = zipped(files)
    ball_2025.logins["valid.zip"] = ("A1ncJfjV31lPSTa", SECRET)
    with pytest.raises(DownloadError, match=r"refused it \(401\); check the NDA password"):
        get(tmp_path / "cloud", "ball-2023", "guess", source="owncloud")
    assert get(tmp_path / "cloud", "ball-2023", source="owncloud") == []
    assert files_in(tmp_path / "cloud") == files


def test_2024_wants_no_password(ball_2025: StandIn, tmp_path: Path) -> None:
    def refuse() -> bytes:
        raise AssertionError("asked for the password")

    files = games("valid", "224p.mp4")
    ball_2025.hub["SoccerNet/SN-BAS-2024"] = {"valid.zip": zipped(files)}
    ball_2025.cloud["valid.zip"] = zipped(files)
    ball_2025.logins["valid.zip"] = ("5yhG5AtySHFNU4T", "SoccerNet")
    for source in ("huggingface", "owncloud"):
        wish = Wish(task=TASKS["ball-2024"], splits=("valid",), source=source)  # type: ignore[arg-type]
        assert download(tmp_path / source, wish, refuse) == []
        assert files_in(tmp_path / source) == files


def test_2025_is_on_the_hub_only(ball_2025: StandIn, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ball-2025 is not on owncloud"):
        get(tmp_path, source="owncloud")


def test_an_old_package_is_refused(ball_2025: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2espot.soccernet.addresses.version", lambda name: "0.1.62")
    with pytest.raises(ConfigurationError, match=r"SoccerNet 0\.1\.62 .* pip install"):
        get(tmp_path)


def test_the_package_itself_never_reaches_out(
    ball_2025: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its telemetry nor its own transport is called, on either road."""
    package = pytest.importorskip("SoccerNet.Downloader")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the package reached out")

    for name in ("report", "snapshot_download"):
        monkeypatch.setattr(package, name, refuse)
    monkeypatch.setattr(package.OwnCloudDownloader, "downloadFile", refuse)
    assert get(tmp_path / "hub") == []
    ball_2025.cloud["valid.zip"] = zipped(games("valid", "224p.mp4"))
    assert get(tmp_path / "cloud", "ball-2024", source="owncloud") == []
    assert package.snapshot_download is refuse


@pytest.fixture
def three_games(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Of the 500, so that a test of v2 stays small."""
    import SoccerNet.Downloader
    import SoccerNet.utils

    names = tuple(SoccerNet.utils.getListGames(["valid"], task="spotting")[:3])
    for module in (SoccerNet.utils, SoccerNet.Downloader):
        monkeypatch.setattr(module, "getListGames", lambda split, task="spotting": list(names))
    return names


@pytest.mark.parametrize("source", ["huggingface", "owncloud"])
def test_v2_comes_file_by_file(ball_2025: StandIn, tmp_path: Path, three_games: tuple[str, ...], source: str) -> None:
    names = ("1_224p.mkv", "2_224p.mkv")
    videos = {f"{game}/{name}": video(game + name, 30_000) for game in three_games for name in names}
    labels = {f"{game}/Labels-v2.json": LABELS for game in three_games}
    ball_2025.hub["SoccerNet/SoccerNet_raw_HQ@videos-224p"] = videos
    ball_2025.hub["SoccerNet/SN-Labels"] = labels
    ball_2025.cloud |= {f"video_224p/{name}": content for name, content in videos.items()} | labels
    ball_2025.logins |= {f"video_224p/{name}": ("MKmZigARdGSoaTT", SECRET) for name in videos}
    first = next(iter(videos))
    ball_2025.faults[first] = [Fault(), Fault(drop_after=10_000)]
    if source == "huggingface":
        last = list(videos)[-1]
        ball_2025.faults[last] = [Fault(), Fault(flip=True)]
        with pytest.raises(DownloadError, match=r"arrived damaged \(its SHA-256 differs\)"):
            get(tmp_path, "v2", source=source)
        assert not (tmp_path / last).exists()
    assert get(tmp_path, "v2", source=source) == []
    splits = json.loads((tmp_path / "splits.json").read_text())
    assert splits == {"valid": list(three_games)}
    assert {name: content for name, content in files_in(tmp_path).items() if name != "splits.json"} == videos | labels
    assert len(find_games(tmp_path, split="val", label_file="Labels-v2.json")) == 3
    ball_2025.requests.clear()
    (tmp_path / first).unlink()
    assert get(tmp_path, "v2", source=source) == []
    assert {path for path, *_ in ball_2025.requests if path.endswith(".mkv") and "/cdn/" not in path} == {
        path for path, *_ in ball_2025.requests if path.endswith(first) and "/cdn/" not in path
    }


@pytest.mark.parametrize("name", ["1_224p.mkv", "Labels-v2.json"])
def test_a_page_in_place_of_a_file_is_not_taken(
    ball_2025: StandIn, tmp_path: Path, three_games: tuple[str, ...], name: str
) -> None:
    for game in three_games:
        ball_2025.cloud |= {f"{game}/Labels-v2.json": LABELS, f"video_224p/{game}/1_224p.mkv": video(game, 9000)}
    page = next(path for path in ball_2025.cloud if path.endswith(name))
    ball_2025.cloud[page] = b"<html>Too many downloads today</html>"
    with pytest.raises(DownloadError, match=r"the server sent something else, no \.(mkv|json) file"):
        get(tmp_path, "v2", source="owncloud")
    assert not (tmp_path / page.removeprefix("video_224p/")).exists()


def test_splits_of_the_users_own_stay(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "splits.json").write_text('{"train": ["my/own/game"], "extra": 1}')
    write_splits(tmp_path, {"train": ["a/b/c"], "valid": ["a/b/c", "not/here/yet"]})
    assert json.loads((tmp_path / "splits.json").read_text()) == {
        "train": ["my/own/game"],
        "extra": 1,
        "valid": ["a/b/c"],
    }


# The command line, and what it says.


def tool(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "download.py"), str(root), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "HF_HOME": str(root.parent / "hf"), **environment},
    )


def test_the_command_line(ball_2025: StandIn, tmp_path: Path) -> None:
    root = tmp_path / "data"
    told = ("--task", "ball-2025", "--split", "val", "challenge")
    unknown = tool(root, *told)
    assert unknown.returncode == 2
    assert "SOCCERNET_PASSWORD" in unknown.stderr
    assert unknown.stderr.count("\n") == 1
    done = tool(root, *told, SOCCERNET_PASSWORD=SECRET)
    assert done.returncode == 0, done.stderr
    assert f"{root}: valid, challenge of ball-2025 complete" in done.stdout
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["test.zip"] = zipped({f"{BALL_SPLITS['test'][0]}/224p.mp4": b"x"}, SECRET)
    lacking = tool(root, "--task", "ball-2025", "--split", "test", SOCCERNET_PASSWORD=SECRET)
    assert lacking.returncode == 2
    assert lacking.stdout.count("missing: ") == 3
    for run in (unknown, done, lacking):
        assert SECRET not in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_the_password_is_asked_for_without_an_echo(ball_2025: StandIn, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "download.py"), str(tmp_path / "data")]
    command += ["--task", "ball-2025", "--split", "valid"]
    child, terminal = pty.fork()
    if child == 0:
        os.environ["HF_HOME"] = str(tmp_path / "hf")
        os.execv(sys.executable, command)
    shown = b""
    answered = False
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if not answered and b"SoccerNet NDA password: " in shown:
            os.write(terminal, SECRET.encode() + b"\n")
            answered = True
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert answered
    assert SECRET.encode() not in shown
    assert files_in(tmp_path / "data") == games("valid", "224p.mp4")

"""Each task from the servers that have it, also by the command."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from e2espot.core.errors import ConfigurationError, DownloadError
from e2espot.formats.games import find_games
from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.download import DownloadRequest, download, write_splits
from e2espot.sources.soccernet.soccernet_package import NDA_PLACEHOLDER, HubRequest, record_requests
from e2espot.sources.soccernet.tasks import TASKS
from tests.support.fake_servers import FakeServer, Fault
from tests.support.split_2025 import LABELS, ROOT, SECRET, files_in, games, get, video, zipped


def test_ball_2023_needs_access_on_the_hub_and_the_password_on_owncloud(
    ball_2025: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_ball_2024_needs_no_password(ball_2025: FakeServer, tmp_path: Path) -> None:
    def refuse() -> bytes:
        raise AssertionError("asked for the password")

    files = games("valid", "224p.mp4")
    ball_2025.hub["SoccerNet/SN-BAS-2024"] = {"valid.zip": zipped(files)}
    ball_2025.cloud["valid.zip"] = zipped(files)
    ball_2025.logins["valid.zip"] = ("5yhG5AtySHFNU4T", "SoccerNet")
    for source in ("huggingface", "owncloud"):
        request = DownloadRequest(task=TASKS["ball-2024"], splits=("valid",), source=source)  # type: ignore[arg-type]
        assert download(tmp_path / source, request, refuse) == []
        assert files_in(tmp_path / source) == files


def test_ball_2025_on_owncloud_is_refused(ball_2025: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ball-2025 is not on owncloud"):
        get(tmp_path, source="owncloud")


def test_old_soccernet_package_is_refused(
    ball_2025: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2espot.sources.soccernet.soccernet_package.version", lambda name: "0.1.62")
    with pytest.raises(ConfigurationError, match=r"SoccerNet 0\.1\.62 .* pip install"):
        get(tmp_path)


def test_soccernet_package_is_asked_without_network_and_left_unchanged(
    ball_2025: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its telemetry nor its own transports are called, and its module stays as it was."""
    package = pytest.importorskip("SoccerNet.Downloader")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the package used the network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    monkeypatch.setattr("google_measurement_protocol.report", refuse)
    monkeypatch.setattr("urllib.request.urlretrieve", refuse)
    before = dict(vars(package)), dict(vars(package.SoccerNetDownloader))
    assert get(tmp_path / "hub") == []
    ball_2025.cloud["valid.zip"] = zipped(games("valid", "224p.mp4"))
    assert get(tmp_path / "cloud", "ball-2024", source="owncloud") == []
    assert (dict(vars(package)), dict(vars(package.SoccerNetDownloader))) == before
    assert sys.modules["SoccerNet.Downloader"] is package


def test_recorded_requests_name_repositories_and_shares_not_the_password() -> None:
    pytest.importorskip("SoccerNet.Downloader")
    hub = record_requests(TASKS["ball-2025"], "valid", (), source="huggingface", owncloud_server="http://cloud/")
    assert hub.hub == [HubRequest(repo="SoccerNet/SN-BAS-2025", revision="main", patterns=("*valid.zip",))]
    assert hub.owncloud == []
    cloud = record_requests(TASKS["ball-2023"], "valid", (), source="owncloud", owncloud_server="http://cloud/")
    assert cloud.hub == []
    assert [(request.url, request.password) for request in cloud.owncloud] == [
        ("http://cloud/valid.zip", NDA_PLACEHOLDER)
    ]


@pytest.fixture
def three_games(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Three of v2's 500 games, to keep its tests small."""
    import SoccerNet.Downloader
    import SoccerNet.utils

    names = tuple(SoccerNet.utils.getListGames(["valid"], task="spotting")[:3])
    for module in (SoccerNet.utils, SoccerNet.Downloader):
        monkeypatch.setattr(module, "getListGames", lambda split, task="spotting": list(names))
    return names


@pytest.mark.parametrize("source", ["huggingface", "owncloud"])
def test_v2_is_downloaded_file_by_file(
    ball_2025: FakeServer, tmp_path: Path, three_games: tuple[str, ...], source: str
) -> None:
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
def test_html_page_instead_of_a_file_is_refused(
    ball_2025: FakeServer, tmp_path: Path, three_games: tuple[str, ...], name: str
) -> None:
    for game in three_games:
        ball_2025.cloud |= {f"{game}/Labels-v2.json": LABELS, f"video_224p/{game}/1_224p.mkv": video(game, 9000)}
    page = next(path for path in ball_2025.cloud if path.endswith(name))
    ball_2025.cloud[page] = b"<html>Too many downloads today</html>"
    with pytest.raises(DownloadError, match=r"the server sent something else, not a \.(mkv|json) file"):
        get(tmp_path, "v2", source="owncloud")
    assert not (tmp_path / page.removeprefix("video_224p/")).exists()


def test_write_splits_keeps_the_users_lists(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "splits.json").write_text('{"train": ["my/own/game"], "extra": 1}')
    write_splits(tmp_path, {"train": ["a/b/c"], "valid": ["a/b/c", "not/here/yet"]})
    assert json.loads((tmp_path / "splits.json").read_text()) == {
        "train": ["my/own/game"],
        "extra": 1,
        "valid": ["a/b/c"],
    }


# The command.


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


def test_download_command_reports_results_and_hides_the_password(ball_2025: FakeServer, tmp_path: Path) -> None:
    root = tmp_path / "data"
    options = ("--task", "ball-2025", "--split", "val", "challenge")
    unknown = tool(root, *options)
    assert unknown.returncode == 2
    assert "SOCCERNET_PASSWORD" in unknown.stderr
    assert unknown.stderr.count("\n") == 1
    done = tool(root, *options, SOCCERNET_PASSWORD=SECRET)
    assert done.returncode == 0, done.stderr
    assert f"{root}: valid, challenge of ball-2025 complete" in done.stdout
    ball_2025.hub["SoccerNet/SN-BAS-2025"]["test.zip"] = zipped({f"{BALL_SPLITS['test'][0]}/224p.mp4": b"x"}, SECRET)
    incomplete = tool(root, "--task", "ball-2025", "--split", "test", SOCCERNET_PASSWORD=SECRET)
    assert incomplete.returncode == 2
    assert incomplete.stdout.count("missing: ") == 3
    for run in (unknown, done, incomplete):
        assert SECRET not in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_password_prompt_does_not_echo(ball_2025: FakeServer, tmp_path: Path) -> None:
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
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        if not answered and b"SoccerNet NDA password: " in shown:
            os.write(terminal, SECRET.encode() + b"\n")
            answered = True
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert answered
    assert SECRET.encode() not in shown
    assert files_in(tmp_path / "data") == games("valid", "224p.mp4")


@pytest.mark.parametrize("source", ["huggingface", "owncloud"])
def test_v2_features_need_no_password(
    ball_2025: FakeServer, tmp_path: Path, three_games: tuple[str, ...], source: str
) -> None:
    def refuse() -> bytes:
        raise AssertionError("asked for the password")

    arrays = {
        f"{game}/{half}_ResNET_TF2_PCA512.npy": b"\x93NUMPY" + f"{game}{half}".encode() * 500
        for game in three_games
        for half in (1, 2)
    }
    labels = {f"{game}/Labels-v2.json": LABELS for game in three_games}
    ball_2025.hub["SoccerNet/SN-Features@resnet-tf2-pca512"] = arrays
    ball_2025.hub["SoccerNet/SN-Labels"] = labels
    ball_2025.cloud |= arrays | labels
    request = DownloadRequest(
        task=TASKS["v2-features"],
        splits=("valid",),
        resolutions=("ResNET_TF2_PCA512",),
        source=source,  # type: ignore[arg-type]
    )
    assert download(tmp_path, request, refuse) == []
    assert {name: content for name, content in files_in(tmp_path).items() if name != "splits.json"} == arrays | labels
    listed = find_games(tmp_path, split="val", label_file="Labels-v2.json", resolution="ResNET_TF2_PCA512")
    assert [len(game.videos) for game in listed] == [2, 2, 2]

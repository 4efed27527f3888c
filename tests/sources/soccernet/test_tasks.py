"""Each task from the server that has it, by the command line as well."""

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
from e2espot.sources.soccernet.download import Wish, download, write_splits
from e2espot.sources.soccernet.tasks import TASKS
from tests.support.fake_servers import Fault, StandIn
from tests.support.split_2025 import LABELS, ROOT, SECRET, files_in, games, get, video, zipped


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
    monkeypatch.setattr("e2espot.sources.soccernet.catalog.version", lambda name: "0.1.62")
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

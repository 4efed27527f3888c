"""Archives of ball games as on a server, and downloading them into a folder."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.download import DownloadRequest, download
from e2espot.sources.soccernet.fetch import ProgressCallbacks
from e2espot.sources.soccernet.partial_file import RetryPolicy
from e2espot.sources.soccernet.tasks import TASKS

pyzipper = pytest.importorskip("pyzipper")
pytest.importorskip("SoccerNet.Downloader", reason="the SoccerNet package is not installed")
hub = pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).parents[2]
SECRET = "nda \N{SNOWMAN} pass/word"
LABELS = json.dumps({"annotations": [{"gameTime": "1 - 00:01", "label": "PASS", "position": "1120"}] * 300}).encode()
VALID = BALL_SPLITS["valid"][0]


def video(name: str, size: int) -> bytes:
    """Random bytes with the signature of Matroska."""
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
    archive_class = zipfile.ZipFile if password is None else pyzipper.AESZipFile
    with archive_class(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        if password is not None:
            archive.setpassword(password.encode())
            archive.setencryption(pyzipper.WZ_AES)
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def get(
    root: Path,
    task: str = "ball-2025",
    password: str = SECRET,
    advance: Callable[[int], object] = lambda count: None,
    **options: object,
) -> list[str]:
    request = DownloadRequest(task=TASKS[task], **{"splits": ("valid",), **options})  # type: ignore[arg-type]
    retry_policy = RetryPolicy(max_attempts=2, initial_wait_s=0.0, read_timeout_s=60.0)
    return download(root, request, lambda: password.encode(), ProgressCallbacks(advance=advance), retry_policy)


def files_in(root: Path) -> dict[str, bytes]:
    """Files of the dataset without those below ``.download``."""
    paths = [path for path in root.rglob("*") if path.is_file() and ".download" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}

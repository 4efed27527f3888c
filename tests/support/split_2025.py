"""Archives of ball games as a server holds them, and what came of them."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.download import Wish, download
from e2espot.sources.soccernet.fetch import Telling
from e2espot.sources.soccernet.partial_file import Patience
from e2espot.sources.soccernet.tasks import TASKS

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

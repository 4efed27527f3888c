"""From the NDA password to the file for the leaderboard, by the commands."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from e2espot.formats.splits import BALL_SPLITS
from tests.support.fake_servers import FakeServer
from tests.support.split_2025 import SECRET, zipped
from tests.support.tiny_dataset import write_game
from tests.support.tools import tool

pytest.importorskip("SoccerNet.Downloader", reason="the SoccerNet package is not installed")

ROOT = Path(__file__).parents[3]


def test_download_train_infer_and_submit_work_together(servers: FakeServer, tmp_path: Path) -> None:
    write_game(tmp_path / "toy", 0)
    video, labels = ((tmp_path / "toy" / name).read_bytes() for name in ("224p.mp4", "Labels-ball.json"))
    servers.hub["SoccerNet/SN-BAS-2025"] = {
        f"{split}.zip": zipped(
            {f"{game}/224p.mp4": video for game in games}
            | {f"{game}/Labels-ball.json": labels for game in games if split != "challenge"},
            SECRET,
        )
        for split, games in BALL_SPLITS.items()
    }

    def download(*arguments: object) -> None:
        command = [sys.executable, str(ROOT / "tools" / "download.py"), *map(str, arguments)]
        environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "SOCCERNET_PASSWORD": SECRET}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr

    data, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "out"
    small = ["--size", "96x64", "--clip_len", "16", "--epoch_clips", "4", "--num_epochs", "1", "-j", "0"]
    download(data, "--task", "ball-2025")
    for name, *arguments in (
        ("train", data, "-s", run, "--recipe", "laptop-fast", "--label_set", "ball-12", *small),
        ("infer", run, data, "-s", "challenge", "-o", out),
        ("submit", out, "-o", tmp_path / "results.zip", "--task", "ball-2024"),
    ):
        done = tool(str(name), *arguments)
        assert done.returncode == 0, done.stderr
    assert "checked as challenge of ball-2024" in done.stdout
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert archive.namelist() == sorted(f"{game}/results_spotting.json" for game in BALL_SPLITS["challenge"])

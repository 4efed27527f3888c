"""Files appear whole or not at all, even if the disk is full or read-only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.files.atomic import check_folder, write_atomically

# A limit on the size of files breaks a write half way, as a full disk does.
FULL_DISK = """
import resource, sys
from fractions import Fraction
from pathlib import Path
from e2espot.cli.errors import run_command
from e2espot.core.events import Event
from e2espot.formats.soccernet import write_predictions
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
events = [Event(frame=frame, label="PASS", confidence=0.5) for frame in range(50)]
run_command(lambda: write_predictions(Path(sys.argv[1]), url_local="game", events=events, fps=Fraction(25)))
"""


def test_write_atomically_keeps_the_old_file_on_a_full_disk(tmp_path: Path) -> None:
    target = tmp_path / "results_spotting.json"
    target.write_bytes(b"earlier")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {target}: cannot be written")
    assert done.stderr.count("\n") == 1
    assert target.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_write_atomically_names_the_path_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(E2ESpotError, match=r"file/result\.json: cannot be written, as .*file is a file; name"):
        write_atomically(tmp_path / "file" / "result.json", b"{}")


def test_write_atomically_names_a_path_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(E2ESpotError, match=r"cannot be written \(File name too long\)"):
        write_atomically(tmp_path / ("a" * 300) / "result.json", b"{}")


def test_write_atomically_refuses_to_replace_a_pipe(tmp_path: Path) -> None:
    """A rename by root would replace /dev/null for every process."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(E2ESpotError, match="not a regular file"):
        write_atomically(tmp_path / "pipe", b"x")
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize(("mask", "mode"), [("022", 0o644), ("077", 0o600)])
def test_write_atomically_respects_the_umask(mask: str, mode: int, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from e2espot.files.atomic import write_atomically; "
        "write_atomically(Path(sys.argv[1]), b'x')"
    )
    command = f"umask {mask}; exec '{sys.executable}' -c \"{code}\" '{tmp_path / 'file'}'"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_folder_for_results_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(ConfigurationError, match=r"/file is a file; name a folder for the results"):
            check_folder(folder)
    monkeypatch.chdir(tmp_path)
    for folder in (Path("out"), tmp_path / "out" / "a", tmp_path, Path()):
        check_folder(folder)
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(ConfigurationError, match="nothing may be written there; name another folder"):
        check_folder(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

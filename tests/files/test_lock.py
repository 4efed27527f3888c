"""Locks between processes, also where the operating system has no ``fcntl``."""

import subprocess
import sys
from pathlib import Path

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.files.lock import ProcessLock

HOLD = """
import sys, time
from pathlib import Path
from e2espot.files.lock import ProcessLock
lock = ProcessLock(Path(sys.argv[1]), "in use")
print("held", flush=True)
time.sleep(600)
"""

WITHOUT_FCNTL = """
import importlib, pkgutil, sys
sys.modules["fcntl"] = None  # as on Windows: importing it fails
import e2espot
names = [module.name for module in pkgutil.walk_packages(e2espot.__path__, "e2espot.")]
for name in names:
    if not name.startswith("e2espot.benchmarks"):
        importlib.import_module(name)
from pathlib import Path
from e2espot.sources.remote import default_cache
try:
    with default_cache().local_copy("http://localhost:9/match.mp4?key=secret"):
        pass
except e2espot.core.errors.E2ESpotError as error:
    print(error)
"""


def test_lock_excludes_other_processes_until_the_holder_dies(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(ConfigurationError, match="in use"):
                ProcessLock(path, "in use")
        finally:
            holder.kill()
    with ProcessLock(path, "in use"), pytest.raises(ConfigurationError, match="in use"):
        ProcessLock(path, "in use")
    ProcessLock(path, "in use").release()
    assert not path.exists()


def test_everything_but_stores_works_without_fcntl(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "shared file locks" in result.stdout
    assert "secret" not in result.stdout

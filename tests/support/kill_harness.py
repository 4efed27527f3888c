"""Run commands and kill them at chosen times: after a number of writes, inside a write, or in between.

A write is observed with inotify: the temporary file appears, is filled, flushed to the disk, renamed. A kill
counts as inside a write only if the temporary file still exists when the process is dead.
"""

import ctypes
import os
import random
import select
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from e2espot.cli.main import main
from tests.support.forked import fork

_CREATE, _MOVED_TO = 0x100, 0x80
_HEADER = 16
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class KillTime:
    """When to kill."""

    after: int
    """Number of finished writes to wait for."""
    inside: bool
    """Kill as soon as the next temporary file appears; else ``delay_s`` after the last of these writes."""
    delay_s: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended."""

    killed: bool
    """False if it ended by itself first."""
    writes: int
    """Number of files it finished."""
    hit: tuple[str, ...]
    """Temporary files it left behind: the writes it was killed in."""
    code: int
    stderr: str


def draw_kill_time(rng: random.Random, most_writes: int) -> KillTime:
    return KillTime(after=rng.randint(0, most_writes), inside=rng.random() < 0.6, delay_s=rng.uniform(0, 0.3))


def run_until(words: list[str], watched: list[Path], kill_time: KillTime | None, timeout_s: float = 300) -> Outcome:
    """Run ``e2espot WORDS``, watch the folders it writes to, and kill it at ``kill_time``."""
    watch = _Watch(watched)
    before = set(_parts(watched))
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "stderr"
        process = fork(main, words, errors=errors)
        writes, kill_at, killed, end = 0, None, False, time.monotonic() + timeout_s
        if kill_time is not None and kill_time.after == 0 and not kill_time.inside:
            kill_at = time.monotonic() + 4 * kill_time.delay_s
        while process.is_alive():
            now = time.monotonic()
            assert now < end, f"{words} hangs"
            if kill_at is not None and now >= kill_at:
                killed = _kill(process)
                break
            wait_s = 0.2 if kill_at is None else min(0.2, kill_at - now)
            for kind in watch.read(wait_s):
                if kind == "written":
                    writes += 1
                    if kill_time is not None and writes == kill_time.after and not kill_time.inside:
                        kill_at = time.monotonic() + kill_time.delay_s
                elif kill_time is not None and kill_time.inside and writes >= kill_time.after:
                    killed = _kill(process)
                    break
        process.join()
        assert process.pid is not None and process.exitcode is not None
        _wait_for_children(process.pid)
        stderr = errors.read_text()
    watch.close()
    hit = tuple(path.name for path in _parts(watched) if path not in before) if killed else ()
    return Outcome(killed=killed, writes=writes, hit=hit, code=process.exitcode, stderr=stderr)


def _parts(folders: list[Path]) -> list[Path]:
    return [path for folder in folders for path in folder.glob(".*.part")]


def _kill(process: ForkServerProcess) -> bool:
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def _wait_for_children(session: int) -> None:
    """Wait until its children have ended too; none may outlive it for long."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(session, signal.SIGKILL)
    raise AssertionError("a killed run left a process running")


class _Watch:
    """Reports files that appear in some folders: ``begun`` for temporary ones, ``written`` for renamed ones."""

    def __init__(self, folders: list[Path]) -> None:
        self._fd = _LIBC.inotify_init1(os.O_NONBLOCK)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            if _LIBC.inotify_add_watch(self._fd, os.fsencode(folder), _CREATE | _MOVED_TO) < 0:
                raise OSError(ctypes.get_errno(), str(folder))

    def read(self, wait_s: float) -> list[str]:
        if not select.select([self._fd], [], [], max(0.0, wait_s))[0]:
            return []
        data, kinds = os.read(self._fd, 1 << 16), []
        while data:
            mask, length = int.from_bytes(data[4:8], sys.byteorder), int.from_bytes(data[12:16], sys.byteorder)
            name = data[_HEADER : _HEADER + length].rstrip(b"\0").decode()
            data = data[_HEADER + length :]
            if name.endswith(".part") and mask & _CREATE and not name.startswith(".before"):
                kinds.append("begun")
            elif mask & _MOVED_TO and not name.endswith(".part"):
                kinds.append("written")
        return kinds

    def close(self) -> None:
        os.close(self._fd)

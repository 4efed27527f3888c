"""The memory of a process and of its children, as Linux tells it; elsewhere what ``getrusage`` says.

``ru_maxrss`` alone will not do: a process inherits it from whoever started it.
"""

from __future__ import annotations

import resource
import threading
from pathlib import Path
from types import TracebackType

_EVERY_S = 0.05


def resident_mb() -> float:
    """What this process holds now."""
    return _of_status("self", "VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_mb() -> float:
    """The most this process has held."""
    return _of_status("self", "VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class ChildrenWatched:
    """While it is entered, ``peak_mb`` is the most that all children together held, looked at 20 times a second."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ChildrenWatched:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.peak_mb = max(self.peak_mb, sum(_of_status(child, "VmRSS") for child in _children()))


def _children() -> list[str]:
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found += task.read_text().split()
        except OSError:
            continue
    return found


def _of_status(pid: str, name: str) -> float:
    """A field of ``/proc/PID/status`` in MB; 0 where there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)

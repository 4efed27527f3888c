"""Memory of a process and of its children, from ``/proc`` on Linux and from ``getrusage`` elsewhere.

``ru_maxrss`` alone is not enough on Linux: a process inherits it from its parent.
"""

from __future__ import annotations

import resource
import threading
from pathlib import Path
from types import TracebackType

_INTERVAL_S = 0.05


def resident_mb() -> float:
    """Resident memory of this process now."""
    return _status_mb("self", "VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_mb() -> float:
    """Peak resident memory of this process."""
    return _status_mb("self", "VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class ChildMemoryMonitor:
    """Within the ``with`` block, ``peak_mb`` is the peak memory of all children together, sampled 20 times a second."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ChildMemoryMonitor:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self.peak_mb = max(self.peak_mb, sum(_status_mb(child, "VmRSS") for child in _children()))


def _children() -> list[str]:
    pids = []
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            pids += task.read_text().split()
        except OSError:
            continue
    return pids


def _status_mb(pid: str, name: str) -> float:
    """A field of ``/proc/PID/status`` in MB; 0 without such a process or field."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)

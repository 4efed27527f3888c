"""The child process that decodes; kept for the next file, since to start one takes half a second.

A match of two halves is looked at, looked at again in another size, and read: six times, by one child. A child is kept
only if it has answered to the end, so one that died, hangs or raised never decodes a second file; and it is used again
only if a new one would have the same environment.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

_KEPT_S = 15
"""How long a child without a file may be used again."""
_WAIT_S = 60
"""After that without a file, it exits. Much longer than ``_KEPT_S``, so that it never exits while it is given one."""
_MAX_FILES = 32
"""Files that one child decodes at most, in case a decoding library loses some memory with each."""
_COMMAND = (
    "import sys; sys.path[:] = {path!r}; from e2espot.video.decoder_process import serve_child; serve_child({pipe})"
)


@dataclass(eq=False)
class DecoderChild:
    """A child process and the parent's end of its pipe."""

    process: subprocess.Popen[bytes]
    """The running interpreter."""
    pipe: Connection[Any, Any]
    """The parent's end."""
    environment: object
    """What it was started with: interpreter, module paths, variables, working directory."""
    num_files: int = field(default=0, init=False)
    """Files it was given."""
    idle_since_s: float = field(default=0.0, init=False)
    """When it ended its last file, by the monotonic clock."""

    def give(self, request: object, ring_fd: int) -> None:
        """Send a request and the ring to write into; that the child is dead shows when its answer is read."""
        self.num_files += 1
        with suppress(OSError):
            self.pipe.send(request)
            send_handle(self.pipe, ring_fd, self.process.pid)

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()


_idle: list[DecoderChild] = []
"""The child that waits for another file; at most one."""
_lock = threading.Lock()


def decoder_child() -> DecoderChild:
    """The child that waits, or a new one."""
    environment = _environment()
    with _lock:
        child = _idle.pop() if _idle else None
    if child is not None:
        is_fresh = time.monotonic() - child.idle_since_s < _KEPT_S
        if is_fresh and child.environment == environment and child.process.poll() is None:
            return child
        child.end()
    return _start(environment)


def keep(child: DecoderChild) -> None:
    """Keep a child that has done all it was asked for; a second one ends."""
    child.idle_since_s = time.monotonic()
    if child.num_files < _MAX_FILES:
        with _lock:
            if not _idle:
                _idle.append(child)
                return
    child.end()


def end_idle_child() -> None:
    """End the child that waits, if there is one."""
    with _lock:
        children, _idle[:] = list(_idle), []
    for child in children:
        child.end()


def next_request(pipe: Connection[Any, Any]) -> tuple[Any, int] | None:
    """In the child: the next request and the ring to write into; None if nothing comes for long.

    Raises:
        EOFError: the parent has closed the pipe.
    """
    if not pipe.poll(_WAIT_S):
        return None
    return pipe.recv(), recv_handle(pipe)


def _start(environment: object) -> DecoderChild:
    parent_end, child_end = Pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND.format(path=sys.path, pipe=child_end.fileno())],
            pass_fds=(child_end.fileno(),),
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C reaches the whole group of a terminal, but the parent decides
        )
    finally:
        child_end.close()
    return DecoderChild(process, parent_end, environment)


def _environment() -> object:
    folder = None
    with suppress(OSError):  # the working directory may have been deleted
        folder = Path.cwd()  # relative paths of videos begin there
    return sys.executable, tuple(sys.path), dict(os.environ), folder


def _forget() -> None:
    """In a forked process: the child is the parent's."""
    global _lock
    for child in _idle:
        child.pipe.close()
        child.process.returncode = 0  # not to be waited for here
    _idle.clear()
    _lock = threading.Lock()  # another thread may have held it


atexit.register(end_idle_child)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

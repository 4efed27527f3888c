"""Senders for tests: PyAV pushes numbered pictures to a port, or into a pipe, with the faults that real ones have."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from e2espot.live.address import Address
from tests.support.numbered_video import constant, write


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_listener(port: int, kind: int = socket.SOCK_STREAM, *, timeout_s: float = 120.0) -> None:
    """Wait until a program listens on ``port``, without connecting to it: many accept one connection only."""
    table, listening = ("tcp", "0A") if kind == socket.SOCK_STREAM else ("udp", "07")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        rows = [row.split() for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        if any(row[1].endswith(f":{port:04X}") and row[3] == listening for row in rows):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


def numbered_stream(folder: Path, count: int = 100, *, suffix: str = ".ts", **options: str) -> Path:
    """H.264 with a keyframe every ten pictures, at 25 pictures a second."""
    video = constant(
        Fraction(25),
        count,
        suffix=suffix,
        options={"g": "10", "bf": "0", "sc_threshold": "0", "tune": "zerolatency", **options},
    )
    return write(folder / "stream", video)


def send(
    source: Path,
    url: str,
    *,
    format: str,
    speed: float = 4.0,
    packets: slice = slice(None),
    change: Callable[[Any, int], bool] = lambda packet, number: True,
    options: dict[str, str] | None = None,
) -> None:
    """Copy the packets of a file to ``url`` at ``speed`` times their pace, but for those that ``change`` refuses."""
    with av.open(str(source)) as file:
        stored = list(file.demux(file.streams.video[0]))[:-1][packets]
        with suppress(av.error.FFmpegError), av.open(url, "w", format=format, options=options or {}) as target:
            out = target.add_stream_from_template(file.streams.video[0])
            begun_s = time.monotonic()
            for number, packet in enumerate(stored):
                time.sleep(max(0.0, begun_s + number / 25 / speed - time.monotonic()))
                if change(packet, number):
                    packet.stream = out
                    target.mux(packet)


@contextmanager
def in_background(work: Callable[[], None]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(20)


@contextmanager
def sending_process(source: Path, url: str, port: int, format: str) -> Iterator[None]:
    """As ``send``: PyAV holds the interpreter's lock while it connects, so a handshake within a process hangs.

    The process has started when the block begins, and sends as soon as a reader listens.
    """
    work = f"wait_for_listener({port}); send(Path({str(source)!r}), {url!r}, format={format!r})"
    code = f"from tests.live.senders import *; print('ready', flush=True); {work}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield
        assert process.wait() == 0


@contextmanager
def piped(path: Path) -> Iterator[Address]:
    """A complete file as a pipe: the stream ends where the file does, and no time limit decides."""
    read_end, write_end = os.pipe()

    def fill() -> None:
        with suppress(BrokenPipeError), os.fdopen(write_end, "wb") as pipe:
            pipe.write(path.read_bytes())

    with in_background(fill):
        try:
            yield Address(text=f"pipe:{read_end}", kind="pipe")
        finally:
            os.close(read_end)

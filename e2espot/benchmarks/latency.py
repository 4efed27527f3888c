"""How long an event takes from its picture to its line, and what a second of a stream costs in CPU time.

A sender pushes a video at its pace over TCP and remembers when it sent each picture; ``e2espot live`` runs in a process
of its own, as users run it. An event's position gives its picture, so its latency is the time from the sending of that
picture to the reading of its line: with the network, the decoder and the pipe.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, cast

from e2espot.benchmarks.results import BenchResults, FactTable, Target
from e2espot.core.errors import ConfigurationError, VideoError

GOALS_S = {2.0: 2.5, 1.0: 1.5}
"""Latency that is asked for -> the largest median latency that is wanted."""
CPU_GOAL = 0.33
"""CPU-seconds for a second of a 720p25 stream with the shipped spotter."""
_GIVE_UP_S = 120
_WARM_UP_S = 3.0
"""Seconds of the stream after which CPU time is counted."""
_SILENCE_S = 10.0
"""How long the sender stays connected after its last picture."""


@dataclass(frozen=True, kw_only=True)
class LatencySettings:
    """What is measured."""

    latencies_s: Sequence[float] = (4.0, 3.0, 2.0, 1.5, 1.0)
    """Latency that is asked for, of each round."""
    run: Path | None = None
    """Run folder or weights; None for the shipped spotter."""
    threads: int = 1
    """CPU threads of the spotter."""
    threshold: float = 0.05
    """Smallest confidence of an event that counts."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one stream gave."""

    latencies_s: list[float]
    """One per event, sorted."""
    cpu_s: float
    """CPU-seconds of the spotter's process for a second of the stream."""

    def quantile(self, share: float) -> float:
        """The latency below which this share of the events is."""
        return self.latencies_s[min(len(self.latencies_s) - 1, int(share * len(self.latencies_s)))]


def bench_latency(video: Path, settings: LatencySettings) -> BenchResults:
    """Stream a video once for each latency.

    Args:
        video: Progressive, without B-frames or with them; its pictures have a constant rate.
        settings: What is measured.

    Raises:
        ConfigurationError: the spotter needs longer than the latency.
        VideoError: the stream gave no event.
    """
    rows, targets = [], []
    cpu_s: list[float] = []
    for latency_s in settings.latencies_s:
        result = stream_once(video, latency_s, settings)
        cpu_s.append(result.cpu_s)
        median_s = result.quantile(0.5)
        figures = (median_s, result.quantile(0.95), result.latencies_s[-1])
        rows.append(
            (
                f"latency {latency_s:g} s",
                str(len(result.latencies_s)),
                *(f"{figure:.2f} s" for figure in figures),
                f"{result.cpu_s:.2f}",
            )
        )
        if latency_s in GOALS_S:
            targets.append(
                Target(
                    what=f"live: median latency with {latency_s:g} s",
                    baseline="from the sending of a picture to the line of its event",
                    target=f"at most {GOALS_S[latency_s]:g} s",
                    most=GOALS_S[latency_s],
                    measured=median_s,
                    unit="s",
                )
            )
    if settings.run is None:
        targets.append(
            Target(
                what="live: CPU-seconds for a second of the stream",
                baseline="one thread",
                target=f"at most {CPU_GOAL}",
                most=CPU_GOAL,
                measured=sorted(cpu_s)[len(cpu_s) // 2],
                unit="s",
            )
        )
    table = FactTable(
        title=f"{video.name} over TCP, {settings.threads} thread" + "s" * (settings.threads > 1),
        columns=("events", "median", "95 %", "longest", "CPU-s per s"),
        rows=tuple(rows),
    )
    return BenchResults(tables=[table], targets=targets)


def stream_once(video: Path, latency_s: float, settings: LatencySettings) -> Round:
    """Stream a video to ``e2espot live`` and time its lines."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*([] if settings.run is None else [str(settings.run)]), f"tcp://127.0.0.1:{port}", "--listen"]
    words += ["--latency", str(latency_s), "--threshold", str(settings.threshold), "--give_up", str(_GIVE_UP_S)]
    environment = os.environ | {"OMP_NUM_THREADS": str(settings.threads), "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "e2espot", "live", *words, "--format", "json", "-o", f"{folder}/out"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            return _timed(process, video, port)
        finally:
            process.kill()
            process.wait()


def _timed(process: subprocess.Popen[str], video: Path, port: int) -> Round:
    with _connect(process, port) as connection:
        assert process.stdout is not None
        lines: list[tuple[float, int]] = []
        threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True).start()
        sender = PacedSender(connection, process.pid)
        sender.send(video)
        time.sleep(_SILENCE_S)  # connected, so that the last events are those of a stream that falls silent
    latencies_s = sorted(read_s - sender.sent_at_s(position_ms) for read_s, position_ms in list(lines))
    if not latencies_s:
        raise VideoError(f"{video}: no event, so nothing to measure; name a video with ball actions")
    return Round(latencies_s=latencies_s, cpu_s=sender.cpu_s)


def _connect(process: subprocess.Popen[str], port: int) -> socket.socket:
    """Connect as soon as the process listens."""
    while process.poll() is None:
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        time.sleep(0.1)
    assert process.stderr is not None
    raise ConfigurationError(process.stderr.read().strip().rpartition("\n")[2].removeprefix("error: "))


def _read_lines(file: IO[str], lines: list[tuple[float, int]]) -> None:
    for text in file:
        lines.append((time.monotonic(), json.loads(text)["position_ms"]))


class PacedSender:
    """Copies the packets of a video into a transport stream, at their pace.

    Args:
        connection: Where it goes.
        receiver: Process whose CPU time is counted while it is sent.
    """

    def __init__(self, connection: socket.socket, receiver: int) -> None:
        self._connection, self._receiver = connection, receiver
        self._sent: list[tuple[int, float]] = []
        """Presentation time of each picture in ticks, and when it was sent."""
        self._rate = Fraction(25)
        self.cpu_s = 0.0
        """CPU-seconds of the receiver for a second of the stream."""

    def write(self, data: bytes) -> int:
        """Called by the muxer."""
        self._connection.sendall(data)
        return len(data)

    def send(self, video: Path) -> None:
        """Send all of it.

        Raises:
            VideoError: its pictures have no constant rate.
        """
        import av

        with av.open(str(video)) as source, av.open(cast(Any, self), "w", format="mpegts") as target:
            stored = source.streams.video[0]
            if stored.average_rate is None:
                raise VideoError(f"{video}: its pictures have no rate")
            self._rate = Fraction(stored.average_rate)
            packets = [packet for packet in source.demux(stored) if packet.size]
            copied = target.add_stream_from_template(stored)
            begun_s, first = time.monotonic(), min(len(packets) - 1, round(_WARM_UP_S * self._rate))
            cpu_s = 0.0
            for number, packet in enumerate(packets):
                time.sleep(max(0.0, begun_s + float(number / self._rate) - time.monotonic()))
                if number == first:
                    cpu_s = _cpu_seconds(self._receiver)
                self._sent.append((packet.pts or number, time.monotonic()))
                packet.stream = copied
                target.mux(packet)
            self.cpu_s = (_cpu_seconds(self._receiver) - cpu_s) / float((len(packets) - first) / self._rate)
        self._sent.sort()  # B-frames are sent after pictures that follow them

    def sent_at_s(self, position_ms: int) -> float:
        """When the picture at a position was sent."""
        picture = int(Fraction(position_ms, 1000) * self._rate)
        return self._sent[min(picture, len(self._sent) - 1)][1]


def _cpu_seconds(process: int) -> float:
    """CPU time of all threads of a process; Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

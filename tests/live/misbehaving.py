"""A sender with the faults of real ones: it drops the connection, restarts, jumps back in time, or falls silent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av

from tests.live.senders import wait_for_listener

Fault = Literal["drop", "restart", "jump back", "silence", "stop"]
RATE = 25


@dataclass(frozen=True, kw_only=True)
class Act:
    """Some pictures, then a fault."""

    num_pictures: int
    """Sent before it."""
    fault: Fault
    """drop: the connection is closed, and made again after the pause. restart: the same, with a clock that begins at
    0. jump back: the clock goes back by an hour. silence: nothing is sent during the pause. stop: for good."""
    pause_s: float = 0.0
    """Time without pictures, on the clock of the stamps as well."""

    @property
    def is_gap(self) -> bool:
        """Whether pictures are missing for longer than one is held."""
        return self.pause_s > 1


class Sender:
    """Sends H.264 in a transport stream to a port, over and over the same pictures.

    Args:
        source: Video that begins with a keyframe.
        port: On this machine; TCP or UDP by ``kind``.
        kind: ``socket.SOCK_STREAM`` or ``socket.SOCK_DGRAM``.
        speed: Times the pace of the pictures.
    """

    def __init__(self, source: Path, port: int, kind: int = socket.SOCK_STREAM, speed: float = 1.0) -> None:
        with av.open(str(source)) as file:
            video = file.streams.video[0]
            stored = [packet for packet in file.demux(video) if packet.size]
            self._packets = [(bytes(packet), packet.is_keyframe) for packet in stored]
        self._source, self._port, self._kind, self._speed = source, port, kind, speed
        self._socket: socket.socket | None = None
        self.num_sent = self.num_pictures = 0
        """Pictures that were sent, and that there were; the others had no receiver."""

    def play(self, acts: Sequence[Act], on_act: Callable[[Act], None] = lambda _: None) -> None:
        """Send all of them; ``on_act`` is called before each."""
        stamp_s = Fraction(3600)
        for act in acts:
            on_act(act)
            self._send(act.num_pictures, stamp_s)
            stamp_s += Fraction(act.num_pictures, RATE) + round(act.pause_s)
            if act.fault in ("drop", "restart", "stop"):
                self._disconnect()
            if act.fault == "restart":
                stamp_s = Fraction(0)
            elif act.fault == "jump back":
                stamp_s = max(Fraction(0), stamp_s - 3600)
            time.sleep(act.pause_s)

    def write(self, data: bytes) -> int:
        """Called by the muxer."""
        for start in range(0, len(data), 1316):
            self._send_bytes(data[start : start + 1316])
        return len(data)

    def _send(self, count: int, stamp_s: Fraction) -> None:
        """Pictures from a keyframe on, in a transport stream of their own, at their pace."""
        with av.open(str(self._source)) as file, av.open(cast(Any, self), "w", format="mpegts") as target:
            out = target.add_stream_from_template(file.streams.video[0])
            begun_s = time.monotonic()
            for number in range(count):
                data, is_key = self._packets[number % len(self._packets)]
                packet = av.Packet(data)
                packet.time_base = Fraction(1, 90_000)
                packet.pts = packet.dts = round((stamp_s + Fraction(number, RATE)) / packet.time_base)
                packet.is_keyframe, packet.stream = is_key, out
                time.sleep(max(0.0, begun_s + number / RATE / self._speed - time.monotonic()))
                self.num_pictures += 1
                sent = self._socket
                target.mux(packet)
                self.num_sent += sent is not None and self._socket is sent

    def _send_bytes(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = self._connect()
        try:
            self._socket.sendall(data)
        except OSError:  # the receiver has given this connection up, and listens again soon
            self._disconnect()

    def _connect(self) -> socket.socket:
        wait_for_listener(self._port, self._kind, timeout_s=300)
        connection = socket.socket(type=self._kind)
        connection.connect(("127.0.0.1", self._port))
        return connection

    def _disconnect(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

"""A whole video in order, decoded ahead of its consumer by a process of its own.

The decoder writes into a bounded ring in shared memory. If it dies or hangs it costs this
one video and an error that names it, never the interpreter or the run.
"""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.errors import VideoError
from e2espot.timeline import DEFAULT_FPS
from e2espot.video.reader import open_reader, probe

_POLL_S = 0.5


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive frames of a video."""

    first_frame: int
    """Grid frame of the first picture."""
    frames_THWC: np.ndarray
    """uint8 RGB; the receiver's to keep."""


def stream_frames(
    path: Path,
    *,
    fps: Fraction = DEFAULT_FPS,
    size: tuple[int, int] | None = None,
    chunk_len: int = 64,
    read_ahead: int = 4,
    start: int = 0,
    stop: int | None = None,
    in_process: bool = False,
    timeout_s: float = 120.0,
) -> Iterator[Chunk]:
    """Every grid frame of ``[start, stop)`` once, in order, in chunks of ``chunk_len``.

    Args:
        path: The video.
        fps: Rate of the grid.
        size: (width, height) of the pictures; None for the file's own.
        chunk_len: Frames of a chunk; the last one may be shorter.
        read_ahead: Chunks decoded before they are asked for; memory is bounded by it.
        start: First frame.
        stop: Frame to stop before; None for the end.
        in_process: Decode here instead of in a child, for tests.
        timeout_s: Longest wait for one chunk before the decoder is taken for hung.

    Raises:
        VideoError: the file cannot be read, or its decoder died or hung.
    """
    info = probe(Path(path), fps)
    stop = info.num_frames if stop is None else min(stop, info.num_frames)
    size = size or (info.width, info.height)
    if in_process:
        with open_reader(Path(path), fps=fps, size=size) as reader:
            for first in range(start, stop, chunk_len):
                yield Chunk(first, reader.read(range(first, min(first + chunk_len, stop))))
        return
    ring = _Ring(Path(path), fps, size, chunk_len, max(1, read_ahead), start, stop)
    try:
        for first in range(start, stop, chunk_len):
            yield Chunk(first, ring.next(min(chunk_len, stop - first), timeout_s))
    finally:
        ring.close()


class _Ring:
    """Slots in shared memory, filled by the child, emptied by us."""

    def __init__(
        self, path: Path, fps: Fraction, size: tuple[int, int], chunk_len: int, slots: int, start: int, stop: int
    ) -> None:
        context = multiprocessing.get_context("spawn")
        width, height = size
        self._path = path
        self._shape = (slots, chunk_len, height, width, 3)
        self._memory = shared_memory.SharedMemory(create=True, size=int(np.prod(self._shape)))
        self._array: np.ndarray | None = np.ndarray(self._shape, dtype=np.uint8, buffer=self._memory.buf)
        self._free: Any = context.Queue()
        self._full: Any = context.Queue()
        for slot in range(slots):
            self._free.put(slot)
        job = (str(path), str(fps), size, self._shape, self._memory.name, start, stop, self._free, self._full)
        self._child = context.Process(target=_decode_into_ring, args=job, daemon=True)
        self._child.start()

    def next(self, count: int, timeout_s: float) -> np.ndarray:
        """Next ``count`` frames, copied out of the ring."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                slot, message = self._full.get(timeout=_POLL_S)
                break
            except queue.Empty:
                if not self._child.is_alive() and self._full.empty():
                    raise VideoError(
                        f"{self._path}: its decoder died (exit {self._child.exitcode}); the file is probably damaged"
                    ) from None
                if time.monotonic() > deadline:
                    raise VideoError(f"{self._path}: its decoder gave nothing for {timeout_s:.0f} s") from None
        if message is not None:
            raise VideoError(message)
        assert self._array is not None
        frames_THWC = self._array[slot, :count].copy()
        self._free.put(slot)
        return frames_THWC

    def close(self) -> None:
        """End the child and give the memory back."""
        if self._child.is_alive():
            self._child.kill()
        self._child.join()
        for channel in (self._free, self._full):
            channel.cancel_join_thread()
            channel.close()
        self._array = None
        self._memory.close()
        self._memory.unlink()


def _decode_into_ring(
    path: str,
    fps: str,
    size: tuple[int, int],
    shape: tuple[int, ...],
    memory_name: str,
    start: int,
    stop: int,
    free: Any,
    full: Any,
) -> None:
    """Life of the child: decode, wait for a free slot, fill it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    memory = shared_memory.SharedMemory(name=memory_name)
    array: np.ndarray = np.ndarray(shape, dtype=np.uint8, buffer=memory.buf)
    chunk_len = shape[1]
    try:
        with open_reader(Path(path), fps=Fraction(fps), size=size) as reader:
            for first in range(start, stop, chunk_len):
                frames_THWC = reader.read(range(first, min(first + chunk_len, stop)))
                slot = free.get()
                array[slot, : len(frames_THWC)] = frames_THWC
                full.put((slot, None))
    except Exception as error:
        text = str(error) if isinstance(error, VideoError) else f"{path}: cannot be decoded ({error})"
        full.put((-1, text.splitlines()[0]))
    finally:
        del array
        memory.close()

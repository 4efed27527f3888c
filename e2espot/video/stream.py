"""Every frame of a video in order, decoded ahead of whoever consumes them.

The decoder runs in a child process and writes into a ring of shared memory, so that a
file that kills or hangs its decoder costs one error, and memory never grows. The ring
has no name in any file system and dies with its last user, however that ends. The child
is a bare interpreter that imports nothing of the caller's: no torch, no ``__main__``.

Shapes: T = frames of a chunk, H x W = size asked for, C = red, green, blue.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from mmap import mmap
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.coverage import stretches_of
from e2espot.core.errors import VideoError
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video.index import Presentation
from e2espot.video.indexing import index_of
from e2espot.video.reader import GridReader, ReaderName, reader_of, video_info

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

_SLOT_BYTES = 64 << 20
_START_S = 60.0
_CHILD = "import sys; sys.path[:] = {path!r}; from e2espot.video.stream import serve_child; serve_child({pipe}, {ring})"


@dataclass(frozen=True)
class Chunk:
    """A run of frames."""

    first_frame: int
    """Grid frame of the first one."""
    frames_THWC: np.ndarray
    """uint8 RGB."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What the child is told."""

    presentation: Presentation
    fps: Fraction
    size: tuple[int, int] | None
    reader: ReaderName
    start: int
    stop: int
    slot_frames: int
    slot_bytes: int
    num_slots: int
    pass_over: bool


def stream_frames(
    path: Path | str,
    *,
    fps: Fraction = DEFAULT_FPS,
    size: tuple[int, int] | None = None,
    chunk_len: int = 64,
    read_ahead: int = 4,
    start: int = 0,
    stop: int | None = None,
    reader: ReaderName = "auto",
    allow_truncated: bool = False,
    missing: list[range] | None = None,
    timeout_s: float = 120.0,
    in_process: bool = False,
) -> Iterator[Chunk]:
    """Yield every frame of ``[start, stop)`` once, in order.

    Args:
        path: The file.
        fps: Frames per second of the grid.
        size: (width, height) to scale to; None for the size shown.
        chunk_len: Frames of a chunk; the last may be shorter.
        read_ahead: Chunks decoded ahead at most; fewer where pictures are large.
        start: First frame.
        stop: End of the frames, not included; None for all.
        reader: See ``open_reader``.
        allow_truncated: Take a file that breaks off as far as it goes.
        missing: Filled while reading with the frames that do not decode, which are zeros then; None to stop at them.
        timeout_s: Longest wait for the next frames before the decoder counts as hanging.
        in_process: Decode here, when asked, without a child.

    Raises:
        VideoError: see ``index_video``; or the decoder died or hangs.
    """
    if chunk_len < 1 or read_ahead < 1:
        raise ValueError(f"chunk_len is {chunk_len} and read_ahead {read_ahead}; both must be at least 1")
    presentation = index_of(path, allow_truncated=allow_truncated)
    info = video_info(presentation, fps)
    stop = info.num_frames if stop is None else stop
    if not 0 <= start <= stop <= info.num_frames:
        raise ValueError(f"{path}: frames {start} to {stop} asked for; there are {info.num_frames}")
    if in_process or os.name != "posix":
        with reader_of(presentation, fps=fps, size=size, reader=reader) as frames:
            yield from _chunks_in_process(frames, range(start, stop), chunk_len, missing)
        return
    width, height = size or (info.width, info.height)
    frame_bytes = width * height * 3
    slot_frames = max(1, min(chunk_len, _SLOT_BYTES // frame_bytes))
    job = _Job(
        presentation=presentation,
        fps=fps,
        size=size,
        reader=reader,
        start=start,
        stop=stop,
        slot_frames=slot_frames,
        slot_bytes=slot_frames * frame_bytes,
        num_slots=read_ahead,
        pass_over=missing is not None,
    )
    with closing(_Child(job, timeout_s)) as child:
        for first in range(start, stop, chunk_len):
            frames_THWC = np.empty((min(chunk_len, stop - first), height, width, 3), dtype=np.uint8)
            for place in range(0, len(frames_THWC), slot_frames):
                absent = child.take(frames_THWC[place : place + slot_frames], first + place)
                if missing is not None:
                    missing += absent
            yield Chunk(first, frames_THWC)


def _chunks_in_process(
    frames: GridReader, wanted: range, chunk_len: int, missing: list[range] | None
) -> Iterator[Chunk]:
    for place in range(0, len(wanted), chunk_len):
        frames_THWC, absent = _read(frames, wanted[place : place + chunk_len], pass_over=missing is not None)
        if missing is not None:
            missing += absent
        yield Chunk(wanted[place], frames_THWC)


def _read(frames: GridReader, wanted: range, *, pass_over: bool) -> tuple[np.ndarray, list[range]]:
    """The frames, and which of them do not decode where those are passed over."""
    if not pass_over:
        return frames.read(wanted), []
    frames_THWC, valid_T = frames.read_readable(wanted)
    return frames_THWC, [wanted[gap.start : gap.stop] for gap in stretches_of(~valid_T)]


class _Child:
    """The decoder process and this side of the ring."""

    def __init__(self, job: _Job, timeout_s: float) -> None:
        self._job, self._timeout_s = job, timeout_s
        self._slot = 0
        ring = _anonymous_memory(job.slot_bytes * job.num_slots)
        ours, theirs = Pipe()
        try:
            self._ring = mmap(ring, job.slot_bytes * job.num_slots)
            command = _CHILD.format(path=sys.path, pipe=theirs.fileno(), ring=ring)
            self._process = subprocess.Popen(
                [sys.executable, "-c", command],
                pass_fds=(theirs.fileno(), ring),
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C reaches the whole group of a terminal; the parent decides
            )
        finally:
            theirs.close()
            os.close(ring)
        self._pipe: Connection[Any, Any] = ours
        with suppress(OSError):  # a child that is dead already is reported by take()
            self._pipe.send(job)

    def take(self, into_THWC: np.ndarray, first: int) -> list[range]:
        """Copy the next slot's frames, which begin with frame ``first``; those it passed over."""
        path = self._job.presentation.path
        try:
            if not self._pipe.poll(self._timeout_s):
                raise VideoError(f"{path}: its decoder gave nothing for {self._timeout_s:g} s at frame {first}")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise VideoError(f"{path}: its decoder died ({self._last_words()}) at frame {first}") from None
        if isinstance(answer, BaseException):
            raise answer
        offset = self._slot * self._job.slot_bytes
        flat = np.frombuffer(self._ring, dtype=np.uint8, count=into_THWC.size, offset=offset)
        into_THWC[...] = flat.reshape(into_THWC.shape)
        del flat  # else the map could not be closed
        self._slot = (self._slot + 1) % self._job.num_slots
        with suppress(OSError):
            self._pipe.send(None)
        absent: list[range] = answer
        return absent

    def close(self) -> None:
        """End the child and free the ring."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        self._ring.close()

    def _last_words(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=5)
            return f"signal {-code}" if code < 0 else f"exit status {code}"
        return "no exit status"


def _anonymous_memory(num_bytes: int) -> int:
    """File descriptor of memory without a name, which ``/dev/shm`` and its limit do not know."""
    if hasattr(os, "memfd_create"):
        ring = os.memfd_create("e2espot", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            ring = os.dup(file.fileno())
    os.ftruncate(ring, num_bytes)
    return ring


def serve_child(pipe_fd: int, ring_fd: int) -> None:
    """Decode into the ring until done, told to stop, or left alone; the child's whole life."""
    import signal

    # A signal reaches the whole group; the parent decides, and closes the pipe.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe: Connection[Any, Any] = Connection(pipe_fd)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        job: _Job = pipe.recv()
        try:
            _decode_into(pipe, mmap(ring_fd, job.slot_bytes * job.num_slots), job)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            pipe.send(error)


def _decode_into(pipe: Connection[Any, Any], ring: mmap, job: _Job) -> None:
    free = job.num_slots
    with reader_of(job.presentation, fps=job.fps, size=job.size, reader=job.reader) as reader:
        for turn, first in enumerate(range(job.start, job.stop, job.slot_frames)):
            wanted = range(first, min(first + job.slot_frames, job.stop))
            frames_THWC, absent = _read(reader, wanted, pass_over=job.pass_over)
            while free == 0 or pipe.poll():
                pipe.recv()
                free += 1
            offset = turn % job.num_slots * job.slot_bytes
            ring[offset : offset + frames_THWC.nbytes] = frames_THWC.tobytes()
            free -= 1
            pipe.send(absent)
    while free < job.num_slots:  # stay until all is taken, so that nobody finds the pipe closed early
        pipe.recv()
        free += 1

"""A decoder in a child process, which writes into a ring of shared memory.

A file that kills or hangs its decoder costs one error, and memory does not grow with the video::

    parent: decode_ahead                                  child: serve_child (``decoder_child``)
      chunks [0, 64) [64, 128) ...
      slots  [0, 24) [24, 48) [48, 64) [64, 88) ...
                 -- request: index, size, slots; ring ->    takes the first look
                 <- answer: what it shows --------------    decodes slot i
                                                            writes it at position i % num_slots of the ring
                 <- answer: slot i, frames missing ------
      copies it into its chunk
                 -- slot i is free ---------------------->  may write slot i + num_slots

    ring:  | slot 0, 4, ... | slot 1, 5, ... | slot 2, 6, ... | slot 3, 7, ... |   num_slots x slot_bytes

The ring has no name in any file system, and dies with its last user, however that ends. The child is a bare interpreter
that imports nothing of the caller's: no torch, no ``__main__``.

Shapes: T = frames of a chunk, H x W = size asked for, C = red, green, blue.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from mmap import mmap
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.coverage import ranges_of_mask
from e2espot.core.errors import VideoError
from e2espot.core.timeline import clock_text
from e2espot.video.decoder_child import decoder_child, keep, next_request
from e2espot.video.index import VideoIndex
from e2espot.video.preparation import known_look, preparation_of, remember_look
from e2espot.video.reader import GridReader, reader_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from fractions import Fraction

    from e2espot.core.picture_options import PictureOptions
    from e2espot.video.backend import HostBackend
    from e2espot.video.first_look import FirstLook

_MAX_SLOT_BYTES = 64 << 20
"""Larger chunks are passed in several slots, so that the ring stays small for large frames."""
_EXIT_TIMEOUT_S = 5


@dataclass(frozen=True, kw_only=True)
class DecodeRequest:
    """What the child decodes, and where it writes it. Sent once, pickled."""

    index: VideoIndex
    """The video."""
    fps: Fraction
    """Frames per second of the grid."""
    size: tuple[int, int]
    """(width, height) to scale to."""
    reader: HostBackend
    """Backend that decodes."""
    pictures: PictureOptions | None
    """How pictures may be prepared. The child decides, since that takes decoding."""
    look: FirstLook | None
    """What an earlier child has seen of the file; None for the first one."""
    chunks: tuple[range, ...]
    """Frames of the file in each chunk, in order; at least one chunk, and none longer than the first."""
    num_slots: int
    """Slots the ring holds at a time."""
    skip_damaged: bool
    """Whether frames that do not decode are given as zeros and reported, instead of raising."""
    pictures_K: np.ndarray | None = None
    """Ranks of the pictures that are the frames of the file; None for those of the grid."""

    @property
    def slot_len(self) -> int:
        """Most frames of a slot."""
        width, height = self.size
        return max(1, min(len(self.chunks[0]), _MAX_SLOT_BYTES // (width * height * 3)))

    @property
    def slot_bytes(self) -> int:
        """Size of the largest slot."""
        return self.slot_len * self.size[0] * self.size[1] * 3

    @property
    def slots(self) -> list[range]:
        """Frames of each slot, in order.

        Parent and child both divide by this rule alone: with two of them, every later frame would be another one.
        """
        return [slot for frames in self.chunks for slot in split_frames(frames, self.slot_len)]


def decode_ahead(
    request: DecodeRequest, timeout_s: float, in_process: bool
) -> Generator[tuple[np.ndarray, list[range]], None, None]:
    """``frames_THWC`` of each chunk of one file, and its ranges of frames that do not decode."""
    if in_process:
        with _open_reader(request) as frame_reader:
            for frames in request.chunks:
                yield read_range(frame_reader, frames, skip_damaged=request.skip_damaged)
        return
    width, height = request.size
    with closing(_DecoderProcess(request, timeout_s)) as decoder:
        decoder.receive_first_look()
        for frames in request.chunks:
            frames_THWC, lost = np.empty((len(frames), height, width, 3), dtype=np.uint8), []
            for slot in split_frames(frames, request.slot_len):
                first = slot.start - frames.start
                lost += decoder.receive(slot, frames_THWC[first : first + len(slot)])
            yield frames_THWC, lost


def _open_reader(request: DecodeRequest) -> GridReader:
    if request.look is not None:
        remember_look(request.index, request.look)
    preparation = preparation_of(request.index, request.pictures)
    return reader_of(
        request.index,
        fps=request.fps,
        size=request.size,
        reader=request.reader,
        preparation=preparation,
        pictures_K=request.pictures_K,
    )


def split_frames(frames: range, length: int) -> list[range]:
    """Consecutive parts of at most ``length`` frames: ``range(0, 64)`` by 24 -> [0, 24) [24, 48) [48, 64)."""
    return [frames[i : i + length] for i in range(0, len(frames), length)]


def read_range(reader: GridReader, frames: range, *, skip_damaged: bool) -> tuple[np.ndarray, list[range]]:
    """Read consecutive frames.

    Args:
        reader: The open video.
        frames: Frames of the grid.
        skip_damaged: Return zeros for frames that do not decode, instead of raising.

    Returns:
        ``frames_THWC``, and the ranges of frames that do not decode.

    Raises:
        DamagedVideoError: a frame does not decode, and damaged frames are not skipped.
    """
    if not skip_damaged:
        return reader.read(frames), []
    frames_THWC, valid_T = reader.read_with_gaps(frames)
    return frames_THWC, [frames[gap.start : gap.stop] for gap in ranges_of_mask(~valid_T)]


class _DecoderProcess:
    """The decoder's process, and the parent's end of ring and pipe."""

    def __init__(self, request: DecodeRequest, timeout_s: float) -> None:
        self._request, self._timeout_s = request, timeout_s
        self._num_received = 0
        ring_bytes = request.slot_bytes * request.num_slots
        ring = _anonymous_memory(ring_bytes)
        try:
            self._ring = mmap(ring, ring_bytes)
            self._child = decoder_child()
            self._child.give(request, ring)
        finally:
            os.close(ring)

    def receive_first_look(self) -> None:
        """Remember and log what the first look has shown, which is the first answer; None if it was not needed."""
        index = self._request.index
        look: FirstLook | None = self._answer(self._request.chunks[0].start)
        if look is not None:
            remember_look(index, look)
        preparation_of(index, self._request.pictures)  # which logs it in this process; nothing is decoded for it

    def _answer(self, first_frame: int) -> Any:
        """The next answer of the child, which is about the frames from ``first_frame`` on.

        Raises:
            VideoError: the child died or hangs, or what it raised.
        """
        path = self._request.index.path
        try:
            if not self._child.pipe.poll(self._timeout_s):
                raise VideoError(
                    f"{path}: its decoder gave nothing for {self._timeout_s:g} s at {self._position(first_frame)}"
                )
            answer = self._child.pipe.recv()
        except (EOFError, OSError):
            raise VideoError(
                f"{path}: its decoder died ({self._exit_reason()}) at {self._position(first_frame)}"
            ) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def receive(self, slot: range, target_THWC: np.ndarray) -> list[range]:
        """Copy the next slot, which must hold the frames ``slot``, into ``target_THWC``.

        Returns:
            Frames of the slot that do not decode.
        """
        path = self._request.index.path
        decoded, missing = self._answer(slot.start)
        if decoded != slot:
            raise AssertionError(f"{path}: the decoder gave frames {decoded} where {slot} are next")
        # Slots are shorter at the end of a chunk, but begin at whole multiples of slot_bytes.
        offset = self._num_received % self._request.num_slots * self._request.slot_bytes
        flat = np.frombuffer(self._ring, dtype=np.uint8, count=target_THWC.size, offset=offset)
        target_THWC[...] = flat.reshape(target_THWC.shape)
        del flat  # a map that is still referred to cannot be closed
        self._num_received += 1
        with suppress(OSError):
            self._child.pipe.send(None)  # the slot is free
        lost: list[range] = missing
        return lost

    def close(self) -> None:
        """Release the ring; keep a child that has done its work, end any other."""
        if self._num_received == len(self._request.slots):
            keep(self._child)
        else:
            self._child.end()
        self._ring.close()

    def _position(self, frame: int) -> str:
        """Where a frame is, as a person finds it."""
        return f"{clock_text(frame / self._request.fps)} (frame {frame})"

    def _exit_reason(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._child.process.wait(timeout=_EXIT_TIMEOUT_S)
            return f"signal {-code}" if code < 0 else f"exit status {code}"
        return "no exit status"


def _anonymous_memory(num_bytes: int) -> int:
    """File descriptor of memory without a name, independent of ``/dev/shm`` and its limit."""
    if hasattr(os, "memfd_create"):
        ring = os.memfd_create("e2espot", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            ring = os.dup(file.fileno())
    os.ftruncate(ring, num_bytes)
    return ring


def serve_child(pipe_fd: int) -> None:
    """Run the child: decode one file after the other, each into its ring, until the parent has closed the pipe."""
    import signal

    # A signal reaches the whole process group; the parent decides, and closes the pipe.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe: Connection[Any, Any] = Connection(pipe_fd)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while (given := next_request(pipe)) is not None:
            request, ring_fd = given
            try:
                with mmap(ring_fd, request.slot_bytes * request.num_slots) as ring:
                    os.close(ring_fd)
                    _decode_into(pipe, ring, request)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:
                pipe.send(error)


def _decode_into(pipe: Connection[Any, Any], ring: mmap, request: DecodeRequest) -> None:
    num_free = request.num_slots
    with _open_reader(request) as reader:
        pipe.send(known_look(request.index))
        for i, slot in enumerate(request.slots):
            # Decoded before waiting for a free slot: one more than the ring holds is ready.
            frames_THWC, missing = read_range(reader, slot, skip_damaged=request.skip_damaged)
            while num_free == 0 or pipe.poll():
                pipe.recv()
                num_free += 1
            offset = i % request.num_slots * request.slot_bytes
            ring[offset : offset + frames_THWC.nbytes] = frames_THWC.tobytes()
            num_free -= 1
            pipe.send((slot, missing))
    # Done only when all slots are received: what the parent sends next is the next request.
    while num_free < request.num_slots:
        pipe.recv()
        num_free += 1

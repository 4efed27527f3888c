"""Reads a stream in a thread of its own: packets in, frames of the grid out, through a ring of fixed size.

    connect -> packets -> StreamDecoder: StampFixer -> decoder -> FrameGrid -> scaled to RGB -> ring -> the spotter
       ^         |                           |
       +- lost --+                           +-> recorder

The thread never waits for the spotter for longer than the ring holds: when it is full, the older half is dropped,
and counts as not seen.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from e2espot.core.errors import VideoError, first_line
from e2espot.core.wording import counted
from e2espot.live.address import Address
from e2espot.live.ring import FrameRing
from e2espot.live.stream_decoder import Recorder, StreamDecoder

if TYPE_CHECKING:
    from av.container import InputContainer

_LOG = logging.getLogger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 5.0
"""Pauses between two attempts to connect: they double from the first to the longest."""
NO_KEYFRAME_S = 30.0
"""A stream without a keyframe for so long is refused: nothing of it can be decoded."""

End = Literal["ended", "lost", "refused"]


class StreamReader:
    """The thread that reads a stream.

    Args:
        address: The source.
        fps: Frames per second of the grid.
        size: (width, height) to scale to.
        ring_len: Frames that may wait for the spotter.
        give_up_s: Longest time without a picture, and for connecting again, before the stream is lost.
        video_stream: Which video stream is read, counted from 0; None for the one that players choose.
        recorder: Takes the packets; None for none.
    """

    def __init__(
        self,
        address: Address,
        *,
        fps: Fraction,
        size: tuple[int, int],
        ring_len: int,
        give_up_s: float,
        video_stream: int | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._address, self._give_up_s, self._video_stream = address, give_up_s, video_stream
        self.ring = FrameRing(ring_len)
        self._decoder = StreamDecoder(address.name, fps=fps, size=size, ring=self.ring, recorder=recorder)
        self._thread = threading.Thread(target=self._run, name="stream reader", daemon=True)
        self._stopped = threading.Event()
        self.error: BaseException | None = None
        """An exception that is not the stream's fault."""
        self.reason = ""
        """Why the stream is over, for the user."""
        self.end: End = "ended"

    @property
    def num_connections(self) -> int:
        """Connections of which a picture was decoded."""
        return self._decoder.num_connections

    def start(self) -> None:
        """Begin to connect and to read."""
        self._decoder.last_picture_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End as soon as the present call into FFmpeg returns; frames that are known stay in the ring."""
        self._stopped.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread, so that a recording is finished."""
        self._thread.join(timeout_s)

    def show_last(self) -> None:
        """No picture comes: show the last one for the usual time, as at the end of a file; what follows goes on."""
        self._decoder.show_last()

    def num_frames(self, fps: Fraction) -> int | None:
        """Frames from the first picture to the end of the last one, on a grid; None if it was stopped before."""
        return None if self._stopped.is_set() else self._decoder.num_frames(fps)

    # In the thread

    def _run(self) -> None:
        try:
            self._read_until_over()
            self.show_last()
        except BaseException as error:
            self.error = error
        finally:
            self._decoder.close()
            self.ring.close()

    def _read_until_over(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopped.is_set():
            frames_before, failure, begun_s = self._decoder.next_frame, "", time.monotonic()
            try:
                with self._connect() as container:
                    self._read(container)
            except Exception as error:
                if not _is_of_stream(error):
                    raise
                failure = self._reason_of(error, time.monotonic() - begun_s)
                if getattr(error, "errno", None) == errno.EADDRINUSE and not self.num_connections:
                    self.end, self.reason = "refused", failure
                    return
            if self._stopped.is_set() or self._is_over_after(failure):
                return
            if self._decoder.next_frame > frames_before:
                wait_s = _FIRST_WAIT_S
                _LOG.warning("%s: %s; connecting again", self._address.name, failure or "the sender closed the stream")
            self._decoder.lost()
            self._stopped.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _reason_of(self, error: Exception, lasted_s: float) -> str:
        """The cause in a few words, for a connection that lasted so long."""
        import av

        reason, address = _reason(error), self._address
        if isinstance(error, VideoError):
            return reason
        if address.kind == "device":
            return f"no camera that video4linux can read ({reason})"
        if getattr(error, "errno", None) == errno.EIO and not self.num_connections and address.kind != "growing":
            return "no such host, or no network"
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            return "this port is in use; choose another"
        # RTSP gives other errors when nothing arrives.
        if isinstance(error, av.error.InvalidDataError) and not self.num_connections and lasted_s >= self._give_up_s:
            return "nothing arrived in time"
        return reason

    def _is_over_after(self, failure: str) -> bool:
        """Decide after a connection has ended; sets how and why the stream is over if it is."""
        began = self.num_connections > 0
        silent_s = time.monotonic() - self._decoder.last_picture_s
        if not began:
            # A sender that is not there yet is waited for only where that is how things are begun.
            if self._address.listens:
                if silent_s < self._give_up_s:
                    return False
                failure = f"no sender connected within {self._give_up_s:g} s"
            self.end, self.reason = "refused", failure or "no video arrived"
            return True
        if self._address.kind == "growing":
            self.end, self.reason = "ended", f"the file has not grown for {self._give_up_s:g} s"
            return True
        if not self._address.returns:
            self.end, self.reason = ("lost", failure) if failure else ("ended", "the stream ended")
            return True
        if silent_s >= self._give_up_s:
            came_back = f"no picture came within {self._give_up_s:g} s"
            self.end = "lost"
            self.reason = f"{failure}; {came_back}" if failure else f"the sender closed the stream; {came_back}"
            return True
        return False

    @contextlib.contextmanager
    def _connect(self) -> Iterator[InputContainer]:
        import av

        options = dict(self._address.options)
        if "rtsp_flags" in options:
            options["listen_timeout"] = str(max(1, round(self._give_up_s)))
        elif self._address.listens and self._address.text.startswith("rtmp"):
            options["timeout"] = str(max(1, round(self._give_up_s)))  # without it, waiting cannot be interrupted
        elif self._address.text.startswith("tcp"):
            options["listen_timeout"] = str(round(1000 * self._give_up_s))
        with av.open(
            self._address.text,
            format=self._address.format,
            options=options,
            timeout=(self._give_up_s, self._read_timeout_s),
        ) as container:
            yield container

    @property
    def _read_timeout_s(self) -> float:
        """Silence after which a connection is given up, and made again where that helps."""
        return self._give_up_s if not self._address.returns else min(5.0, self._give_up_s)

    def _read(self, container: InputContainer) -> None:
        stream = self._choose(container)
        self._decoder.begin(stream)
        try:
            self._read_packets(container, stream)
        finally:
            self._decoder.flush()

    def _read_packets(self, container: InputContainer, stream: Any) -> None:
        has_begun, opened_s = False, time.monotonic()
        for packet in container.demux(stream):
            now_s = time.monotonic()
            if self._stopped.is_set():
                break
            if packet.size == 0:  # the end
                continue
            if not has_begun and not packet.is_keyframe:
                if now_s - opened_s > min(NO_KEYFRAME_S, self._give_up_s):
                    raise VideoError("no keyframe arrived, so nothing can be decoded; set the encoder to send some")
                continue
            has_begun = True
            self._decoder.add(packet, now_s)
        if not has_begun and not self._stopped.is_set():
            raise VideoError("no keyframe arrived, so nothing can be decoded; set the encoder to send some")

    def _choose(self, container: InputContainer) -> Any:
        streams = container.streams.video
        if not streams:
            raise VideoError("no video in the stream, only audio or data")
        if self._video_stream is None:
            return container.streams.best("video") or streams[0]
        if self._video_stream >= len(streams):
            raise VideoError(
                f"no video stream {self._video_stream} among {counted(len(streams), 'stream')}, counted from 0"
            )
        return streams[self._video_stream]


def _is_of_stream(error: Exception) -> bool:
    """Whether an exception says something about the stream, not about this program."""
    import av

    return isinstance(error, av.error.FFmpegError | VideoError | OSError)


def _reason(error: Exception) -> str:
    """The cause in a few words."""
    import av

    if isinstance(error, VideoError):
        return str(error)
    if isinstance(error, av.error.ExitError | TimeoutError):
        return "nothing arrived in time"
    if isinstance(error, av.error.InvalidDataError):
        return "what arrives is no video that can be read"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return "the protocol is not supported"
    text = getattr(error, "strerror", None) or first_line(error)
    return str(text)[:1].lower() + str(text)[1:]

"""Reads a stream in a thread of its own: packets in, frames of the grid out, through a ring of fixed size.

    connect -> packets -> StampFixer -> decoder -> FrameGrid -> scaled to RGB -> ring -> the spotter
       ^                     |
       +--- lost: again -----+--> recorder

The thread never waits for the spotter for longer than the ring holds: when it is full, the older half is dropped,
and counts as not seen.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from e2espot.core.errors import VideoError, first_line
from e2espot.core.timeline import num_frames_of_duration
from e2espot.core.wording import counted
from e2espot.live.address import Address
from e2espot.live.clock import FrameGrid, GridFrame, StampFixer
from e2espot.live.ring import FrameRing, LiveFrame

if TYPE_CHECKING:
    from av.container import InputContainer

_LOG = logging.getLogger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 5.0
"""Pauses between two attempts to connect: they double from the first to the longest."""
NO_KEYFRAME_S = 30.0
"""A stream without a keyframe for so long is refused: nothing of it can be decoded."""

End = Literal["ended", "lost", "refused"]


class Recorder(Protocol):
    """Takes the packets of the video as they are."""

    def open(self, stream: Any) -> None:
        """Begin, or go on after a new connection."""

    def add(self, packet: Any, dts_s: Fraction, pts_s: Fraction) -> None:
        """Store one packet at corrected times."""

    def close(self) -> None:
        """Finish the file."""


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
        self._address, self._size, self._give_up_s = address, size, give_up_s
        self._video_stream, self._recorder = video_stream, recorder
        self._fixer, self._grid = StampFixer(), FrameGrid[Any](fps)
        self.ring = FrameRing(ring_len)
        self._thread = threading.Thread(target=self._run, name="stream reader", daemon=True)
        self._is_broken = False
        self._stopped = threading.Event()
        self._showing = threading.Lock()
        """Held while pictures become frames, which ``show_last`` does in another thread."""
        self._converted: tuple[Any, np.ndarray] | None = None
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=64)
        """Time stamps of the last packets, as corrected, and when they arrived."""
        self._unstamped: deque[Fraction] = deque(maxlen=64)
        """Times of the packets in the decoder that do not say when they are shown."""
        self._last_picture_s = 0.0
        self._time_base = Fraction(1, 90_000)
        self.error: BaseException | None = None
        """An exception that is not the stream's fault."""
        self.reason = ""
        """Why the stream is over, for the user."""
        self.end: End = "ended"
        self.num_connections = 0

    def start(self) -> None:
        """Begin to connect and to read."""
        self._last_picture_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End as soon as the present call into FFmpeg returns; frames that are known stay in the ring."""
        self._stopped.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread, so that a recording is finished."""
        self._thread.join(timeout_s)

    def show_last(self) -> None:
        """No picture comes: show the last one for the usual time, as at the end of a file; what follows goes on."""
        with self._showing:
            self._emit(self._grid.finish())

    def num_frames(self, fps: Fraction) -> int | None:
        """Frames from the first picture to the end of the last one, on a grid; None if it was stopped before."""
        return None if self._stopped.is_set() else num_frames_of_duration(self._grid.duration_s(), fps)

    # In the thread

    def _run(self) -> None:
        try:
            self._read_until_over()
            self.show_last()
        except BaseException as error:
            self.error = error
        finally:
            if self._recorder is not None:
                self._recorder.close()
            self.ring.close()

    def _read_until_over(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopped.is_set():
            pictures_before, failure, begun_s = self._grid.next_frame, "", time.monotonic()
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
            if self._grid.next_frame > pictures_before:
                wait_s = _FIRST_WAIT_S
                _LOG.warning("%s: %s; connecting again", self._address.name, failure or "the sender closed the stream")
            self._is_broken = True
            self._fixer.reconnected()
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
        silent_s = time.monotonic() - self._last_picture_s
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
        codec: Any = stream.codec_context
        if codec is None:
            raise VideoError("its codec cannot be decoded; send H.264 or HEVC")
        codec.thread_type = "SLICE"  # frame threads would add pictures of delay
        rate = codec.framerate
        if rate is not None and 1 <= rate <= 240:  # formats with coarse clocks declare 1000 or 90000
            self._fixer.declared_step_s = 1 / Fraction(rate)
        self._unstamped.clear()
        if self._recorder is not None:
            self._recorder.open(stream)
        try:
            self._read_packets(container, stream, codec)
        finally:
            if codec.is_open:
                self._decode(codec, None, time.monotonic())  # what B-frames hold back

    def _read_packets(self, container: InputContainer, stream: Any, codec: Any) -> None:
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
            self._correct(packet)
            self._arrivals.append((packet.pts, now_s))
            self._decode(codec, packet, now_s)
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

    def _correct(self, packet: Any) -> None:
        base = self._time_base = packet.time_base
        dts_s, pts_s = (None if stamp is None else stamp * base for stamp in (packet.dts, packet.pts))
        dts_s, pts_s = self._fixer.fix(dts_s, pts_s, time.monotonic())
        if packet.pts is None:
            self._unstamped.append(dts_s)
        else:
            packet.pts = round(pts_s / base)
        packet.dts = round(dts_s / base)
        if self._recorder is not None:
            self._recorder.add(packet, dts_s, pts_s)

    def _decode(self, codec: Any, packet: Any, now_s: float) -> None:
        import av

        try:
            pictures = codec.decode(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, av.error.MemoryError | av.error.ExitError):
                raise
            return
        for picture in pictures:
            time_s = self._time_of(picture)
            if picture.is_corrupt or time_s is None:  # the picture before stays, as in a player
                continue
            if not self.num_connections:
                _note_unprepared(picture, self._address.name)
            if not self.num_connections or self._is_broken:
                self.num_connections += 1
            self._last_picture_s = now_s
            # B-frames make a picture wait in the decoder for packets that arrive after its own.
            arrival_s = next((at_s for pts, at_s in reversed(self._arrivals) if pts == picture.pts), now_s)
            with self._showing:
                self._emit(self._grid.add(time_s, picture, arrival_s, broken=self._is_broken))
            self._is_broken = False

    def _time_of(self, picture: Any) -> Fraction | None:
        """When a picture is shown; None if that is not known."""
        # Without presentation times: pictures leave the decoder in order, so the first one takes the first packet's
        # time, however B-frames reorder them.
        if picture.pts is None:
            return self._unstamped.popleft() if self._unstamped else None
        time_s: Fraction = picture.pts * self._time_base  # pictures that a flush returns have no time base
        while self._unstamped and self._unstamped[0] <= time_s:
            self._unstamped.popleft()
        return time_s

    def _emit(self, frames: list[GridFrame[Any]]) -> None:
        for frame in frames:
            self.ring.put(LiveFrame(frame.frame, self._convert(frame.picture), frame.arrival_s))

    def _convert(self, picture: Any) -> np.ndarray:
        if self._converted is None or self._converted[0] is not picture:
            width, height = self._size
            scaled = picture.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR", threads=1)
            self._converted = picture, scaled.to_ndarray()
        return self._converted[1]


def _note_unprepared(picture: Any, name: str) -> None:
    """One line for pictures that files would be prepared from, and streams are not."""
    kinds = ["interlaced"] if picture.interlaced_frame else []
    kinds += ["HDR"] if int(picture.color_trc) in _HDR_TRANSFERS else []
    if kinds:
        _LOG.warning("%s: %s, and used as it is; expect lower scores than with a file", name, " and ".join(kinds))


_HDR_TRANSFERS = (16, 18)
"""PQ and HLG, in FFmpeg's numbers."""


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

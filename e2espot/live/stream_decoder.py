"""Packets of a stream in, frames of the grid into the ring: times corrected, pictures decoded, scaled and numbered.

One decoder lasts as long as the stream, over all connections, and so do its clock and its grid.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.core.timeline import num_frames_of_duration
from e2espot.live.clock import FrameGrid, GridFrame, StampFixer
from e2espot.live.ring import FrameRing, LiveFrame
from e2espot.video.orientation import is_mirrored, rotation_degrees, upright

_LOG = logging.getLogger(__name__)


class Recorder(Protocol):
    """Takes the packets of the video as they are."""

    def open(self, stream: Any) -> None:
        """Begin, or go on after a new connection."""

    def add(self, packet: Any, dts_s: Fraction, pts_s: Fraction) -> None:
        """Store one packet at corrected times."""

    def close(self) -> None:
        """Finish the file."""


class StreamDecoder:
    """Decodes the packets of one connection after the other.

    Args:
        name: The source, for messages.
        fps: Frames per second of the grid.
        size: (width, height) to scale to.
        ring: Gets the frames.
        recorder: Takes the packets; None for none.
    """

    def __init__(
        self, name: str, *, fps: Fraction, size: tuple[int, int], ring: FrameRing, recorder: Recorder | None
    ) -> None:
        self._name, self._size, self._ring, self._recorder = name, size, ring, recorder
        self._fixer, self._grid = StampFixer(), FrameGrid[Any](fps)
        self._codec: Any = None
        self._is_broken = False
        self._showing = threading.Lock()
        """Held while pictures become frames, which ``show_last`` does in another thread."""
        self._converted: tuple[Any, np.ndarray] | None = None
        self._turn = 0, False
        """Rotation in degrees, and whether pictures are mirrored, by the first picture: later ones may not say it."""
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=64)
        """Time stamps of the last packets, as corrected, and when they arrived."""
        self._unstamped: deque[Fraction] = deque(maxlen=64)
        """Times of the packets in the decoder that do not say when they are shown."""
        self._time_base = Fraction(1, 90_000)
        self.last_picture_s = 0.0
        """When the last packet that gave a picture arrived, by ``time.monotonic``."""
        self.num_connections = 0
        """Connections of which a picture was decoded."""

    @property
    def next_frame(self) -> int:
        """Number of the next frame of the grid."""
        return self._grid.next_frame

    def num_frames(self, fps: Fraction) -> int:
        """Frames from the first picture to the end of the last one, on a grid."""
        return num_frames_of_duration(self._grid.duration_s(), fps)

    def show_last(self) -> None:
        """No picture comes: show the last one for the usual time, as at the end of a file; what follows goes on."""
        with self._showing:
            self._emit(self._grid.finish())

    def begin(self, stream: Any) -> None:
        """A connection has been made; its packets follow.

        Raises:
            VideoError: the codec cannot be decoded.
        """
        codec = stream.codec_context
        if codec is None:
            raise VideoError("its codec cannot be decoded; send H.264 or HEVC")
        codec.thread_type = "SLICE"  # frame threads would add pictures of delay
        rate = codec.framerate
        if rate is not None and 1 <= rate <= 240:  # formats with coarse clocks declare 1000 or 90000
            self._fixer.declared_step_s = 1 / Fraction(rate)
        self._codec = codec
        self._unstamped.clear()
        if self._recorder is not None:
            self._recorder.open(stream)

    def add(self, packet: Any, now_s: float) -> None:
        """Record and decode the next packet, which has just arrived."""
        self._correct(packet)
        self._arrivals.append((packet.pts, now_s))
        self._decode(packet, now_s)

    def flush(self) -> None:
        """Decode what B-frames hold back, at the end of a connection."""
        if self._codec.is_open:
            self._decode(None, time.monotonic())
        self._codec = None  # it ends with its container

    def lost(self) -> None:
        """The connection has ended; another one may follow, whose clock may be another."""
        self._is_broken = True
        self._fixer.reconnected()

    def close(self) -> None:
        """Finish the recording."""
        if self._recorder is not None:
            self._recorder.close()

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

    def _decode(self, packet: Any, now_s: float) -> None:
        import av

        try:
            pictures = self._codec.decode(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, av.error.MemoryError | av.error.ExitError):
                raise
            return
        for picture in pictures:
            time_s = self._time_of(picture)
            if picture.is_corrupt or time_s is None:  # the picture before stays, as in a player
                continue
            if not self.num_connections:
                _note_unprepared(picture, self._name)
                self._turn = rotation_degrees(picture), is_mirrored(picture)
            if not self.num_connections or self._is_broken:
                self.num_connections += 1
            self.last_picture_s = now_s
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
            self._ring.put(LiveFrame(frame.frame, self._convert(frame.picture), frame.arrival_s))

    def _convert(self, picture: Any) -> np.ndarray:
        if self._converted is None or self._converted[0] is not picture:
            width, height = self._size if self._turn[0] in (0, 180) else self._size[::-1]
            scaled = picture.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR", threads=1)
            self._converted = picture, np.ascontiguousarray(upright(scaled.to_ndarray(), *self._turn))
        return self._converted[1]


def _note_unprepared(picture: Any, name: str) -> None:
    """One line for pictures that files would be prepared from, and streams are not."""
    kinds = ["interlaced"] if picture.interlaced_frame else []
    kinds += ["HDR"] if int(picture.color_trc) in _HDR_TRANSFERS else []
    if kinds:
        _LOG.warning("%s: %s, and used as it is; expect lower scores than with a file", name, " and ".join(kinds))


_HDR_TRANSFERS = (16, 18)
"""PQ and HLG, in FFmpeg's numbers."""

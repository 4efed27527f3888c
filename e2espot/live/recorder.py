"""Stores a stream as it comes: packets are copied, not encoded again, at the times at which events are counted."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError, first_line

_LOG = logging.getLogger(__name__)

_TICK = Fraction(1, 1000)
"""Matroska counts milliseconds."""


class StreamRecorder:
    """Writes the video packets of a stream to a Matroska file, which is readable at any time.

    A stream whose codec or headers change after a new connection goes on in ``match_part2.mkv``, or the next number of
    which there is no file. If the file cannot be written, such as on a full disk, that is logged once and spotting goes
    on without a recording. Of a stream without a packet no file stays.

    Args:
        path: The file, ``.mkv``.
    """

    def __init__(self, path: Path) -> None:
        """Check that the file can be created.

        Raises:
            ConfigurationError: it exists, has another ending, or its folder cannot be written.
        """
        if path.suffix.lower() != ".mkv":
            raise ConfigurationError(f"record is {path}; recordings are Matroska, so name a file .mkv", option="record")
        if path.exists():
            raise ConfigurationError(f"{path}: exists already; name another file", option="record")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
            path.unlink()  # until something arrives: a stream that is refused may be tried again under this name
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}; name another file", option="record") from None
        self._path = path
        self._part, self._part_path = 0, path
        """Number of the file that is written, counted from 1, and its path."""
        self._container: Any = None
        self._stream: Any = None
        self._header: tuple[Any, ...] = ()
        self._last_dts: int | None = None
        self.has_failed = False
        """Whether the recording broke off."""

    def open(self, stream: Any) -> None:
        """Begin, or go on after a new connection."""
        codec = stream.codec_context
        header = codec.name, codec.width, codec.height, bytes(codec.extradata or b"")
        if self.has_failed or (self._container is not None and header == self._header):
            return
        self._header = header
        try:
            self._open_part(stream)
        except Exception as error:
            self._fail(error)

    def add(self, packet: Any, dts_s: Fraction, pts_s: Fraction) -> None:
        """Store one packet."""
        if self._container is None:
            return
        try:
            # A copy: the muxer changes stamps and time base of what it gets, and the packet is still to be decoded.
            copy = _copy_of(packet)
            # Times stay from start to end, so that frames of the recording are those of the stream.
            pts, dts = round(pts_s / _TICK), round(dts_s / _TICK)
            if self._last_dts is not None and dts <= self._last_dts:
                dts = self._last_dts + 1
            copy.pts, copy.dts, copy.time_base = max(pts, dts), dts, _TICK
            self._last_dts = dts
            copy.is_keyframe = packet.is_keyframe
            copy.stream = self._stream
            self._container.mux(copy)
        except Exception as error:
            self._fail(error)

    def close(self) -> None:
        """Finish the file."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.close()
            if self._last_dts is None:  # no packet was stored
                self._part_path.unlink(missing_ok=True)
                self._part -= 1
        except Exception as error:
            self._fail(error)

    def _open_part(self, stream: Any) -> None:
        import av

        self.close()
        self._part, self._part_path = self._part + 1, self._path
        if self._part > 1:
            while (path := self._path.with_stem(f"{self._path.stem}_part{self._part}")).exists():
                self._part += 1
            self._part_path = path
            _LOG.warning("the stream's format changed; the recording goes on in %s", path)
        self._container = av.open(str(self._part_path), "w", format="matroska", options={"flush_packets": "1"})
        self._stream = self._container.add_stream_from_template(stream)
        self._stream.time_base = _TICK
        self._last_dts = None

    def _fail(self, error: Exception) -> None:
        self.has_failed, container, self._container = True, self._container, None
        _LOG.warning("%s: the recording ends here (%s); spotting goes on", self._path, first_line(error))
        if container is not None:
            try:
                container.close()
            except Exception:
                _LOG.debug("closing a broken recording failed", exc_info=True)


def _copy_of(packet: Any) -> Any:
    import av

    return av.Packet(bytes(packet))

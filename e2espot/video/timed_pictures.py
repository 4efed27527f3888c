"""Every picture of a video in display order with its time, for writing it again; damage is noted, not fatal."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from e2espot.core.errors import DamagedVideoError
from e2espot.core.timeline import clock_text
from e2espot.video.container import open_container, select_stream
from e2espot.video.pyav_reader import MAX_HOLD_S
from e2espot.video.raw_streams import source_fps_error

_LOG = logging.getLogger(__name__)

_MAX_TRIAL_PACKETS = 300
"""Packets by which stamps are judged."""
_MAX_OVERLAP = 8
"""Pictures by which the entries of an edit list overlap at most, in FFmpeg's reading of them."""

TimedPictures = Iterator[tuple[Any, Fraction | None]]
"""Decoded pictures with their seconds; None for a picture without a time stamp."""


class Damage:
    """Packets of the source that do not decode; the picture before is held, as in a player."""

    def __init__(self, source: Path, *, allow_truncated: bool) -> None:
        self._source, self._allow_truncated = source, allow_truncated
        self._num_packets = self._num_pictures = 0
        self._is_since_last_picture = False
        self._first_s: Fraction | None = None
        self._latest_s: Fraction | None = None
        self._first_held = ""

    def add_packet(self) -> None:
        """Count a packet that does not decode."""
        self._num_packets += 1
        self._is_since_last_picture = True
        self._first_held = self._first_held or self._position()

    def add_picture(self, time_s: Fraction | None) -> None:
        """Note a picture that decodes.

        Raises:
            DamagedVideoError: the picture before the damage would be held for longer than ``MAX_HOLD_S``.
        """
        is_held = self._is_since_last_picture and time_s is not None and self._latest_s is not None
        if is_held and time_s - self._latest_s > MAX_HOLD_S and not self._allow_truncated:  # type: ignore[operator]
            raise DamagedVideoError(
                f"{self._source}: cannot be decoded from {self._position()} on; the file is damaged there. Copy or "
                "download it again, or convert what can be read with allow_truncated=True",
                option="allow_truncated",
            )
        self._is_since_last_picture = False
        self._num_pictures += 1
        if time_s is not None:
            self._latest_s = time_s
            self._first_s = time_s if self._first_s is None else self._first_s

    def log(self) -> None:
        """Log how many packets do not decode, and where the first of them is."""
        if self._num_packets:
            _LOG.warning(
                "%s: %d of its packets do not decode; the picture before is held, first at %s",
                self._source,
                self._num_packets,
                self._first_held,
            )

    def _position(self) -> str:
        """The latest picture that decodes: its time from the first one, and its number."""
        position_s = (self._latest_s or Fraction(0)) - (self._first_s or Fraction(0))
        return f"{clock_text(position_s)} (picture {max(0, self._num_pictures - 1)})"


def timed_pictures(source: Path, container: Any, stream: Any, damage: Damage, *, has_joins: bool) -> TimedPictures:
    """Yield (picture, seconds) in display order; None for a picture without a time stamp.

    ``has_joins`` says that the edit list has several entries.
    """
    is_avi = container.format.name == "avi"
    if not _has_decoding_times_only(source, stream.index):
        decoded = _decodable(container, stream, damage)
        for picture in _overlaps_resolved(decoded) if has_joins else decoded:
            stamp = picture.pts
            if is_avi and not stream.codec_context.has_b_frames and picture.dts is not None:
                stamp = picture.dts  # the pts before a picture that was dropped is that of a later one
            time_s = None if stamp is None else Fraction(stamp * picture.time_base)
            damage.add_picture(time_s)
            yield picture, time_s
        return
    # The stamps say when pictures are decoded: a picture carries that of another one, but together they are right.
    #   decoded I0 B1 B2 P3, stamps 0 2 3 1 -> 0 1 2 3
    stamps: list[int] = []
    for packet in container.demux(stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.size and stamp is not None:
            heapq.heappush(stamps, stamp)
        for picture in packet.decode():
            yield picture, heapq.heappop(stamps) * Fraction(stream.time_base) if stamps else None


def _overlaps_resolved(pictures: Iterator[Any]) -> Iterator[Any]:
    """Pictures of an edit list with several entries: a later one replaces one of the same time, as in the readers.

    FFmpeg lets the second entry of an edit list begin some pictures early, if there are B-frames::

        decoded  132 133 134 10 11 12        yielded  132 10 11 12
        times     42  43  44 43 44 45                  42 43 44 45
    """
    waiting: deque[Any] = deque()  # the latest pictures, whose times increase
    for picture in pictures:
        replaced = next((n for n, other in enumerate(waiting) if other.pts == picture.pts), None)
        if picture.pts is not None and replaced is not None:
            for _ in range(len(waiting) - replaced):
                waiting.pop()
        waiting.append(picture)
        if len(waiting) > _MAX_OVERLAP:
            yield waiting.popleft()
    yield from waiting


def _decodable(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """Every picture that decodes; packets that do not are added to ``damage``."""
    for packet in container.demux(stream):
        pictures = _decoded(packet)
        if pictures is None:
            damage.add_packet()
        else:
            yield from pictures


def _decoded(packet: Any) -> Any:
    """Pictures that the decoder outputs for a packet; None if it does not decode."""
    import av

    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return None


def _has_decoding_times_only(source: Path, stream_index: int) -> bool:
    """Whether pictures are reordered and the stamps are not, as in AVI and in files with the pts set to the dts.

    Only the beginning of the file is decoded.
    """
    with open_container(source) as container:
        stream = select_stream(container, source, stream_index)
        latest_stored = latest_shown = goes_back = None
        for _, packet in zip(range(_MAX_TRIAL_PACKETS), container.demux(stream), strict=False):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size and stamp is not None:
                if latest_stored is not None and stamp < latest_stored:
                    return False  # stamps are reordered as well, or the clock goes back
                latest_stored = stamp
            for picture in _decoded(packet) or ():
                goes_back = goes_back or (
                    latest_shown is not None and picture.pts is not None and picture.pts < latest_shown
                )
                latest_shown = latest_shown if picture.pts is None else picture.pts
        return bool(goes_back)


def without_times(source: Path, pictures: TimedPictures, source_fps: Fraction) -> TimedPictures:
    """The pictures of a raw stream.

    Raises:
        VideoError: the file states times of its own, which another rate would contradict.
    """
    for picture, position_s in pictures:
        if position_s is not None:
            raise source_fps_error(source, source_fps)
        yield picture, None

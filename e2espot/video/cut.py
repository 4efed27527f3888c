"""Clean little containers cut out of a file by copying packets, without decoding."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from e2espot.errors import VideoError
from e2espot.video.presentation import Presentation


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """A stretch of video that decodes by itself."""

    data: bytes
    """Matroska container; its pictures are those of ``pts`` in order."""
    pts: np.ndarray
    """int64 time stamps of its pictures in the original file, rising."""


def cut_pictures(presentation: Presentation, first: int, last: int) -> Cut:
    """Copy the packets that shown pictures ``first`` to ``last`` (inclusive) need.

    The copy begins at the last clean start at or before the first picture and ends with the
    packet, in decoding order, that completes the last one. Pictures shown before that start
    (leading pictures of an open group) are dropped; time stamps begin at zero.

    Raises:
        VideoError: the packets cannot be read again.
    """
    import av

    packet_pts = presentation.packet_pts
    wanted_first, wanted_last = int(presentation.pts[first]), int(presentation.pts[last])
    starts = np.flatnonzero(presentation.packet_starts & (packet_pts <= wanted_first))
    begin = int(starts[-1]) if len(starts) else 0
    end = begin + int(np.flatnonzero(packet_pts[begin:] <= wanted_last).max()) + 1
    base = int(packet_pts[begin]) if len(starts) else int(packet_pts[begin:end].min())
    kept: list[int] = []
    sink = io.BytesIO()
    try:
        with (
            av.open(str(presentation.path), metadata_errors="replace") as source,
            av.open(sink, "w", format="matroska") as target,
        ):
            stream = source.streams[presentation.stream_index]
            copy: Any = target.add_stream_from_template(stream)
            for packet in _packets(source, stream, presentation, begin, end):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp < base:
                    continue
                kept.append(stamp)
                packet.pts = stamp - base
                packet.dts = None if packet.dts is None else packet.dts - base
                packet.stream = copy
                target.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"{presentation.path}: cannot copy pictures {first} to {last} ({error})") from None
    return Cut(data=sink.getvalue(), pts=np.unique(np.array(kept, dtype=np.int64)))


def _packets(source: Any, stream: Any, presentation: Presentation, begin: int, end: int) -> Iterator[Any]:
    """Packets ``begin`` to ``end`` of the index, in decoding order."""
    for packet in _from(source, stream, presentation, begin):
        if begin >= end:
            return
        yield packet
        begin += 1


def _from(source: Any, stream: Any, presentation: Presentation, begin: int) -> Iterator[Any]:
    """Packets from the one at ``begin`` on: by seeking, or from the front where seeking misses it."""
    first_pts = int(presentation.packet_pts[begin])
    for attempt in ("seek", "front"):
        found = False
        if attempt == "seek":
            source.seek(first_pts, stream=stream, backward=True)
        else:
            source.seek(int(presentation.packet_pts.min()), stream=stream, backward=True)
        for packet in source.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size == 0 or stamp is None:
                continue
            found = found or (stamp == first_pts and (packet.is_keyframe or begin == 0))
            if found:
                yield packet
        if found:
            return
    raise VideoError(f"{presentation.path}: picture at time stamp {first_pts} is not found again")

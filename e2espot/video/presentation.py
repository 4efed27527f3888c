"""Which picture of a file a player shows when, from its time stamps alone: nothing is decoded.

Decoders count coded pictures, players show pictures. Edit lists hide coded pictures, headers
lie about rates, streams start late and lose pictures; only the time stamps of the packets
and their discard flags tell what is on the screen at a given moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.errors import VideoError

_NAL_CODECS = ("h264", "hevc")


@dataclass(frozen=True, eq=False, kw_only=True)
class Presentation:
    """The index of one video stream."""

    path: Path
    """The file."""
    stream_index: int
    """Stream in the container."""
    codec: str
    """FFmpeg's name of the codec."""
    width: int
    """Coded width in pixels, before rotation."""
    height: int
    """Coded height in pixels, before rotation."""
    rotation: int
    """Degrees a player turns the picture by, counter-clockwise: 0, 90, 180 or 270."""
    time_base: Fraction
    """Seconds of one tick of the time stamps."""
    pts: np.ndarray
    """int64 time stamps of the shown pictures, rising."""
    packet_pts: np.ndarray
    """int64 time stamp of each packet, in decoding order, hidden ones included."""
    packet_starts: np.ndarray
    """bool, whether decoding can start cleanly at the packet (IDR in H.264 and HEVC)."""

    @property
    def first_picture_s(self) -> Fraction:
        """Time stamp of the first shown picture in seconds."""
        return int(self.pts[0]) * self.time_base

    @property
    def source_fps(self) -> float:
        """Mean rate of the shown pictures."""
        if len(self.pts) < 2:
            return 25.0
        return float((len(self.pts) - 1) / (int(self.pts[-1] - self.pts[0]) * self.time_base))


def pictures_of_grid(pts: np.ndarray, time_base: Fraction, fps: Fraction) -> np.ndarray:
    """Picture shown at the middle of each grid frame, in exact integer arithmetic.

    Picture ``i`` is shown on ``[pts[i], pts[i + 1])``, the last one for the median duration.
    Grid frame ``k`` looks at ``(k + 1/2) / fps`` seconds after the first picture.

    Args:
        pts: Rising int64 time stamps of the shown pictures.
        time_base: Seconds of one tick.
        fps: Rate of the grid.

    Returns:
        int64 rank of the picture for each grid frame; the identity for constant video at ``fps``.
    """
    since = pts - pts[0]
    last = int(np.median(np.diff(pts))) if len(pts) > 1 else max(1, round(1 / (25 * time_base)))
    end = int(since[-1]) + max(1, last)
    num_frames = max(0, math.ceil(end * time_base * fps - Fraction(1, 2)))
    # since <= (2k + 1) / (2 fps tb)  <=>  since <= floor of it, as `since` is whole.
    step = 1 / (2 * fps * time_base)
    odd = 2 * np.arange(num_frames, dtype=object) + 1
    ticks = np.array(odd * step.numerator // step.denominator, dtype=np.int64)
    return np.searchsorted(since, ticks, side="right") - 1


def index_video(path: Path) -> Presentation:
    """Read the packets of the first real video stream.

    Raises:
        VideoError: missing, empty, not a video, without pictures, or cut off.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path}: no such video file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            streams = [s for s in container.streams.video if not _is_cover(s)]
            if not streams:
                raise VideoError(f"{path}: no video stream in it; give a file with pictures")
            return _index_stream(path, container, streams[0])
    except av.FFmpegError as error:
        raise VideoError(f"{path}: not a readable video ({error.strerror or error})") from None
    except (ValueError, OverflowError, IndexError) as error:
        raise VideoError(f"{path}: a broken video header ({error})") from None


def _is_cover(stream: Any) -> bool:
    return bool(getattr(stream.disposition, "value", 0) & 0x400)


def _index_stream(path: Path, container: Any, stream: Any) -> Presentation:
    pts: list[int] = []
    shown: list[bool] = []
    starts: list[bool] = []
    for packet in container.demux(stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or stamp is None:
            continue
        pts.append(stamp)
        shown.append(not packet.is_discard)
        starts.append(packet.is_keyframe and _starts_cleanly(stream, packet))
    if not any(shown):
        raise VideoError(f"{path}: the video stream holds no pictures")
    if stream.codec_context is None:
        raise VideoError(f"{path}: no decoder for its codec; convert the file to H.264")
    if "mp4" in container.format.name and stream.frames > len(pts):
        raise VideoError(f"{path}: cut off: {len(pts)} of {stream.frames} pictures are there; copy the file again")
    packet_pts = np.array(pts, dtype=np.int64)
    packet_starts = np.array(starts)
    if not packet_starts.any():
        packet_starts[0] = True
    return Presentation(
        path=path,
        stream_index=stream.index,
        codec=stream.codec_context.name,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        rotation=_rotation(path, stream.index),
        time_base=Fraction(stream.time_base),
        pts=np.unique(packet_pts[np.array(shown)]),
        packet_pts=packet_pts,
        packet_starts=packet_starts,
    )


def _rotation(path: Path, stream_index: int) -> int:
    """Display rotation, known only with the first decoded picture."""
    import av

    with av.open(str(path), metadata_errors="replace") as container:
        try:
            for frame in container.decode(container.streams[stream_index]):
                return int(getattr(frame, "rotation", 0)) % 360
        except av.FFmpegError as error:
            raise VideoError(f"{path}: its first picture cannot be decoded ({error.strerror or error})") from None
    raise VideoError(f"{path}: none of its pictures can be decoded")


def _starts_cleanly(stream: Any, packet: Any) -> bool:
    """Whether a key packet is one from which every later shown picture decodes rightly.

    H.264 and HEVC flag recovery points as key packets too; after those the first pictures lack
    their references.
    """
    codec = stream.codec_context.name if stream.codec_context else ""
    if codec not in _NAL_CODECS:
        return True
    kinds = _nal_kinds(bytes(packet), stream.codec_context.extradata or b"", codec)
    return 5 in kinds if codec == "h264" else bool(kinds & set(range(16, 22)))


def _nal_kinds(data: bytes, extradata: bytes, codec: str) -> set[int]:
    kinds = set()
    if extradata[:1] == b"\x01":
        size = (extradata[4 if codec == "h264" else 21] & 3) + 1
        at = 0
        while at + size < len(data):
            length = int.from_bytes(data[at : at + size], "big")
            kinds.add(_nal_kind(data[at + size], codec))
            at += size + max(1, length)
    else:
        at = data.find(b"\x00\x00\x01")
        while 0 <= at < len(data) - 3:
            kinds.add(_nal_kind(data[at + 3], codec))
            at = data.find(b"\x00\x00\x01", at + 3)
    return kinds


def _nal_kind(head: int, codec: str) -> int:
    return head & 31 if codec == "h264" else head >> 1 & 63

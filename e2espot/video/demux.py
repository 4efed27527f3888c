"""The demux-only pass: every packet of a video stream read once, one picture decoded.

Only this file and ``packets.py`` open video files. What is found is handed on as plain
arrays; what it means is decided in ``presentation.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.video.keyframes import start_kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_STAMP = np.iinfo(np.int64).min
"""Stands for a time stamp the file does not give."""

# Demuxers that would make a "video" of a text, a still or a list of other files.
_NOT_VIDEO = ("tty", "image2", "concat", "hls", "dash", "ffmetadata", "srt", "webvtt", "ass", "lrc")
_PROBE_PICTURES = 600
_LONGEST_S = 24 * 3600
_FARTHEST_REORDERING = 32
_ROUNDING_S = Fraction(2, 1000)
"""Matroska counts in milliseconds."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """Raw findings of one pass over a file; arrays have a row per packet, in file order."""

    path: Path
    byte_size: int
    mtime_ns: int
    stream_index: int
    format_name: str
    codec_name: str
    time_base: Fraction
    average_rate: Fraction | None
    broke_off: bool
    """Whether the file ends before what its header promises, or reading ended in an error."""
    promised_s: Fraction | None
    """Seconds from zero to the end that the header promises; None where it does not say."""
    reorders: bool
    """Whether the codec may store pictures in another order than it shows them."""
    pixel_format: str
    width: int
    height: int
    rotation_degrees: int
    colorspace: int
    pts_M: np.ndarray
    dts_M: np.ndarray
    duration_M: np.ndarray
    shown_M: np.ndarray
    first_pts: int
    """Time stamp of the first picture that decodes, in ticks; earlier ones nobody can show."""
    start_M: np.ndarray
    """int8 of ``starts.Start``: whether decoding may begin here."""


def one_line(error: BaseException) -> str:
    """An exception's text without line breaks, its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def open_container(path: Path) -> Any:
    """Open ``path`` with PyAV.

    Raises:
        VideoError: missing, empty, a folder, or nothing FFmpeg knows as a video.
    """
    import av

    try:
        size = path.stat().st_size
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if path.is_dir():
        raise VideoError(f"{path}: is a folder; name a video file")
    if size == 0:
        raise VideoError(f"{path}: is empty (0 bytes); copy or download it again")
    try:
        # "file:" keeps a name such as "half:1.mp4" from being taken for a network protocol.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: {_why_not_opened(path, error)}") from None
    if container.format.name.endswith("_pipe") or container.format.name in _NOT_VIDEO:
        container.close()
        raise VideoError(f"{path}: is not a video but {container.format.long_name}; name a video file")
    return container


def video_stream(container: Any, path: Path, index: int | None = None) -> Any:
    """The stream to read: ``index``, or else the first that is not a cover picture.

    Raises:
        VideoError: there is none, or no decoder for it.
    """
    if index is not None:
        return container.streams[index]
    streams = [s for s in container.streams.video if "ATTACHED_PIC" not in str(s.disposition).upper()]
    if not streams:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "no stream at all"
        raise VideoError(f"{path}: holds no video stream (only {kinds}); name a file with pictures")
    if streams[0].codec_context is None:
        raise VideoError(f"{path}: its codec is unknown here; convert it to H.264 with tools/transcode.py")
    return streams[0]


def read_only(container: Any, stream: Any) -> None:
    """Let the container skip every stream but this one, where PyAV can say so."""
    for other in container.streams:
        if other.index != stream.index and hasattr(other, "discard"):
            other.discard = type(other.discard).all


def scan(path: Path) -> Scan:
    """Read every packet of a file's video stream, and decode one picture.

    Raises:
        VideoError: see ``index_video``.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        picture = _first_picture(container, stream, path)
    with open_container(path) as container:
        stream = video_stream(container, path)
        read_only(container, stream)
        status = path.stat()
        rows, broke_off = _packet_rows(container, stream)
        if not rows:
            raise VideoError(f"{path}: its video stream holds no pictures; the file may have broken off")
        columns = np.array(rows, dtype=np.int64).T
        promised_s = promised_length(path, container, stream)
        if promised_end(path, container.format.name, stream) > status.st_size:
            broke_off |= not _all_there(container.format.name, promised_s, columns, Fraction(stream.time_base))
        return Scan(
            path=path,
            byte_size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            stream_index=stream.index,
            format_name=container.format.name,
            codec_name=stream.codec_context.codec.canonical_name,
            time_base=Fraction(stream.time_base),
            average_rate=stream.average_rate,
            broke_off=broke_off,
            promised_s=promised_s,
            pts_M=columns[0],
            dts_M=columns[1],
            duration_M=columns[2],
            shown_M=columns[3].astype(bool),
            start_M=columns[4].astype(np.int8),
            **picture,
        )


def read_errors() -> Any:
    """What the next packet of a damaged file may raise; PyAV counts past its streams where one appears late."""
    import av

    return (av.error.FFmpegError, OSError, IndexError)


def _packet_rows(container: Any, stream: Any) -> tuple[list[tuple[int, int, int, bool, int]], bool]:
    codec, extradata = stream.codec_context.name, stream.codec_context.extradata or b""
    rows = []
    broke_off = cut_short = False
    packets: Iterator[Any] = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except read_errors():
            broke_off = True
            break
        if packet.size == 0:  # the end of the stream, or a picture dropped by an AVI writer
            continue
        broke_off = cut_short = bool(packet.is_corrupt)
        pts = NO_STAMP if packet.pts is None else packet.pts
        dts = NO_STAMP if packet.dts is None else packet.dts
        start = start_kind(codec, extradata, memoryview(packet)) if packet.is_keyframe else 0
        # VP8 keeps pictures that are only referred to in packets of their own; bit 4 says "shown".
        shown = not packet.is_discard and not (codec == "vp8" and not memoryview(packet)[0] & 16)
        rows.append((pts, dts, packet.duration or 0, shown, start))
    if rows and broke_off and cut_short:
        rows.pop()
    return rows, broke_off


def _first_picture(container: Any, stream: Any, path: Path) -> dict[str, Any]:
    import av

    codec = stream.codec_context
    codec.thread_count = 1
    problem = ""
    packets = container.demux(stream)
    try:
        for _, packet in zip(range(_PROBE_PICTURES), packets, strict=False):
            try:
                pictures = codec.decode(packet if packet.size else None)
            except av.error.FFmpegError as error:
                problem = one_line(error)
                continue
            if pictures:
                return _picture_facts(pictures[0], codec)
    except read_errors() as error:
        problem = one_line(error)
    name = codec.name if codec is not None else "unknown codec"
    detail = f": {problem}" if problem else ""
    raise VideoError(f"{path}: no picture of its {name} stream can be decoded{detail}; the file is damaged")


def _picture_facts(picture: Any, codec: Any) -> dict[str, Any]:
    return {
        "first_pts": NO_STAMP if picture.pts is None else picture.pts,
        "pixel_format": picture.format.name,
        "width": picture.width,
        "height": picture.height,
        "rotation_degrees": round(picture.rotation / 90) * 90 % 360,
        "colorspace": int(picture.colorspace),
        "reorders": bool(codec.has_b_frames),
    }


def _why_not_opened(path: Path, error: Exception) -> str:
    boxes = _top_boxes(path)
    if boxes and "moov" not in boxes:
        return "has no index (moov), so recording or download broke off; copy or download it again"
    return f"is not a video FFmpeg can open ({one_line(error)}); name a video file"


def promised_end(path: Path, format_name: str, stream: Any) -> int:
    """Place in the file where the last picture should end by the container's header; 0 if it does not say."""
    if format_name.startswith("mov"):
        # Not the box sizes, which some writers leave too long: the table of pictures.
        return max((entry.pos + entry.size for entry in getattr(stream, "index_entries", ())), default=0)
    with path.open("rb") as file:
        head = file.read(256)
    if format_name == "avi" and head[:4] == b"RIFF":
        return 8 + int.from_bytes(head[4:8], "little")
    segment = head.find(b"\x18\x53\x80\x67")
    if format_name.startswith("matroska") and 0 <= segment < len(head) - 12 and head[segment + 4]:
        width = 9 - head[segment + 4].bit_length()
        length = int.from_bytes(head[segment + 4 : segment + 4 + width], "big") & ((1 << 7 * width) - 1)
        unknown = (1 << 7 * width) - 1  # a live recording, whose end nobody knew
        return segment + 4 + width + length if length != unknown else 0
    return 0


def promised_length(path: Path, container: Any, stream: Any) -> Fraction | None:
    """Seconds the container's header promises; None where FFmpeg only guesses from the size of the file."""
    name, length_s = container.format.name, Fraction(0)
    if name.startswith("mov"):
        length_s = Fraction((stream.duration or 0) * stream.time_base)
    elif name == "avi" or (name.startswith("matroska") and _names_duration(path)):
        length_s = Fraction(container.duration or 0, 1_000_000)
    return length_s if 0 < length_s <= _LONGEST_S else None


def _names_duration(path: Path) -> bool:
    """Whether a Matroska file has a Duration, a number of 4 or 8 bytes."""
    with path.open("rb") as file:
        head = file.read(4096)
    return b"\x44\x89\x84" in head or b"\x44\x89\x88" in head


def _all_there(format_name: str, promised_s: Fraction | None, columns: np.ndarray, time_base: Fraction) -> bool:
    """Whether a Matroska file that ends early lacks no picture: its index of places comes last and is not needed.

    The last picture must end where the header says, and no step before it be wider than usual: the last one shown is
    not the last one stored.
    """
    pts_M, duration_M = columns[0], columns[2]
    if not format_name.startswith("matroska") or promised_s is None or NO_STAMP in pts_M or len(pts_M) < 3:
        return False
    steps = np.diff(np.sort(pts_M))
    end_s = (int(pts_M.max()) + int(duration_M[pts_M.argmax()])) * time_base
    even = steps[-_FARTHEST_REORDERING:].max() <= 1.5 * np.median(steps)
    return bool(even) and end_s >= promised_s - _ROUNDING_S


def _top_boxes(path: Path) -> list[str]:
    """Names of the outermost boxes of an MP4 or MOV file; empty for anything else."""
    names: list[str] = []
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place < size and len(names) < 64:
            file.seek(place)
            head = file.read(16)
            length, name = int.from_bytes(head[:4], "big"), head[4:8].decode("latin-1")
            length = int.from_bytes(head[8:16], "big") if length == 1 else length or size - place
            if length < 8 or (not names and name not in ("ftyp", "moov", "mdat", "wide", "free", "skip", "styp")):
                break
            names.append(name)
            place += length
    return names

"""Opens a video file with PyAV, and selects the stream to read."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from e2espot.core.errors import VideoError, one_line
from e2espot.video.accepted_formats import describe_refused, format_whitelist
from e2espot.video.mp4 import reject_encrypted, top_level_boxes

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)

NEW_HEADER: Final = "new_extradata"
"""FFmpeg's name of what comes with a packet that puts another codec header in force."""


def open_container(path: Path) -> Any:
    """Open a video file with PyAV; files that name other files, and still pictures, are refused.

    Raises:
        VideoError: the file is missing, empty, a folder, or nothing FFmpeg knows as a video.
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
        options = {"protocol_whitelist": "file", "format_whitelist": format_whitelist()}
        return av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: {describe_refused(path) or _why_not_opened(path, error)}") from None


def _why_not_opened(path: Path, error: Exception) -> str:
    boxes = top_level_boxes(path)
    if boxes and "moov" not in boxes:
        return "has no index (moov), so recording or download broke off; copy or download it again"
    reason = getattr(error, "strerror", None) or one_line(error)  # without FFmpeg's error number
    return f"is not a video FFmpeg can open ({reason}); name a video file"


def select_stream(container: Any, path: Path, index: int | None = None, *, number: int | None = None) -> Any:
    """The stream to read: that of ``index`` or ``number``, or else the one that players choose; others are logged.

    That is FFmpeg's choice among those that are not cover pictures: by the default flag, then by bit rate.

    Args:
        container: The open file.
        path: Its path, for messages.
        index: Index among all streams of the container.
        number: Number among the video streams that are not cover pictures, counted from 0.

    Raises:
        VideoError: there is none, no decoder for it, or its pictures are encrypted.
    """
    if index is not None:
        return container.streams[index]
    streams = video_streams(container)
    if not streams:
        # Any video stream that is left is a cover picture.
        kinds = {"cover picture" if stream.type == "video" else stream.type for stream in container.streams}
        content = ", ".join(sorted(kinds)) or "no stream at all"
        raise VideoError(f"{path}: holds no video stream (only {content}); name a file with pictures")
    if number is None:
        best = container.streams.best("video")
        chosen = next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])
    elif 0 <= number < len(streams):
        chosen = streams[number]
    else:
        count = "one video stream" if len(streams) == 1 else f"{len(streams)} video streams"
        raise VideoError(
            f"{path}: video_stream is {number}, and the file holds {count}: {_list_streams(streams)}; "
            "give one of these numbers",
            option="video_stream",
        )
    if chosen.codec_context is None:
        raise VideoError(f"{path}: FFmpeg has no decoder for its codec; convert it to H.264 with another program")
    if container.format.name.startswith("mov"):
        reject_encrypted(path, chosen)
    if len(streams) > 1 and number is None:
        position = next(position for position, stream in enumerate(streams) if stream.index == chosen.index)
        _log_choice(path, position, len(streams), _list_streams(streams))
    return chosen


def video_streams(container: Any) -> list[Any]:
    """The streams that ``select_stream`` numbers: those with pictures, without cover pictures."""
    return [stream for stream in container.streams.video if not _is_cover_picture(stream)]


def _list_streams(streams: list[Any]) -> str:
    """Number, size, codec and rate of each stream: ``0: 1920x1080 h264, 25.00 fps; 1: 640x360 h264, 25.00 fps``."""
    lines = []
    for number, stream in enumerate(streams):
        codec = stream.codec_context
        facts = f"{codec.width}x{codec.height} {codec.name}" if codec is not None else "no decoder for its codec"
        rate = f", {float(stream.average_rate):.2f} fps" if stream.average_rate else ""
        lines.append(f"{number}: {facts}{rate}")
    return "; ".join(lines)


@cache
def _log_choice(path: Path, chosen: int, count: int, listed: str) -> None:
    """Report once for each file that it holds several videos."""
    others = ", ".join(str(number) for number in range(count) if number != chosen)
    _LOG.warning(
        "%s: holds %d video streams; stream %d is read, not %s; video_stream chooses another (%s)",
        path,
        count,
        chosen,
        others,
        listed,
    )


def _is_cover_picture(stream: Any) -> bool:
    """Whether a stream is a still image attached to the file, such as a poster."""
    from av.stream import Disposition

    # Compared as a number: an IntFlag prints as one ("1024") since Python 3.11.
    return bool(int(stream.disposition) & int(Disposition.attached_pic))


def discard_other_streams(container: Any, stream: Any) -> None:
    """Let the demuxer skip every stream but this one, where PyAV supports it."""
    for other in container.streams:
        if other.index != stream.index and hasattr(other, "discard"):
            other.discard = type(other.discard).all


def demux_errors() -> Any:
    """Exceptions that reading the next packet of a damaged file may raise; a tuple of types.

    IndexError among them: PyAV counts past its streams when a stream appears late.
    """
    import av

    return (av.error.FFmpegError, OSError, IndexError)

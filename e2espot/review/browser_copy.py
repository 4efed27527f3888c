"""Copies the packets of a video to a container that every browser plays, with the first shown picture at time zero."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import VideoError, one_line
from e2espot.review.browser_packets import (
    HeadersInKeyframes,
    NotForBrowsersError,
    closed_starts,
    needs_closed_flags,
)
from e2espot.video.container import open_container, select_stream
from e2espot.video.index import VideoIndex
from e2espot.video.indexing import index_of, index_video, require_readable
from e2espot.video.packets import compute_decoding_times, whole_packets

_LOG = logging.getLogger(__name__)

_AUDIO_CODECS = {"video/mp4": ("aac", "mp3", "opus", "flac"), "video/webm": ("opus", "vorbis")}
"""Container -> codecs of the audio that browsers play in it."""
_COPY_VERSION = 2
"""Part of the name of a copy; a higher number makes existing copies unused."""

Progress = Callable[[int], object]
"""Called with the number of bytes copied since the last call."""


def copy_for_browsers(index: VideoIndex, cache: Path, media_type: str, progress: Progress | None) -> VideoIndex:
    """The index of a copy of this version of a file, with the same packets; it is made unless it is in ``cache``.

    Args:
        index: The file.
        cache: Folder of the copies.
        media_type: Container of the copy, ``video/mp4`` or ``video/webm``.
        progress: Called while the copy is made.

    Raises:
        NotForBrowsersError: The container cannot hold the packets, or shows them at other times.
        VideoError: The copy cannot be written.
    """
    identity = f"{_COPY_VERSION} {index.path.resolve()} {index.byte_size} {index.mtime_ns} {index.stream_index}"
    name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    target = cache / f"{name}{'.mp4' if media_type == 'video/mp4' else '.webm'}"
    if not target.is_file():
        _LOG.info("%s: copied for the browser to %s", index.path, target)
        _remux(index, target, media_type, progress)
    copy = index_of(target)
    _check_same_times(index, copy)
    return copy


def _check_same_times(index: VideoIndex, served: VideoIndex) -> None:
    """Refuse a copy that shows pictures at other times, because events would be at wrong times.

    Raises:
        NotForBrowsersError: It does.
    """
    same = served.num_pictures == index.num_pictures
    if same:
        before_s = (index.pts_P - index.pts_P[0]) * float(index.time_base)
        after_s = (served.pts_P - served.pts_P[0]) * float(served.time_base)
        same = bool(np.abs(before_s - after_s).max() < 1e-3) and served.first_picture_s == 0
    if not same:
        raise NotForBrowsersError("a copy in another container shows other pictures")


def _remux(index: VideoIndex, target: Path, media_type: str, progress: Progress | None) -> None:
    """Copy video and audio packets, with the first shown picture at zero; whole or not at all.

    Raises:
        NotForBrowsersError: The container cannot hold them.
        VideoError: The copy cannot be written.
    """
    import av

    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    options = {"movflags": "faststart"} if media_type == "video/mp4" else {}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_container(index.path) as source, av.open(f"file:{part}", "w", options=options) as output:
            _copy_packets(index, source, output, media_type, progress)
        require_readable(index_video(part))  # fails if the copy cannot be read
        part.replace(target)
    except (av.error.FFmpegError, ValueError) as error:
        raise NotForBrowsersError(f"it cannot be copied to another container ({one_line(error)})") from None
    except OSError as error:
        raise VideoError(
            f"{target}: cannot be written ({error.strerror}); check the cache folder and its free space",
            option="cache",
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _copy_packets(index: VideoIndex, source: Any, output: Any, media_type: str, progress: Progress | None) -> None:
    streams = [select_stream(source, index.path, index.stream_index), *_playable_audio(source, media_type)]
    # "opaque": PyAV looks for an encoder with the decoder's name otherwise, and libdav1d is none.
    copies = {stream.index: output.add_stream_from_template(stream, opaque=True) for stream in streams}
    for packet in _packets_from_zero(index, source, streams):
        packet.stream = copies[packet.stream.index]
        size = packet.size
        output.mux(packet)
        if progress is not None:
            progress(size)


def _playable_audio(source: Any, media_type: str) -> list[Any]:
    """The first audio stream that browsers play in such a container, if there is one."""
    playable = [
        stream
        for stream in source.streams.audio
        if stream.codec_context and stream.codec_context.codec.canonical_name in _AUDIO_CODECS[media_type]
    ]
    return playable[:1]


def _packets_from_zero(index: VideoIndex, source: Any, streams: list[Any]) -> Iterator[Any]:
    """Packets of the video, the first of ``streams``, and of its audio; the first shown picture has time zero."""
    video = streams[0]
    decoding_times = iter(compute_decoding_times(index.pts_M).tolist())
    headers = HeadersInKeyframes(index, bytes(video.codec_context.extradata or b""))
    starts = set(index.start_packet_S[closed_starts(index)].tolist()) if needs_closed_flags(index) else None
    numbers = itertools.count()
    for packet in whole_packets(index, source.demux(*streams)):
        is_video, dts = packet.stream.index == video.index, packet.dts
        if is_video:
            dts = next(decoding_times)
            packet = headers.apply(packet)
            number = next(numbers)
            packet.is_keyframe = packet.is_keyframe if starts is None else number in starts
        if packet.pts is None or dts is None:
            continue
        shift = round(index.first_picture_s / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, dts - shift
        if is_video or packet.dts >= 0:  # not audio before the first picture
            yield packet

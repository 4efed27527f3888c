"""A video as a browser plays it, and when each of its pictures is on show there.

Measured in Chromium: what it calls ``currentTime`` and ``mediaTime`` is the container's own time of a
picture, edit list applied, just as ``VideoIndex.pts_P`` has it. But the end of an .mp4 that begins
late cannot be reached, and other browsers refuse Matroska or shift such files. So what is served always
begins at zero: the file itself where it does, else a copy of its packets in a clean container.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import VideoError, one_line
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.video.demux import open_container, video_stream
from e2espot.video.index import VideoIndex, pictures_of_grid
from e2espot.video.indexing import index_of, index_video

_LOG = logging.getLogger(__name__)

_MP4_CODECS = ("h264", "av1", "vp9")
_WEBM_CODECS = ("vp8", "vp9", "av1")
_MP4_SOUND = ("aac", "mp3", "opus", "flac")
_WEBM_SOUND = ("opus", "vorbis")
_FORMAT = 1
"""Raised when a copy would be made differently, so that older ones are made anew."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BrowserVideo:
    """What the page is given of one video. P = pictures that can be seen, K = frames of the grid."""

    path: Path
    """The file that is served: the video itself or a copy of its packets."""
    media_type: str
    """``video/mp4`` or ``video/webm``."""
    times_P: np.ndarray
    """float64 ``(P + 1,)``; browser seconds at which each picture begins, and the end of the last."""
    picture_K: np.ndarray
    """int32; the picture on show in the middle of each grid frame."""
    frame_P: np.ndarray
    """int32; the grid frame that holds the middle of each picture."""
    width: int
    height: int


def playable(
    path: Path, cache: Path, progress: Callable[[int], object] | None = None, *, allow_truncated: bool = False
) -> BrowserVideo:
    """Make a video ready for a browser.

    Args:
        path: The video.
        cache: Folder for copies in a clean container.
        progress: Called with the number of bytes copied since the last call.
        allow_truncated: Take a file that breaks off as far as it goes.

    Raises:
        VideoError: it cannot be read, or browsers do not play its codec.
    """
    index = index_of(path, allow_truncated=allow_truncated)
    media_type = _media_type(index)
    served = index
    if not _is_clean(index):
        served = index_of(_copy_of(index, cache, media_type, progress))
    _refuse_difference(index, served)
    return _timed(index, served, media_type)


def _media_type(index: VideoIndex) -> str:
    if index.identified_by == "decode_order":
        raise VideoError(
            f"{index.path}: says nothing of when its pictures are shown; convert it with tools/transcode.py"
        )
    if index.codec_name in _MP4_CODECS:
        return "video/webm" if _is_webm(index) else "video/mp4"
    if index.codec_name in _WEBM_CODECS:
        return "video/webm"
    raise VideoError(
        f"{index.path}: browsers do not play {index.codec_name}; convert it to H.264 with tools/transcode.py"
    )


def _is_webm(index: VideoIndex) -> bool:
    return index.path.suffix == ".webm" and index.format_name.startswith("matroska")


def _is_clean(index: VideoIndex) -> bool:
    """Whether any browser takes the file as it is."""
    container = index.format_name.startswith("mov") or _is_webm(index)
    return container and index.first_picture_s == 0 and index.path.suffix in (".mp4", ".m4v", ".webm")


def _timed(index: VideoIndex, served: VideoIndex, media_type: str) -> BrowserVideo:
    """Tables of times; of pictures with one time stamp only the last is ever seen."""
    seen_P = np.append(np.diff(served.pts_P) > 0, True)
    place_P = np.cumsum(seen_P) - seen_P  # of an unseen picture: the place of the one that covers it
    base = served.time_base
    ends = served.first_picture_s + served.duration_s
    times = [float(int(tick) * base) for tick in served.pts_P[seen_P]]
    fps = DEFAULT_FPS
    # The middle of a picture in ticks of half its base: exact, so that no picture changes its frame by rounding.
    starts = index.pts_P[seen_P] - index.pts_P[0]
    last = index.last_duration
    lengths = np.diff(starts).tolist()
    middles = [2 * int(s) + d for s, d in zip(starts[:-1], lengths, strict=True)]
    frames = [int(middle * index.time_base * fps / 2) for middle in (Fraction(m) for m in middles)]
    frames.append(int((2 * int(starts[-1]) + last) * index.time_base * fps / 2))
    picture_K = place_P[pictures_of_grid(index, fps)]
    return BrowserVideo(
        path=served.path,
        media_type=media_type,
        times_P=np.array([*times, float(ends)]),
        picture_K=picture_K.astype(np.int32),
        frame_P=np.clip(frames, 0, max(0, len(picture_K) - 1)).astype(np.int32),
        width=index.width,
        height=index.height,
    )


def _refuse_difference(index: VideoIndex, served: VideoIndex) -> None:
    """A copy whose pictures are shown at other times would put events at wrong times."""
    if served is index:
        return
    same = served.num_pictures == index.num_pictures
    if same:
        before = (index.pts_P - index.pts_P[0]) * float(index.time_base)
        after = (served.pts_P - served.pts_P[0]) * float(served.time_base)
        same = bool(np.abs(before - after).max() < 1e-3) and served.first_picture_s == 0
    if not same:
        raise VideoError(
            f"{index.path}: a copy in a clean container shows other pictures; convert it with tools/transcode.py"
        )


def _copy_of(index: VideoIndex, cache: Path, media_type: str, progress: Callable[[int], object] | None) -> Path:
    """The copy kept in ``cache``, made now if there is none of the file as it is."""
    told = f"{_FORMAT} {index.path.resolve()} {index.byte_size} {index.mtime_ns}"
    name = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    target = cache / f"{name}{'.mp4' if media_type == 'video/mp4' else '.webm'}"
    if not target.is_file():
        _LOG.info("%s: copied for the browser to %s", index.path, target)
        _remux(index, target, media_type, progress)
    return target


def _remux(index: VideoIndex, target: Path, media_type: str, progress: Callable[[int], object] | None) -> None:
    """Copy the packets of picture and sound, the first shown picture at zero; whole or not at all."""
    import av

    part = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    options = {"movflags": "faststart"} if media_type == "video/mp4" else {}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_container(index.path) as source, av.open(str(part), "w", options=options) as written:
            _copy_packets(index, source, written, media_type, progress)
        index_video(part)
        part.replace(target)
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(
            f"{index.path}: cannot be put into a clean container ({one_line(error)}); convert it with "
            "tools/transcode.py"
        ) from None
    except OSError as error:
        raise VideoError(f"{target}: cannot be written ({error.strerror}); check --cache and free space") from None
    finally:
        part.unlink(missing_ok=True)


def _copy_packets(
    index: VideoIndex, source: Any, written: Any, media_type: str, progress: Callable[[int], object] | None
) -> None:
    pictures = video_stream(source, index.path, index.stream_index)
    copies = {pictures.index: written.add_stream_from_template(pictures)}
    sounds = _MP4_SOUND if media_type == "video/mp4" else _WEBM_SOUND
    heard = next((s for s in source.streams.audio if s.codec_context and s.codec_context.name in sounds), None)
    if heard is not None:
        copies[heard.index] = written.add_stream_from_template(heard)
    wanted = [pictures] if heard is None else [pictures, heard]
    decoding = iter(decoding_times(index.pts_M).tolist())
    for packet in source.demux(*wanted):
        if not packet.size:
            continue
        own = packet.stream.index == pictures.index
        stamp = next(decoding) if own else packet.dts
        if packet.pts is None or stamp is None:
            continue
        shift = round(index.first_picture_s / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, stamp - shift
        if not own and packet.dts < 0:
            continue
        packet.stream = copies[packet.stream.index]
        size = packet.size
        written.mux(packet)
        if progress is not None:
            progress(size)


def decoding_times(pts_M: np.ndarray) -> np.ndarray:
    """Decoding times for packets in the order of the file: rising, and none after its picture is shown.

    Matroska has none, and what FFmpeg guesses instead may fall back or be missing for the first packets.
    """
    rising = np.sort(pts_M)
    places = np.arange(len(rising))
    rising = np.maximum.accumulate(rising - places) + places  # two pictures of one time: a tick apart
    return np.asarray(rising - max(0, int((rising - pts_M).max(initial=0))))

"""Prepares videos for browsers, and computes when a browser shows each picture.

Measured in Chromium: its ``currentTime`` and ``mediaTime`` are the container's time of a picture with the
edit list applied, as in ``VideoIndex.pts_P``. But the end of an .mp4 that begins late cannot be reached,
and other browsers refuse Matroska or shift such files. So the video that is served always begins at zero:
it is the file itself if that begins at zero, else a copy of its packets in a new container. What browsers
do not show rightly either way is encoded again while it is shown (see ``encoded_fragments``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from e2espot.core.timeline import DEFAULT_FPS
from e2espot.review.browser_copy import Progress, copy_for_browsers
from e2espot.review.browser_packets import NotForBrowsersError, needs_closed_flags
from e2espot.review.encoded_fragments import visible_pictures
from e2espot.video.container import open_container, video_streams
from e2espot.video.index import VideoIndex, pictures_of_grid
from e2espot.video.indexing import require_readable
from e2espot.video.parts import indexes_of

_LOG = logging.getLogger(__name__)

_MP4_CODECS = ("h264", "av1", "vp9")
_WEBM_CODECS = ("vp8", "vp9", "av1")


@dataclass(frozen=True, kw_only=True)
class BrowserFile:
    """A file that the browser plays."""

    index: VideoIndex
    """Index of the video itself."""
    path: Path
    """The video itself, or a copy of its packets."""
    media_type: str | None
    """``video/mp4`` or ``video/webm``; None if the browser gets encoded fragments only."""
    first_picture: int
    """Number of its first picture among those of the match."""
    starts_at_s: Fraction
    """Seconds of the match at which that begins; the browser's clock of the file begins at zero there."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BrowserVideo:
    """A video for the review page. P = pictures that are ever visible, K = frames of the grid."""

    files: tuple[BrowserFile, ...]
    """What is served: one file, or those of a match in several files."""
    times_P: np.ndarray
    """float64 ``(P + 1,)``; seconds of the match at which each picture begins, then the end of the last one."""
    start_P: np.ndarray
    """int32, increasing; pictures at which decoding can begin."""
    picture_K: np.ndarray
    """int32; the picture on screen in the middle of each grid frame."""
    frame_P: np.ndarray
    """int32; the grid frame that contains the middle of each picture."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    average_fps: float
    """Pictures per second of the file."""


def prepare_browser_video(
    path: Path,
    cache: Path,
    progress: Progress | None = None,
    *,
    allow_truncated: bool = False,
    video_stream: int | None = None,
) -> BrowserVideo:
    """Make a video ready for a browser.

    Args:
        path: The video, or the files of one match joined by ``+``.
        cache: Folder for copies.
        progress: Called while a copy is made.
        allow_truncated: Use a truncated file up to where it ends.
        video_stream: Number of the stream among the video streams of the file; None for the one that players choose.

    Raises:
        VideoError: The video cannot be read.
    """
    indexes = [
        require_readable(index)
        for index in indexes_of(path, allow_truncated=allow_truncated, video_stream=video_stream)
    ]
    return _with_tables(indexes, [_served(index, cache, progress) for index in indexes])


@dataclass(frozen=True, eq=False, kw_only=True)
class _Served:
    """What the browser gets of one file."""

    index: VideoIndex
    """Index of the file itself or of its copy."""
    media_type: str | None
    """See ``BrowserFile``."""


def _served(index: VideoIndex, cache: Path, progress: Progress | None) -> _Served:
    """The file itself or a copy, or the promise of encoded fragments where browsers would show either wrongly."""
    try:
        media_type = _media_type(index)
        if _plays_as_is(index):
            return _Served(index=index, media_type=media_type)
        return _Served(index=copy_for_browsers(index, cache, media_type, progress), media_type=media_type)
    except NotForBrowsersError as reason:
        _LOG.info("%s: encoded for the browser while it is shown, without sound, since %s", index.path, reason)
        return _Served(index=index, media_type=None)


def _media_type(index: VideoIndex) -> str:
    """The kind of container that browsers play the packets in.

    Raises:
        NotForBrowsersError: There is none.
    """
    if index.identified_by == "decode_order":
        raise NotForBrowsersError("the file does not state when its pictures are shown")
    if not visible_pictures(index).all():
        # Played in order, Chromium shows the last picture of a time stamp, as players do; after a jump, the first one.
        raise NotForBrowsersError("several of its pictures have one time stamp")
    needs_closed_flags(index)  # raises where pictures would be wrong after a jump
    if index.codec_name in _MP4_CODECS:
        return "video/webm" if _is_webm(index) else "video/mp4"
    if index.codec_name in _WEBM_CODECS:
        return "video/webm"
    raise NotForBrowsersError(f"browsers do not play {index.codec_name}")


def _is_webm(index: VideoIndex) -> bool:
    return index.path.suffix == ".webm" and index.format_name.startswith("matroska")


def _plays_as_is(index: VideoIndex) -> bool:
    """Whether any browser plays the file without a copy."""
    container = index.format_name.startswith("mov") or _is_webm(index)
    if not container or index.first_picture_s != 0 or index.path.suffix not in (".mp4", ".m4v", ".webm"):
        return False
    if needs_closed_flags(index) or (index.codec_name == "h264" and index.format_change_packet is not None):
        return False
    with open_container(index.path) as opened:
        return len(video_streams(opened)) == 1  # of several, browsers differ in which one they show


def _with_tables(indexes: Sequence[VideoIndex], served: Sequence[_Served]) -> BrowserVideo:
    """Compute the tables of a match from those of its files, whose pictures are numbered on."""
    files: list[BrowserFile] = []
    tables: list[_Tables] = []
    num_pictures = 0
    for index, shown in zip(indexes, served, strict=True):
        files.append(
            BrowserFile(
                index=index,
                path=shown.index.path,
                media_type=shown.media_type,
                first_picture=num_pictures,
                starts_at_s=index.starts_at_s,
            )
        )
        tables.append(_tables(index, shown.index, num_pictures))
        num_pictures += len(tables[-1].times_P)
    end_s = indexes[-1].starts_at_s + served[-1].index.duration_s
    picture_K = np.concatenate([table.picture_K for table in tables])
    frame_P = np.concatenate([table.frame_P for table in tables])
    duration_s = sum((index.duration_s for index in indexes), Fraction(0))
    return BrowserVideo(
        files=tuple(files),
        times_P=np.array([*np.concatenate([table.times_P for table in tables]), float(end_s)]),
        start_P=np.concatenate([table.start_P for table in tables]).astype(np.int32),
        picture_K=picture_K.astype(np.int32),
        frame_P=np.clip(frame_P, 0, max(0, len(picture_K) - 1)).astype(np.int32),
        width=indexes[0].width,
        height=indexes[0].height,
        average_fps=float(sum(index.num_pictures for index in indexes) / duration_s),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Tables:
    """Rows of one file in the tables of ``BrowserVideo``."""

    times_P: np.ndarray
    """float64; seconds of the match at which each picture begins."""
    start_P: np.ndarray
    """int64; pictures at which decoding can begin."""
    picture_K: np.ndarray
    """int64; picture of each frame of the file."""
    frame_P: np.ndarray
    """int64; frame of the match that contains the middle of each picture."""


def _tables(index: VideoIndex, served: VideoIndex, first_picture: int) -> _Tables:
    """Compute the tables of one file.

    Several pictures may have one time stamp; only the last of them is ever visible::

        pts_P      0  40  40  80
        visible_P  1   0   1   1
        rank_P     0   1   1   2    (an invisible picture has the rank of the one that covers it)
    """
    visible_P = visible_pictures(served)
    rank_P = np.cumsum(visible_P) - visible_P + first_picture
    ticks = (served.pts_P[visible_P] - served.pts_P[0]).tolist()
    times_s = [float(index.starts_at_s + tick * served.time_base) for tick in ticks]
    # The middle of a picture in ticks of half the time base: exact, so that rounding moves no picture to
    # another frame. middle = (start + next start) / 2, so 2 * middle = 2 * start + duration.
    starts = index.pts_P[visible_P] - index.pts_P[0]
    steps = np.diff(starts).tolist()
    doubled_middles = [Fraction(2 * int(start) + step) for start, step in zip(starts[:-1], steps, strict=True)]
    doubled_middles.append(2 * int(starts[-1]) + index.last_duration)
    middles_s = [index.starts_at_s + doubled * index.time_base / 2 for doubled in doubled_middles]
    return _Tables(
        times_P=np.array(times_s),
        start_P=np.unique(rank_P[served.start_picture_S]),
        picture_K=rank_P[pictures_of_grid(index, DEFAULT_FPS)],
        frame_P=np.array([int(middle_s * DEFAULT_FPS) for middle_s in middles_s]),
    )

"""Index of a file: read from memory, from the index cache, or from the file itself."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from pathlib import Path

from e2espot.core.errors import VideoError
from e2espot.video import index_cache
from e2espot.video.demux import scan
from e2espot.video.index import Presentation, median_step, presentation_of_scan
from e2espot.video.pyav_reader import PyavPictures


def index_video(path: Path | str, *, allow_truncated: bool = False) -> Presentation:
    """Read the time stamps of every picture of a file, without decoding them.

    Args:
        path: The file.
        allow_truncated: Take a file that breaks off as far as it goes.

    Raises:
        VideoError: the file is missing, empty, not a video, holds no pictures, cannot be
            decoded, or carries time stamps nobody can follow. One line that names the file.
    """
    presentation = _as_far_as_it_decodes(presentation_of_scan(scan(Path(path))))
    if presentation.truncated and not allow_truncated:
        raise VideoError(
            f"{path}: breaks off after {float(presentation.duration_s):.1f} s; copy or download it again, "
            "or pass --allow_truncated to use it up to there"
        )
    return presentation


def _as_far_as_it_decodes(presentation: Presentation) -> Presentation:
    """The same without pictures at its end that do not decode; more than one, and the file breaks off there."""
    count = last_decodable(presentation) + 1
    missing = presentation.num_pictures - count
    if missing == 0:
        return presentation
    if count == 0:
        raise VideoError(f"{presentation.path}: none of its pictures can be decoded; the file is damaged")
    kept_S = presentation.start_picture_S < count
    shown_M = presentation.shown_M.copy()
    shown_M[presentation.packet_P[count:]] = False
    pts_P = presentation.pts_P[:count]
    return dataclasses.replace(
        presentation,
        pts_P=pts_P,
        last_duration=median_step(pts_P) or presentation.last_duration,
        packet_P=presentation.packet_P[:count],
        shown_M=shown_M,
        start_packet_S=presentation.start_packet_S[kept_S],
        start_pts_S=presentation.start_pts_S[kept_S],
        start_picture_S=presentation.start_picture_S[kept_S],
        clean_S=presentation.clean_S[kept_S],
        truncated=presentation.truncated or missing > 1,
    )


_MOST_PACKETS = 4_000_000
"""Indexes kept in memory weigh some 60 bytes a packet; two dozen matches, or hundreds of clips."""

_INDEXES: OrderedDict[tuple[Path, int, int, bool], Presentation] = OrderedDict()


def index_of(path: Path | str, *, allow_truncated: bool = False) -> Presentation:
    """The index of a file, made once and again when the file changes; see ``index_video``."""
    path = Path(path)
    try:
        status = path.stat()
    except OSError:
        return index_video(path)  # which says what is wrong with it
    key = (path, status.st_size, status.st_mtime_ns, allow_truncated)
    if key in _INDEXES:
        _INDEXES.move_to_end(key)
        return _INDEXES[key]
    kept = index_cache.fetch(path, status.st_size, status.st_mtime_ns)
    if kept is None or (kept.truncated and not allow_truncated):
        kept = index_video(path, allow_truncated=allow_truncated)
        index_cache.store(kept)
    _INDEXES[key] = kept
    while len(_INDEXES) > 1 and sum(index.num_packets for index in _INDEXES.values()) > _MOST_PACKETS:
        _INDEXES.popitem(last=False)
    return _INDEXES[key]


def forget_indexes() -> None:
    """Forget the indexes this process holds; those on disk stay."""
    _INDEXES.clear()


_MOST_TO_TRY = 600
"""Pictures after the last start; where there are more, it is not tried whether the last one decodes."""


def last_decodable(presentation: Presentation) -> int:
    """Rank of the last picture that decodes, tried where that is cheap.

    Raises:
        VideoError: what was read a moment ago cannot be read again.
    """
    last = presentation.num_pictures - 1
    segment = presentation.segment_of(last)
    if presentation.order == "decoded":
        return last
    if presentation.num_packets - int(presentation.start_packet_S[segment]) > _MOST_TO_TRY:
        return last
    decoder = PyavPictures(presentation, (16, 16))
    try:
        return decoder.last_from(segment)
    finally:
        decoder.close()

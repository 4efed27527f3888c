"""Access to the index of a file: from memory, from the index cache on disk, or from the file itself."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from pathlib import Path

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.video import index_cache
from e2espot.video.demux import scan_video
from e2espot.video.index import VideoIndex, index_from_scan, median_step
from e2espot.video.pyav_reader import PyavDecoder

_MAX_PACKETS_IN_MEMORY = 4_000_000
"""An index takes some 60 bytes a packet: this many are two dozen matches, or hundreds of short clips."""
_MAX_TRIAL_PACKETS = 600
"""Packets after the last keyframe up to which the end of a file is decoded to see whether it decodes."""

_NUM_ORDER_PACKETS = 64
"""Packets decoded to see whether time stamps in file order are display times; B-frames come within the first few."""

_IndexKey = tuple[Path, int, int, bool, int | None]
_INDEXES: OrderedDict[_IndexKey, VideoIndex] = OrderedDict()
"""(path, size, modification time, allow_truncated, video_stream) -> index, least recently used first."""


def index_video(path: Path | str, *, allow_truncated: bool = False, video_stream: int | None = None) -> VideoIndex:
    """Read the time stamps of every picture of a file, without decoding them.

    Args:
        path: The file.
        allow_truncated: Accept a file that ends early, as far as it goes.
        video_stream: Number of the stream among the video streams of the file, counted from 0; None for the one that
            players choose.

    Raises:
        VideoError: the file is missing, empty, not a video, holds no pictures or no such stream, cannot be decoded,
            or carries contradictory time stamps. One line that names the file.
    """
    scan = scan_video(Path(path), video_stream)
    index = index_from_scan(scan)
    if scan.reorders and index.identified_by == "pts" and (np.diff(index.pts_M) >= 0).all():
        _reject_decoding_times(index)
    index = _without_undecodable_end(index)
    if index.truncated and not allow_truncated:
        raise VideoError(
            f"{path}: breaks off after {float(index.duration_s):.1f} s; copy or download it again, "
            "or use it up to there with allow_truncated=True",
            option="allow_truncated",
        )
    return index


def _reject_decoding_times(index: VideoIndex) -> None:
    """Refuse files whose pictures are reordered while their time stamps are not: those are decoding times.

    Raises:
        VideoError: the first pictures do not decode in the order of their times.
    """
    decoder = PyavDecoder(index, (16, 16))
    try:
        decoder.check_order(_NUM_ORDER_PACKETS)
    finally:
        decoder.close()


def _without_undecodable_end(index: VideoIndex) -> VideoIndex:
    """The same index without pictures at its end that do not decode; if more than one, the file is truncated."""
    num_decodable = _last_decodable(index) + 1
    num_lost = index.num_pictures - num_decodable
    if num_lost == 0:
        return index
    if num_decodable == 0:
        raise VideoError(f"{index.path}: none of its pictures can be decoded; the file is damaged")
    shown_M = index.shown_M.copy()
    shown_M[index.packet_P[num_decodable:]] = False
    pts_P = index.pts_P[:num_decodable]
    return dataclasses.replace(
        index.select_segments(index.start_picture_S < num_decodable),
        pts_P=pts_P,
        packet_P=index.packet_P[:num_decodable],
        shown_M=shown_M,
        last_duration=median_step(pts_P) or index.last_duration,
        truncated=index.truncated or num_lost > 1,  # a single one is common: encoders leave an unpaired field
    )


def _last_decodable(index: VideoIndex) -> int:
    """Rank of the last picture that decodes; the last one of all where trying would take long.

    Raises:
        VideoError: packets that were read a moment ago cannot be read again.
    """
    last = index.num_pictures - 1
    segment = index.segment_of(last)
    if index.identified_by == "decode_order":
        return last
    if index.num_packets - int(index.start_packet_S[segment]) > _MAX_TRIAL_PACKETS:
        return last
    decoder = PyavDecoder(index, (16, 16))
    try:
        return decoder.last_decodable_rank(segment)
    finally:
        decoder.close()


def index_of(path: Path | str, *, allow_truncated: bool = False, video_stream: int | None = None) -> VideoIndex:
    """The index of a file, cached until the file changes; see ``index_video``."""
    path = Path(path)
    try:
        status = path.stat()
    except OSError:
        return index_video(path, video_stream=video_stream)  # which raises the error that explains it
    key = (path, status.st_size, status.st_mtime_ns, allow_truncated, video_stream)
    if key in _INDEXES:
        _INDEXES.move_to_end(key)
        return _INDEXES[key]
    index = index_cache.load(path, status.st_size, status.st_mtime_ns, video_stream)
    if index is None or (index.truncated and not allow_truncated):
        index = index_video(path, allow_truncated=allow_truncated, video_stream=video_stream)
        index_cache.store(index, video_stream)
    _INDEXES[key] = index
    while len(_INDEXES) > 1 and sum(cached.num_packets for cached in _INDEXES.values()) > _MAX_PACKETS_IN_MEMORY:
        _INDEXES.popitem(last=False)
    return index


def clear_index_cache() -> None:
    """Drop the indexes that this process holds in memory; those on disk stay."""
    _INDEXES.clear()

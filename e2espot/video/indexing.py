"""Access to the index of a file: from memory, from the index cache on disk, or from the file itself."""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Unpack

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.core.open_arguments import OpenArguments
from e2espot.video import index_cache
from e2espot.video.demux import Scan, scan_video
from e2espot.video.index import VideoIndex, index_from_scan, median_step
from e2espot.video.losses import describe_losses
from e2espot.video.pyav_reader import OutOfOrderError, PyavDecoder
from e2espot.video.time_jumps import suspected_time_jump, time_jump_error

_LOG = logging.getLogger(__name__)

_MAX_PACKETS_IN_MEMORY = 4_000_000
"""An index takes some 60 bytes a packet: this many are two dozen matches, or hundreds of short clips."""
_MAX_TRIAL_PACKETS = 600
"""Packets after the last keyframe up to which the end of a file is decoded to see whether it decodes."""

_NUM_ORDER_PACKETS = 64
"""Packets decoded to see whether time stamps in file order are display times; B-frames come within the first few."""
_MAX_JUMP_PACKETS = 5000
"""Packets from a keyframe to a suspected jump of the clock up to which decoding decides; beyond, reading does."""

_IndexKey = tuple[Path, int, int, int | None, Fraction | None]
_INDEXES: OrderedDict[_IndexKey, VideoIndex] = OrderedDict()
"""(path, size, modification time, video_stream, source_fps) -> index, least recently used first."""

_PINNED: dict[tuple[Path, bool, int | None, Fraction | None], VideoIndex] = {}
"""(path, allow_truncated, video_stream, source_fps) -> the index of a running job, see ``one_index``."""


def index_video(path: Path | str, **opening: Unpack[OpenArguments]) -> VideoIndex:
    """Read the time stamps of every picture of a file, without decoding more than the first.

    A file that ends before its header declares is refused. Whether the pictures at its end decode is not tried: see
    ``require_readable``.

    Args:
        path: The file.
        **opening: How it is opened; see ``OpenArguments``.

    Raises:
        VideoError: the file is missing, empty, not a video, holds no pictures or no such stream, cannot be decoded,
            or carries contradictory time stamps. One line that names the file.
    """
    allow_truncated, video_stream, source_fps = _resolved(opening)
    return _checked(_index_file(Path(path), video_stream, source_fps), allow_truncated=allow_truncated)


def _resolved(opening: OpenArguments) -> tuple[bool, int | None, Fraction | None]:
    """``allow_truncated``, ``video_stream`` and ``source_fps``."""
    return opening.get("allow_truncated", False), opening.get("video_stream"), opening.get("source_fps")


def _index_file(path: Path, video_stream: int | None, source_fps: Fraction | None) -> VideoIndex:
    """The index of a file, whether it is truncated or not."""
    scan = scan_video(path, video_stream)
    index = index_from_scan(scan, source_fps)
    if scan.decoder_delay and index.identified_by == "pts" and (np.diff(index.pts_M) >= 0).all():
        index = _with_counted_pictures(index, scan)
    if index.identified_by == "pts":
        _reject_short_time_jump(index, scan.decoder_delay)
    index = dataclasses.replace(
        index, video_stream=video_stream, source_fps=source_fps, unproven_from=_start_of_trial(index)
    )
    return _with_proven_end(index) if index.truncated else index


def _checked(index: VideoIndex, *, allow_truncated: bool) -> VideoIndex:
    """``index``, with its end proven if truncated files are allowed.

    Raises:
        VideoError: the file is truncated, and that is not allowed.
    """
    if allow_truncated:
        return _with_proven_end(index)
    if index.truncated:
        raise VideoError(
            f"{index.path}: breaks off after {float(index.duration_s):.1f} s; copy or download it again, or wait if it "
            "is still being written, or use it up to there with allow_truncated=True",
            option="allow_truncated",
        )
    return index


def _with_counted_pictures(index: VideoIndex, scan: Scan) -> VideoIndex:
    """``index``; or one that counts pictures where these are reordered and their stamps are not.

    Some recorders and downloaders write decoding times as display times::

        stored      I0  P3  B1  B2        (number = display order)
        stamps      0   40  80  120
        decoded     I0 at 0, B1 at 80, B2 at 120, P3 at 40      so the stamps are taken in order: I0 B1 B2 P3
    """
    decoder = PyavDecoder(index, (16, 16))
    try:
        decoder.check_order(_NUM_ORDER_PACKETS)
    except OutOfOrderError:
        return index_from_scan(scan, states_decoding_times=True)
    finally:
        decoder.close()
    return index


def _reject_short_time_jump(index: VideoIndex, decoder_delay: int) -> None:
    """Refuse files whose clock goes back by no more pictures than codecs reorder, if at all.

    Raises:
        VideoError: pictures near the packet that is reordered farthest do not decode in the order of their times.
    """
    packet = suspected_time_jump(index.pts_M, index.shown_M, decoder_delay)
    if packet is None:
        return
    segment = max(0, int(np.searchsorted(index.start_packet_S, packet, side="right")) - 1)
    if packet - int(index.start_packet_S[segment]) > _MAX_JUMP_PACKETS:
        return
    decoder = PyavDecoder(index, (16, 16))
    try:
        decoder.check_order(packet + _NUM_ORDER_PACKETS, segment)
    except OutOfOrderError:
        shown_before = index.pts_M[:packet][index.shown_M[:packet]]
        raise time_jump_error(index.path, int(np.ptp(shown_before)) * index.time_base, packet) from None
    finally:
        decoder.close()


def _start_of_trial(index: VideoIndex) -> int | None:
    """First picture after the last keyframe; None where decoding from there on would take long, or proves nothing."""
    if index.identified_by == "decode_order" or index.num_packets - int(index.start_packet_S[-1]) > _MAX_TRIAL_PACKETS:
        return None
    return int(index.start_picture_S[-1])


def _with_proven_end(index: VideoIndex) -> VideoIndex:
    """The same index with a proven end, and without the pictures there that do not decode.

    If more than one does not decode, the file is truncated. A single one is common, and stays: the picture before it is
    held, as in a player.

    Raises:
        VideoError: no picture decodes, or packets that were read a moment ago cannot be read again.
    """
    if index.unproven_from is None:
        return index
    index = dataclasses.replace(index, unproven_from=None)
    decoder = PyavDecoder(index, (16, 16))
    try:
        num_decodable = decoder.last_decodable_rank(len(index.start_packet_S) - 1) + 1
    finally:
        decoder.close()
    if num_decodable == 0:
        raise VideoError(f"{index.path}: none of its pictures can be decoded; the file is damaged")
    num_lost = index.num_pictures - num_decodable
    if num_lost == 0 or (num_lost == 1 and not index.truncated):
        return dataclasses.replace(index, last_is_missing=num_lost == 1)
    shown_M = index.shown_M.copy()
    shown_M[index.packet_P[num_decodable:]] = False
    pts_P = index.pts_P[:num_decodable]
    return dataclasses.replace(
        index.select_segments(index.start_picture_S < num_decodable),
        pts_P=pts_P,
        packet_P=index.packet_P[:num_decodable],
        shown_M=shown_M,
        last_duration=median_step(pts_P) or index.last_duration,
        truncated=True,
    )


def index_of(path: Path | str, **opening: Unpack[OpenArguments]) -> VideoIndex:
    """The index of a file, cached until the file changes; see ``index_video``."""
    path, (allow_truncated, video_stream, source_fps) = Path(path), _resolved(opening)
    pinned = _PINNED.get((path, allow_truncated, video_stream, source_fps))
    if pinned is not None:
        return pinned
    try:
        status = path.stat()
    except OSError:
        return index_video(path, video_stream=video_stream)  # which raises the error that explains it
    key = (path, status.st_size, status.st_mtime_ns, video_stream, source_fps)
    is_new = key not in _INDEXES
    index = _INDEXES.get(key) or index_cache.load(*key)
    if index is None:
        index = _index_file(path, video_stream, source_fps)
        index_cache.store(index)
    _remember(key, index)
    checked = _checked(index, allow_truncated=allow_truncated)
    if checked is not index:
        index_cache.store(checked)
        _remember(key, checked)
    losses = describe_losses(checked) if is_new else None
    if losses is not None:
        _LOG.warning("%s: packets are missing; its pictures are not reliable %s", path, losses)
    return checked


@contextmanager
def one_index(path: Path, **opening: Unpack[OpenArguments]) -> Iterator[VideoIndex]:
    """Let ``index_of`` give one index of a file throughout a job, even if the file grows meanwhile.

    A recording that is still being written is read up to where it was when the job began; the log reports it.

    Raises:
        VideoError: see ``index_video``; or its end does not decode.
    """
    key = (path, *_resolved(opening))
    if key in _PINNED:  # part of a larger job
        yield _PINNED[key]
        return
    opened = index_of(path, **opening)
    index = _PINNED[key] = require_readable(opened)
    try:
        yield index
    finally:
        del _PINNED[key]
        with suppress(OSError):
            if (path.stat().st_size, path.stat().st_mtime_ns) != (index.byte_size, index.mtime_ns):
                _LOG.warning(
                    "%s: changed while it was read, so it may still be recording; it was read up to %.2f s, its end "
                    "when the job began",
                    path,
                    float(index.duration_s),
                )


def require_readable(index: VideoIndex, last: int | None = None) -> VideoIndex:
    """Prove that the pictures up to ``last`` are in the file, by decoding its end if they reach that far.

    The index alone shows what the container declares. Of a file whose last bytes are missing or damaged, only decoding
    shows it; that takes as long as a thousand packets of the index, so it waits until the end is wanted. The answer is
    cached::

        segments          |---------|---------|----x     the last keyframe begins what is decoded
        wanted                 ^^^                       used as it is
        wanted                            ^^^            decoded to x first; refused if the file breaks off there

    Args:
        index: From ``index_of``.
        last: Rank of the last picture wanted; None for all.

    Returns:
        The same index; nothing of it is unproven if ``last`` reached the end.

    Raises:
        VideoError: more than one picture at the end does not decode.
    """
    if index.unproven_from is None or (last is not None and last < index.unproven_from):
        return index
    key = (index.path, index.byte_size, index.mtime_ns, index.video_stream, index.source_fps)
    # The cached one may be proven already. It has all segments, and the clock of the file alone; ``index`` may not.
    cached = _INDEXES.get(key) or index_cache.load(*key)
    proven = _with_proven_end(cached or index)
    if cached is not None and proven is not cached:
        index_cache.store(proven)
        _remember(key, proven)
    _checked(proven, allow_truncated=False)
    return dataclasses.replace(index, unproven_from=None, last_is_missing=proven.last_is_missing)


def _remember(key: _IndexKey, index: VideoIndex) -> None:
    _INDEXES[key] = index
    _INDEXES.move_to_end(key)
    while len(_INDEXES) > 1 and sum(cached.num_packets for cached in _INDEXES.values()) > _MAX_PACKETS_IN_MEMORY:
        _INDEXES.popitem(last=False)


def clear_index_cache() -> None:
    """Drop the indexes that this process holds in memory; those on disk stay."""
    _INDEXES.clear()

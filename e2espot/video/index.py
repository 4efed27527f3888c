"""Which picture a player shows when: the index of one video file, by a demux-only pass.

A file holds coded pictures; a player shows some of them, each from its time stamp to the
next one's. Edit lists hide pictures, B-frames store them out of order, headers lie about
rate and count. So time stamps are read off the packets themselves, and everything in the
library that speaks of frames goes through ``pictures_of_grid``.

Words used here: a *packet* is counted in the order of the file (decoding order), a
*picture* by its rank among the shown ones (presentation order), a *frame* on the grid.

Array suffixes: P = pictures shown, M = packets, K = frames of the grid, S = segments.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.core.timeline import DEFAULT_FPS, num_frames_of_duration
from e2espot.video.demux import NO_STAMP, Scan
from e2espot.video.keyframes import Start

COLOUR_RULE = "as tagged, untagged = bt601"
"""How YUV becomes RGB in every reader: by the matrix and range the stream names, as a player does."""

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_INT64_SAFE = 2**62
_LONGEST_S = 24 * 3600
_FARTHEST_REORDERING = 256

Order = Literal["stamps", "decoded"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Presentation:
    """The index of one file: what is shown when, and where decoding can begin."""

    path: Path
    """The file."""
    byte_size: int
    """Its size when it was indexed."""
    mtime_ns: int
    """Its modification time when it was indexed."""
    stream_index: int
    """The video stream within the container."""
    format_name: str
    """FFmpeg's name of the container."""
    codec_name: str
    """FFmpeg's name of the codec, ``h264``."""
    pixel_format: str
    """FFmpeg's name of the decoded layout, ``yuv420p``."""
    coded_width: int
    """Width of a decoded picture in pixels, before rotation."""
    coded_height: int
    """Height of a decoded picture in pixels, before rotation."""
    rotation_degrees: int
    """Turn a player applies, counter-clockwise: 0, 90, 180 or 270."""
    matrix: str
    """YUV matrix by which the picture is converted: ``bt601``, ``bt709``, ..."""
    time_base: Fraction
    """Seconds of one tick."""
    pts_P: np.ndarray
    """int64 ticks; when each shown picture begins, not decreasing."""
    packet_P: np.ndarray
    """int64; the packet of each shown picture. Under ``order == "decoded"`` only its count is meant."""
    pts_M: np.ndarray
    """int64 ticks of each packet."""
    dts_M: np.ndarray
    """int64 ticks of each packet; where the file gives none, its pts."""
    shown_M: np.ndarray
    """bool; whether a player shows the packet's picture."""
    start_packet_S: np.ndarray
    """int64; packets at which decoding may begin, increasing; the first is the first packet fit for it."""
    start_pts_S: np.ndarray
    """int64 ticks; packets after a start that are shown before this may need packets before the start."""
    start_picture_S: np.ndarray
    """int64; the first picture of each segment. A segment's pictures never need packets before its start."""
    clean_S: np.ndarray
    """bool; whether everything stored after a start can be decoded from it, and any decoder begins there."""
    last_duration: Fraction
    """Ticks the last picture is shown for: the median distance of two pictures."""
    order: Order
    """``stamps``: a decoded picture is known by its time stamp. ``decoded``: only by its place after a start."""
    truncated: bool
    """Whether the file breaks off before the end its header promises."""
    promised_s: Fraction | None = None
    """Seconds from the container's zero to the end its header promises; None where it does not say."""

    @property
    def num_pictures(self) -> int:
        """Pictures a player shows."""
        return len(self.pts_P)

    @property
    def num_packets(self) -> int:
        """Coded pictures, hidden ones included."""
        return len(self.pts_M)

    @property
    def width(self) -> int:
        """Width as shown, in pixels."""
        return self.coded_height if self.rotation_degrees in (90, 270) else self.coded_width

    @property
    def height(self) -> int:
        """Height as shown, in pixels."""
        return self.coded_width if self.rotation_degrees in (90, 270) else self.coded_height

    @property
    def first_picture_s(self) -> Fraction:
        """Seconds from the container's zero to the first shown picture."""
        return int(self.pts_P[0]) * self.time_base

    @property
    def duration_s(self) -> Fraction:
        """Seconds from the first shown picture to the end of the last."""
        return (int(self.pts_P[-1]) - int(self.pts_P[0]) + self.last_duration) * self.time_base

    @property
    def average_fps(self) -> float:
        """Pictures per second over the whole file, for display."""
        return float(self.num_pictures / self.duration_s)

    def segment_of(self, picture: int) -> int:
        """Segment that holds ``picture``."""
        return int(np.searchsorted(self.start_picture_S, picture, side="right")) - 1

    def pictures_of_segment(self, segment: int) -> tuple[int, int]:
        """Half-open range of the pictures of ``segment``."""
        after = segment + 1
        end = int(self.start_picture_S[after]) if after < len(self.start_picture_S) else self.num_pictures
        return int(self.start_picture_S[segment]), end


def begun_cleanly(presentation: Presentation) -> Presentation:
    """The same file with clean starts only, for decoders that give nothing from any other key picture.

    Where the first start is not clean, it stays: without it the first pictures had no segment.
    """
    kept_S = presentation.clean_S.copy()
    kept_S[0] = True
    return dataclasses.replace(
        presentation,
        start_packet_S=presentation.start_packet_S[kept_S],
        start_pts_S=presentation.start_pts_S[kept_S],
        start_picture_S=presentation.start_picture_S[kept_S],
        clean_S=presentation.clean_S[kept_S],
    )


def pictures_of_grid(presentation: Presentation, fps: Fraction) -> np.ndarray:
    """Rank of the picture on show in the middle of each grid frame.

    Args:
        presentation: The file's index.
        fps: Frames per second of the grid.

    Returns:
        int64 ``(K,)``: for frame k the picture shown ``(k + 1/2) / fps`` seconds after the first
        one began. Exact: a picture that begins at that very instant counts as shown.
    """
    num_frames = num_frames_of_duration(presentation.duration_s, fps)
    # (k + 1/2) / fps / time_base = (2k + 1) * ticks, and stamps are whole: floor() loses nothing.
    ticks = 1 / (2 * fps * presentation.time_base)
    safe = (2 * num_frames + 1) * ticks.numerator < _INT64_SAFE and ticks.denominator < _INT64_SAFE
    middles = 2 * np.arange(num_frames, dtype=np.int64 if safe else object) + 1
    elapsed_K = (middles * ticks.numerator // ticks.denominator).astype(np.int64)
    return np.searchsorted(presentation.pts_P - presentation.pts_P[0], elapsed_K, side="right") - 1


def matrix_name(colorspace: int) -> str:
    """FFmpeg's colour space number -> name of the matrix pictures are converted by."""
    return _MATRICES.get(colorspace, "bt601")


def presentation_of_scan(found: Scan) -> Presentation:
    """What the packets of a file mean; pure.

    Raises:
        VideoError: the time stamps are missing or contradict each other.
    """
    order: Order = "decoded" if found.format_name == "avi" and found.reorders else "stamps"
    pts_M, dts_M = _stamps(found)
    start_M = found.start_M.copy()
    begins = np.flatnonzero(start_M)
    if len(begins) == 0:  # no picture is fit; begin where the decoder finds something
        begins = np.zeros(1, dtype=np.int64)
        start_M[0] = Start.OPEN
    if order == "stamps" and begins[0] > 0 and found.first_pts in pts_M[: begins[0]]:
        start_M[0] = Start.OPEN  # and it does find something
        begins = np.append(0, begins)
    shown_M = found.shown_M & (np.arange(len(pts_M)) >= begins[0])
    if order == "stamps":
        _refuse_jumps(found.path, pts_M)
        if found.first_pts in pts_M[shown_M]:  # what is shown before the first that decodes cannot be
            shown_M &= pts_M >= found.first_pts
        elif start_M[begins[0]] == Start.OPEN:  # nor, most likely, what is shown before an open start
            shown_M &= pts_M >= pts_M[begins[0]]
    if not shown_M.any():
        raise VideoError(f"{found.path}: its edit list or time stamps hide every picture; the file is damaged")
    shown = np.flatnonzero(shown_M)
    packet_P = shown if order == "decoded" else shown[np.argsort(pts_M[shown], kind="stable")]
    pts_P = np.sort(pts_M[shown])
    start_packet_S, start_pts_S, start_picture_S = _segments(pts_M, shown_M, start_M, pts_P, order)
    clean_S = start_M[start_packet_S] == Start.CLEAN
    presentation = Presentation(
        path=found.path,
        byte_size=found.byte_size,
        mtime_ns=found.mtime_ns,
        stream_index=found.stream_index,
        format_name=found.format_name,
        codec_name=found.codec_name,
        pixel_format=found.pixel_format,
        coded_width=found.width,
        coded_height=found.height,
        rotation_degrees=found.rotation_degrees,
        matrix=matrix_name(found.colorspace),
        time_base=found.time_base,
        pts_P=pts_P,
        packet_P=packet_P,
        pts_M=pts_M,
        dts_M=dts_M,
        shown_M=shown_M,
        start_packet_S=start_packet_S,
        start_pts_S=start_pts_S,
        start_picture_S=start_picture_S,
        clean_S=clean_S,
        last_duration=_last_duration(found, pts_P),
        order=order,
        truncated=found.broke_off,
        promised_s=found.promised_s,
    )
    if presentation.duration_s > _LONGEST_S:
        raise VideoError(f"{found.path}: its time stamps span {float(presentation.duration_s):.0f} s; convert it anew")
    return presentation


def _stamps(found: Scan) -> tuple[np.ndarray, np.ndarray]:
    pts_M, dts_M = found.pts_M.copy(), found.dts_M.copy()
    missing = pts_M == NO_STAMP
    if missing.any() and (not found.reorders or found.format_name == "avi"):
        pts_M[missing] = dts_M[missing]
        missing = pts_M == NO_STAMP
    if missing.any():
        raise VideoError(
            f"{found.path}: {missing.sum()} of its {len(missing)} pictures carry no time stamp; "
            "convert it with tools/transcode.py"
        )
    dts_M[dts_M == NO_STAMP] = pts_M[dts_M == NO_STAMP]
    return pts_M, dts_M


def _refuse_jumps(path: Path, pts_M: np.ndarray) -> None:
    """Stop at files glued together, in which one time stamp means two pictures."""
    moved = np.abs(np.argsort(pts_M, kind="stable") - np.arange(len(pts_M)))
    if moved.max() > _FARTHEST_REORDERING:
        at = int(np.argmax(moved > _FARTHEST_REORDERING))
        raise VideoError(f"{path}: its time stamps jump back near picture {at}; convert it with tools/transcode.py")


def _segments(
    pts_M: np.ndarray, shown_M: np.ndarray, start_M: np.ndarray, pts_P: np.ndarray, order: Order
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Packets at which decoding may begin, time stamps good from there on, first picture of each."""
    packets = np.flatnonzero(start_M)
    before = np.maximum.accumulate(pts_M)
    after = np.minimum.accumulate(pts_M[::-1])[::-1]
    stamps = np.where(start_M[packets] == Start.CLEAN, after[packets], pts_M[packets])
    # A start is one only if all that is stored before it is shown earlier.
    good = np.append(True, before[packets[1:] - 1] < stamps[1:])
    if order == "decoded":
        good = np.append(True, start_M[packets[1:]] == Start.CLEAN)
    packets, stamps = packets[good], stamps[good]
    if order == "decoded":
        pictures = np.cumsum(shown_M)[packets] - shown_M[packets]
    else:
        pictures = np.searchsorted(pts_P, stamps, side="left")
    # Where the pictures of a segment are all hidden, the next start serves as well.
    kept = np.append(pictures[1:] != pictures[:-1], True) & (pictures < len(pts_P))
    return packets[kept], stamps[kept], pictures[kept].astype(np.int64)


def _last_duration(found: Scan, pts_P: np.ndarray) -> Fraction:
    median = median_step(pts_P)
    if median > 0:
        return median
    if found.duration_M[-1] > 0:
        return Fraction(int(found.duration_M[-1]))
    return 1 / ((found.average_rate or DEFAULT_FPS) * found.time_base)


def median_step(pts_P: np.ndarray) -> Fraction:
    """Median distance of two pictures in ticks; 0 for a single one."""
    if len(pts_P) < 2:
        return Fraction(0)
    steps = np.sort(np.diff(pts_P))
    middle = len(steps) // 2
    return Fraction(int(steps[middle]) + int(steps[~middle]), 2)

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

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from e2espot.timeline import num_frames_of_duration

if TYPE_CHECKING:
    from pathlib import Path

COLOUR_RULE = "as tagged, untagged = bt601"
"""How YUV becomes RGB in every reader: by the matrix and range the stream names, as a player does."""

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_INT64_SAFE = 2**62

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
    start_picture_S: np.ndarray
    """int64; the first picture of each segment. A segment's pictures never need packets before its start."""
    last_duration: Fraction
    """Ticks the last picture is shown for: the median distance of two pictures."""
    order: Order
    """``stamps``: a decoded picture is known by its time stamp. ``decoded``: only by its place after a start."""
    truncated: bool
    """Whether the file breaks off before the end its header promises."""

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

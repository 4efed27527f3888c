"""The index of a video: which picture a player shows at which time.

A file holds coded pictures. A player shows some of them, each from its time stamp to that of the
next one. Edit lists hide pictures, B-frames are stored out of order, and headers are wrong about
rate and count. So the index is built from the time stamps of the packets themselves, and everything
in the library that counts frames goes through ``pictures_of_grid``::

    packets, in file order       0    1    2    3    4    5      (M of them)
      pts, ticks of 1/25 s      -1    2    0    1    4    3      the edit list hides times below 0
      shown by a player         no  yes  yes  yes  yes  yes

    pictures, by time stamp           0    1    2    3    4      (P of them: the rank of a picture)
      packet                          2    3    1    5    4
      shown from, s                   0   1/25 2/25 3/25 4/25    to 5/25

    frames of a 12.5 fps grid           0         1              (K of them)
      middle, s                        1/25      3/25
      picture                           1         3

A *packet* is counted in file order, which is decoding order; a *picture* by its rank among the
shown ones, which is display order; a *frame* on the constant grid.

Array suffixes: M = packets, P = pictures shown, K = frames of the grid, S = segments.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.core.timeline import DEFAULT_FPS, MAX_DURATION_S, clock_text, num_frames_of_duration
from e2espot.video.demux import Scan
from e2espot.video.field_pictures import Fields
from e2espot.video.keyframes import KeyframeKind
from e2espot.video.packet_columns import NO_PTS
from e2espot.video.raw_streams import with_counted_times
from e2espot.video.time_jumps import reject_time_jumps, replaced_at_joins

COLOUR_RULE = "as tagged, untagged = bt601"
"""How YUV becomes RGB in every backend: by the matrix and range that the stream declares, as in a player."""

# FFmpeg's AVColorSpace -> the name of the matrix.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_INT64_SAFE = 2**62

Identification = Literal["pts", "decode_order"]
"""How a decoded picture is matched with its packet."""


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoIndex:
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
    """FFmpeg's name of the container, such as ``matroska,webm``."""
    codec_name: str
    """FFmpeg's name of the codec, such as ``h264``."""
    pixel_format: str
    """FFmpeg's name of the pixel format, such as ``yuv420p``."""
    coded_width: int
    """Width of a decoded picture in pixels, before rotation."""
    coded_height: int
    """Height of a decoded picture in pixels, before rotation."""
    rotation_degrees: int
    """Counter-clockwise rotation that a player applies: 0, 90, 180 or 270."""
    matrix: str
    """YUV matrix by which pictures are converted: ``bt601``, ``bt709``, ..."""
    time_base: Fraction
    """Seconds of one tick."""
    pts_P: np.ndarray
    """int64 ticks; when each shown picture begins, not decreasing."""
    packet_P: np.ndarray
    """int64; the packet of each shown picture. If ``identified_by == "decode_order"``, only how many there are."""
    pts_M: np.ndarray
    """int64 ticks; display time of each packet."""
    dts_M: np.ndarray
    """int64 ticks; decoding time of each packet, its pts where the file has none."""
    shown_M: np.ndarray
    """bool; whether a player shows the picture of the packet."""
    start_packet_S: np.ndarray
    """int64, increasing; packet at which each segment begins. The first is the first packet decoding can begin at."""
    start_pts_S: np.ndarray
    """int64 ticks; later packets that are displayed before this time may need packets before the segment."""
    start_picture_S: np.ndarray
    """int64; first picture of each segment. No picture of a segment needs packets before its start."""
    is_closed_gop_S: np.ndarray
    """bool; whether everything stored after the start can be decoded from it, so that any decoder begins there."""
    num_parts_M: np.ndarray
    """int8; packets of the file that make up each one: 2 where the fields of a picture are stored apart."""
    damaged_M: np.ndarray
    """bool; whether the container reports that a part of the packet is lost."""
    fields: Fields
    """Whether pictures are stored as two fields."""
    last_duration: Fraction
    """Ticks for which the last picture is shown: the median distance of two pictures."""
    identified_by: Identification
    """``pts``: a decoded picture has the time stamp of its packet. ``decode_order``: it is known only by counting
    decoded pictures from the start of a segment (AVI with B-frames)."""
    truncated: bool
    """Whether the file ends before its header declares."""
    declared_duration_s: Fraction | None = None
    """Seconds from the container's time zero to the end its header declares; None if it declares none."""
    starts_at_s: Fraction = Fraction(0)
    """Seconds of the match at which the first picture appears: not 0 only if earlier files hold what comes before."""
    format_change_packet: int | None = None
    """First packet with pictures of another size, or with another codec header, than before; None if there is none."""
    is_mirrored: bool = False
    """Whether a player flips pictures upside down before it rotates them: front cameras, mirrored by the display."""
    shows_again: bool = False
    """Whether packets show a picture that was decoded before, and hold none (VP9, "show existing")."""
    source_fps: Fraction | None = None
    """Pictures per second that the caller gave for a raw stream; None for files that state their times."""
    video_stream: int | None = None
    """Number of the stream as the caller gave it; None where it is the one that players choose."""
    unproven_from: int | None = None
    """Pictures from this rank on may be used only after ``indexing.require_readable`` has decoded the end of the file;
    None where that was done, or proves nothing."""
    last_is_missing: bool = False
    """Whether the last picture is known not to decode; the one before it is held, as in a player."""

    @property
    def num_pictures(self) -> int:
        """Pictures that a player shows."""
        return len(self.pts_P)

    @property
    def num_packets(self) -> int:
        """Coded pictures, including hidden ones."""
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
        """Seconds from the container's time zero to the first shown picture."""
        return int(self.pts_P[0]) * self.time_base

    @property
    def duration_s(self) -> Fraction:
        """Seconds from the first shown picture to the end of the last."""
        return (int(self.pts_P[-1]) - int(self.pts_P[0]) + self.last_duration) * self.time_base

    @property
    def average_fps(self) -> float:
        """Pictures per second over the whole file, for display."""
        return float(self.num_pictures / self.duration_s)

    @property
    def longest_segment(self) -> int:
        """Pictures of the longest segment: the most that must be decoded to reach one picture."""
        return int(np.diff(self.start_picture_S, append=self.num_pictures).max())

    def describe_picture(self, picture: int) -> str:
        """Where a picture is, as a person finds it: ``2:05.40 (picture 3135 of 9000)``, both counted from 0."""
        return f"{self.describe_time_of(picture)} (picture {picture} of {self.num_pictures})"

    def describe_time_of(self, picture: int) -> str:
        """When a picture begins after the first one; the end of the last for ``num_pictures``."""
        if picture == self.num_pictures:
            return clock_text(self.duration_s)
        return clock_text(int(self.pts_P[picture] - self.pts_P[0]) * self.time_base)

    def describe_packet(self, packet: int) -> str:
        """Where a packet is: the last picture that begins no later; see ``describe_picture``."""
        begun = int(np.searchsorted(self.pts_P, self.pts_M[min(packet, self.num_packets - 1)], side="right"))
        return self.describe_picture(max(0, begun - 1))

    def segment_of(self, picture: int) -> int:
        """Segment that holds ``picture``."""
        return int(np.searchsorted(self.start_picture_S, picture, side="right")) - 1

    def pictures_of_segment(self, segment: int) -> tuple[int, int]:
        """First picture of ``segment``, and the end of its pictures (exclusive)."""
        following = segment + 1
        end = int(self.start_picture_S[following]) if following < len(self.start_picture_S) else self.num_pictures
        return int(self.start_picture_S[segment]), end

    def select_segments(self, keep_S: np.ndarray) -> VideoIndex:
        """The same file, decoded only from the segments where ``keep_S`` (bool) is True."""
        return dataclasses.replace(
            self,
            start_packet_S=self.start_packet_S[keep_S],
            start_pts_S=self.start_pts_S[keep_S],
            start_picture_S=self.start_picture_S[keep_S],
            is_closed_gop_S=self.is_closed_gop_S[keep_S],
        )


def closed_gops_only(index: VideoIndex) -> VideoIndex:
    """The same file with segments that begin with a closed GOP, for decoders that begin at no other keyframe.

    The first segment stays in any case, since the first pictures would have none otherwise.
    """
    keep_S = index.is_closed_gop_S.copy()
    keep_S[0] = True
    return index.select_segments(keep_S)


def frames_of_file(index: VideoIndex, fps: Fraction) -> range:
    """Frames of the match whose middles are in this file; all of them, from 0 on, unless it has several files."""
    first = num_frames_of_duration(index.starts_at_s, fps)
    return range(first, num_frames_of_duration(index.starts_at_s + index.duration_s, fps))


def pictures_of_grid(index: VideoIndex, fps: Fraction) -> np.ndarray:
    """Picture on show in the middle of each grid frame of a file.

    Args:
        index: The index of the file.
        fps: Frames per second of the grid.

    Returns:
        int64 ``(K,)``: for frame k, the rank of the picture that is shown ``(k + 1/2) / fps`` seconds after the
        first one of the match began. The arithmetic is exact: a picture that begins at that very instant counts as
        shown. K and k are those of ``frames_of_file``.
    """
    return np.searchsorted(index.pts_P - index.pts_P[0], elapsed_ticks_of_grid(index, fps), side="right") - 1


def elapsed_ticks_of_grid(index: VideoIndex, fps: Fraction) -> np.ndarray:
    """Ticks from the first picture of a file to the middle of each of its frames, rounded down; int64 ``(K,)``."""
    frames = frames_of_file(index, fps)
    # (k + 1/2) / fps seconds = (2k + 1) * half_frame ticks, a rational number. Time stamps are whole ticks, so
    # pts <= elapsed is the same as pts <= floor(elapsed), and whole numbers suffice:
    #   25 fps, ticks of 1/90000 s: half_frame = 1800        -> 1800, 5400, 9000, ...
    #   25 fps, ticks of 1001/30000 s: half_frame = 600/1001 -> 0, 1, 2, 4, ...  (0.6, 1.8, 2.997, 4.2)
    half_frame, start = 1 / (2 * fps * index.time_base), index.starts_at_s / index.time_base
    denominator = math.lcm(half_frame.denominator, start.denominator)
    step, offset = int(half_frame * denominator), int(start * denominator)
    fits_int64 = (2 * frames.stop + 1) * step < _INT64_SAFE and denominator < _INT64_SAFE
    half_frames_K = 2 * np.arange(frames.start, frames.stop, dtype=np.int64 if fits_int64 else object) + 1
    elapsed_K: np.ndarray = ((half_frames_K * step - offset) // denominator).astype(np.int64)
    return elapsed_K


def matrix_name(colorspace: int) -> str:
    """Name of the matrix for FFmpeg's colour space number; BT.601 for unspecified ones."""
    return _MATRICES.get(colorspace, "bt601")


def index_from_scan(
    scan: Scan, source_fps: Fraction | None = None, *, states_decoding_times: bool = False
) -> VideoIndex:
    """Interpret the packets of a file; pure.

    Args:
        scan: The packets.
        source_fps: Pictures per second of a raw stream, which states no times.
        states_decoding_times: Whether the stated times are those of decoding although pictures are reordered: the
            first picture that is shown has the first time, and so on.

    Raises:
        VideoError: the time stamps are missing or contradict each other.
    """
    # AVI stores decoding times only: with B-frames, a decoded picture carries the time stamp of another packet, and so
    # does one of H.264 before a picture that a capture program dropped.
    states_decoding_times |= scan.format_name == "avi" and (bool(scan.decoder_delay) or _has_uneven_delays(scan))
    identified_by: Identification = "decode_order" if states_decoding_times else "pts"
    if source_fps is not None:
        scan, identified_by = with_counted_times(scan, source_fps), "decode_order"
    pts_M, dts_M = _complete_time_stamps(scan, identified_by)
    keyframe_M = _decodable_starts(scan, pts_M, identified_by)
    shown_M = _shown_packets(scan, pts_M, keyframe_M, identified_by)
    shown = np.flatnonzero(shown_M)
    packet_P = shown if identified_by == "decode_order" else shown[np.argsort(pts_M[shown], kind="stable")]
    pts_P = np.sort(pts_M[shown])
    start_packet_S, start_pts_S, start_picture_S = _segments(pts_M, shown_M, keyframe_M, pts_P, identified_by)
    index = VideoIndex(
        path=scan.path,
        byte_size=scan.byte_size,
        mtime_ns=scan.mtime_ns,
        stream_index=scan.stream_index,
        format_name=scan.format_name,
        codec_name=scan.codec_name,
        pixel_format=scan.pixel_format,
        coded_width=scan.width,
        coded_height=scan.height,
        rotation_degrees=scan.rotation_degrees,
        is_mirrored=scan.is_mirrored,
        matrix=matrix_name(scan.colorspace),
        time_base=scan.time_base,
        pts_P=pts_P,
        packet_P=packet_P,
        pts_M=pts_M,
        dts_M=dts_M,
        shown_M=shown_M,
        start_packet_S=start_packet_S,
        start_pts_S=start_pts_S,
        start_picture_S=start_picture_S,
        is_closed_gop_S=keyframe_M[start_packet_S] == KeyframeKind.CLOSED_GOP,
        num_parts_M=scan.num_parts_M,
        damaged_M=scan.damaged_M,
        fields=scan.fields,
        last_duration=_last_duration(scan, pts_P),
        identified_by=identified_by,
        truncated=scan.truncated,
        declared_duration_s=scan.declared_duration_s,
        format_change_packet=scan.format_change_packet,
        shows_again=scan.shows_again,
    )
    if index.duration_s > MAX_DURATION_S:
        raise VideoError(
            f"{scan.path}: its time stamps span {float(index.duration_s):.0f} s; convert it with `e2espot transcode`"
        )
    return index


def _has_uneven_delays(scan: Scan) -> bool:
    """Whether pictures are displayed some sooner and some later after they are decoded."""
    known_M = (scan.pts_M != NO_PTS) & (scan.dts_M != NO_PTS)
    return len(set((scan.pts_M - scan.dts_M)[known_M].tolist())) > 1


def _complete_time_stamps(scan: Scan, identified_by: Identification) -> tuple[np.ndarray, np.ndarray]:
    """(pts, dts) of every packet, one standing in for the other where that is right."""
    pts_M, dts_M = scan.pts_M.copy(), scan.dts_M.copy()
    if scan.format_name == "avi" and identified_by == "decode_order":
        pts_M = np.where(dts_M == NO_PTS, pts_M, dts_M)
    missing_M = pts_M == NO_PTS
    # Without B-frames a picture is displayed when it is decoded. AVI has decoding times only.
    if missing_M.any() and (not scan.decoder_delay or scan.format_name == "avi"):
        pts_M[missing_M] = dts_M[missing_M]
        missing_M = pts_M == NO_PTS
    if missing_M.all():
        raise VideoError(
            f"{scan.path}: states no times, as raw streams do; give its pictures per second, such as source_fps=25",
            option="source_fps",
        )
    if missing_M.any():
        raise VideoError(
            f"{scan.path}: {missing_M.sum()} of its {len(missing_M)} pictures carry no time stamp, "
            f"the first of them picture {np.argmax(missing_M)}; "
            "convert it with `e2espot transcode`"
        )
    dts_M[dts_M == NO_PTS] = pts_M[dts_M == NO_PTS]
    return pts_M, dts_M


def _decodable_starts(scan: Scan, pts_M: np.ndarray, identified_by: Identification) -> np.ndarray:
    """Keyframe kind of each packet, completed so that decoding can begin somewhere; int8."""
    keyframe_M = scan.keyframe_M.copy()
    starts = np.flatnonzero(keyframe_M)
    if len(starts) == 0:  # no packet is a keyframe: begin at the first one and see what the decoder makes of it
        keyframe_M[0] = KeyframeKind.OPEN_GOP
    elif identified_by == "pts" and scan.first_pts in pts_M[: starts[0]]:
        # The decoder gave a picture that is stored before the first keyframe (intra refresh), as players do.
        keyframe_M[0] = KeyframeKind.OPEN_GOP
    return keyframe_M


def _shown_packets(scan: Scan, pts_M: np.ndarray, keyframe_M: np.ndarray, identified_by: Identification) -> np.ndarray:
    """Packets whose pictures a player shows: not hidden by the container, and decodable; bool."""
    first = np.flatnonzero(keyframe_M)[0]
    shown_M: np.ndarray = scan.shown_M & (np.arange(len(pts_M)) >= first)
    if identified_by == "pts":
        shown_M &= ~replaced_at_joins(scan, pts_M, keyframe_M, shown_M)
        reject_time_jumps(scan, pts_M, keyframe_M, shown_M)
        if scan.first_pts in pts_M[shown_M]:  # earlier pictures did not decode
            shown_M &= pts_M >= scan.first_pts
        elif keyframe_M[first] == KeyframeKind.OPEN_GOP:  # B-frames of the open GOP refer to packets that are not there
            shown_M &= pts_M >= pts_M[first]
    if not shown_M.any():
        raise VideoError(f"{scan.path}: its edit list or time stamps hide every picture; the file is damaged")
    return shown_M


def _segments(
    pts_M: np.ndarray, shown_M: np.ndarray, keyframe_M: np.ndarray, pts_P: np.ndarray, identified_by: Identification
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split the file where decoding can begin.

    Returns:
        ``start_packet_S``, ``start_pts_S``, ``start_picture_S`` of ``VideoIndex``.

    ::

        packet       0   1   2   3   4   5   6   7   8   9  10
        pts          0   3   1   2   6   4   5   7  10   8   9
        keyframe     C               O           C               C closed GOP, O open GOP

        start_packet 0               4           7
        start_pts    0               6           7               of O its own, of C the least from there on
        start_picture 0              6           7               pictures 4 and 5 belong to the segment of packet 0
    """
    packets = np.flatnonzero(keyframe_M)
    latest_shown_so_far_M = np.maximum.accumulate(np.where(shown_M, pts_M, NO_PTS))
    earliest_from_here_M = np.minimum.accumulate(pts_M[::-1])[::-1]
    earliest_shown_from_here_M = np.minimum.accumulate(np.where(shown_M, pts_M, np.iinfo(np.int64).max)[::-1])[::-1]
    is_closed = keyframe_M[packets] == KeyframeKind.CLOSED_GOP
    start_pts = np.where(is_closed, earliest_from_here_M[packets], pts_M[packets])
    # Times of hidden pictures do not count: after a join of two edits, those hidden before the second one have the
    # times of pictures that are shown from the first.  pts 28 29 (28 29) 30, start_pts 28 -> start_shown 30
    start_shown = np.maximum(start_pts, earliest_shown_from_here_M[packets])
    # A segment needs nothing from before its start only if everything stored before is displayed before.
    valid = np.append(True, latest_shown_so_far_M[packets[1:] - 1] < start_shown[1:])
    if identified_by == "decode_order":  # counting is right only where no picture is left over from before
        valid = np.append(True, is_closed[1:])
    packets, start_pts, start_shown = packets[valid], start_pts[valid], start_shown[valid]
    if identified_by == "decode_order":
        pictures = np.cumsum(shown_M)[packets] - shown_M[packets]
    else:
        pictures = np.searchsorted(pts_P, start_shown, side="left")
    # A segment whose pictures are all hidden is dropped: the next one serves its purpose.
    has_pictures = np.append(pictures[1:] != pictures[:-1], True) & (pictures < len(pts_P))
    return packets[has_pictures], start_pts[has_pictures], pictures[has_pictures].astype(np.int64)


def _last_duration(scan: Scan, pts_P: np.ndarray) -> Fraction:
    """Ticks: the median step, else the packet's own duration, else one period of the declared rate."""
    median = median_step(pts_P)
    if median > 0:
        return median
    if scan.duration_M[-1] > 0:
        return Fraction(int(scan.duration_M[-1]))
    return 1 / ((scan.average_rate or DEFAULT_FPS) * scan.time_base)


def median_step(pts_P: np.ndarray) -> Fraction:
    """Median distance of two consecutive pictures in ticks; 0 for a single picture."""
    if len(pts_P) < 2:
        return Fraction(0)
    steps = np.sort(np.diff(pts_P))
    middle = len(steps) // 2
    # steps [1, 2, 4] -> 2; steps [1, 2, 4, 8] -> (4 + 2) / 2: ``~middle`` counts from the end.
    return Fraction(int(steps[middle]) + int(steps[~middle]), 2)

"""Stream copies: a range of a video as a clean container in memory, copied packet by packet without decoding.

A copy begins where decoding can begin and holds what its pictures need. Its time stamps are 0, 40, 80, ... ms,
without offsets or edit lists, and only its first packet has a key flag: no decoder seeks within it. So a decoder that
counts pictures (decord, DALI) counts the right ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError, one_line
from e2espot.video.full_range import FullRangeTag
from e2espot.video.packets import PacketSource

if TYPE_CHECKING:
    from e2espot.video.index import VideoIndex

_STEP_MS = 40


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """A container in memory, and the pictures in it."""

    data: bytes
    """Matroska; N pictures, 40 ms apart, the first at zero."""
    ranks_N: np.ndarray
    """int64 ``(N,)``: rank of the picture at each position, increasing; -1 for one that no player shows."""

    def positions_of(self, ranks: np.ndarray) -> np.ndarray:
        """Positions in the container of the pictures ``ranks``, every one of which must be there.

        ::

            ranks_N = [-1, 6, 7, -1, 8], ranks = [7, 8, 8] -> [2, 4, 4]
        """
        order = np.argsort(self.ranks_N, kind="stable")
        positions: np.ndarray = order[np.searchsorted(self.ranks_N, ranks, sorter=order)]
        return positions


@dataclass(frozen=True, kw_only=True, eq=False)
class CutPlan:
    """The packets of a copy, and the positions of their pictures."""

    packets_N: np.ndarray
    """int64; packet numbers, in file order."""
    position_N: np.ndarray
    """int64; position of each packet's picture in display order."""
    ranks_N: np.ndarray
    """See ``Cut``."""


def plan_cut(index: VideoIndex, first: int, last: int) -> CutPlan:
    """Select the packets needed for pictures ``first`` to ``last``, both included; pure.

    Example: pictures 6 to 8 of a file whose segment begins with the open GOP at packet 4::

        packet       4   5   6   7   8   9
        pts, rank    6   4   5   7  10   8      packets 5 and 6 are left out: they may refer to packets before 4
        packets_N    4           7   8   9      up to the last packet needed; 8 comes along, since 9 may refer to it
        position_N   0           1   3   2
        ranks_N      6   7   8  10              by position
    """
    segment = index.segment_of(first)
    start = int(index.start_packet_S[segment])
    end = int(index.packet_P[first : last + 1].max()) + 1
    packets_N = np.arange(start, end)
    by_pts = index.identified_by == "pts"
    display_time_N = index.pts_M[start:end] if by_pts else packets_N
    if by_pts:
        decodable_N = display_time_N >= index.start_pts_S[segment]
        packets_N, display_time_N = packets_N[decodable_N], display_time_N[decodable_N]
    display_order = np.argsort(display_time_N, kind="stable")
    position_N = np.empty_like(display_order)
    position_N[display_order] = np.arange(len(display_order))  # inverts the permutation
    rank_M = np.full(index.num_packets, -1, dtype=np.int64)
    rank_M[index.packet_P] = np.arange(index.num_pictures)
    return CutPlan(packets_N=packets_N, position_N=position_N, ranks_N=rank_M[packets_N[display_order]])


def hides_between(index: VideoIndex) -> bool:
    """Whether an edit list hides pictures between shown ones, as one with several entries does.

    ::

        shown 28 29, hidden 30 31, hidden 28 29, shown 30 31
    """
    hidden_pts_N = index.pts_M[~index.shown_M]
    return bool(((index.pts_P[0] <= hidden_pts_N) & (hidden_pts_N <= index.pts_P[-1])).any())


def why_inexact(index: VideoIndex) -> str | None:
    """Why the pictures of this file cannot be found in copies by counting; None if they can."""
    if index.identified_by == "decode_order":
        return "its pictures cannot be identified by their time stamps"
    # Decoders that count take each packet for a picture, and output none for a packet that later ones only refer to.
    if index.codec_name == "vp8" and not index.shown_M.all():
        return "some of its pictures are hidden"
    if index.fields == "unpaired":
        return "some of its fields lack the other one of their picture"
    # Packets of a copy are counted by their times, but between two edits they have those of other pictures.
    if hides_between(index):
        return "its edit list hides pictures between those that are shown"
    # A copy has one codec header, and decoders that fill buffers of one size cannot change to another.
    if index.format_change_packet is not None:
        since_first = int(index.pts_M[index.format_change_packet] - index.pts_P[0])
        return f"the size or coding of its pictures changes after {float(since_first * index.time_base):.2f} s"
    # The decoder knows which of two pictures with one time stamp comes first; the file order does not say it.
    reorders = bool((np.diff(index.packet_P) < 0).any())
    if reorders and (np.diff(index.pts_P) == 0).any():
        return "some of its pictures share a time stamp"
    return None


def decode_overhead(index: VideoIndex, clip_len: int) -> float:
    """Pictures decoded for each one used, averaged over clips of ``clip_len`` pictures from all over the file."""
    length = min(clip_len, index.num_pictures)
    step = max(1, index.num_pictures // 200)
    firsts = range(0, index.num_pictures - length + 1, step)
    decoded = [len(plan_cut(index, first, first + length - 1).packets_N) for first in firsts]
    return float(np.mean(decoded)) / length


def cut_pictures(
    index: VideoIndex, first: int, last: int, source: PacketSource | None = None, *, tag_full_range: bool = False
) -> Cut:
    """Copy the pictures ``first`` to ``last``, both included, and what they need.

    Args:
        index: The index of the file.
        first: Rank of the first picture wanted.
        last: Rank of the last.
        source: The open file, if the caller has it.
        tag_full_range: Tag the pictures as full range, whatever they are; only if ``full_range.can_be_tagged``.

    Raises:
        VideoError: the file cannot be read, or Matroska does not support its codec.
        CannotBeTaggedError: its pictures cannot be tagged.
    """
    plan = plan_cut(index, first, last)
    opened = source or PacketSource(index)
    try:
        data = _mux(opened, plan, tag_full_range=tag_full_range)
    finally:
        if source is None:
            opened.close()
    return Cut(data=data, ranks_N=plan.ranks_N)


def _mux(source: PacketSource, plan: CutPlan, *, tag_full_range: bool) -> bytes:
    import av

    position_of = dict(zip(plan.packets_N.tolist(), plan.position_N.tolist(), strict=True))
    # A picture must be decoded no later than it is displayed (dts <= pts). So the decoding clock starts early, by
    # the deepest reordering:  positions [0, 3, 1, 2] -> i - position = [0, -2, 1, 1] -> delay 1, dts = -1, 0, 1, 2
    delay = int(np.max(np.arange(len(plan.position_N)) - plan.position_N))
    buffer = BytesIO()
    try:
        with av.open(buffer, "w", format="matroska") as target:
            stream: Any = target.add_stream_from_template(
                source.stream, opaque=True
            )  # for codecs without an encoder as well
            stream.time_base = Fraction(1, 1000)
            tag = FullRangeTag(source.stream, stream) if tag_full_range else None
            num_copied = 0
            for number, packet in source.read(int(plan.packets_N[0]), int(plan.packets_N[-1]) + 1):
                if number not in position_of:
                    continue
                packet.time_base = stream.time_base
                packet.pts, packet.dts = position_of[number] * _STEP_MS, (num_copied - delay) * _STEP_MS
                packet.duration = _STEP_MS
                # decord takes the position of a key flag in file order for its position in display order, and seeks
                # there. At an open GOP they differ:  display 21 22 23 24, file 21 24 22 23 -> 24 is taken for 22.
                is_first = num_copied == 0
                for each in tag.packets(packet) if tag is not None else (packet,):
                    each.stream, each.is_keyframe = stream, is_first
                    target.mux(each)
                num_copied += 1
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(
            f"{source.path}: cannot be copied ({one_line(error)}); convert it with `e2espot transcode`"
        ) from None
    return buffer.getvalue()

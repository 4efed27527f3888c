"""A stretch of a video as a clean little container, copied packet by packet without decoding.

A cut begins where decoding can begin, holds what its pictures need and nothing hidden by
an offset or an edit list, and its time stamps are 0, 40, 80, ... milliseconds. So a decoder
that counts pictures (decord, DALI) counts the right ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from e2espot.core.errors import VideoError
from e2espot.video.demux import one_line
from e2espot.video.packets import PacketSource

if TYPE_CHECKING:
    from e2espot.video.index import Presentation

_STEP_MS = 40


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """A container in memory and what is in it."""

    data: bytes
    """Matroska; pictures by rank in ``ranks_N``, 40 ms apart from zero on."""
    ranks_N: np.ndarray
    """int64 ``(N,)``, increasing but for -1: the picture at each place, -1 for one no player shows."""

    def places(self, ranks: np.ndarray) -> np.ndarray:
        """Where in the cut the pictures ``ranks`` are; every one must be there."""
        order = np.argsort(self.ranks_N, kind="stable")
        places: np.ndarray = order[np.searchsorted(self.ranks_N, ranks, sorter=order)]
        return places


@dataclass(frozen=True, kw_only=True, eq=False)
class CutPlan:
    """Which packets a cut takes, and where their pictures come to stand."""

    packets_N: np.ndarray
    """int64; packets in file order."""
    place_N: np.ndarray
    """int64; place of each packet's picture in presentation order."""
    ranks_N: np.ndarray
    """See ``Cut``."""


def plan_cut(presentation: Presentation, first: int, last: int) -> CutPlan:
    """Packets needed for pictures ``first`` to ``last``, both included; pure."""
    index = presentation
    segment = index.segment_of(first)
    start = int(index.start_packet_S[segment])
    end = int(index.packet_P[first : last + 1].max()) + 1
    packets_N = np.arange(start, end)
    stamps_N = index.pts_M[start:end] if index.order == "stamps" else packets_N
    if index.order == "stamps":  # pictures shown before an open start may refer to what is not here
        kept = stamps_N >= index.start_pts_S[segment]
        packets_N, stamps_N = packets_N[kept], stamps_N[kept]
    shown_order = np.argsort(stamps_N, kind="stable")
    place_N = np.empty_like(shown_order)
    place_N[shown_order] = np.arange(len(shown_order))
    rank_M = np.full(index.num_packets, -1, dtype=np.int64)
    rank_M[index.packet_P] = np.arange(index.num_pictures)
    return CutPlan(packets_N=packets_N, place_N=place_N, ranks_N=rank_M[packets_N[shown_order]])


def decoded_per_used(presentation: Presentation, clip_len: int) -> float:
    """Pictures to be decoded for each one wanted, over clips of ``clip_len`` that begin everywhere."""
    length = min(clip_len, presentation.num_pictures)
    firsts = range(0, presentation.num_pictures - length + 1, max(1, presentation.num_pictures // 200))
    decoded = [len(plan_cut(presentation, first, first + length - 1).packets_N) for first in firsts]
    return float(np.mean(decoded)) / length


def cut_pictures(presentation: Presentation, first: int, last: int, source: PacketSource | None = None) -> Cut:
    """Copy the pictures ``first`` to ``last``, both included, and what they need.

    Args:
        presentation: The file's index.
        first: Rank of the first picture wanted.
        last: Rank of the last.
        source: The open file, if it is at hand.

    Raises:
        VideoError: the file cannot be read, or its codec has no place in Matroska.
    """
    plan = plan_cut(presentation, first, last)
    opened = source or PacketSource(presentation)
    try:
        data = _mux(opened, plan)
    finally:
        if source is None:
            opened.close()
    return Cut(data=data, ranks_N=plan.ranks_N)


def _mux(source: PacketSource, plan: CutPlan) -> bytes:
    import av

    place_of = dict(zip(plan.packets_N.tolist(), plan.place_N.tolist(), strict=True))
    # A picture is decoded no later than it is shown: shift the decoding clock by the deepest reordering.
    delay = int(np.max(np.arange(len(plan.place_N)) - plan.place_N))
    buffer = BytesIO()
    try:
        with av.open(buffer, "w", format="matroska") as target:
            stream: Any = target.add_stream_from_template(source.stream)
            stream.time_base = Fraction(1, 1000)
            turn = 0
            for number, packet in source.read(int(plan.packets_N[0]), int(plan.packets_N[-1]) + 1):
                if number not in place_of:
                    continue
                packet.stream, packet.time_base = stream, stream.time_base
                packet.pts, packet.dts = place_of[number] * _STEP_MS, (turn - delay) * _STEP_MS
                packet.duration = _STEP_MS
                target.mux(packet)
                turn += 1
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(
            f"{source.path}: cannot be cut ({one_line(error)}); convert it with tools/transcode.py"
        ) from None
    return buffer.getvalue()

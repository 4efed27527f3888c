"""Arithmetic of index, grid and stream copies on made-up time stamps; no file is opened."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import VideoError
from e2espot.video.demux import Scan
from e2espot.video.index import VideoIndex, index_from_scan, pictures_of_grid
from e2espot.video.keyframes import KeyframeKind, keyframe_kind
from e2espot.video.packet_columns import NO_PTS
from e2espot.video.stream_copy import plan_cut
from tests.support.numbered_video import expected


def scan_of(
    stamps: list[int],
    time_base: Fraction,
    *,
    starts: dict[int, KeyframeKind] | None = None,
    hidden: tuple[int, ...] = (),
    first: int = NO_PTS,
) -> Scan:
    count = len(stamps)
    keyframe_M = np.zeros(count, dtype=np.int8)
    for packet, kind in (starts or {0: KeyframeKind.CLOSED_GOP}).items():
        keyframe_M[packet] = kind
    return Scan(
        path=Path("synthetic.mp4"),
        byte_size=1,
        mtime_ns=1,
        stream_index=0,
        format_name="mov,mp4",
        codec_name="h264",
        time_base=time_base,
        average_rate=Fraction(25),
        truncated=False,
        declared_duration_s=None,
        decoder_delay=2,
        pixel_format="yuv420p",
        width=16,
        height=16,
        rotation_degrees=0,
        is_mirrored=False,
        colorspace=1,
        pts_M=np.array(stamps, dtype=np.int64),
        dts_M=np.arange(count, dtype=np.int64),
        duration_M=np.zeros(count, dtype=np.int64),
        shown_M=~np.isin(np.arange(count), hidden),
        first_pts=first,
        keyframe_M=keyframe_M,
        num_parts_M=np.ones(count, dtype=np.int8),
        damaged_M=np.zeros(count, dtype=bool),
        fields="none",
    )


def index_of_stamps(stamps: list[int], time_base: Fraction) -> VideoIndex:
    return index_from_scan(scan_of(stamps, time_base))


rates = st.sampled_from([Fraction(25), Fraction(25, 2), Fraction(50), Fraction(30000, 1001), Fraction(49, 2)])
bases = st.sampled_from([Fraction(1, 90000), Fraction(1, 12800), Fraction(1, 1000), Fraction(1001, 30000)])


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=40), st.integers(-5000, 10**9), rates)
def test_pictures_of_grid_equals_the_definition(steps: list[int], offset: int, fps: Fraction) -> None:
    stamps = (offset + np.cumsum([0, *steps])).tolist()
    grid = pictures_of_grid(index_of_stamps(stamps, Fraction(1, 1000)), fps)
    assert grid.tolist() == expected([Fraction(stamp, 1000) for stamp in stamps], list(range(len(stamps))), fps)


@given(
    st.lists(st.integers(1, 40_000), min_size=1, max_size=60), bases, rates
)  # a day at most, the longest video accepted
def test_pictures_of_grid_is_monotonic_and_within_the_file(steps: list[int], base: Fraction, fps: Fraction) -> None:
    stamps = np.cumsum([0, *steps]).tolist()
    grid = pictures_of_grid(index_of_stamps(stamps, base), fps)
    assert (np.diff(grid) >= 0).all()
    assert len(grid) == 0 or (grid.min() >= 0 and grid.max() < len(stamps))


@given(st.integers(1, 3000), st.integers(-(10**6), 10**9))
def test_pictures_of_grid_is_the_identity_at_constant_25_fps(count: int, offset: int) -> None:
    stamps = [offset + 512 * k for k in range(count)]
    assert pictures_of_grid(index_of_stamps(stamps, Fraction(1, 12800)), Fraction(25)).tolist() == list(range(count))


@given(st.integers(1, 1500), st.sampled_from([Fraction(1, 90000), Fraction(1, 12800), Fraction(1, 50)]))
def test_pictures_of_grid_takes_odd_pictures_at_constant_50_fps(frames: int, base: Fraction) -> None:
    step = Fraction(1, 50) / base
    stamps = [int(step * k) for k in range(2 * frames)]
    assert pictures_of_grid(index_of_stamps(stamps, base), Fraction(25)).tolist() == [2 * k + 1 for k in range(frames)]


def test_pictures_of_grid_is_exact_beyond_64_bits() -> None:
    base = Fraction(1, 10**9 + 7)
    stamps = [round(Fraction(k, 25) / base) for k in range(5000)]
    grid = pictures_of_grid(index_of_stamps(stamps, base), Fraction(25_000_001, 1_000_003))
    assert grid[0] == 0
    assert grid[-1] == 4999
    assert (np.diff(grid) >= 0).all()


def test_pictures_of_grid_single_picture_lasts_its_declared_duration() -> None:
    assert len(pictures_of_grid(index_of_stamps([7], Fraction(1, 25)), Fraction(25))) == 1


def test_segments_and_plan_cut_at_open_and_closed_gops() -> None:
    stamps = [0, 3, 1, 2, 6, 4, 5, 7, 10, 8, 9]  # with B-frames: 3 is stored before 1 and 2
    kinds = {0: KeyframeKind.CLOSED_GOP, 4: KeyframeKind.OPEN_GOP, 7: KeyframeKind.CLOSED_GOP}
    index = index_from_scan(scan_of(stamps, Fraction(1, 25), starts=kinds))
    assert index.start_packet_S.tolist() == [0, 4, 7]
    assert index.start_picture_S.tolist() == [0, 6, 7]  # pictures 4 and 5 precede the open GOP
    plan = plan_cut(index, 4, 5)
    assert plan.packets_N.tolist() == [0, 1, 2, 3, 4, 5, 6]
    plan = plan_cut(index, 6, 6)
    assert plan.packets_N.tolist() == [4]
    plan = plan_cut(index, 6, 8)
    assert plan.packets_N.tolist() == [4, 7, 8, 9]
    assert plan.ranks_N.tolist() == [6, 7, 8, 10]


def test_plan_cut_includes_hidden_pictures_without_rank() -> None:
    index = index_from_scan(scan_of([-2, -1, 0, 1, 2], Fraction(1, 25), hidden=(0, 1)))
    assert index.pts_P.tolist() == [0, 1, 2]
    plan = plan_cut(index, 1, 2)
    assert plan.packets_N.tolist() == [0, 1, 2, 3, 4]
    assert plan.ranks_N.tolist() == [-1, -1, 0, 1, 2]


def test_index_hides_pictures_before_a_first_open_gop() -> None:
    index = index_from_scan(scan_of([4, 3, 8, 6, 7], Fraction(1, 25), starts={0: KeyframeKind.OPEN_GOP}))
    assert index.pts_P.tolist() == [4, 6, 7, 8]
    clean = index_from_scan(scan_of([4, 3, 8, 6, 7], Fraction(1, 25), starts={0: KeyframeKind.CLOSED_GOP}))
    assert clean.pts_P.tolist() == [3, 4, 6, 7, 8]


def test_index_refuses_missing_jumping_and_endless_time_stamps() -> None:
    with pytest.raises(VideoError, match="1 of its 3 pictures carry no time stamp"):
        index_of_stamps([0, NO_PTS, 2], Fraction(1, 25))
    with pytest.raises(VideoError, match="jump back"):
        index_of_stamps([*range(600), *range(600)], Fraction(1, 25))
    with pytest.raises(VideoError, match="span"):
        index_of_stamps([0, 10**9], Fraction(1, 25))


def test_keyframe_kind_by_codec_and_nal_unit() -> None:
    lengths = b"\x01d\x00\x1f\xff\xe1\x00"  # avcC with four bytes of length
    idr, slice_, sei = b"\x00\x00\x00\x02\x65\x88", b"\x00\x00\x00\x02\x41\x9a", b"\x00\x00\x00\x04\x06\x06\x01\xc4"
    assert keyframe_kind("h264", lengths, memoryview(idr)) == KeyframeKind.CLOSED_GOP
    assert keyframe_kind("h264", lengths, memoryview(slice_)) == KeyframeKind.NONE
    assert keyframe_kind("h264", lengths, memoryview(sei + slice_)) == KeyframeKind.OPEN_GOP
    late = b"\x00\x00\x00\x04\x06\x06\x01\x44"  # recovery_frame_cnt is not 0
    assert keyframe_kind("h264", lengths, memoryview(late + slice_)) == KeyframeKind.NONE
    assert (
        keyframe_kind("h264", b"\x00\x00\x00\x01g", memoryview(b"\x00\x00\x01\x09\xf0\x00\x00\x01\x65\x88"))
        == KeyframeKind.CLOSED_GOP
    )
    assert (
        keyframe_kind("hevc", b"\x00\x00\x00\x01", memoryview(b"\x00\x00\x01\x26\x01\xaf")) == KeyframeKind.CLOSED_GOP
    )
    assert keyframe_kind("hevc", b"\x00\x00\x00\x01", memoryview(b"\x00\x00\x01\x2a\x01\xaf")) == KeyframeKind.OPEN_GOP
    assert keyframe_kind("vp9", b"", memoryview(b"\x82")) == KeyframeKind.CLOSED_GOP


def test_index_begins_at_the_first_picture_that_decodes() -> None:
    stamps = [0, 40, 80, 120, 160, 200]
    lost = index_from_scan(scan_of(stamps, Fraction(1, 1000), first=80))
    assert lost.pts_P.tolist() == [80, 120, 160, 200]
    # What the decoder outputs from before the first keyframe is shown, as in a player.
    early = index_from_scan(scan_of(stamps, Fraction(1, 1000), starts={3: KeyframeKind.CLOSED_GOP}, first=0))
    assert early.pts_P.tolist() == stamps
    assert early.start_packet_S.tolist() == [0, 3]
    late = index_from_scan(scan_of(stamps, Fraction(1, 1000), starts={3: KeyframeKind.CLOSED_GOP}, first=120))
    assert late.pts_P.tolist() == [120, 160, 200]

"""Plans of stream copies: every picture asked for, and what it needs, by position."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.errors import VideoError
from e2espot.video.index import VideoIndex, closed_gops_only, index_from_scan, median_step
from e2espot.video.keyframes import KeyframeKind
from e2espot.video.stream_copy import Cut, decode_overhead, plan_cut
from tests.video.test_grid import scan_of


@st.composite
def indexes(draw: st.DrawFn) -> VideoIndex:
    """Groups of an I-picture, then of a P-picture and the B-pictures shown before it, some hidden at the start."""
    stamps: list[int] = []
    starts: dict[int, KeyframeKind] = {}
    for _ in range(draw(st.integers(1, 5))):
        base = len(stamps)
        kind = draw(st.sampled_from([KeyframeKind.CLOSED_GOP, KeyframeKind.OPEN_GOP])) if base else 2
        leading = draw(st.integers(0, 2)) if kind == KeyframeKind.OPEN_GOP else 0
        starts[base] = KeyframeKind(kind)
        stamps += [base + leading, *range(base, base + leading)]
        for _ in range(draw(st.integers(0, 3))):
            first, between = len(stamps), draw(st.integers(0, 2))
            stamps += [first + between, *range(first, first + between)]
    for packet in draw(st.lists(st.integers(0, len(stamps) - 2), max_size=2)) if len(stamps) > 1 else ():
        # Even across a keyframe, at which decoding then cannot begin. Across a closed GOP a swap is refused; a picture
        # that is displayed when the latest one before it is has the same effect.
        if starts.get(packet + 1) == KeyframeKind.CLOSED_GOP:
            stamps[packet + 1] = max(stamps[: packet + 1])
        else:
            stamps[packet], stamps[packet + 1] = stamps[packet + 1], stamps[packet]
    hidden = tuple(range(draw(st.integers(0, min(2, len(stamps) - 1)))))
    return index_from_scan(scan_of(stamps, Fraction(1, 25), starts=starts, hidden=hidden))


@given(indexes(), st.data())
def test_plan_cut_holds_every_picture_asked_for_in_display_order(index: VideoIndex, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, index.num_pictures - 1))
    last = data.draw(st.integers(first, index.num_pictures - 1))
    plan = plan_cut(index, first, last)
    shown = plan.ranks_N[plan.ranks_N >= 0].tolist()
    assert shown == sorted(set(shown))
    assert set(range(first, last + 1)) <= set(shown)
    assert sorted(plan.position_N.tolist()) == list(range(len(plan.packets_N)))
    # The packet at each position is that of the picture there.
    for packet, position in zip(plan.packets_N.tolist(), plan.position_N.tolist(), strict=True):
        rank = int(plan.ranks_N[position])
        assert index.packet_P[rank] == packet if rank >= 0 else not index.shown_M[packet]
    assert (np.diff(plan.packets_N) > 0).all()
    assert plan.packets_N[0] == index.start_packet_S[index.segment_of(first)]
    positions = Cut(data=b"", ranks_N=plan.ranks_N).positions_of(np.arange(first, last + 1))
    assert plan.ranks_N[positions].tolist() == list(range(first, last + 1))


@given(indexes())
def test_segments_partition_the_pictures(index: VideoIndex) -> None:
    for selected in (index, closed_gops_only(index)):
        ranges = [selected.pictures_of_segment(number) for number in range(len(selected.start_packet_S))]
        assert ranges[0][0] == 0
        assert ranges[-1][1] == selected.num_pictures
        assert all(one[1] == two[0] for one, two in pairwise(ranges))
        for number, (start, end) in enumerate(ranges):
            assert {selected.segment_of(picture) for picture in range(start, end)} == {number}
        assert selected.longest_segment == max(end - start for start, end in ranges)
    assert closed_gops_only(index).is_closed_gop_S[1:].all()


@given(indexes())
def test_segments_begin_where_everything_stored_before_is_shown_before(index: VideoIndex) -> None:
    for start, start_pts in zip(index.start_packet_S[1:], index.start_pts_S[1:], strict=True):
        assert (index.pts_M[:start][index.shown_M[:start]] < start_pts).all()


def test_index_refuses_pictures_swapped_across_a_closed_gop() -> None:
    stamps = [0, 1, 2, 4, 3, 5, 6, 7]
    for kind in (KeyframeKind.NONE, KeyframeKind.OPEN_GOP):
        scan = scan_of(stamps, Fraction(1, 25), starts={0: KeyframeKind.CLOSED_GOP, 4: kind})
        assert index_from_scan(scan).start_packet_S.tolist() == [0]
    scan = scan_of(stamps, Fraction(1, 25), starts={0: KeyframeKind.CLOSED_GOP, 4: KeyframeKind.CLOSED_GOP})
    with pytest.raises(VideoError, match=r"jump back after 0:00:00\.160, at picture 4;"):
        index_from_scan(scan)


def test_positions_of_finds_ranks_between_hidden_pictures() -> None:
    cut = Cut(data=b"", ranks_N=np.array([-1, 6, 7, -1, 8]))
    assert cut.positions_of(np.array([7, 8, 8, 6])).tolist() == [2, 4, 4, 1]


@pytest.mark.parametrize(("distance", "overhead"), [(1, 1.0), (10, 1.875)])
def test_decode_overhead_grows_with_the_distance_of_keyframes(distance: int, overhead: float) -> None:
    starts = dict.fromkeys(range(0, 100, distance), KeyframeKind.CLOSED_GOP)
    index = index_from_scan(scan_of(list(range(100)), Fraction(1, 25), starts=starts))
    # A clip of 5 that begins k pictures after a keyframe decodes those k as well. For the 96 clips k is 0 to 9 nine
    # times, then 0 to 5: 420 / 96 = 4.375 on average.
    assert decode_overhead(index, 5) == overhead
    assert decode_overhead(index, 1000) == 1  # the whole file


@pytest.mark.parametrize(
    ("stamps", "median"),
    [([7], 0), ([0, 40], 40), ([0, 1, 3, 7], 2), ([0, 1, 3, 7, 15], 3), ([0, 0, 0], 0)],
)
def test_median_step_is_exact(stamps: list[int], median: int) -> None:
    assert median_step(np.array(stamps)) == Fraction(median)

"""Annotated stretches: how they are written, merged, and applied to times and frames."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.core.annotated import AnnotatedRanges, inside, intersect_annotated, merge_ranges, parse_annotated
from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event, ScoredEvent

FIRST_TEN = AnnotatedRanges(ranges_ms=((0, 600_000),))


@pytest.mark.parametrize(
    ("text", "halves"),
    [
        ("", {}),
        ("0:00-10:00", dict.fromkeys((1, 2, 3, 4, 5), FIRST_TEN)),
        ("1/0:00-10:00", {1: FIRST_TEN}),
        (
            "1/0-600, 2/5:00-6:00.5,2/1:00:00-1:00:01",
            {1: FIRST_TEN, 2: AnnotatedRanges(ranges_ms=((300_000, 360_500), (3_600_000, 3_601_000)))},
        ),
    ],
)
def test_parse_annotated_reads_clocks_and_halves(text: str, halves: dict[int, AnnotatedRanges]) -> None:
    nothing = dict.fromkeys((1, 2, 3, 4, 5), AnnotatedRanges()) if halves else {}
    assert parse_annotated(text) == nothing | halves


@pytest.mark.parametrize("text", ["10:00-0:00", "0:00", "a-b", "6/0-1", "0:00-0:00", "1:2:3:4-5:00", "0-99:99:99:99"])
def test_parse_annotated_refuses_anything_else(text: str) -> None:
    with pytest.raises(ConfigurationError, match="give start-end") as caught:
        parse_annotated(text)
    assert caught.value.option == "annotated"


_PAIRS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=8)


def _covered(pairs: list[tuple[int, int]]) -> set[int]:
    return {ms for start, stop in pairs for ms in range(start, stop)}


@given(_PAIRS, _PAIRS)
def test_merge_and_intersect_are_those_of_sets_of_milliseconds(first, second) -> None:
    a, b = merge_ranges(first), merge_ranges(second)
    assert {ms for ms in range(501) if a.contains(ms)} == _covered(first)
    both = intersect_annotated({1: a, 2: a}, {1: b})
    assert {ms for ms in range(501) if both[1].contains(ms)} == _covered(first) & _covered(second)
    assert both[2] == a
    ends = [end for stretch in a.ranges_ms for end in stretch]
    assert ends == sorted(set(ends))  # ascending and apart


@given(_PAIRS, st.sampled_from([Fraction(25), Fraction(25, 2), Fraction(30000, 1001)]))
def test_mask_holds_the_frames_whose_time_is_inside(pairs, fps: Fraction) -> None:
    ranges = merge_ranges(pairs)
    expected = [ranges.contains(Event(frame=frame, label="PASS", fps=fps).position_ms) for frame in range(20)]
    np.testing.assert_array_equal(ranges.mask(20, fps), expected)


def test_inside_keeps_halves_that_are_not_listed() -> None:
    events = [ScoredEvent(half=half, position_ms=ms, label="PASS") for half in (1, 2) for ms in (0, 599_999, 600_000)]
    assert inside(events, {1: FIRST_TEN}) == [*events[:2], *events[3:]]
    assert inside(events, {1: AnnotatedRanges()}) == events[3:]
    assert inside(events, {}) == events


def test_describe_lists_stretches_as_clocks() -> None:
    assert (
        AnnotatedRanges(ranges_ms=((0, 600_000), (661_500, 662_000))).describe()
        == "0:00.0 to 10:00.0 and 11:01.5 to 11:02.0"
    )
    assert AnnotatedRanges().describe() == "nothing"

"""Byte ranges against the sets of bytes they stand for."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from e2espot.sources.soccernet.byte_ranges import merge, missing_ranges, subtract, total_size

byte_range = st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda pair: pair[0] <= pair[1])
byte_ranges = st.lists(byte_range, max_size=8)


def bytes_of(ranges) -> set[int]:
    return {position for start, stop in ranges for position in range(start, stop)}


@given(byte_ranges)
def test_merge_keeps_the_bytes_in_ascending_disjoint_ranges(ranges) -> None:
    merged = merge(ranges)
    assert bytes_of(merged) == bytes_of(ranges)
    assert all(start < stop for start, stop in merged)
    assert all(first[1] < second[0] for first, second in pairwise(merged))
    assert total_size(ranges) == len(bytes_of(ranges))


@given(byte_ranges, byte_range)
def test_missing_ranges_and_subtract_are_set_differences(ranges, other) -> None:
    assert bytes_of(missing_ranges(ranges, other)) == bytes_of([other]) - bytes_of(ranges)
    assert bytes_of(subtract(ranges, other)) == bytes_of(ranges) - bytes_of([other])
    gaps = missing_ranges(ranges, other)
    assert gaps == merge(gaps)

"""Which bytes are here and which are missing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from e2espot.sources.soccernet.byte_ranges import missing, num_bytes, union, without

span = st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda pair: pair[0] <= pair[1])
spans = st.lists(span, max_size=8)


def members(some) -> set[int]:
    return {place for start, stop in some for place in range(start, stop)}


@given(spans)
def test_union_holds_the_same_bytes_in_rising_separate_spans(some) -> None:
    out = union(some)
    assert members(out) == members(some)
    assert all(start < stop for start, stop in out)
    assert all(one[1] < two[0] for one, two in pairwise(out))
    assert num_bytes(some) == len(members(some))


@given(spans, span)
def test_missing_and_without_are_differences_of_sets(some, other) -> None:
    assert members(missing(some, other)) == members([other]) - members(some)
    assert members(without(some, other)) == members(some) - members([other])
    out = missing(some, other)
    assert out == union(out)

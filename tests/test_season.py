"""Shards are a partition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2espot.errors import ConfigurationError
from e2espot.season.shards import shard_of


@given(st.sets(st.text(min_size=1, max_size=5)), st.integers(1, 9))
def test_every_game_is_in_one_shard(names: set[str], count: int) -> None:
    games = dict.fromkeys(names, 0)
    shards = [list(shard_of(games, f"{number}/{count}")) for number in range(1, count + 1)]
    assert sorted(name for shard in shards for name in shard) == sorted(names)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("wrong", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "\u00b2/3", "9" * 5000 + "/1"])
def test_anything_else_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="--shard"):
        shard_of({"a": 1}, wrong)

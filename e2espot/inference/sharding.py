"""Which of many games are whose, when several jobs share them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from e2espot.core.errors import ConfigurationError

_T = TypeVar("_T")


def parse_shard(shard: str) -> tuple[int, int]:
    """``2/8`` -> (2, 8).

    Raises:
        ConfigurationError: anything else.
    """
    number, slash, count = shard.partition("/")
    ascii_digits = number.isascii() and count.isascii() and number.isdecimal() and count.isdecimal()
    if not (slash and ascii_digits and len(shard) < 20 and 1 <= int(number) <= int(count)):
        raise ConfigurationError(f"--shard is {shard!r}; give number and number of shards, such as 2/8")
    return int(number), int(count)


def shard_of(games: Mapping[str, _T], shard: str) -> dict[str, _T]:
    """Every ``count``-th game in order of their names, from the ``number``-th on: together all games, each once."""
    number, count = parse_shard(shard)
    return {name: games[name] for name in sorted(games)[number - 1 :: count]}

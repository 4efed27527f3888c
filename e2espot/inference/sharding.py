"""Splits many games among several jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from e2espot.core.parts import parse_part

_T = TypeVar("_T")


def shard_of(games: Mapping[str, _T], shard: str) -> dict[str, _T]:
    """The games of one shard, such as ``2/8``; every game is in exactly one.

    Raises:
        ConfigurationError: ``shard`` is not of this form, or names a shard that does not exist.
    """
    number, count = parse_part(shard, "shard")
    # names a b c d e, shard 2/3 -> b e: sizes differ by one at most, whatever the names
    return {name: games[name] for name in sorted(games)[number - 1 :: count]}

"""One part of several, written ``2/7``: folds of a dataset, shards of a job."""

from __future__ import annotations

import re

from e2espot.core.errors import ConfigurationError

_PART = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


def parse_part(text: str, name: str, *, min_count: int = 1) -> tuple[int, int]:
    """``"2/7"`` -> (2, 7): the number of the part, counted from 1, and the number of parts.

    Args:
        text: What the user gave.
        name: The parameter that holds it, such as ``fold``.
        min_count: Fewest parts that are allowed.

    Raises:
        ConfigurationError: another form, or a number that is not among the parts.
    """
    match = _PART.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < min_count:
        raise ConfigurationError(
            f"{name} is {text!r:.80}; give the number of the part and the number of parts, such as 2/7", option=name
        )
    return int(match[1]), int(match[2])

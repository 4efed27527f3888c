"""Parts of a whole, written ``2/7`` for the second of seven: folds of a dataset, shards of a job."""

from __future__ import annotations

import re

from e2espot.core.errors import ConfigurationError

_PART = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


def parse_part(text: str, name: str, *, min_count: int = 1) -> tuple[int, int]:
    """``"2/7"`` -> (2, 7): the number of the part, counted from 1, and the number of parts.

    Args:
        text: Value of the parameter.
        name: Name of the parameter, such as ``fold``.
        min_count: Smallest number of parts that is allowed.

    Raises:
        ConfigurationError: the text is not of this form, or names a part that does not exist, such as 8/7.
    """
    match = _PART.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < min_count:
        raise ConfigurationError(
            f"{name} is {text!r:.80}; give the number of the part and the number of parts, such as 2/7", option=name
        )
    return int(match[1]), int(match[2])

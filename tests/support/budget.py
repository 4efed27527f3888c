"""How long the attacks of this folder go on: a sample in ``make test``, all of it in ``make trust``."""

import os
import sys

LONG = os.environ.get("E2ESPOT_TRUST") == "long"
"""Whether this is ``make trust``."""


def sized(sample: int, whole: int) -> int:
    """Number of attacks."""
    return whole if LONG else sample


def tell(line: str) -> None:
    """Print a figure; ``make trust`` shows them."""
    sys.stdout.write(line + "\n")

"""Number of attacks: a sample in ``make test``, all of them in ``make stress``."""

import os
import sys

LONG = "long" in (os.environ.get("E2ESPOT_ROBUSTNESS"), os.environ.get("E2ESPOT_TRUST"))
"""Whether this is ``make stress``; ``E2ESPOT_TRUST`` is the former name of the variable."""


def sized(sample: int, whole: int) -> int:
    """Number of attacks: ``whole`` in ``make stress``, else ``sample``."""
    return whole if LONG else sample


def print_figure(line: str) -> None:
    """Print a figure; ``make stress`` shows it."""
    sys.stdout.write(line + "\n")

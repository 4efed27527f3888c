"""Work that benchmarks time in processes of their own, which import this file only and so start soon."""

from collections.abc import Callable

import numpy as np


def allocate(megabytes: int) -> Callable[[], int]:
    """Work that holds this much memory for a moment."""

    def work() -> int:
        return len(np.ones(megabytes << 20, dtype=np.uint8)) >> 20

    return work


def fail() -> Callable[[], int]:
    raise ValueError("no such thing")

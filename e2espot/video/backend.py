"""Which reader serves a device, and why."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Literal

from e2espot.core.errors import ConfigurationError

_LOG = logging.getLogger(__name__)

ReaderChoice = Literal["auto", "decord", "dali"]
"""What ``--reader`` accepts."""
Reader = Literal["pyav", "decord", "dali"]
"""What reads in the end."""

NO_DALI = (
    "NVIDIA DALI is not installed; install it with: pip install -e '.[dali-cuda13]' (or dali-cuda12, by your driver), "
    "or choose --reader auto"
)


@cache
def choose_reader(choice: ReaderChoice, device_type: str) -> Reader:
    """The reader for ``cpu`` or ``cuda``; logged once, with the reason.

    Raises:
        ConfigurationError: DALI is asked for and is not installed.
    """
    installed = has_dali()
    if choice == "dali" and not installed:
        raise ConfigurationError(NO_DALI)
    if choice != "auto":
        reader: Reader = choice
        reason = "asked for"
    elif device_type == "cuda" and installed:
        reader, reason = "dali", "this machine has CUDA and DALI: frames are decoded and stay on the GPU"
    elif device_type == "cuda":
        reader, reason = "pyav", "DALI is not installed; frames are decoded by the CPU"
    else:
        reader, reason = "pyav", "no CUDA device; frames are decoded by the CPU"
    _LOG.info("reader %s: %s", reader, reason)
    return reader


def has_dali() -> bool:
    """Whether DALI can be imported, found out without importing it."""
    try:
        return find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        return False

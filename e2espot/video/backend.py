"""The decoding backends: which one serves a device, and why."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from typing import Literal

from e2espot.core.errors import ConfigurationError

_LOG = logging.getLogger(__name__)

Backend = Literal["pyav", "decord", "dali"]
"""A backend that decodes: PyAV and decord on the CPU, DALI on a GPU."""
BackendOption = Literal["auto", "decord", "dali"]
"""What a user may ask for; ``auto`` is DALI on a CUDA device where DALI is installed, else PyAV."""
HostBackend = Literal["auto", "pyav", "decord"]
"""A backend that decodes on the CPU, as ``open_reader`` takes it; ``auto`` is PyAV."""

DALI_NOT_INSTALLED = (
    'NVIDIA DALI is not installed; install it with: pip install "e2espot[dali-cuda13]" '
    '(or "e2espot[dali-cuda12]", by your driver), or let the backend be chosen automatically'
)


@cache
def choose_backend(option: BackendOption | Backend, device_type: str) -> Backend:
    """Resolve a user's option for a device; the choice is logged once, with its reason.

    Args:
        option: What was asked for. A backend that is already resolved is returned as it is.
        device_type: Device of the network, ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: DALI is asked for and is not installed.
    """
    if option == "pyav":  # not a user's option, so it has been chosen, and logged, before
        return option
    backend, reason = _resolve(option, device_type)
    _LOG.info("reader %s: %s", backend, reason)
    return backend


def _resolve(option: BackendOption, device_type: str) -> tuple[Backend, str]:
    """The backend and the reason for it."""
    installed = has_dali()
    if option == "dali" and not installed:
        raise ConfigurationError(DALI_NOT_INSTALLED, option="reader")
    if option != "auto":
        return option, "asked for"
    if device_type != "cuda":
        return "pyav", "no CUDA device; frames are decoded by the CPU"
    if not installed:
        return "pyav", "DALI is not installed; frames are decoded by the CPU"
    return "dali", "this machine has CUDA and DALI: frames are decoded and stay on the GPU"


def has_dali() -> bool:
    """Whether DALI is installed, determined without importing it."""
    try:
        return find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:  # raised when the parent package ``nvidia`` is missing as well
        return False

"""The device to compute on, its number format, and how its memory is managed."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Literal

from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Number format of convolutions; auto is the fastest that the device supports."""


def parse_device(name: str) -> torch.device:
    """The device called ``name``: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for CUDA if it is available.

    Raises:
        ConfigurationError: this machine has no such device.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    available = ("cpu", *(("cuda", *(f"cuda:{number}" for number in range(count))) if count else ()))
    if name not in available:
        raise ConfigurationError(
            f"device is {name!r}; this machine has {', '.join(available)}; auto chooses one of them", option="device"
        )
    return torch.device(name)


@cache
def compute_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """The number format of convolutions on a device.

    For ``auto`` it is bf16 if the hardware computes in it, else fp16 on CUDA and fp32 on a CPU. The choice
    is logged once for each device.
    """
    import torch

    if precision != "auto":
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        # Without this argument torch reports bf16 on chips that only emulate it, slower than fp32.
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        reason = torch.cuda.get_device_name(device)
    else:
        has_bf16 = _cpu_has_bf16()
        dtype = torch.bfloat16 if has_bf16 else torch.float32
        reason = "this CPU computes in bf16" if has_bf16 else "oneDNN may use neither AMX nor avx512_bf16 here"
    _LOG.info("computing in %s: %s", str(dtype).removeprefix("torch."), reason)
    return dtype


def _cpu_has_bf16() -> bool:
    """Whether the CPU has bf16 instructions and oneDNN uses them.

    oneDNN emulates bf16, slower than fp32, if ``ONEDNN_MAX_CPU_ISA`` limits it to instructions below AVX-512.
    """
    import torch

    # These functions are private in torch and may disappear. `bool` stands in for a missing one: bool() is False,
    # so the CPU then counts as one without bf16.
    cpu_checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if not any(bool(getattr(torch.cpu, name, bool)()) for name in cpu_checks):
        return False
    onednn_check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return onednn_check is None or bool(onednn_check())


def leave_core_to_decoder() -> None:
    """On two cores, let torch compute by one thread while a process decodes on the other.

    Two threads wait for each other after every operation, and one of them for the core that the decoder has: a match
    takes 1.1 to 1.5 times as long, and 1.4 to 1.7 times the CPU time (``docs/benchmarks.md``). Machines with more cores
    stay as they are, and so does what ``OMP_NUM_THREADS`` says.
    """
    import torch

    if not os.environ.get("OMP_NUM_THREADS") and torch.get_num_threads() == 2:
        torch.set_num_threads(1)


def reuse_freed_memory() -> None:
    """Let glibc reuse large freed blocks instead of returning them to the system. No effect except on Linux.

    By default glibc maps and unmaps each activation of more than 32 MiB, and the page faults of mapping it
    again take a third of the CPU time of a training step.
    """
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_mmap_max = -1, -4  # parameter numbers of mallopt(3)
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
    except (OSError, AttributeError):
        _LOG.debug("the C library has no mallopt; freed memory returns to the system")


def return_freed_memory() -> None:
    """Return what ``reuse_freed_memory`` holds back to the system, after work that needs more than what follows."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        _LOG.debug("the C library has no malloc_trim; freed memory stays with the process")

"""Which number format a device computes in, and how its memory is kept."""

from __future__ import annotations

import ctypes
import logging
import sys
from functools import cache
from typing import TYPE_CHECKING, Literal

from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def device_named(name: str) -> torch.device:
    """The device of a ``--device``: cpu, cuda, cuda:1, or auto for CUDA where there is one.

    Raises:
        ConfigurationError: no such device here.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    known = ("cpu", *(("cuda", *(f"cuda:{number}" for number in range(count))) if count else ()))
    if name not in known:
        raise ConfigurationError(f"--device is {name!r}; this machine has {', '.join(known)}; or take auto")
    return torch.device(name)


@cache
def compute_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """Format for convolutions: bf16 where the chip has it, fp16 on older CUDA, fp32 elsewhere; logged once."""
    import torch

    if precision != "auto":
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        reason = torch.cuda.get_device_name(device)
    else:
        fast = _cpu_has_bf16()
        dtype = torch.bfloat16 if fast else torch.float32
        reason = "this CPU computes in bf16" if fast else "this CPU has neither AMX nor avx512_bf16"
    _LOG.info("computing in %s: %s", str(dtype).removeprefix("torch."), reason)
    return dtype


def _cpu_has_bf16() -> bool:
    import torch

    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in checks)


def keep_freed_memory() -> None:
    """Let glibc reuse big blocks instead of returning them to the system after every layer.

    By default each activation of more than 32 MiB is mapped and unmapped anew, and faulting its
    pages in again took a third of a training step's CPU time. No effect off Linux.
    """
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_mmap_max = -1, -4
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
    except (OSError, AttributeError):
        _LOG.debug("no mallopt in this C library")

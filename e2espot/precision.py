"""Which number format a device computes in, and how its memory is kept."""

from __future__ import annotations

import ctypes
import logging
import sys
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)

Precision = Literal["auto", "fp32", "bf16", "fp16"]


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

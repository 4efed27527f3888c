"""Kernels in C++ for a CPU, compiled when they are first used: for what its library of convolutions is slow at.

A compiler (``c++``, ``g++`` or ``clang++``) is needed once, for a few seconds; the result is cached by source, flags
and compiler. Without one the layers use torch's operations, and one line of the log reports it.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from e2espot.files.cache import cache_dir

_LOG = logging.getLogger(__name__)
_SOURCES = tuple(
    Path(__file__).with_name(f"{name}.cpp")
    for name in (
        "conv_weights",
        "gate_shift",
        "grouped",
        "inverted_residual",
        "inverted_residual_amx",
        "kernels",
        "norms",
        "winograd",
    )
)
_HEADERS = tuple(Path(__file__).with_name(f"{name}.h") for name in ("inverted_residual", "rows", "vectors"))
_FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
_COMPILE_TIMEOUT_S = 300
SWITCH = "E2ESPOT_NATIVE"
"""Environment variable; 0 turns the kernels off."""


def kernel(name: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A function of the compiled sources for frames of a number format; None where there is none.

    It returns nothing, takes pointers as ``pointer`` gives them, and lets other threads run meanwhile.
    """
    suffix = {torch.float32: "fp32", torch.bfloat16: "bf16"}.get(dtype)
    if device.type != "cpu" or suffix is None:
        return None
    library = _library()
    if library is None:
        return None
    function = getattr(library, f"e2espot_{name}_{suffix}", None)
    if function is None:
        return None
    function.restype = None
    return function


@cache
def can_use_amx() -> bool:
    """Whether kernels may use the matrix units (Intel AMX) of this CPU: compiled for them, and the system agrees."""
    library = _library()
    is_supported = getattr(torch.cpu, "_is_amx_tile_supported", bool)
    request = getattr(library, "e2espot_request_amx", None)
    return request is not None and bool(is_supported()) and request() == 0


class SharedByCopies:
    """A layer that frames leave as it is: copies of a stream, which have caches of their own, share it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself."""
        return self


def pointer(tensor: Tensor, first: int = 0) -> ctypes.c_void_p:
    """The address of a tensor's memory, or of entry ``first`` along its first axis."""
    return ctypes.c_void_p(tensor.data_ptr() + first * tensor.stride(0) * tensor.element_size())


def constant(tensor: Tensor) -> Tensor:
    """A copy as the kernels read their constants: dense fp32."""
    return tensor.detach().float().contiguous().clone()


def in_threads(work: Callable[[int, int], None], count: int) -> None:
    """Call ``work(first, last)`` for parts of ``range(count)``, as many as torch has threads."""
    threads = min(torch.get_num_threads(), count)
    if threads < 2:
        work(0, count)
        return
    ends = [count * thread // threads for thread in range(threads + 1)]
    list(_pool(threads, os.getpid()).map(work, ends[:-1], ends[1:]))


@cache
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    # A child that was forked has none of the threads, so it gets a pool for itself.
    return ThreadPoolExecutor(threads, thread_name_prefix="e2espot-kernel")


@cache
def _library() -> Any:
    """The compiled kernels; None without a compiler, or if they are turned off."""
    if os.environ.get(SWITCH) == "0":
        return None
    compiler = _compiler()
    if compiler is None:
        _LOG.info("no C++ compiler: layers use torch's operations, which are slower; install g++ to use the kernels")
        return None
    try:
        target = _target(compiler)
        for attempt in range(2):
            if attempt or not target.is_file():
                _compile(compiler, target)
            try:
                return ctypes.CDLL(str(target))
            except OSError:  # damaged in the cache: compile once more
                if attempt:
                    raise
    except (OSError, subprocess.SubprocessError) as error:
        _LOG.info("kernels not compiled (%s): layers use torch's operations, which are slower", _reason(error))
    return None


def _compiler() -> str | None:
    """Path of the compiler that the environment names, or of the first that is installed."""
    chosen = os.environ.get("CXX")
    names = (chosen,) if chosen else ("c++", "g++", "clang++")
    return next((path for name in names if (path := shutil.which(name))), None)


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "stderr", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _target(compiler: str) -> Path:
    """The library in the cache, compiled or not: its name depends on all that decides its content."""
    resolved = Path(compiler).resolve()
    stat = resolved.stat()
    identity = (_flags(), str(resolved), stat.st_size, stat.st_mtime_ns)
    key = repr(identity).encode() + b"".join(file.read_bytes() for file in (*_SOURCES, *_HEADERS))
    return cache_dir("kernels") / f"{hashlib.sha256(key).hexdigest()[:24]}.so"


def _compile(compiler: str, target: Path) -> None:
    """Compile into the cache.

    Raises:
        OSError: the cache cannot be written, or the compiler not be started.
        subprocess.SubprocessError: it failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        command = [compiler, *_flags(), "-x", "c++", *map(str, _SOURCES), "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S)
        built.replace(target)  # whole or not at all, when several processes compile


def _flags() -> tuple[str, ...]:
    """Flags of the compiler, with the instruction set that torch's own operations use; an environment may limit it."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return _FLAGS
    levels = {"AVX512": ("-march=x86-64-v4", "-mprefer-vector-width=512"), "AVX2": ("-march=x86-64-v3",)}
    return (*_FLAGS, *levels.get(torch.backends.cpu.get_cpu_capability(), ()))

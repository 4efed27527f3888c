"""What the compiled kernels gain on this CPU, layer by layer and for whole networks, against torch's operations.

Networks take turns in processes of their own, as whether there are kernels is decided once in a process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from e2espot.benchmarks.infer import build_spotter
from e2espot.benchmarks.results import BenchResults, Table
from e2espot.benchmarks.timing import InProcess, Subprocess, Work, interleaved
from e2espot.core.device import compute_dtype, reuse_freed_memory
from e2espot.models.kernels.native import SWITCH
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.streaming.fused_conv import FusedConv

_PIECE = 16
"""Frames at a time, as in inference on a CPU."""


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Input of a convolution."""

    channels: int
    """Of its output as well."""
    height: int
    """Rows."""
    width: int
    """Columns."""

    def __str__(self) -> str:
        return f"{self.channels} channels at {self.height}x{self.width}"


@dataclass(frozen=True, kw_only=True)
class KernelSettings:
    """Size of the problem."""

    feature_archs: Sequence[str] = ("small_gsm", "lite_gsm", "rny002_gsm")
    """Backbones."""
    maps: Sequence[Maps] = (
        Maps(channels=48, height=28, width=50),
        Maps(channels=96, height=14, width=25),
        Maps(channels=128, height=28, width=50),
    )
    """Of the 3x3 convolutions."""
    size: tuple[int, int] = (398, 224)
    """(width, height) of the frames."""
    repeats: int = 3
    """Measured rounds."""


def bench_kernels(settings: KernelSettings) -> BenchResults:
    """Time networks on frames in memory, and 3x3 convolutions where this CPU has a kernel for them."""
    convolutions = (convolution_table(maps, settings.repeats) for maps in settings.maps)
    tables = [network_table(arch, settings) for arch in settings.feature_archs]
    return BenchResults(tables=[*tables, *(table for table in convolutions if table is not None)])


def network_table(feature_arch: str, settings: KernelSettings) -> Table:
    """A backbone with and without kernels."""
    width, height = settings.size
    variants = [
        Subprocess(name, network_work, feature_arch, settings.size, native)
        for name, native in (("torch's operations", False), ("compiled kernels", True))
    ]
    return interleaved(f"{feature_arch}, {width}x{height}, frames in memory", "frame", variants, settings.repeats)


def network_work(feature_arch: str, size: tuple[int, int], native: bool) -> Work:
    """Two pieces of random frames through a backbone; without ``native`` this process has no kernels from now on."""
    if not native:
        os.environ[SWITCH] = "0"
    reuse_freed_memory()
    stream = BackboneStream(build_spotter(feature_arch).backbone, compute_dtype(torch.device("cpu")))
    levels_THWC = torch.randint(0, 256, (_PIECE, size[1], size[0], 3), dtype=torch.uint8)

    def work() -> int:
        with torch.inference_mode():
            for _ in range(2):
                stream.forward_chunk(levels_THWC)
        return 2 * _PIECE

    return work


def convolution_table(maps: Maps, repeats: int) -> Table | None:
    """A 3x3 convolution with ReLU by oneDNN and by a compiled kernel; None without a kernel for it on this CPU."""
    dtype = compute_dtype(torch.device("cpu"))
    conv = nn.Conv2d(maps.channels, maps.channels, 3, padding=1).requires_grad_(False)
    library, kernel = (FusedConv(conv, "relu", dtype, native=native) for native in (False, True))
    if not kernel.is_native:
        return None
    x_TCHW = torch.randn(_PIECE, maps.channels, maps.height, maps.width, dtype=dtype)
    x_TCHW = x_TCHW.contiguous(memory_format=torch.channels_last)

    def work_of(layer: FusedConv) -> Work:
        def work() -> int:
            with torch.inference_mode():
                layer(x_TCHW)
            return _PIECE

        return work

    variants = [
        InProcess(name="oneDNN", work=work_of(library)),
        InProcess(name="compiled kernel", work=work_of(kernel)),
    ]
    return interleaved(f"3x3 convolution, {maps}", "frame", variants, repeats)

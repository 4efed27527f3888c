"""Roofline of the network on this machine: peak rates, operations and bytes, and the lower bound they imply."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from e2espot.benchmarks.infer import build_spotter
from e2espot.benchmarks.results import BenchResults, FactTable
from e2espot.core.device import compute_dtype
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import score_frames

_MATCH_FRAMES = 90 * 60 * 25
_FRAMES = 16


class ConvolutionCounter(TorchDispatchMode):
    """Counts operations and memory traffic of every convolution within the ``with`` block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: list[tuple[float, float]] = []
        """(multiplications and additions, elements read and written) of each convolution."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation; count it if it is a convolution."""
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            x, weight = args[:2]
            self.counts.append((2.0 * out.numel() * weight[0].numel(), float(x.numel() + out.numel() + weight.numel())))
        return out


def matrix_rate(dtype: torch.dtype, size: int = 1536, repeats: int = 5) -> float:
    """Operations per second of a square matrix product, the best of ``repeats``."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2.0 * size**3 / _best_s(lambda: torch.mm(a, b), repeats)


def bandwidth(megabytes: int = 256, repeats: int = 5) -> float:
    """Bytes read and written per second by a copy that exceeds any cache, the best of ``repeats``."""
    source = torch.zeros(megabytes * 2**20, dtype=torch.uint8)
    target = torch.ones_like(source)
    return 2.0 * source.numel() / _best_s(lambda: target.copy_(source), repeats)


def _name(dtype: torch.dtype) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]


def _best_s(work: Any, repeats: int) -> float:
    """CPU seconds, as waiting for other programs is no limit of the machine."""
    work()
    best = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def floor_s(convolutions: list[tuple[float, float]], rate: float, bytes_s: float, itemsize: int) -> float:
    """Lower bound in seconds: each convolution is bound by arithmetic or by memory, one after another."""
    return sum(max(operations / rate, elements * itemsize / bytes_s) for operations, elements in convolutions)


def bench_roofline(feature_arch: str) -> BenchResults:
    """Peak rates of one thread, cost of the network, and the measured time over the lower bound."""
    dtype = compute_dtype(torch.device("cpu"))
    rates = {form: matrix_rate(form) for form in dict.fromkeys((torch.float32, dtype))}
    bytes_s = bandwidth()
    machine = FactTable(
        title="this machine, one thread",
        columns=("",),
        rows=(
            *((f"{_name(form)} products, 1536x1536", f"{rate / 1e9:.0f} GFLOP/s") for form, rate in rates.items()),
            ("copying 256 MiB, bytes read and written", f"{bytes_s / 1e9:.1f} GB/s"),
        ),
    )
    rows = []
    for arch in (feature_arch, feature_arch.partition("_")[0]):
        spotter = build_spotter(arch)
        spec = spotter.spec
        with torch.no_grad(), ConvolutionCounter() as counter:
            spotter.features(torch.zeros(1, _FRAMES, 3, spec.height, spec.width))
        operations, elements = (sum(column) / _FRAMES for column in zip(*counter.counts, strict=True))
        floor = floor_s(counter.counts, rates[dtype], bytes_s, dtype.itemsize) / _FRAMES * _MATCH_FRAMES
        frames: Tensor = torch.zeros(256, spec.height, spec.width, 3, dtype=torch.uint8)
        measured_s = (
            _best_s(lambda s=spotter, f=frames: score_frames(s, f.split(64), 256, InferenceOptions()), 3)
            / 256
            * _MATCH_FRAMES
        )
        rows.append(
            (
                f"{arch}, {spec.width}x{spec.height}, {_name(dtype)}",
                f"{operations / 1e9:.2f} GFLOP",
                f"{elements * dtype.itemsize / 1e6:.0f} MB",
                f"{floor:.0f} s",
                f"{measured_s:.0f} s",
                f"{measured_s / floor:.1f}x",
            )
        )
    columns = ("operations per frame", "moved per frame", "lower bound, 90 minutes", "network alone, measured", "ratio")
    network = FactTable(title="convolutions, each bound by arithmetic or by memory", columns=columns, rows=tuple(rows))
    return BenchResults(tables=[machine, network])

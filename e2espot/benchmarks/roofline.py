"""What this machine could do at best: its rates, the network's operations and bytes, and the floor they make."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from e2espot.benchmarks.infer import spotter_named
from e2espot.benchmarks.results import Facts, Findings
from e2espot.core.device import compute_dtype
from e2espot.inference.predict import InferenceOptions, score_frames

_MATCH = 90 * 60 * 25
_FRAMES = 16


class Convolutions(TorchDispatchMode):
    """Operations and elements moved by every convolution that runs inside it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[float, float]] = []
        """(multiplications and additions, elements read and written), one for each."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation; note it if it is a convolution."""
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            x, weight = args[:2]
            self.found.append((2.0 * out.numel() * weight[0].numel(), float(x.numel() + out.numel() + weight.numel())))
        return out


def matrix_rate(dtype: torch.dtype, size: int = 1536, repeats: int = 5) -> float:
    """Operations a second of a square product, the best of some."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2.0 * size**3 / _best_s(lambda: torch.mm(a, b), repeats)


def bandwidth(megabytes: int = 256, repeats: int = 5) -> float:
    """Bytes read and written a second by a copy too large for any cache, the best of some."""
    source = torch.zeros(megabytes * 2**20, dtype=torch.uint8)
    target = torch.ones_like(source)
    return 2.0 * source.numel() / _best_s(lambda: target.copy_(source), repeats)


def _best_s(work: Any, repeats: int) -> float:
    work()
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


def floor_s(convolutions: list[tuple[float, float]], rate: float, bytes_s: float, itemsize: int) -> float:
    """Seconds below which nothing gets: each convolution bound by products or by memory, one after another."""
    return sum(max(operations / rate, elements * itemsize / bytes_s) for operations, elements in convolutions)


def bench_limits(feature_arch: str) -> Findings:
    """The machine, the network, and how far we are from what the one allows the other."""
    rates = {dtype: matrix_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    bytes_s = bandwidth()
    machine = Facts(
        title="this machine, one thread",
        columns=("",),
        rows=(
            ("fp32 products, 1536x1536", f"{rates[torch.float32] / 1e9:.0f} GFLOP/s"),
            ("bf16 products, 1536x1536", f"{rates[torch.bfloat16] / 1e9:.0f} GFLOP/s"),
            ("copying 256 MiB, bytes read and written", f"{bytes_s / 1e9:.1f} GB/s"),
        ),
    )
    rows = []
    for arch in (feature_arch, feature_arch.partition("_")[0]):
        spotter = spotter_named(arch)
        dtype = compute_dtype(torch.device("cpu"))
        spec = spotter.spec
        with torch.no_grad(), Convolutions() as seen:
            spotter.features(torch.zeros(1, _FRAMES, 3, spec.height, spec.width))
        operations, elements = (sum(column) / _FRAMES for column in zip(*seen.found, strict=True))
        floor = floor_s(seen.found, rates[dtype], bytes_s, dtype.itemsize) / _FRAMES * _MATCH
        frames: Tensor = torch.zeros(256, spec.height, spec.width, 3, dtype=torch.uint8)
        ours = (
            _best_s(lambda s=spotter, f=frames: score_frames(s, f.split(64), 256, InferenceOptions()), 3) / 256 * _MATCH
        )
        rows.append(
            (
                f"{arch}, {spec.width}x{spec.height}, {str(dtype).removeprefix('torch.')}",
                f"{operations / 1e9:.2f} GFLOP",
                f"{elements * dtype.itemsize / 1e6:.0f} MB",
                f"{floor:.0f} s",
                f"{ours:.0f} s",
                f"{ours / floor:.1f}x",
            )
        )
    columns = ("operations a frame", "moved a frame", "floor, 90 minutes", "network alone, measured", "of the floor")
    network = Facts(title="convolutions, each bound by products or by memory", columns=columns, rows=tuple(rows))
    return Findings(tables=[machine, network])

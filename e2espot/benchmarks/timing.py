"""Interleaved timing: every variant once, then every variant again, so that a noisy machine is noisy for all."""

from __future__ import annotations

import datetime
import gc
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

_PACKAGES = ("torch", "av", "decord", "nvidia-dali-cuda130", "nvidia-dali-cuda120", "numpy")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to do a piece of work."""

    name: str
    """As the table names it."""
    work: Callable[[], int]
    """Does it all once and returns how many units were done."""


@dataclass(kw_only=True)
class Row:
    """What a variant took, over all repeats."""

    name: str
    unit: str
    cpu_ms: list[float] = field(default_factory=list)
    """CPU milliseconds a unit, children included, one a repeat."""
    wall_ms: list[float] = field(default_factory=list)
    """Wall milliseconds a unit, one a repeat."""


@dataclass(kw_only=True)
class Table:
    """Rows measured in one run; the first is what the others are compared with."""

    title: str
    rows: list[Row]

    def text(self) -> str:
        """Markdown."""
        base = median(self.rows[0].cpu_ms)
        unit = self.rows[0].unit
        lines = [
            f"| {self.title} | CPU ms per {unit}, median (min to max) | wall ms | ratio |",
            "|---|---:|---:|---:|",
        ]
        for row in self.rows:
            cpu = f"{median(row.cpu_ms):.2f} ({min(row.cpu_ms):.2f} to {max(row.cpu_ms):.2f})"
            lines.append(f"| {row.name} | {cpu} | {median(row.wall_ms):.2f} | {base / median(row.cpu_ms):.2f}x |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything measured."""
        return asdict(self)


def interleaved(title: str, unit: str, variants: list[Variant], repeats: int, *, warm_up: bool = True) -> Table:
    """Time every variant ``repeats`` times in turn, after one unmeasured round to warm up."""
    rows = [Row(name=variant.name, unit=unit) for variant in variants]
    for turn in range(0 if warm_up else 1, repeats + 1):
        for row, variant in zip(rows, variants, strict=True):
            gc.collect()
            cpu, wall = _cpu_s(), time.perf_counter()
            units = variant.work()
            cpu, wall = _cpu_s() - cpu, time.perf_counter() - wall
            if turn:
                row.cpu_ms.append(1000 * cpu / units)
                row.wall_ms.append(1000 * wall / units)
    return Table(title=title, rows=rows)


def _cpu_s() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def machine() -> dict[str, str]:
    """What the figures hold for."""
    name, flags = platform.processor() or platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        facts = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in facts.items()}
        name = facts.get("model name", name)
        wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        flags = " ".join(flag for flag in wanted if flag in facts.get("flags", "").split())
    found = {"CPU": f"{name} ({flags})", "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat()}

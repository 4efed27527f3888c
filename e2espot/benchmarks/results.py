"""What was measured, as Markdown and as JSON, and what it was measured on."""

from __future__ import annotations

import datetime
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

_PACKAGES = ("torch", "av", "decord", "nvidia-dali-cuda130", "nvidia-dali-cuda120", "numpy", "SoccerNet")


@dataclass(kw_only=True)
class Row:
    """What a variant took, over all repeats."""

    name: str
    unit: str
    cpu_ms: list[float] = field(default_factory=list)
    """CPU milliseconds a unit, children included, one a repeat."""
    wall_ms: list[float] = field(default_factory=list)
    """Wall milliseconds a unit, one a repeat."""
    peak_mb: float | None = None
    """Most memory of its process, with its children; None where it shared a process."""
    grown_mb: float | None = None
    """Peak less what its process held before the first run."""

    @property
    def cpu(self) -> float:
        """Median CPU milliseconds a unit."""
        return median(self.cpu_ms)


@dataclass(kw_only=True)
class Table:
    """Rows measured in one run; the first is what the others are compared with."""

    title: str
    rows: list[Row]

    def __getitem__(self, start: str) -> Row:
        """The row whose name starts so."""
        return next(row for row in self.rows if row.name.startswith(start))

    def ratio(self, slow: str, fast: str) -> float:
        """How many times the CPU time of ``fast`` goes into that of ``slow``."""
        return self[slow].cpu / self[fast].cpu

    def text(self) -> str:
        """Markdown."""
        base, unit = self.rows[0].cpu, self.rows[0].unit
        memory = any(row.peak_mb is not None for row in self.rows)
        lines = [
            f"| {self.title} | CPU ms per {unit}, median (min to max) | wall ms | ratio |" + " peak MB |" * memory,
            "|---|---:|---:|---:|" + "---:|" * memory,
        ]
        for row in self.rows:
            cpu = f"{row.cpu:.2f} ({min(row.cpu_ms):.2f} to {max(row.cpu_ms):.2f})"
            line = f"| {row.name} | {cpu} | {median(row.wall_ms):.2f} | {base / row.cpu:.2f}x |"
            lines.append(line + (f" {row.peak_mb:.0f} |" if row.peak_mb is not None else " |" * memory))
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything measured."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A table of figures that are not times of variants."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Markdown."""
        lines = [f"| {' | '.join((self.title, *self.columns))} |", "|---|" + "---:|" * len(self.columns)]
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in self.rows)])

    def to_json(self) -> dict[str, Any]:
        """Everything measured."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One promise about speed, and whether it was kept."""

    road: str
    against: str
    promised: str
    """In words."""
    measured: float
    least: float | None = None
    """Kept when the figure is no smaller."""
    most: float | None = None
    """Kept when the figure is no greater."""
    unit: str = "x"
    why: str = ""
    """What stands in the way, printed where the promise is missed."""

    @property
    def kept(self) -> bool:
        """Whether the figure is where it should be."""
        return (self.least is None or self.measured >= self.least) and (self.most is None or self.measured <= self.most)

    def to_json(self) -> dict[str, Any]:
        """Everything about it."""
        return {**asdict(self), "kept": self.kept}


@dataclass(kw_only=True)
class Findings:
    """What one road's benchmark found."""

    tables: list[Table | Facts] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def __iadd__(self, other: Findings) -> Findings:
        """Those of another road behind these."""
        self.tables += other.tables
        self.targets += other.targets
        return self


def targets_text(targets: list[Target]) -> str:
    """Markdown: what was promised, what was measured, and why where it was missed."""
    lines = ["| road | against | promised | measured | |", "|---|---|---:|---:|---|"]
    for target in targets:
        verdict = "kept" if target.kept else f"**missed**: {target.why}" if target.why else "**missed**"
        figure = f"{target.measured:,.0f}" if target.measured >= 100 else f"{target.measured:.3g}"
        measured = figure + (target.unit if target.unit in ("x", "") else f" {target.unit}")
        lines.append(f"| {target.road} | {target.against} | {target.promised} | {measured} | {verdict} |")
    return "\n".join(lines)


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

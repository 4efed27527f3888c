"""Measurements as Markdown and JSON, and the machine they were taken on."""

from __future__ import annotations

import datetime
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

_PACKAGES = (
    "torch",
    "av",
    "decord",
    "nvidia-dali-cuda130",
    "nvidia-dali-cuda120",
    "numpy",
    "onnxruntime",
    "openvino",
    "SoccerNet",
)


@dataclass(kw_only=True)
class Row:
    """Time and memory of one variant over all repeats."""

    name: str
    """The variant, as the table shows it."""
    unit: str
    """What times are divided by, such as ``frame``."""
    cpu_ms: list[float] = field(default_factory=list)
    """CPU milliseconds per unit, child processes included; one per repeat."""
    wall_ms: list[float] = field(default_factory=list)
    """Wall-clock milliseconds per unit; one per repeat."""
    peak_mb: float | None = None
    """Peak memory of its process and children; None where the process is shared with other variants."""
    grown_mb: float | None = None
    """Peak memory minus what the process held before the first run."""

    @property
    def cpu(self) -> float:
        """Median CPU milliseconds per unit."""
        return median(self.cpu_ms)


@dataclass(kw_only=True)
class Table:
    """Variants measured in one run; ratios compare with the first."""

    title: str
    """What was measured."""
    rows: list[Row]
    """One per variant."""

    def __getitem__(self, start: str) -> Row:
        """The first row whose name starts with ``start``."""
        return next(row for row in self.rows if row.name.startswith(start))

    def ratio(self, slow: str, fast: str) -> float:
        """CPU time of ``slow`` divided by that of ``fast``."""
        return self[slow].cpu / self[fast].cpu

    def text(self) -> str:
        """Format as Markdown."""
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
        """All measurements as plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class FactTable:
    """A table of figures other than times of variants."""

    title: str
    """Heading of the first column."""
    columns: tuple[str, ...]
    """Headings of the other columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells, the name first."""

    def text(self) -> str:
        """Format as Markdown."""
        lines = [f"| {' | '.join((self.title, *self.columns))} |", "|---|" + "---:|" * len(self.columns)]
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in self.rows)])

    def to_json(self) -> dict[str, Any]:
        """All measurements as plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target for speed or memory, and what was measured."""

    what: str
    """What is measured."""
    baseline: str
    """What it is compared with."""
    target: str
    """The target in words, such as ``at most 1.1x``."""
    measured: float
    """The figure, in ``unit``."""
    least: float | None = None
    """The target is met when the figure is no smaller."""
    most: float | None = None
    """The target is met when the figure is no greater."""
    unit: str = "x"
    """Unit of the figure; ``x`` for a ratio."""
    why: str = ""
    """The reason, printed when the target is missed."""

    @property
    def met(self) -> bool:
        """Whether the figure is within the limits."""
        return (self.least is None or self.measured >= self.least) and (self.most is None or self.measured <= self.most)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values, and whether the target is met."""
        return {**asdict(self), "met": self.met}


@dataclass(kw_only=True)
class BenchResults:
    """Tables and targets of one topic."""

    tables: list[Table | FactTable] = field(default_factory=list)
    """In the order they are printed."""
    targets: list[Target] = field(default_factory=list)
    """In the order they are printed."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Figures by name, for programs; some topics have them in tables only."""

    def __iadd__(self, other: BenchResults) -> BenchResults:
        """Append the tables and targets of another topic."""
        self.tables += other.tables
        self.targets += other.targets
        self.figures |= other.figures
        return self


def targets_text(targets: list[Target]) -> str:
    """Format as Markdown: target, measurement, and the reason where it is missed."""
    lines = ["| what | compared with | target | measured | result |", "|---|---|---:|---:|---|"]
    for target in targets:
        verdict = "met" if target.met else f"**missed**: {target.why}" if target.why else "**missed**"
        figure = f"{target.measured:,.0f}" if target.measured >= 100 else f"{target.measured:.3g}"
        measured = figure + (target.unit if target.unit in ("x", "") else f" {target.unit}")
        lines.append(f"| {target.what} | {target.baseline} | {target.target} | {measured} | {verdict} |")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """CPU, versions of packages, and the date: what the figures are valid for."""
    name, flags = platform.processor() or platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        pairs = (line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in pairs}
        name = fields.get("model name", name)
        wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        flags = " ".join(flag for flag in wanted if flag in fields.get("flags", "").split())
    versions = {"CPU": f"{name} ({flags})", "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**versions, "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat()}

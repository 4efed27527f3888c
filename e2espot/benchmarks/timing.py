"""Interleaved timing: every variant once, then every variant again, so that a noisy machine is noisy for all.

A variant runs here, or in a process of its own: there it has only the settings its users would have, and its
peak memory is its own.
"""

from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import resource
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol

from e2espot.benchmarks.memory import ChildrenWatched, peak_mb, resident_mb
from e2espot.benchmarks.results import Row, Table

Work = Callable[[], int]
"""Does a piece of work once and returns how many units were done."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run of a variant."""

    units: int
    cpu_s: float
    """CPU seconds, children included."""
    wall_s: float
    peak_mb: float | None = None
    """Most memory so far, with its children; None where the process is not the variant's own."""
    grown_mb: float | None = None
    """Peak less what the process held before its first run."""


class Variant(Protocol):
    """One way to do a piece of work."""

    name: str

    def run(self) -> Sample:
        """Do it once."""


@dataclass(frozen=True, kw_only=True)
class Here:
    """Work done in this process."""

    name: str
    """As the table names it."""
    work: Work

    def run(self) -> Sample:
        """Do it once."""
        return _timed(self.work)


class Apart:
    """Work done in a fresh process on one thread.

    Args:
        name: As the table names it.
        build: A function of a module (it travels by name) that returns the work; loading and laying out is its part.
        told: Arguments of ``build``.
    """

    def __init__(self, name: str, build: Callable[..., Work], *told: Any) -> None:
        self.name, self._build, self._told = name, build, told
        self._process: Any = None
        self._pipe: Connection[Any, Any] | None = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._process.join(10)
            self._process.kill()

    def run(self) -> Sample:
        """Do it once; the process starts with the first time.

        Raises:
            RuntimeError: it failed, with what it said.
        """
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(other, partial(self._build, *self._told)), daemon=False
            )
            self._process.start()
            other.close()
        try:
            with suppress(BrokenPipeError):  # it has failed already; what it said is still to be read
                self._pipe.send("run")
            told = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name}: its process died") from None
        if isinstance(told, str):
            raise RuntimeError(f"{self.name}: {told}")
        sample: Sample = told
        return sample


def _serve(pipe: Connection[Any, Any], build: Callable[[], Work]) -> None:
    try:
        import torch

        torch.set_num_threads(1)
        work = build()
        gc.collect()
        held_mb, children_mb = resident_mb(), 0.0
        while pipe.recv():
            with ChildrenWatched() as children:
                sample = _timed(work)
            children_mb = max(children_mb, children.peak_mb)
            most_mb = peak_mb() + children_mb
            pipe.send(dataclasses.replace(sample, peak_mb=most_mb, grown_mb=most_mb - held_mb))
    except EOFError:
        return
    except Exception:
        pipe.send(traceback.format_exc())


def _timed(work: Work) -> Sample:
    gc.collect()
    cpu, wall = _cpu_s(), time.perf_counter()
    units = work()
    return Sample(units=units, cpu_s=_cpu_s() - cpu, wall_s=time.perf_counter() - wall)


def _cpu_s() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def interleaved(title: str, unit: str, variants: list[Any], repeats: int, *, warm_up: bool = True) -> Table:
    """Time every variant ``repeats`` times in turn, after one unmeasured round to warm up."""
    rows = [Row(name=variant.name, unit=unit) for variant in variants]
    with ExitStack() as stack:
        for variant in variants:
            if isinstance(variant, Apart):
                stack.enter_context(variant)
        for turn in range(0 if warm_up else 1, repeats + 1):
            for row, variant in zip(rows, variants, strict=True):
                sample = variant.run()
                if turn:
                    row.cpu_ms.append(1000 * sample.cpu_s / sample.units)
                    row.wall_ms.append(1000 * sample.wall_s / sample.units)
                row.peak_mb, row.grown_mb = sample.peak_mb, sample.grown_mb
    return Table(title=title, rows=rows)

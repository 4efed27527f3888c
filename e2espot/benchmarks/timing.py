"""Interleaved timing: every variant once, then every variant again, so that noise of the machine hits all alike.

A variant runs in this process or in a subprocess. A subprocess has only the settings that its users would have,
and its peak memory belongs to the variant alone.
"""

from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import resource
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from e2espot.benchmarks.memory import ChildMemoryMonitor, peak_mb, resident_mb
from e2espot.benchmarks.results import Row, Table

Work = Callable[[], int]
"""Does the work once and returns the number of units done."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run of a variant."""

    units: int
    """Units of work done."""
    cpu_s: float
    """CPU seconds, child processes included."""
    wall_s: float
    """Wall-clock seconds."""
    peak_mb: float | None = None
    """Peak memory so far, child processes included; None where the process is shared with other variants."""
    grown_mb: float | None = None
    """Peak memory minus what the process held before the first run."""


@dataclass(frozen=True, kw_only=True)
class InProcess:
    """A variant that runs in this process."""

    name: str
    """As the table shows it."""
    work: Work
    """Does the work once."""

    def run(self) -> Sample:
        """Do it once."""
        return _timed(self.work)


class Subprocess:
    """A variant that runs in a fresh process on one thread.

    Args:
        name: As the table shows it.
        build: Function at the top level of a module (it is pickled by name); prepares and returns the work.
        args: Arguments of ``build``.
    """

    def __init__(self, name: str, build: Callable[..., Work], *args: Any) -> None:
        self.name, self._build, self._args = name, build, args
        self._process: Any = None
        self._pipe: Connection[Any, Any] | None = None

    def __enter__(self) -> Subprocess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._process.join(10)
            self._process.kill()

    def run(self) -> Sample:
        """Do it once; the first call starts the process.

        Raises:
            RuntimeError: the work failed; with its traceback.
        """
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(other, partial(self._build, *self._args)), daemon=False
            )
            self._process.start()
            other.close()
        try:
            with suppress(BrokenPipeError):  # it has failed already; its traceback is still in the pipe
                self._pipe.send("run")
            reply = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name}: its process died") from None
        if isinstance(reply, str):
            raise RuntimeError(f"{self.name}: {reply}")
        sample: Sample = reply
        return sample


def _serve(pipe: Connection[Any, Any], build: Callable[[], Work]) -> None:
    """Run in the subprocess: one sample for each message, a traceback on failure."""
    try:
        import torch

        torch.set_num_threads(1)
        work = build()
        gc.collect()
        initial_mb, children_mb = resident_mb(), 0.0
        while pipe.recv():
            with ChildMemoryMonitor() as children:
                sample = _timed(work)
            children_mb = max(children_mb, children.peak_mb)
            most_mb = peak_mb() + children_mb
            pipe.send(dataclasses.replace(sample, peak_mb=most_mb, grown_mb=most_mb - initial_mb))
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
    used = [resource.getrusage(target) for target in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def interleaved(
    title: str,
    unit: str,
    variants: Sequence[InProcess | Subprocess],
    repeats: int,
    *,
    warm_up: bool = True,
    print_line: Callable[[str], None] | None = None,
) -> Table:
    """Time every variant ``repeats`` times in turn, after one round that is not measured if ``warm_up``.

    Args:
        title: Of the table.
        unit: What times are divided by.
        variants: One for each row of the table.
        repeats: Measured rounds.
        warm_up: Whether a round that is not measured comes first.
        print_line: Called with a line for each measurement as soon as it is known, where rounds take minutes.
    """
    rows = [Row(name=variant.name, unit=unit) for variant in variants]
    with ExitStack() as stack:
        for variant in variants:
            if isinstance(variant, Subprocess):
                stack.enter_context(variant)
        for turn in range(0 if warm_up else 1, repeats + 1):
            for row, variant in zip(rows, variants, strict=True):
                sample = variant.run()
                if turn:
                    row.cpu_ms.append(1000 * sample.cpu_s / sample.units)
                    row.wall_ms.append(1000 * sample.wall_s / sample.units)
                    if print_line is not None:
                        print_line(_line(row.name, unit, sample))
                row.peak_mb, row.grown_mb = sample.peak_mb, sample.grown_mb
    return Table(title=title, rows=rows)


def _line(name: str, unit: str, sample: Sample) -> str:
    """``e2espot: 1200 rows in 94 CPU s, 78.3 CPU ms each, peak 1067 MB``."""
    each = f"{sample.units} {unit}s in {sample.cpu_s:.1f} CPU s, {1000 * sample.cpu_s / sample.units:.2f} CPU ms each"
    return f"{name}: {each}" + (f", peak {sample.peak_mb:.0f} MB" if sample.peak_mb is not None else "")

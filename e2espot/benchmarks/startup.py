"""Start-up time: importing the library, and the help of every command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from e2espot.benchmarks.results import BenchResults, Target
from e2espot.benchmarks.timing import InProcess, Work, interleaved


def bench_startup(commands: Sequence[Sequence[str]], repeats: int) -> BenchResults:
    """Time each in a fresh interpreter; wall time is what a user waits for. Modules are compiled in a first round.

    Args:
        commands: Arguments of ``e2espot`` that print a help text.
        repeats: Measured rounds.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _time_starts(commands, repeats, {**os.environ, **_keeping_bytecode(folder)})


def _keeping_bytecode(folder: str) -> dict[str, str]:
    """Variables of an interpreter that keeps what it compiles, as it does by default: empty counts as not set."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}


def _time_starts(commands: Sequence[Sequence[str]], repeats: int, environment: Mapping[str, str]) -> BenchResults:
    def run(*command: str) -> Work:
        def work() -> int:
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env=environment)
            return 1

        return work

    variants = [
        InProcess(name="python, nothing imported", work=run("-c", "pass")),
        InProcess(name="import e2espot", work=run("-c", "import e2espot")),
    ]
    for words in commands:
        variants.append(InProcess(name=" ".join(("e2espot", *words)), work=run("-m", "e2espot", *words)))
    table = interleaved("start-up", "start", variants, repeats)
    slowest = max(table.rows[1:], key=lambda row: min(row.wall_ms))
    target = Target(
        what="start-up: import and help",
        baseline=f"slowest: {slowest.name}",
        target="under 0.5 s",
        most=0.5,
        unit="s",
        measured=min(slowest.wall_ms) / 1000,
    )
    return BenchResults(tables=[table], targets=[target])

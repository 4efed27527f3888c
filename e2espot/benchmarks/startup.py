"""Start-up time: importing the library, and the help of every command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from e2espot.benchmarks.results import BenchResults, Target
from e2espot.benchmarks.timing import InProcess, Work, interleaved


def bench_startup(commands: Sequence[Sequence[str]], repeats: int) -> BenchResults:
    """Time each in a fresh interpreter; wall time is what a user waits for.

    Args:
        commands: Arguments of ``e2espot`` that print a help text.
        repeats: Measured rounds.
    """

    def run(*command: str) -> Work:
        def work() -> int:
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
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

"""How long one waits before anything happens: importing the library, asking a tool for its help."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from e2espot.benchmarks.results import Findings, Target
from e2espot.benchmarks.timing import Here, Work, interleaved


def bench_start(commands: Sequence[str], repeats: int) -> Findings:
    """A fresh interpreter each time; wall time is what a user waits."""

    def run(*command: str) -> Work:
        def work() -> int:
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            return 1

        return work

    variants = [
        Here(name="python, nothing imported", work=run("-c", "pass")),
        Here(name="import e2espot", work=run("-c", "import e2espot")),
    ]
    for command in ("", *commands):
        words = ("-m", "e2espot", *command.split(), "--help")
        variants.append(Here(name=" ".join(words[1:]), work=run(*words)))
    table = interleaved("to the first word", "start", variants, repeats)
    slowest = max(table.rows[1:], key=lambda row: min(row.wall_ms))
    target = Target(
        road="import e2espot, --help",
        against=f"the slowest is {slowest.name}",
        promised="under 0.5 s",
        most=0.5,
        unit="s",
        measured=min(slowest.wall_ms) / 1000,
    )
    return Findings(tables=[table], targets=[target])

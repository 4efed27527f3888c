"""How long one waits before anything happens: importing the library, asking a tool for its help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from e2espot.benchmarks.tables import Findings, Target
from e2espot.benchmarks.timing import Here, Work, interleaved

_TOOLS = Path(__file__).parents[2] / "tools"


def bench_start(repeats: int) -> Findings:
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
    for tool in sorted(_TOOLS.glob("*.py")):
        variants.append(Here(name=f"tools/{tool.name} --help", work=run(str(tool), "--help")))
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

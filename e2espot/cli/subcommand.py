"""Run one ``e2espot`` command from another, in a process of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys

from e2espot.core.errors import E2ESpotError

_INTERRUPTED = (130, -2)
"""Exit status of a command that was interrupted, and of one that died of SIGINT."""


def run_subcommand(name: str, *arguments: object, show: bool = False) -> None:
    """Run ``e2espot NAME ARGUMENTS``; it prints its own error.

    Args:
        name: The command.
        arguments: What follows it.
        show: Print the command line first.

    Raises:
        E2ESpotError: it failed.
        KeyboardInterrupt: it was interrupted.
    """
    words = [name, *map(str, arguments)]
    if show:
        print(f"\n$ e2espot {shlex.join(words)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "e2espot", *words], check=False).returncode
    if code in _INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise E2ESpotError(f"e2espot {name} failed with exit status {code}; see above")

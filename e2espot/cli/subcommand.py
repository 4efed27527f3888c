"""Run one ``e2espot`` command from another, in a process of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys

from e2espot.core.errors import ConfigurationError, E2ESpotError

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
        print(f"\n$ {command_line(*words)}", flush=True)
    with subprocess.Popen([sys.executable, "-m", "e2espot", *words]) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # A terminal signals both: this one waits until the other has saved its work. A second signal ends it.
            try:
                process.wait()
            except KeyboardInterrupt:
                process.kill()
            raise
    if code in _INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise E2ESpotError(f"e2espot {name} failed with exit status {code}; see above")


def command_line(name: str, *arguments: object) -> str:
    """``e2espot NAME ARGUMENTS`` to copy into a shell, with paths that hold spaces in quotes."""
    return shlex.join(["e2espot", name, *map(str, arguments)])


def split_words(text: str, option: str) -> list[str]:
    """Split what an option adds to the command line of another command.

    Args:
        text: Such as ``--num_epochs 3 --fps 25``.
        option: The option, for the error.

    Raises:
        ConfigurationError: a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is not a command line: {error}", option=option) from None

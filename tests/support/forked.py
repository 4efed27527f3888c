"""Processes forked from a server that has imported torch and this package, which takes longer than their work."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_IMPORTED_ONCE = ["e2espot.cli.main", "e2espot.training.setup", "e2espot.training.fit", "e2espot.inference.local"]


def fork(
    target: Callable[..., object], *arguments: Any, errors: Path, environment: Mapping[str, str] | None = None
) -> ForkServerProcess:
    """Start ``target(*arguments)`` in a process and session of its own.

    Args:
        target: Function of a module.
        arguments: What it is called with.
        errors: File for its standard error.
        environment: Variables in addition to those of this process.
    """
    multiprocessing.set_forkserver_preload(_IMPORTED_ONCE)  # if the workers of a test before have not started it
    errors.touch()
    process = _SERVER.Process(target=_run, args=(target, arguments, str(errors), dict(environment or {})))
    process.start()
    return process


def _run(target: Callable[..., object], arguments: tuple[Any, ...], errors: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    target(*arguments)

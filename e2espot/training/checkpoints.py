"""A run on disk: what to resume from, what to use. Every file appears whole or not at all."""

from __future__ import annotations

import io
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
import yaml

from e2espot.core.errors import CheckpointError
from e2espot.files.atomic import sweep, write_atomically

_LOG = logging.getLogger(__name__)

_STATE, _BEFORE = "state.pt", "before.pt"


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Replace the state to resume from; the one before it is kept beside it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    folder = run / "last"
    if (folder / _STATE).is_file():
        _keep(folder / _STATE, folder / _BEFORE)
    write_atomically(folder / _STATE, buffer.getvalue())


def _keep(file: Path, name: Path) -> None:
    """Let ``file`` be found under another name as well, which is never without a whole file."""
    link = name.with_name(f".{name.name}.{os.getpid()}.part")
    try:
        link.unlink(missing_ok=True)
        link.hardlink_to(file)
        link.replace(name)
        link.unlink(missing_ok=True)  # two names of one file already: then replace() does nothing
    except OSError as error:  # such as file systems without hard links
        _LOG.debug("%s is not kept: %s", file, error)


def load_state(run: Path) -> dict[str, Any] | None:
    """State saved last, or None when the run has none; only tensors and plain values are read, nothing executes.

    A damaged one is passed over for the one before it, and the log says so.

    Raises:
        CheckpointError: neither can be read.
    """
    files = [file for name in (_STATE, _BEFORE) if (file := run / "last" / name).is_file()]
    problems = []
    for file in files:
        try:
            state = dict(torch.load(file, map_location="cpu", weights_only=True))
        except Exception as error:
            problems.append(f"{file}: cannot be read ({_first_line(error)})")
            continue
        for problem in problems:
            _LOG.warning("%s; going on from %s", problem, file)
        return state
    if problems:
        raise CheckpointError(f"{'; '.join(problems)}; remove {run / 'last'} to start anew")
    return None


def _first_line(error: Exception) -> str:
    """Without torch's advice to let the file run code."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return "no state of a run" if "weights_only" in line else line


def sweep_run(run: Path) -> None:
    """Remove what a killed process has left half-written in a run folder."""
    for folder in (run, run / "last"):
        sweep(folder)


def save_config(run: Path, config: dict[str, Any]) -> None:
    """Write the resolved recipe as ``config.yaml``."""
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(run / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())


def load_config(run: Path) -> dict[str, Any]:
    """Recipe a run was started with.

    Raises:
        CheckpointError: not a run folder.
    """
    try:
        return dict(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{run}: no readable config.yaml in this run folder ({type(error).__name__})") from None


def write_metrics(run: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``metrics.jsonl``, one line a validated or finished epoch."""
    write_atomically(run / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())

"""A run on disk: what to resume from, what to use. Every file appears whole or not at all."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
import yaml

from e2espot.errors import CheckpointError
from e2espot.formats.atomic import write_atomically

_STATE = "state.pt"


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Replace the state to resume from."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    (run / "last").mkdir(parents=True, exist_ok=True)
    write_atomically(run / "last" / _STATE, buffer.getvalue())


def load_state(run: Path) -> dict[str, Any] | None:
    """State saved last, or None when the run has none; only tensors and plain values are read, nothing executes.

    Raises:
        CheckpointError: the file is damaged.
    """
    file = run / "last" / _STATE
    if not file.is_file():
        return None
    try:
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:
        raise CheckpointError(
            f"{file}: cannot be read ({str(error).splitlines()[0]}); remove it to start anew"
        ) from None


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
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise CheckpointError(f"{run}: no readable config.yaml in this run folder ({type(error).__name__})") from None


def write_metrics(run: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``metrics.jsonl``, one line a validated or finished epoch."""
    write_atomically(run / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())

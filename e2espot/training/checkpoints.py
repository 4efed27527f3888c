"""Files of a run folder: the state to resume from, the config, the metrics.

    config.yaml  metrics.jsonl  best.safetensors  calibration.json  last/state.pt  last/before.pt

Every file appears whole or not at all.
"""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml

from e2espot.core.errors import CheckpointError, first_line
from e2espot.core.label_sets import LABEL_SETS, LabelSet
from e2espot.files.atomic import sweep, write_atomically
from e2espot.files.lock import ProcessLock

_LOG = logging.getLogger(__name__)

_STATE, _PREVIOUS_STATE = "state.pt", "before.pt"
CLASSES_FILE = "class.txt"
"""The classes of a run that are not one of the known label sets, one name a line."""


def save_state(run: Path, state: dict[str, Any]) -> None:
    """Replace the state to resume from; the previous one is kept next to it."""
    # Serialised in memory first: an error while torch writes must not cost the previous state.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    folder = run / "last"
    if (folder / _STATE).is_file():
        _link(folder / _STATE, folder / _PREVIOUS_STATE)
    write_atomically(folder / _STATE, buffer.getvalue())


def _link(file: Path, name: Path) -> None:
    """Give ``file`` a second name, atomically, so that there is a whole file under it at any time."""
    link = name.with_name(f".{name.name}.{os.getpid()}.part")
    try:
        link.unlink(missing_ok=True)
        link.hardlink_to(file)
        link.replace(name)
        link.unlink(missing_ok=True)  # replace() does nothing where both are names of one file already
    except OSError as error:  # such as file systems without hard links
        _LOG.debug("no previous state is stored: %s", error)


def load_state(run: Path) -> dict[str, Any] | None:
    """The latest readable state, or None when the run has none.

    Only tensors and plain values are read; no code in the file is run. A damaged state is skipped, with a warning,
    for the previous one.

    Raises:
        CheckpointError: neither can be read.
    """
    files = [file for name in (_STATE, _PREVIOUS_STATE) if (file := run / "last" / name).is_file()]
    problems = []
    for file in files:
        try:
            state = dict(torch.load(file, map_location="cpu", weights_only=True))
        except pickle.UnpicklingError:  # whose text advises to run the code in the file
            problems.append(f"{file}: cannot be read (no state of a run)")
            continue
        except Exception as error:
            problems.append(f"{file}: cannot be read ({first_line(error)})")
            continue
        for problem in problems:
            _LOG.warning("%s; continuing from %s", problem, file)
        return state
    if problems:
        raise CheckpointError(f"{'; '.join(problems)}; remove {run / 'last'} to start again")
    return None


def lock_run(run: Path) -> ProcessLock | None:
    """Keep other trainings out of a run folder; None where its file system has no locks.

    Raises:
        ConfigurationError: another training works in it.
    """
    refusal = f"{run}: another training works in this folder; wait for its end, or choose another folder"
    try:
        return ProcessLock(run / ".lock", refusal)
    except OSError as error:
        _LOG.warning("%s: not locked against other trainings: %s", run, error)
        return None


def sweep_run(run: Path) -> None:
    """Remove files that a killed process left half-written in a run folder."""
    for folder in (run, run / "last"):
        sweep(folder)


def save_config(run: Path, config: dict[str, Any]) -> None:
    """Write ``config.yaml``."""
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(run / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())


def save_classes(run: Path, label_set: LabelSet) -> None:
    """Keep the classes of a run that a file of its user names, so that it can be resumed without that file."""
    write_atomically(run / CLASSES_FILE, "".join(f"{name}\n" for name in label_set.names).encode())


def load_config(run: Path) -> dict[str, Any]:
    """Settings that a run was started with; versions before 0.2 stored no ``e2espot_version``.

    Classes that a file of the user named are those that the run keeps, whatever became of that file.

    Raises:
        CheckpointError: not a run folder.
    """
    try:
        fields = dict(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{run}: no readable config.yaml in this run folder ({type(error).__name__})") from None
    name = fields.get("label_set")
    if isinstance(name, str) and name not in LABEL_SETS and (run / CLASSES_FILE).is_file():
        fields["label_set"] = str(run / CLASSES_FILE)
    return fields


def add_preparations(run: Path, prepared: dict[str, dict[str, Any]]) -> None:
    """Record in ``preparations.json`` what is done to the pictures of which videos, next to what it holds already.

    Without any, the run has no such file.
    """
    path = run / "preparations.json"
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):  # a damaged record is written again
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    if prepared and known != known | prepared:
        write_atomically(path, (json.dumps(known | prepared, indent=1, sort_keys=True) + "\n").encode())


def write_metrics(run: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``metrics.jsonl``, one line per finished epoch."""
    write_atomically(run / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())

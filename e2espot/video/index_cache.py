"""Indexes of long files, kept on disk: the next process need not read the whole file again.

An index is found by the file's path, size and modification time. Nothing in the store is
executed; what cannot be read is made anew, and a store that cannot be written is done without.
``E2ESPOT_INDEX_CACHE`` names another folder, or is empty for none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from e2espot.core.errors import E2ESpotError
from e2espot.files.atomic import write_atomically
from e2espot.files.npz import read_arrays
from e2espot.video.index import Presentation

_FORMAT = 3
"""Raised when an index means something else, so that older ones are made anew."""
_WORTH_KEEPING = 1000
"""Packets from which on reading the store is quicker than reading the file."""
_MOST_FILES = 2000


def folder() -> Path | None:
    """Where indexes are kept; None for nowhere."""
    told = os.environ.get("E2ESPOT_INDEX_CACHE")
    if told is not None:
        return Path(told) if told else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "e2espot" / "indexes"


def fetch(path: Path, byte_size: int, mtime_ns: int) -> Presentation | None:
    """The index kept for the file as it is now, if there is one."""
    place = _place(path, byte_size, mtime_ns)
    if place is None:
        return None
    try:
        arrays: dict[str, Any] = dict(read_arrays(place))
        facts, digest = str(arrays.pop("facts")), str(arrays.pop("digest"))
        if digest != _digest(facts, arrays):
            return None
        told: dict[str, Any] = json.loads(facts)
        for name in ("time_base", "last_duration", "promised_s"):
            told[name] = Fraction(told[name]) if told.get(name) is not None else None
        return Presentation(**told, **arrays, path=path)
    except (OSError, KeyError, ValueError, TypeError):
        return None


def store(presentation: Presentation) -> None:
    """Keep an index that is worth it."""
    place = _place(presentation.path, presentation.byte_size, presentation.mtime_ns)
    if place is None or presentation.num_packets < _WORTH_KEEPING:
        return
    fields = {field.name: getattr(presentation, field.name) for field in dataclasses.fields(presentation)}
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    facts = {
        name: str(value) if isinstance(value, Fraction) else value
        for name, value in fields.items()
        if name not in arrays and name != "path"
    }
    text, buffer = json.dumps(facts), BytesIO()
    told: dict[str, Any] = {"facts": np.array(text), "digest": np.array(_digest(text, arrays)), **arrays}
    np.savez_compressed(buffer, **told)
    with suppress(OSError, E2ESpotError):
        write_atomically(place, buffer.getvalue())
        _thin_out(place.parent)


def _digest(facts: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Tells whether an index is as it was written: a wrong one would show wrong pictures and nobody would know."""
    digest = hashlib.sha256(facts.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _place(path: Path, byte_size: int, mtime_ns: int) -> Path | None:
    base = folder()
    if base is None:
        return None
    key = f"{_FORMAT}\n{path.absolute()}\n{byte_size}\n{mtime_ns}"
    return base / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.npz"


def _thin_out(base: Path) -> None:
    """Remove the oldest indexes beyond the most that are kept."""
    kept = sorted(base.glob("*.npz"), key=lambda file: file.stat().st_mtime)
    for file in kept[: max(0, len(kept) - _MOST_FILES)]:
        file.unlink(missing_ok=True)

"""The folder for files that can be made again at any time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(name: str) -> Path:
    """A folder of this package's cache: ``$XDG_CACHE_HOME/e2espot/name``, or ``~/.cache/e2espot/name``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "e2espot" / name

"""Folders below a folder, linked ones too."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

_LOG = logging.getLogger(__name__)


def folders_below(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """``root`` and every folder below it once, each with the names of its files; who cannot be read is named."""

    def warn(error: OSError) -> None:  # a disk's own lost+found is no reason to stop
        _LOG.warning("%s: cannot be read (%s); left out", error.filename, error.strerror)

    seen: set[Path] = set()
    for name, folders, files in os.walk(root, onerror=warn, followlinks=True):
        folders.sort()
        place = Path(name).resolve()
        if place in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add(place)
        yield Path(name), files

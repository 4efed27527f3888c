"""Walks a folder tree, through links as well."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

_LOG = logging.getLogger(__name__)


def folders_below(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """``root`` and every folder below it, each once, with the names of its files.

    Follows links, also those that lead back. A folder that cannot be read is logged and left out.
    """

    def warn(error: OSError) -> None:  # such as lost+found at the root of a disk
        _LOG.warning("%s: cannot be read (%s); left out", error.filename, error.strerror)

    seen: set[Path] = set()
    for name, folders, files in os.walk(root, onerror=warn, followlinks=True):
        folders.sort()
        folder = Path(name).resolve()
        if folder in seen:  # a link to a folder that was visited before
            folders.clear()
            continue
        seen.add(folder)
        yield Path(name), files

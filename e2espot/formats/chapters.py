"""Files that a camera or a disc made of one recording, by their names.

GX010012.MP4, GX020012.MP4       chapters 1 and 2 of GoPro's recording 12
VTS_01_1.VOB, VTS_01_2.VOB       a title of a DVD
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_CHAPTERS = (
    re.compile(r"(?P<kind>G[HXL])(?P<chapter>\d{2})(?P<recording>\d{4})\.mp4", re.IGNORECASE),
    re.compile(r"(?P<kind>VTS)_(?P<recording>\d{2})_(?P<chapter>[1-9])\.vob", re.IGNORECASE),
)


def recordings_in_chapters(paths: Iterable[Path]) -> list[list[Path]]:
    """The recordings that several of the files are of, each with its chapters in order.

    Args:
        paths: Files, whether they exist or not.
    """
    recordings: dict[tuple[str, ...], dict[str, Path]] = {}
    for path in paths:
        match = next(filter(None, (pattern.fullmatch(path.name) for pattern in _CHAPTERS)), None)
        if match is not None:
            key = str(path.parent), match["kind"].upper(), match["recording"]
            recordings.setdefault(key, {})[match["chapter"]] = path
    return [[chapters[number] for number in sorted(chapters)] for chapters in recordings.values() if len(chapters) > 1]

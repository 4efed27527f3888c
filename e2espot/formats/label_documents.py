"""Label files next to videos, whatever their kind, in the form of SoccerNet's: top-level fields and rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError
from e2espot.files.json_fields import read_bytes
from e2espot.formats.soccernet_json import label_document, make_row, parse_document
from e2espot.formats.table import read_table


def read_label_document(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """Top-level fields and rows of a label file of one game: SoccerNet's JSON, or a table (``.csv``, ``.tsv``).

    Raises:
        AnnotationError: the file cannot be read, or is a table of several games.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        return parse_document(read_bytes(path), "label", str(path))
    videos = read_table(path, predictions=False).videos
    games = sorted({video.game for video in videos})
    if len(games) > 1:
        raise AnnotationError(
            f"{path}: has labels of {len(games)} games, {games[0]!r} and others; convert it to a label file for each"
        )
    rows = [
        make_row(
            "label",
            half=video.half,
            position_ms=event.position_ms,
            label=event.label,
            team=event.team,
            visibility=event.visibility,
        )
        for video in videos
        for event in video.annotations
    ]
    return label_document(path.stem, rows), rows

"""Which stretches of each game were annotated, as a person states it: in words, or in a table.

0:00-10:00              game,half,start,end          video_id,time,event
1/0:00-45:00            derby,1,0:00,45:00           1606b0e6_0,200.2,start
                        derby,2,5:00,20:00           1606b0e6_0,300.0,end
of every game           a row a stretch              as in Kaggle's DFL data
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2espot.core.annotated import AnnotatedHalves, AnnotatedRanges, merge_ranges, parse_annotated
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import HALVES, parse_clock_ms
from e2espot.files.json_fields import KNOWN_HALVES, decode_text, read_bytes
from e2espot.formats.dfl import read_dfl
from e2espot.formats.video_paths import games_of_paths

_SUFFIXES = (".csv", ".tsv")
_GAME_COLUMNS = ("game", "video", "video_id", "match", "file")
_NOTHING: AnnotatedHalves = {half: AnnotatedRanges() for half in HALVES}


@dataclass(frozen=True, kw_only=True)
class StatedStretches:
    """What a command states about the games of a dataset, besides what their label files say."""

    everywhere: AnnotatedHalves = field(default_factory=dict)
    """Of every game; empty for everything."""
    by_game: Mapping[str, AnnotatedHalves] | None = None
    """Name of a game, or the end of it after a slash -> its stretches; of a game that is not listed nothing was
    annotated. None for no table."""
    source: str = ""
    """The table."""

    def of(self, game: str) -> AnnotatedHalves:
        """Half -> stretches of one game; a half that is not listed was annotated in full."""
        if self.by_game is None:
            return self.everywhere
        parts = game.split("/")
        # "league/season/derby": also "season/derby" and "derby"
        names = ("/".join(parts[first:]) for first in range(len(parts)))
        return next((self.by_game[name] for name in names if name in self.by_game), _NOTHING)

    def check(self, games: Collection[str]) -> None:
        """Refuse a table that lists not one of the games.

        Raises:
            ConfigurationError: it does.
        """
        if self.by_game is not None and games and all(self.of(game) is _NOTHING for game in games):
            raise ConfigurationError(
                f"{self.source} lists {', '.join(list(self.by_game)[:4]) or 'no game'}, and the games are "
                f"{', '.join(list(games)[:4])}; give the games the same names",
                option="annotated",
            )


def stated_stretches(text: str) -> StatedStretches:
    """What ``--annotated`` says: stretches, the name of a table (``.csv``, ``.tsv``), or nothing.

    Raises:
        AnnotationError: a row of a table that cannot be read; names file and line.
        ConfigurationError: stretches of another form, or no such table.
    """
    if not text.lower().endswith(_SUFFIXES):
        return StatedStretches(everywhere=parse_annotated(text))
    if not Path(text).is_file():
        raise ConfigurationError(f"{text}: no such table of annotated stretches", option="annotated")
    return StatedStretches(by_game=_read(Path(text)), source=text)


def _read(path: Path) -> dict[str, AnnotatedHalves]:
    text = decode_text(read_bytes(path), str(path)).lstrip("\ufeff")
    heading = text.partition("\n")[0]
    separator = max(";\t,", key=heading.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise AnnotationError(f"{path}: not a table ({error})") from None
    names = [cell.strip().lower() for cell in lines[0]] if lines else []
    if {"video_id", "time", "event"} <= {*names}:
        videos = read_dfl(path, predictions=False).videos
        return {video.game: {video.half: video.annotated or AnnotatedRanges()} for video in videos}
    game_column = next((name for name in _GAME_COLUMNS if name in names), None)
    if game_column is None or not {"start", "end"} <= {*names}:
        columns = " ".join(", ".join(names).split())  # a quote that never closes spans lines
        raise AnnotationError(
            f"{path}: its columns are {columns[:120]}; expected game, start, end and, if needed, half"
        )
    rows: list[tuple[str, int, tuple[int, int]]] = []
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(names, (cell.strip() for cell in line), strict=False))
        if any(row.values()):
            rows.append(_row(row, game_column, f"{path}: line {number}"))
    games = games_of_paths(dict.fromkeys(name for name, _, _ in rows))
    ranges: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for name, half, stretch in rows:
        game, half_of_file = games.get(name, (name, 1))
        ranges.setdefault((game, max(half, half_of_file)), []).append(stretch)
    return {
        game: {half: merge_ranges(ranges.get((game, half), ())) for half in HALVES}
        for game in dict.fromkeys(game for game, _ in ranges)
    }


def _row(row: Mapping[str, str], game_column: str, context: str) -> tuple[str, int, tuple[int, int]]:
    """Game, half and milliseconds of a row."""
    half = row.get("half", "").removesuffix(".0") or "1"  # as pandas writes it
    if half not in map(str, HALVES):
        raise AnnotationError(f"{context}: half is {half!r:.40}; {KNOWN_HALVES}")
    times = [parse_clock_ms(row.get(name, "").replace(",", ".")) for name in ("start", "end")]
    start_ms, stop_ms = times
    if start_ms is None or stop_ms is None or start_ms > stop_ms:
        raise AnnotationError(
            f"{context}: is from {row.get('start', '')!r:.40} to {row.get('end', '')!r:.40}; expected seconds, or "
            "hours:minutes:seconds, in order"
        )
    if not row.get(game_column):
        raise AnnotationError(f"{context}: no {game_column}")
    return row[game_column], int(half), (start_ms, stop_ms)

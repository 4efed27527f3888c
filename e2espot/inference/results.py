"""The results of many games: what is there already, what is still owed, what is written when a game is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from e2espot.core.events import Event
from e2espot.files.atomic import sweep, write_atomically
from e2espot.formats.games import Game, Video
from e2espot.formats.scores import write_scores
from e2espot.formats.soccernet import write_predictions

if TYPE_CHECKING:
    from e2espot.inference.job import VideoResult

PREDICTIONS = "results_spotting.json"
_OWED = ".owed"
"""Stands beside results that are to be made anew until they are."""


def pending_games(games: Mapping[str, Game], out: Path, *, save_scores: bool, resume: bool) -> dict[str, Game]:
    """The games to spot: with ``resume`` those without results. What killed writers left is removed.

    Results of an earlier run stay until new ones are there, and never count as new ones.
    """
    for name in games:
        sweep(out / name)
    if resume:
        return {name: game for name, game in games.items() if _is_owed(game, out / name, save_scores)}
    for name, game in games.items():
        if any((out / name / file).exists() for file in _files(game, save_scores=True)):
            write_atomically(out / name / _OWED, b"")
    return dict(games)


def _is_owed(game: Game, folder: Path, save_scores: bool) -> bool:
    return (folder / _OWED).exists() or not all((folder / file).is_file() for file in _files(game, save_scores))


def _files(game: Game, save_scores: bool) -> list[str]:
    """Files a game leaves, the predictions last."""
    scores = [_scores_file(game, video.half) for video in game.videos] if save_scores else []
    return [*scores, PREDICTIONS]


def _scores_file(game: Game, half: int) -> str:
    return f"scores_{half}.npz" if len(game.videos) > 1 else "scores.npz"


@dataclass(kw_only=True)
class BatchResults:
    """Games in work, and where they go."""

    games: Mapping[str, Game]
    """Name of the results -> game."""
    out: Path
    """Folder for the results."""
    fps: Fraction
    """Rate of the grid that events are counted on."""
    _found: dict[str, dict[int, VideoResult]] = field(default_factory=dict)

    @property
    def videos(self) -> list[Video]:
        """Every video of every game, in order."""
        return [video for game in self.games.values() for video in game.videos]

    def take(self, found: VideoResult) -> tuple[Path, list[Event]] | None:
        """Keep what was found in a video; write its game, and give path and events, when nothing more is owed.

        Raises:
            E2ESpotError: the folder cannot be written.
        """
        name = found.video.game
        halves = self._found.setdefault(name, {})
        halves[found.video.half] = found
        if len(halves) < len(self.games[name].videos):
            return None
        return self._write(name, [halves[half] for half in sorted(self._found.pop(name))])

    def _write(self, name: str, halves: list[VideoResult]) -> tuple[Path, list[Event]]:
        for found in halves:
            file = self.out / name / _scores_file(self.games[name], found.video.half)
            if found.scores is not None:
                write_scores(file, found.scores)
            else:
                file.unlink(missing_ok=True)  # an earlier run's; they would not be those of these events
        events = [event for found in halves for event in found.events]
        path = self.out / name / PREDICTIONS
        damaged = {found.video.half: found.coverage for found in halves if found.coverage is not None}
        write_predictions(path, url_local=name, events=events, fps=self.fps, coverage=damaged)
        (self.out / name / _OWED).unlink(missing_ok=True)
        return path, events

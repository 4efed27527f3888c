"""The results of many games: which games are pending, and the files of a game that is complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from e2espot.core.errors import E2ESpotError, VideoError
from e2espot.core.events import Event
from e2espot.files.atomic import sweep, write_atomically
from e2espot.formats.filenames import RESULTS_FILE, scores_file
from e2espot.formats.game import Game, Video
from e2espot.formats.scores import write_scores
from e2espot.formats.soccernet import write_predictions

if TYPE_CHECKING:
    from e2espot.inference.job import VideoFailure, VideoResult

TRACEBACK_FILE = "traceback.txt"
"""The traceback of a game that failed unexpectedly; removed when it succeeds."""
_PENDING_FILE = ".owed"
"""Marks a game whose results are of an earlier run and wait to be replaced; removed with the new results."""


def pending_games(games: Mapping[str, Game], out: Path, *, save_scores: bool, resume: bool) -> dict[str, Game]:
    """Games to predict: all of them, or with ``resume`` those without results.

    Temporary files of killed writers are removed. Results of an earlier run stay until new ones
    replace them, and are marked so that a later ``resume`` does not take them for new ones.

    Args:
        games: Name of the results -> game.
        out: Folder for the results.
        save_scores: Whether a game needs its scores as well to be complete.
        resume: Leave out games that are complete.
    """
    for name in games:
        sweep(out / name)
    if resume:
        return {name: game for name, game in games.items() if _is_pending(game, out / name, save_scores)}
    # Without the marker, this run killed half-way and resumed would keep the old results of the other half.
    for name, game in games.items():
        if any((out / name / file).exists() for file in _files(game, save_scores=True)):
            write_atomically(out / name / _PENDING_FILE, b"")
    return dict(games)


def _is_pending(game: Game, folder: Path, save_scores: bool) -> bool:
    return (folder / _PENDING_FILE).exists() or not all((folder / file).is_file() for file in _files(game, save_scores))


def _files(game: Game, save_scores: bool) -> list[str]:
    """Files of a complete game, the predictions last."""
    scores = [scores_file(video.half, len(game.videos)) for video in game.videos] if save_scores else []
    return [*scores, RESULTS_FILE]


@dataclass(kw_only=True)
class BatchResults:
    """Collects the results of videos in any order, and writes each game when all its videos are there."""

    games: Mapping[str, Game]
    """Name of the results -> game."""
    out: Path
    """Folder for the results."""
    fps: Fraction
    """Rate of the grid on which events are counted."""
    _results: dict[str, dict[int, VideoResult]] = field(default_factory=dict)
    """Game -> half -> result, of games that are not complete."""

    @property
    def videos(self) -> list[Video]:
        """Every video of every game, in order."""
        return [video for game in self.games.values() for video in game.videos]

    def add(self, result: VideoResult) -> tuple[Path, list[Event]] | None:
        """Add the result of one video; write its game once that is complete.

        Returns:
            The file and its events when the game was written, else None.

        Raises:
            OSError: the folder cannot be written.
        """
        name = result.video.game
        halves = self._results.setdefault(name, {})
        halves[result.video.half] = result
        if len(halves) < len(self.games[name].videos):
            return None
        return self._write(name, [halves[half] for half in sorted(self._results.pop(name))])

    def add_failure(self, failure: VideoFailure) -> VideoError:
        """Write the traceback of an unexpected failure to the folder of its game.

        Returns:
            The error to report, which names the traceback if there is one.
        """
        if failure.traceback is None:
            return failure.error
        path = self.out / failure.video.game / TRACEBACK_FILE
        try:
            write_atomically(path, failure.traceback.encode("utf-8", "backslashreplace"))
        except E2ESpotError as error:
            return VideoError(f"{failure.error}; {error}")
        return VideoError(f"{failure.error}; the traceback is in {path}")

    def _write(self, name: str, halves: list[VideoResult]) -> tuple[Path, list[Event]]:
        for result in halves:
            file = self.out / name / scores_file(result.video.half, len(self.games[name].videos))
            if result.scores is not None:
                write_scores(file, result.scores)
            else:
                file.unlink(missing_ok=True)  # scores of an earlier run do not belong to these events
        events = [event for result in halves for event in result.events]
        path = self.out / name / RESULTS_FILE
        partial = {result.video.half: result.coverage for result in halves if result.coverage is not None}
        adaptations = {result.video.half: result.adaptations for result in halves if result.adaptations}
        prepared = [
            {"half": str(result.video.half), "file": file, **preparation.to_json()}
            for result in halves
            for file, preparation in result.prepared
        ]
        write_predictions(
            path,
            url_local=name,
            events=events,
            fps=self.fps,
            coverage=partial,
            adaptations=adaptations,
            prepared=prepared,
        )
        (self.out / name / _PENDING_FILE).unlink(missing_ok=True)
        (self.out / name / TRACEBACK_FILE).unlink(missing_ok=True)
        return path, events

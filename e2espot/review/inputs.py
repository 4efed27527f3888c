"""What a review is about: games with their videos, predictions, scores and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS, LabelSet, label_set_named
from e2espot.core.timeline import DEFAULT_FPS, frame_of_position_ms
from e2espot.files.bundle import Bundle
from e2espot.formats.filenames import BALL_LABEL_FILE, RESULTS_FILE, scores_file
from e2espot.formats.games import Game, Video, find_games
from e2espot.formats.soccernet_json import parse_document, read_rows
from e2espot.review.label_rows import event_of_row


@dataclass(frozen=True, kw_only=True)
class ReviewGame:
    """One game under review."""

    name: str
    """As predictions and exports know it."""
    videos: tuple[Video, ...]
    """One file, or one a half."""
    target: Path
    """The label file that decisions go to."""
    source: Path | None
    """Labels to begin with where ``target`` is not there yet."""
    predictions: tuple[tuple[Event, ...], ...]
    """One set a spotter, the first is the one on show; each in order of time."""
    scores: dict[int, Path]
    """Half -> scores of every frame."""


@dataclass(frozen=True, kw_only=True)
class ReviewInputs:
    """Everything a review is started with."""

    games: tuple[ReviewGame, ...]
    label_set: LabelSet


def load_inputs(
    source: Path,
    *,
    predictions: Sequence[Path] = (),
    labels: Path | None = None,
    out: Path | None = None,
    label_set: str | None = None,
    split: str | None = None,
    resolution: str = "224p",
) -> ReviewInputs:
    """Find what belongs to a video, a game or a dataset.

    Args:
        source: A video, a game's folder, or a dataset's.
        predictions: Folders, zips or files of results; the first is shown, the others help to order questions.
        labels: A label file (of one game), or a folder of ``<game>/Labels-ball.json``.
        out: Folder for ``<game>/Labels-ball.json``; without it decisions go to the label files themselves.
        label_set: Name of a set or a class.txt; else the smallest known set that holds all names found.
        split: Split of a dataset.
        resolution: Which of a game's files is shown.

    Raises:
        ConfigurationError: nothing to show, or something given that belongs to none of the games.
        AnnotationError: broken labels or predictions.
    """
    found = _games(source, split, resolution)
    results = [_Results(path) for path in predictions]
    games = []
    for game in found:
        mine = [result.of(game, alone=len(found) == 1) for result in results]
        target, begin = _label_files(game, labels, out, alone=len(found) == 1)
        games.append(
            ReviewGame(
                name=game.name,
                videos=game.videos,
                target=target,
                source=begin,
                predictions=tuple(events for events, _ in mine),
                scores=mine[0][1] if mine else {},
            )
        )
    for result in results:
        result.refuse_unused()
    return ReviewInputs(games=tuple(games), label_set=_classes(games, label_set))


def _games(source: Path, split: str | None, resolution: str) -> list[Game]:
    if source.is_dir():
        games = find_games(source, split=split, resolution=resolution)
        if not games:
            raise ConfigurationError(
                f"{source}: no game with a {resolution} video; check --resolution, or name a video"
            )
        return games
    if not source.exists():
        raise ConfigurationError(f"{source}: no such video or folder")
    half = {"1": 1, "2": 2}.get(source.stem.rpartition("_")[0], 1)
    in_game = source.stem.rpartition("_")[2] in ("224p", "720p", "398p")
    name = source.resolve().parent.name if in_game else source.stem
    folder = source.parent if in_game else source.parent / source.stem
    labels = folder / BALL_LABEL_FILE
    video = Video(game=name, half=half, path=source)
    return [Game(name=name, folder=folder, videos=(video,), labels_path=labels if labels.is_file() else None)]


def _label_files(game: Game, labels: Path | None, out: Path | None, *, alone: bool) -> tuple[Path, Path | None]:
    """Where decisions go, and what they begin with."""
    own = game.folder / BALL_LABEL_FILE
    if labels is not None:
        if labels.is_dir():
            places = [labels / game.name / BALL_LABEL_FILE, *([labels / BALL_LABEL_FILE] if alone else [])]
            own = next((place for place in places if place.is_file()), places[0])
        elif not alone:
            raise ConfigurationError(f"{labels}: is one file, and there are several games; give a folder of them")
        elif labels.suffix != ".json":
            raise ConfigurationError(f"{labels}: is no .json file; name a label file or a folder of them")
        else:
            own = labels
    if out is None:
        return own, None
    target = out / game.name / BALL_LABEL_FILE
    return target, own if own.is_file() else None


class _Results:
    """Results of many games, found by as much of a game's path as both have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._used = False
        single = path.is_file() and path.suffix == ".json"
        self._files = Bundle(path.parent if single else path)
        self._names = [path.name] if single else [n for n in self._files.names if Path(n).name == RESULTS_FILE]
        if not self._names:
            raise ConfigurationError(f"{path}: no {RESULTS_FILE} in it")

    def of(self, game: Game, *, alone: bool) -> tuple[tuple[Event, ...], dict[int, Path]]:
        """Events in order of time, and score files by half; none where there are none of this game."""
        wanted = (*game.folder.resolve().parts, *Path(game.name).parts[-1:])
        best = [
            name
            for name in self._names
            if (parts := Path(name).parent.parts) and (parts == wanted[-1 - len(parts) : -1] or parts == wanted[-1:])
        ]
        if not best and alone and len(self._names) == 1:
            best = self._names
        if not best:
            return (), {}
        self._used = True
        name = max(best, key=len)
        where = f"{self._path}: {name}"
        _, rows = parse_document(self._files.data(name), "prediction", where)
        entries = read_rows(rows, where, kind="prediction", mode="official")
        events = [
            Event(
                frame=frame_of_position_ms(entry.position_ms, DEFAULT_FPS),
                label=entry.label,
                half=entry.half,
                confidence=min(1.0, entry.value),
            )
            for entry in entries
            if entry.value >= 0 and entry.position_ms >= 0 and entry.half in (1, 2)
        ]
        return tuple(sorted(events, key=lambda event: (event.half, event.frame, event.label))), self._scores(name, game)

    def _scores(self, name: str, game: Game) -> dict[int, Path]:
        folder = self._files.path / Path(name).parent
        found = {}
        for video in game.videos:
            # Results of a game in two videos name the half even if only one of the videos is reviewed.
            counts = (2, 1) if len(game.videos) == 1 else (2,)
            places = [folder / scores_file(video.half, count) for count in counts]
            path = next((place for place in places if place.is_file()), None)
            if path is not None:
                found[video.half] = path
        return found

    def refuse_unused(self) -> None:
        """Predictions that belong to nothing on show are a mistake."""
        if not self._used:
            raise ConfigurationError(
                f"{self._path}: holds results of {len(self._names)} games, the first is "
                f"{str(Path(self._names[0]).parent)!r}, and of none that is shown"
            )


def _classes(games: Sequence[ReviewGame], told: str | None) -> LabelSet:
    if told is not None:
        return label_set_named(told)
    names = {event.label for game in games for events in game.predictions for event in events}
    for game in games:
        path = game.target if game.target.is_file() else game.source
        if path is not None and path.is_file():
            _, rows = parse_document(path.read_bytes(), "label", str(path))
            names |= {place.label for row in rows if (place := event_of_row(row)) is not None}
    known = next((s for s in LABEL_SETS.values() if names <= set(s.names)), None)
    if known is not None:
        return known
    nearest = max(LABEL_SETS.values(), key=lambda s: len(names & set(s.names)))
    return LabelSet((*(name for name in nearest.names if name in names), *sorted(names - set(nearest.names))))

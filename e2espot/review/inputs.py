"""Loads what a review starts from: games with their videos, predictions, scores and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from e2espot.core.errors import ConfigurationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS, LabelSet, label_set_named
from e2espot.core.timeline import DEFAULT_FPS, HALVES, frame_of_position_ms
from e2espot.core.wording import counted
from e2espot.files.bundle import Bundle
from e2espot.formats.feature_files import feature_name, is_feature_file
from e2espot.formats.filenames import BALL_LABEL_FILE, RESULTS_FILE, scores_file
from e2espot.formats.game import Game, Video
from e2espot.formats.games import features_below, find_games, is_dataset, loose_games, resolutions_below
from e2espot.formats.label_documents import read_label_document
from e2espot.formats.one_video import game_of_video
from e2espot.formats.soccernet_json import parse_document, read_rows
from e2espot.review.label_rows import event_of_row
from e2espot.video.parts import parts_of


@dataclass(frozen=True, kw_only=True)
class ReviewGame:
    """One game under review."""

    name: str
    """Name in predictions and exports."""
    videos: tuple[Video, ...]
    """One video, or one per half."""
    target: Path
    """Label file that decisions are written to."""
    source: Path | None
    """Labels to start from if ``target`` does not exist yet."""
    predictions: tuple[tuple[Event, ...], ...]
    """Predictions of each model in order of time; those of the first model are shown."""
    scores: dict[int, Path]
    """Half -> file with the scores of every frame."""

    def predictions_of(self, model: int, half: int) -> list[Event]:
        """Predictions of one model for one half."""
        return [event for event in self.predictions[model] if event.half == half]


@dataclass(frozen=True, kw_only=True)
class ReviewInputs:
    """Everything a review starts from."""

    games: tuple[ReviewGame, ...]
    """The games, in the order of the page."""
    label_set: LabelSet
    """Classes that have keys and buttons."""


def load_inputs(
    source: Path,
    *,
    predictions: Sequence[Path] = (),
    labels: Path | None = None,
    out: Path | None = None,
    label_set: str | None = None,
    split: str | None = None,
    resolution: str = "224p",
    video_stream: int | None = None,
) -> ReviewInputs:
    """Find the videos, predictions and labels of a video, a game or a dataset.

    Args:
        source: A video, the files of one match joined by ``+``, the folder of a game, or a dataset.
        predictions: Folders, zips or files with results, one per model. The first model is shown; the others
            are compared with it to order the questions.
        labels: A label file (of a single game), or a folder of ``<game>/Labels-ball.json``.
        out: Folder to write ``<game>/Labels-ball.json`` to; without it decisions go to the label files themselves.
        label_set: Name of a label set, or a class.txt; by default the smallest known set with all classes that occur.
        split: Split of a dataset.
        resolution: Which of a game's videos is shown.
        video_stream: Which video stream of each file is shown, counted from 0; None for the one that players choose.

    Raises:
        ConfigurationError: There is nothing to show, or something given belongs to none of the games.
        AnnotationError: Labels or predictions are damaged.
    """
    games = _find_games(source, split, resolution)
    single = len(games) == 1
    models = [_ModelResults(path) for path in predictions]
    review_games = []
    for game in games:
        results = [model.results_of(game, single=single) for model in models]
        target, start = _label_files(game, labels, out, single=single)
        review_games.append(
            ReviewGame(
                name=game.name,
                videos=tuple(replace(video, video_stream=video_stream) for video in game.videos),
                target=target,
                source=start,
                predictions=tuple(events for events, _ in results),
                scores=results[0][1] if results else {},
            )
        )
    for model in models:
        model.refuse_unused()
    return ReviewInputs(games=tuple(review_games), label_set=_choose_label_set(review_games, label_set))


def _find_games(source: Path, split: str | None, resolution: str) -> list[Game]:
    if is_dataset(source):
        games = find_games(source, split=split, resolution=resolution)
        if not games and split is None and not resolutions_below(source):
            games = loose_games(source)
        _refuse_features(source, [video.path for game in games for video in game.videos])
        if not games:
            if names := features_below(source):
                raise _only_features(source, ", ".join(names))
            raise ConfigurationError(
                f"{source}: no game with a {resolution} video; choose another resolution, or give a video",
                option="resolution",
            )
        return games
    parts = parts_of(source)
    if not all(part.exists() for part in parts):
        raise ConfigurationError(f"{source}: no such video or folder")
    _refuse_features(source, parts)
    return [game_of_video(source)]


def _refuse_features(source: Path, paths: Sequence[Path]) -> None:
    """Refuse arrays where a video is expected, as a list of features names them."""
    features = next((path for path in paths if is_feature_file(path)), None)
    if features is not None:
        raise _only_features(source, feature_name(features))


def _only_features(source: Path, names: str) -> ConfigurationError:
    return ConfigurationError(
        f"{source}: features ({names}) without their videos, and a review shows pictures; give the video or the "
        "dataset that they were made of, and with -l the labels if they are elsewhere"
    )


def _label_files(game: Game, labels: Path | None, out: Path | None, *, single: bool) -> tuple[Path, Path | None]:
    """The label file to write, and the one to start from."""
    existing = game.labels_target or game.folder / BALL_LABEL_FILE
    if labels is None and game.labels_path is not None and game.labels_path != existing:
        # Labels in a table are the start, and decisions go to the JSON file next to it.
        return (existing if out is None else out / game.name / BALL_LABEL_FILE), game.labels_path
    if labels is not None:
        if labels.is_dir():
            candidates = [labels / game.name / BALL_LABEL_FILE]
            candidates += [labels / BALL_LABEL_FILE] if single else []
            existing = next((path for path in candidates if path.is_file()), candidates[0])
        elif not single:
            raise ConfigurationError(f"{labels} is one file, and there are several games; give a folder of label files")
        elif labels.suffix != ".json":
            raise ConfigurationError(f"{labels} is not a .json file; give a label file or a folder of them")
        else:
            existing = labels
    if out is None:
        return existing, None
    return out / game.name / BALL_LABEL_FILE, existing if existing.is_file() else None


class _ModelResults:
    """Results of one model for many games, matched by the part of a game's path that both have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._used = False
        is_file = path.is_file() and path.suffix == ".json"
        self._files = Bundle(path.parent if is_file else path)
        self._names = (
            [path.name] if is_file else [name for name in self._files.names if Path(name).name == RESULTS_FILE]
        )
        if not self._names:
            raise ConfigurationError(f"{path}: no {RESULTS_FILE} in it")

    def results_of(self, game: Game, *, single: bool) -> tuple[tuple[Event, ...], dict[int, Path]]:
        """Events in order of time, and half -> scores file; both empty if there are no results of this game."""
        name = self._name_of(game, single=single)
        if name is None:
            return (), {}
        self._used = True
        context = f"{self._path}: {name}"
        _, rows = parse_document(self._files.data(name), "prediction", context)
        events = [
            Event(
                frame=frame_of_position_ms(entry.position_ms, DEFAULT_FPS),
                label=entry.label,
                half=entry.half,
                confidence=min(1.0, entry.value),
            )
            for entry in read_rows(rows, context, kind="prediction", mode="official")
            if entry.value >= 0 and entry.position_ms >= 0 and entry.half in HALVES
        ]
        events.sort(key=lambda event: (event.half, event.frame, event.label))
        return tuple(events), self._score_files(name, game)

    def _name_of(self, game: Game, *, single: bool) -> str | None:
        """Name of the game's results in the bundle; with several candidates, the longest path that fits."""
        # game folder /data/league/season/game: "season/game/results_spotting.json" fits, "other/game/..." does not
        game_parts = (*game.folder.resolve().parts, *Path(game.name).parts[-1:])
        candidates = [
            name
            for name in self._names
            if (parts := Path(name).parent.parts)
            and (parts == game_parts[-1 - len(parts) : -1] or parts == game_parts[-1:])
        ]
        if not candidates and single and len(self._names) == 1:
            candidates = self._names
        return max(candidates, key=len, default=None)

    def _score_files(self, name: str, game: Game) -> dict[int, Path]:
        folder = self._files.path / Path(name).parent
        files = {}
        for video in game.videos:
            # Results of a game in two videos name the half even if only one of the videos is reviewed.
            counts = (2, 1) if len(game.videos) == 1 else (2,)
            candidates = [folder / scores_file(video.half, count) for count in counts]
            path = next((path for path in candidates if path.is_file()), None)
            if path is not None:
                files[video.half] = path
        return files

    def refuse_unused(self) -> None:
        """Refuse predictions that belong to none of the games; they were given by mistake."""
        if not self._used:
            raise ConfigurationError(
                f"{self._path}: holds results of {counted(len(self._names), 'game')}, the first is "
                f"{str(Path(self._names[0]).parent)!r}, but of none in this review"
            )


def _choose_label_set(games: Sequence[ReviewGame], name: str | None) -> LabelSet:
    """The label set of that name, else the smallest known one with all classes that occur, else a new one."""
    if name is not None:
        return label_set_named(name)
    classes = {event.label for game in games for events in game.predictions for event in events}
    for game in games:
        path = game.target if game.target.is_file() else game.source
        if path is not None and path.is_file():
            _, rows = read_label_document(path)
            classes |= {event.label for row in rows if (event := event_of_row(row)) is not None}
    complete = next((known for known in LABEL_SETS.values() if classes <= set(known.names)), None)
    if complete is not None:
        return complete
    nearest = max(LABEL_SETS.values(), key=lambda known: len(classes & set(known.names)))
    return LabelSet((*(name for name in nearest.names if name in classes), *sorted(classes - set(nearest.names))))

"""From a dataset folder to the videos a run learns from and is judged on."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from e2espot.clips.dataset import TrainingVideo
from e2espot.clips.sampler import LabelledVideo
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.formats.games import Game, find_games
from e2espot.formats.soccernet import read_labels

_LOG = logging.getLogger(__name__)

BadLabels = Literal["stop", "skip"]


@dataclass(frozen=True, kw_only=True)
class LabelledGame:
    """A game with the lengths of its halves and its events."""

    game: Game
    """Where its files lie."""
    num_frames: dict[int, int]
    """Grid frames of each half."""
    events: tuple[Event, ...]
    """Labels on the grid."""
    fps: Fraction
    """Rate of the grid."""

    def training_videos(
        self, label_set: LabelSet, *, joint: bool = False, negatives: Path | None = None
    ) -> list[TrainingVideo]:
        """One entry a half.

        Args:
            label_set: What the labels are numbered by.
            joint: Whether the game belongs to the second of two data sets.
            negatives: Folder of scores by runs that have not seen the game.
        """
        tracks = self.game.folder / "tracks.npz"
        videos = []
        for video in self.game.videos:
            events = [event for event in self.events if event.half == video.half]
            labelled = LabelledVideo(
                num_frames=self.num_frames[video.half],
                event_frames=tuple(event.frame for event in events),
                event_targets=tuple(label_set.target_of(event.label) for event in events),
                event_teams=tuple(event.team for event in events),
            )
            if negatives is not None:
                labelled = with_negatives(labelled, self, video.half, negatives)
            known = tracks if tracks.is_file() and len(self.game.videos) == 1 else None
            videos.append(TrainingVideo(path=video.path, labelled=labelled, tracks_path=known, joint=joint))
        return videos


def load_games(
    root: Path,
    split: str,
    label_set: LabelSet,
    fps: Fraction,
    *,
    resolution: str = "224p",
    label_file: str = "Labels-ball.json",
    bad_labels: BadLabels = "stop",
) -> list[LabelledGame]:
    """Games of a split with their labels, read strictly.

    Raises:
        AnnotationError: a game without labels, or a label that cannot be (see ``read_labels``).
        VideoError: a video that cannot be read.
    """
    found = find_games(root, split=split, resolution=resolution, label_file=label_file)
    games = _with_labels(found, split, label_set, fps, label_file, bad_labels)
    if not games and split == "train":
        raise ConfigurationError(
            f"{root}: no games in split {split!r}; check splits.json and --resolution {resolution}"
        )
    return games


def load_fold(
    root: Path,
    fold: str,
    label_set: LabelSet,
    fps: Fraction,
    *,
    resolution: str = "224p",
    label_file: str = "Labels-ball.json",
    bad_labels: BadLabels = "stop",
) -> tuple[list[LabelledGame], list[LabelledGame]]:
    """Train and valid games of one part of a cross-validation over all labelled games; see :func:`load_games`.

    ``fold`` is such as ``2/7``: of the labelled games in order of their names every seventh from the second on
    is valid.

    Raises:
        ConfigurationError: no such part, or fewer games than parts.
    """
    number, count = parse_fold(fold)
    found = [
        game
        for game in find_games(root, split=None, resolution=resolution, label_file=label_file)
        if game.labels_path is not None
    ]
    if len(found) < count:
        raise ConfigurationError(f"{root}: {len(found)} labelled games cannot be parted into {count} folds")
    parts = [
        [game for place, game in enumerate(found) if (place % count == number - 1) == valid] for valid in (False, True)
    ]
    train, valid = (_with_labels(part, fold, label_set, fps, label_file, bad_labels) for part in parts)
    return train, valid


def parse_fold(fold: str) -> tuple[int, int]:
    """``2/7`` -> (2, 7).

    Raises:
        ConfigurationError: anything else.
    """
    number, slash, count = fold.partition("/")
    plain = re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", fold) is not None
    if not (slash and plain and 1 <= int(number) <= int(count) and int(count) > 1):
        raise ConfigurationError(f"--fold is {fold!r}; give part and number of parts, such as 2/7")
    return int(number), int(count)


def _with_labels(
    found: list[Game], split: str, label_set: LabelSet, fps: Fraction, label_file: str, bad_labels: BadLabels
) -> list[LabelledGame]:
    from e2espot.video import probe

    games = []
    for game in found:
        if game.labels_path is None:
            raise AnnotationError(f"{game.folder}: no {label_file}; the {split} split needs labels for every game")
        num_frames = {video.half: probe(video.path, fps).num_frames for video in game.videos}
        labels = read_labels(game.labels_path, label_set, fps=fps, num_frames=num_frames, bad_labels=bad_labels)
        if labels.skipped:
            _LOG.warning("%s: left out %d labels that cannot be", game.labels_path, labels.skipped)
        games.append(LabelledGame(game=game, num_frames=num_frames, events=tuple(labels.events), fps=fps))
    return games


_SURE, _CLEAR_S = 0.2, 1.0
"""An event this sure, this far from every label, is a hard negative."""


def with_negatives(labelled: LabelledVideo, game: LabelledGame, half: int, scores_folder: Path) -> LabelledVideo:
    """The half with its hard negatives: events that a run which has not seen it was sure of, far from all labels.

    Raises:
        AnnotationError: no scores of this half.
    """
    from e2espot.formats.scores import read_scores
    from e2espot.suppression.nms import suppress

    folder = scores_folder / game.game.name
    file = folder / (f"scores_{half}.npz" if len(game.game.videos) > 1 else "scores.npz")
    scores = read_scores(file)
    clear = float(_CLEAR_S * game.fps)
    frames, weights = [], []
    for event in suppress(scores):
        frame = int((event.frame + 0.5) * float(game.fps / scores.fps))
        near = min((abs(frame - known) for known in labelled.event_frames), default=clear + 1)
        if event.confidence >= _SURE and near > clear and frame < labelled.num_frames:
            frames.append(frame)
            weights.append(event.confidence)
    return replace(labelled, negative_frames=tuple(frames), negative_weights=tuple(weights))

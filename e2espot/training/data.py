"""From a dataset folder to the videos a run learns from and is judged on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from e2espot.clips.loader import TrainingVideo
from e2espot.clips.sampler import LabelledVideo
from e2espot.errors import AnnotationError, ConfigurationError
from e2espot.events import Event, LabelSet
from e2espot.formats.soccernet import read_labels
from e2espot.games import Game, find_games

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

    def training_videos(self, label_set: LabelSet) -> list[TrainingVideo]:
        """One entry a half."""
        tracks = self.game.folder / "tracks.npz"
        videos = []
        for video in self.game.videos:
            events = [event for event in self.events if event.half == video.half]
            labelled = LabelledVideo(
                num_frames=self.num_frames[video.half],
                event_frames=tuple(event.frame for event in events),
                event_targets=tuple(label_set.target_of(event.label) for event in events),
            )
            known = tracks if tracks.is_file() and len(self.game.videos) == 1 else None
            videos.append(TrainingVideo(path=video.path, labelled=labelled, tracks_path=known))
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
    from e2espot.video import probe

    games = []
    for game in find_games(root, split=split, resolution=resolution, label_file=label_file):
        if game.labels_path is None:
            raise AnnotationError(f"{game.folder}: no {label_file}; the {split} split needs labels for every game")
        num_frames = {video.half: probe(video.path, fps).num_frames for video in game.videos}
        labels = read_labels(game.labels_path, label_set, fps=fps, num_frames=num_frames, bad_labels=bad_labels)
        if labels.skipped:
            _LOG.warning("%s: left out %d labels that cannot be", game.labels_path, labels.skipped)
        games.append(LabelledGame(game=game, num_frames=num_frames, events=tuple(labels.events)))
    if not games and split == "train":
        raise ConfigurationError(
            f"{root}: no games in split {split!r}; check splits.json and --resolution {resolution}"
        )
    return games

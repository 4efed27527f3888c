"""From a dataset folder to the videos that a run learns from and is validated on.

folder -> Game -> read_labels -> LabelledGame -> TrainingVideo (per half) -> ClipSampler, ClipDataset
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from e2espot.clips.dataset import TrainingVideo
from e2espot.clips.sampler import LabelledVideo
from e2espot.core.annotated import AnnotatedHalves, AnnotatedRanges, inside, intersect_annotated
from e2espot.core.annotated_classes import AnnotatedClasses, intersect_classes, of_classes, unannotated
from e2espot.core.coverage import ranges_of_mask
from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.events import Event
from e2espot.core.feature_kind import FeatureKind
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import MAX_DURATION_S
from e2espot.core.wording import counted
from e2espot.formats.feature_files import check_kind, check_rate, is_feature_file, open_features
from e2espot.formats.feature_lengths import LABELS_AFTER_S, check_against_labels, check_against_video
from e2espot.formats.filenames import scores_file
from e2espot.formats.game import Game, Video
from e2espot.formats.games import find_games
from e2espot.formats.soccernet import LabelFile, read_labels
from e2espot.training.hard_negatives import add_false_positives, add_other_labels
from e2espot.training.options import LabelReading

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LabelledGame:
    """A game with the lengths of its halves and its events."""

    game: Game
    """Its files."""
    num_frames: dict[int, int]
    """Grid frames of each half."""
    events: tuple[Event, ...]
    """Labels on the grid."""
    fps: Fraction
    """Rate of the grid."""
    annotated: AnnotatedHalves = field(default_factory=dict)
    """What was labelled of each half; a half that is not listed was labelled in full."""
    classes: AnnotatedClasses = None
    """Classes that were annotated; None for all of them."""
    unsure: Mapping[int, AnnotatedRanges] = field(default_factory=dict)
    """Stretches of each half in which a missing label does not mean that nothing happens."""

    def annotates(self, half: int) -> bool:
        """Whether anything of a half was labelled."""
        return half not in self.annotated or bool(self.annotated[half].ranges_ms)

    def training_videos(
        self,
        label_set: LabelSet,
        *,
        joint: bool = False,
        negatives: Path | None = None,
        negative_label_file: str = "",
    ) -> list[TrainingVideo]:
        """One entry per half.

        Args:
            label_set: Numbers the labels.
            joint: Whether the game belongs to the second of two datasets.
            negatives: Folder of scores by runs that did not learn from the game.
            negative_label_file: Name of a label file whose other classes are hard negatives; empty for none.
        """
        tracks = self.game.folder / "tracks.npz"
        videos = []
        for video in self.game.videos:
            events = [event for event in self.events if event.half == video.half]
            num_frames, ranges = self.num_frames[video.half], self.annotated.get(video.half)
            unsure = self.unsure.get(video.half, AnnotatedRanges())
            labelled = LabelledVideo(
                num_frames=num_frames,
                annotated=None if ranges is None else ranges_of_mask(ranges.mask(num_frames, self.fps)),
                unsure=ranges_of_mask(unsure.mask(num_frames, self.fps)) if unsure.ranges_ms else (),
                event_frames=tuple(event.frame for event in events),
                event_targets=tuple(label_set.target_of(event.label) for event in events),
                event_teams=tuple(event.team for event in events),
                unannotated_targets=tuple(map(label_set.target_of, unannotated(label_set, self.classes))),
            )
            if negative_label_file:
                others = self.game.folder / negative_label_file
                labelled = add_other_labels(labelled, others, video.half, label_set, self.fps)
            if negatives is not None:
                scores = negatives / self.game.name / scores_file(video.half, len(self.game.videos))
                labelled = add_false_positives(labelled, scores, self.fps, self.classes)
            tracks_path = tracks if tracks.is_file() and len(self.game.videos) == 1 else None
            videos.append(
                TrainingVideo(
                    path=video.path,
                    labelled=labelled,
                    video_stream=video.video_stream,
                    tracks_path=tracks_path,
                    joint=joint,
                )
            )
        return videos


def load_games(
    root: Path,
    split: str,
    label_set: LabelSet,
    fps: Fraction,
    *,
    resolution: str = "224p",
    reading: LabelReading | None = None,
    video_stream: int | None = None,
) -> list[LabelledGame]:
    """Games of a split with their labels, read strictly.

    Args:
        root: Dataset folder.
        split: Name of the split.
        label_set: The classes that labels may name.
        fps: Rate of the frame grid.
        resolution: Which of a game's files is read.
        reading: How label files are read; the defaults without.
        video_stream: Which video stream of each file is read; None for the one that players choose.

    Raises:
        AnnotationError: a game without labels, or an invalid label (see ``read_labels``).
        ConfigurationError: a train split without games.
        VideoError: a video that cannot be read.
    """
    reading = reading or LabelReading()
    files = find_games(root, split=split, resolution=resolution, label_file=reading.label_file)
    games = _with_labels(files, split, label_set, fps, reading, video_stream)
    if not games and split == "train":
        raise ConfigurationError(
            f"{root}: no games in split {split!r} at resolution {resolution}; check splits.json and the resolution",
            option="resolution",
        )
    return games


def load_fold(
    root: Path,
    fold: tuple[int, int],
    label_set: LabelSet,
    fps: Fraction,
    *,
    resolution: str = "224p",
    reading: LabelReading | None = None,
    video_stream: int | None = None,
) -> tuple[list[LabelledGame], list[LabelledGame]]:
    """Train and valid games of one fold of a cross-validation over all labelled games; see :func:`load_games`.

    ``fold`` is the number of the fold, counted from 1, and the number of folds. Games are dealt out by name::

        # fold (2, 3), games a b c d e -> valid b e, train a c d

    Two videos named as the DFL's, ``X_0`` and ``X_1``, are halves of one match and stay together.

    Raises:
        ConfigurationError: fewer matches than folds.
    """
    number, count = fold
    reading = reading or LabelReading()
    games = [
        game
        for game in find_games(root, split=None, resolution=resolution, label_file=reading.label_file)
        if game.labels_path is not None
    ]
    names = {game.name for game in games}
    # Match -> its number, in the order of the games.
    matches = {match: index for index, match in enumerate(dict.fromkeys(_match_of(game.name, names) for game in games))}
    if len(matches) < count:
        raise ConfigurationError(
            f"{root}: {counted(len(matches), 'labelled game')} cannot be divided into {count} folds"
        )
    train, valid = (
        [game for game in games if (matches[_match_of(game.name, names)] % count == number - 1) == held_out]
        for held_out in (False, True)
    )
    name = f"{number}/{count}"
    return (
        _with_labels(train, name, label_set, fps, reading, video_stream),
        _with_labels(valid, name, label_set, fps, reading, video_stream),
    )


def _match_of(name: str, names: Collection[str]) -> str:
    """The match that a game is half of, if both halves are games; else the game."""
    # 1606b0e6_0 and 1606b0e6_1 -> 1606b0e6
    match = name[:-2]
    return match if name.endswith(("_0", "_1")) and {f"{match}_0", f"{match}_1"} <= set(names) else name


def _with_labels(
    games: Sequence[Game],
    split: str,
    label_set: LabelSet,
    fps: Fraction,
    reading: LabelReading,
    video_stream: int | None,
) -> list[LabelledGame]:
    _check_one_kind(games)
    labelled = []
    for game in games:
        if game.labels_path is None:
            name = game.labels_target.name if game.labels_target is not None else reading.label_file
            raise AnnotationError(f"{game.folder}: no {name}; the {split} split needs labels for every game")
        videos = tuple(replace(video, video_stream=video_stream) for video in game.videos)
        labelled.append(_with_labels_of(replace(game, videos=videos), game.labels_path, label_set, fps, reading))
    return labelled


def _with_labels_of(
    game: Game, labels_path: Path, label_set: LabelSet, fps: Fraction, reading: LabelReading
) -> LabelledGame:
    num_frames = {video.half: _num_frames(video, fps) for video in game.videos}
    labels = _read_labels(game, labels_path, label_set, num_frames, fps, reading)
    annotated = intersect_annotated(labels.annotated, reading.annotated.of(game.name))
    classes = intersect_classes(labels.classes, reading.classes)
    within = inside(labels.events, annotated)
    events = of_classes(within, classes)
    for count, which in (
        (len(labels.events) - len(within), "outside of the annotated stretches"),
        (len(within) - len(events), "of classes that the game does not annotate"),
    ):
        if count:
            _LOG.warning("%s: left out %s %s", labels_path, counted(count, "label"), which)
    return LabelledGame(
        game=game,
        num_frames=num_frames,
        events=tuple(replace(event, team=reading.teams.side_of(event.team, event.half)) for event in events),
        fps=fps,
        annotated={half: ranges for half, ranges in annotated.items() if half in num_frames},
        classes=classes,
        unsure=labels.unsure,
    )


def _num_frames(video: Video, fps: Fraction) -> int:
    """Grid frames of a half, or rows of its features."""
    from e2espot.video import indexes_of
    from e2espot.video.clock_gaps import log_gaps
    from e2espot.video.reader import match_info

    if is_feature_file(video.path):
        return _checked_rows(video.path, fps)
    indexes = indexes_of(video.path, video_stream=video.video_stream)
    log_gaps(indexes)
    return match_info(video.path, indexes, fps).num_frames


def _read_labels(
    game: Game,
    labels_path: Path,
    label_set: LabelSet,
    num_frames: Mapping[int, int],
    fps: Fraction,
    reading: LabelReading,
) -> LabelFile:
    """Labels of a game, all within the ``num_frames`` of their half."""
    reads_features = any(is_feature_file(video.path) for video in game.videos)
    # Features may end some seconds before the last label; such a label is of the last row, as SoccerNet has it.
    # That they do not end earlier is checked below, with the likely cause, unless such labels are left out.
    after_s = LABELS_AFTER_S if reading.bad_labels == "skip" else MAX_DURATION_S
    after = math.ceil(after_s * fps) if reads_features else 0
    labels = read_labels(
        labels_path,
        label_set,
        fps=fps,
        num_frames={half: count + after for half, count in num_frames.items()},
        bad_labels=reading.bad_labels,
        label_map=reading.label_map,
    )
    if labels.skipped:
        _LOG.warning("%s: skipped %d invalid labels", labels_path, labels.skipped)
    if not reads_features:
        return labels
    return replace(labels, events=_within_rows(labels.events, game, num_frames, fps))


def _check_one_kind(games: Sequence[Game]) -> None:
    """Refuse two kinds of features in one dataset, before their labels are read.

    Raises:
        ConfigurationError: rows of another width or origin than those of the first file.
    """
    first: FeatureKind | None = None
    for video in (video for game in games for video in game.videos if is_feature_file(video.path)):
        file = open_features(video.path)
        first = first or file.kind
        check_kind(file, first)


def _checked_rows(path: Path, fps: Fraction) -> int:
    """Number of rows of a feature file, all of them finite and of the rate that is wanted; warns of another length."""
    file = open_features(path)
    check_rate(file, fps)
    file.check_finite()
    check_against_video(file, fps)
    return file.num_rows


def _within_rows(events: Sequence[Event], game: Game, num_rows: Mapping[int, int], fps: Fraction) -> tuple[Event, ...]:
    """Events of a game on features, those shortly after the end moved to the last row.

    Raises:
        ConfigurationError: features that last far longer than the labels.
        AnnotationError: features that end long before the last label.
    """
    for video in game.videos:
        last = max((event.frame for event in events if event.half == video.half), default=None)
        check_against_labels(open_features(video.path), fps, None if last is None else float(last / fps))
    return tuple(replace(event, frame=min(event.frame, num_rows[event.half] - 1)) for event in events)

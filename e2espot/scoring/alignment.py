"""Moves the labels of event feeds to the moments at which a spotter sees their events.

    Labels-feed.json, results_spotting.json -> one clock offset a half -> matching in order -> Labels-ball.json

A label without a prediction near it is left out, and the window around it becomes an unsure stretch; so does the time
between a label and its prediction. A half whose offset does not stand out is not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from e2espot.core.annotated import AnnotatedRanges, merge_ranges
from e2espot.core.errors import ConfigurationError
from e2espot.formats.annotated_field import CLASSES_FIELD, UNSURE_FIELD, read_unsure, unsure_field
from e2espot.formats.filenames import FEED_LABEL_FILE
from e2espot.formats.interchange import AnnotatedVideo, Annotation
from e2espot.formats.label_map import LabelMap
from e2espot.formats.soccernet_interchange import read_soccernet
from e2espot.scoring.clock_offset import ClockOffset, Moment, find_offset
from e2espot.scoring.inputs import read_predictions
from e2espot.scoring.monotone_matching import match_in_order

_MARGIN_MS = 200
"""How far an event may be outside of the time between a label and its prediction."""

_EDGE_MS = 1000
"""How far before the first and after the last label of a half its labels are taken to be complete."""

Stretches = list[tuple[int, int]]
"""Starts and ends in milliseconds."""


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions:
    """How labels are aligned."""

    offset_ms: Mapping[int, int] = field(default_factory=dict)
    """Half -> milliseconds to add to its labels, where that is known; other halves are looked for."""
    max_offset_ms: int | None = None
    """Largest offset that is looked for; None for every one at which half of the labels are within the video."""
    min_sharpness: float = 3.0
    """A half with a less sharp offset is refused."""
    window_ms: int = 1500
    """A label is moved by less than this, after its offset."""
    min_confidence: float = 0.1
    """Weaker predictions are no moments of events."""
    label_map: LabelMap = field(default_factory=LabelMap)
    """Class of the labels -> class of the spotter that sees it."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 40 <= self.window_ms <= 60_000:
            raise ConfigurationError(f"window is {self.window_ms / 1000:g} s; give 0.04 to 60", option="window")
        if not 0 <= self.min_confidence <= 1:
            raise ConfigurationError(f"min_confidence is {self.min_confidence}; give 0 to 1", option="min_confidence")


@dataclass(frozen=True, kw_only=True)
class AlignedHalf:
    """What became of the labels of one half of a feed."""

    game: str
    """Name of the game."""
    half: int
    """Half of the feed."""
    num_labels: int
    """Labels before."""
    offset: ClockOffset | None = None
    """Offset, with sharpness 0 where it was given; None for a half without a label of a predicted class."""
    moved_ms: tuple[int, ...] = ()
    """Distance of each label that was matched from its prediction, without the offset."""
    unseen: Mapping[str, int] = field(default_factory=dict)
    """Class that the spotter does not know -> its labels."""
    refused: str = ""
    """Why the half is not used; empty if it is."""

    def describe(self) -> str:
        """One line for the user."""
        name = f"{self.game} half {self.half}"
        if self.offset is None or self.refused:
            return f"{name}: not used: {self.refused}"
        offset, moved_ms = self.offset, self.moved_ms
        clock = f"sharpness {offset.sharpness:.1f}" if offset.sharpness else "as given"
        text = f"{name}: offset {offset.offset_ms / 1000:+.2f} s ({clock}); {len(moved_ms)} of {self.num_labels} labels"
        if moved_ms:
            text += f" moved to predictions, by {median(map(abs, moved_ms)) / 1000:.2f} s (median)"
        unseen = ", ".join(f"{label} ({count})" for label, count in sorted(self.unseen.items()))
        return text + (f"; classes that are not predicted: {unseen}" if unseen else "")


@dataclass(frozen=True, kw_only=True)
class _HalfLabels:
    """Labels of one half of a feed on the clock of the video."""

    report: AlignedHalf
    """What became of them."""
    annotations: tuple[Annotation, ...] = ()
    """Labels at their predictions."""
    unsure: tuple[tuple[int, int], ...] = ()
    """Stretches in which events may be hidden."""
    annotated: tuple[tuple[int, int], ...] = ()
    """Stretches in which everything else is background."""


def align_labels(
    predictions: Path, labels: Path, options: AlignmentOptions, *, label_file: str = FEED_LABEL_FILE
) -> tuple[list[AnnotatedVideo], list[AlignedHalf]]:
    """Align the labels of every game of a dataset.

    Predictions of half 1 alone, for a game whose labels have two halves, are those of one video of the whole match.
    Each half is then aligned by itself, and written as half 1.

    Args:
        predictions: Folder or zip of ``results_spotting.json`` files that hold weak predictions too.
        labels: Folder of the dataset.
        options: How labels are aligned.
        label_file: Name of the label files.

    Returns:
        The aligned labels, one video for each half of a game or for the whole match, and a report on every half.

    Raises:
        AnnotationError: a broken file, or a game without predictions.
        ConfigurationError: no labels, or an option that leaves nothing to compare.
    """
    videos = read_soccernet(labels, predictions=False, file_name=label_file).videos
    by_game = {game: list(group) for game, group in groupby(videos, key=lambda video: video.game)}
    events_of_game = read_predictions(predictions, list(by_game))
    aligned: list[AnnotatedVideo] = []
    reports: list[AlignedHalf] = []
    for game, halves in by_game.items():
        moments = {
            half: _in_order(
                Moment(position_ms=event.position_ms, label=event.label, value=event.value)
                for event in events_of_game[game]
                if event.half == half
            )
            for half in {event.half for event in events_of_game[game]}
        }
        one_video = set(moments) == {1} and any(video.half > 1 and video.annotations for video in halves)
        results = {
            video.half: _align_half(video, moments.get(1 if one_video else video.half, []), options) for video in halves
        }
        reports += [result.report for result in results.values() if result.report.num_labels]
        aligned += _videos(halves, results, one_video)
    return aligned, reports


def _align_half(video: AnnotatedVideo, predictions: Sequence[Moment], options: AlignmentOptions) -> _HalfLabels:
    labels = sorted(video.annotations, key=lambda annotation: annotation.position_ms)
    classes = {moment.label for moment in predictions}
    known = [label for label in labels if options.label_map(label.label) in classes]
    unseen = Counter(label.label for label in labels if options.label_map(label.label) not in classes)
    report = AlignedHalf(game=video.game, half=video.half, num_labels=len(labels), unseen=unseen)
    if not known:
        names = ", ".join(sorted(classes)) or "nothing"
        return _HalfLabels(report=replace(report, refused=f"no label is of a class that was predicted ({names})"))
    moments = [_moment(label, options.label_map) for label in known]
    try:
        offset = _offset(video.half, moments, predictions, options)
    except ConfigurationError as error:
        return _HalfLabels(report=replace(report, refused=str(error)))
    report = replace(report, offset=offset)
    if video.half not in options.offset_ms and offset.sharpness < options.min_sharpness:
        reason = (
            f"the best offset, {offset.offset_ms / 1000:+.2f} s, has a sharpness of {offset.sharpness:.1f}, and a fit "
            f"at least {options.min_sharpness:g}; state the offset, or check that labels and video are of one match"
        )
        return _HalfLabels(report=replace(report, refused=reason))
    shifted = [replace(moment, position_ms=moment.position_ms + offset.offset_ms) for moment in moments]
    matched = match_in_order(shifted, predictions, options.window_ms, options.min_confidence)
    annotations = [
        replace(label, position_ms=predictions[index].position_ms, extra=_moved_fields(label))
        for label, index in zip(known, matched, strict=True)
        if index is not None
    ]
    pairs = [
        (moment.position_ms, None if index is None else predictions[index].position_ms)
        for moment, index in zip(shifted, matched, strict=True)
    ]
    pairs += [(label.position_ms + offset.offset_ms, None) for label in labels if label.label in unseen]
    return _HalfLabels(
        report=replace(report, moved_ms=tuple(at_ms - label_ms for label_ms, at_ms in pairs if at_ms is not None)),
        annotations=tuple(annotations),
        unsure=(*_shifted(video, offset.offset_ms), *(_unsure_around(*pair, options.window_ms) for pair in pairs)),
        annotated=_complete(video, labels, offset.offset_ms),
    )


def _unsure_around(label_ms: int, prediction_ms: int | None, window_ms: int) -> tuple[int, int]:
    """Where the event of a label may be: between it and its prediction, or without one in the window around it."""
    if prediction_ms is None:
        return label_ms - window_ms, label_ms + window_ms
    first_ms, last_ms = sorted((label_ms, prediction_ms))
    return first_ms - _MARGIN_MS, last_ms + _MARGIN_MS


def _offset(
    half: int, labels: Sequence[Moment], predictions: Sequence[Moment], options: AlignmentOptions
) -> ClockOffset:
    if half in options.offset_ms:
        return ClockOffset(offset_ms=options.offset_ms[half], sharpness=0.0)
    return find_offset(labels, predictions, max_offset_ms=options.max_offset_ms)


def _moment(label: Annotation, label_map: LabelMap) -> Moment:
    return Moment(position_ms=label.position_ms, label=str(label_map(label.label)))


def _moved_fields(label: Annotation) -> dict[str, Any]:
    """Fields of a label at its new time: the clock of the file no longer fits, and the feed's time is worth keeping."""
    fields = {name: value for name, value in label.extra.items() if name != "gameTime"}
    return {**fields, "feed_position": str(label.position_ms)}


def _in_order(moments: Iterable[Moment]) -> list[Moment]:
    return sorted(moments, key=lambda moment: (moment.position_ms, moment.label))


def _shifted(video: AnnotatedVideo, offset_ms: int) -> Stretches:
    """The unsure stretches that the half has already, on the clock of the video."""
    stored = read_unsure(video.game_metadata, video.game).get(video.half, AnnotatedRanges())
    return [(start_ms + offset_ms, stop_ms + offset_ms) for start_ms, stop_ms in stored.ranges_ms]


def _complete(video: AnnotatedVideo, labels: Sequence[Annotation], offset_ms: int) -> tuple[tuple[int, int], ...]:
    """Where the labels of a half are complete, on the clock of the video."""
    ranges_ms: tuple[tuple[int, int], ...] = ((labels[0].position_ms - _EDGE_MS, labels[-1].position_ms + _EDGE_MS),)
    if video.annotated is not None:
        ranges_ms = video.annotated.ranges_ms
    return tuple((start_ms + offset_ms, stop_ms + offset_ms) for start_ms, stop_ms in ranges_ms)


def _videos(
    halves: Sequence[AnnotatedVideo], results: Mapping[int, _HalfLabels], one_video: bool
) -> list[AnnotatedVideo]:
    """The halves with their new labels, or one video that has those of both."""
    groups = [[video] for video in halves]
    if one_video:
        groups = [sorted(halves, key=lambda video: video.half)]
    unsure = {
        group[0].half: _within(stretch for video in group for stretch in results[video.half].unsure) for group in groups
    }
    unseen = {label for result in results.values() for label in result.report.unseen}
    return [
        replace(
            group[0],
            annotations=tuple(
                sorted(
                    (annotation for video in group for annotation in results[video.half].annotations),
                    key=lambda annotation: annotation.position_ms,
                )
            ),
            annotated=_within(stretch for video in group for stretch in results[video.half].annotated),
            game_metadata={**_without_classes(group[0].game_metadata, unseen), **unsure_field(unsure)},
        )
        for group in groups
    ]


def _without_classes(fields: Mapping[str, Any], unseen: Set[str]) -> dict[str, Any]:
    """Fields of a game without the old unsure stretches; classes that the spotter cannot see are not complete."""
    rest = {name: value for name, value in fields.items() if name != UNSURE_FIELD}
    if isinstance(rest.get(CLASSES_FIELD), list):
        rest[CLASSES_FIELD] = [name for name in rest[CLASSES_FIELD] if name not in unseen]
    return rest


def _within(stretches: Iterable[tuple[int, int]]) -> AnnotatedRanges:
    """Stretches in any order, cut off at the start of the video."""
    return merge_ranges((max(0, start_ms), stop_ms) for start_ms, stop_ms in stretches)

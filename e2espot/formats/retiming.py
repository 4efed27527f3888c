"""Moves the times of events: an offset, a rate, and halves joined on the clock of one video or taken apart again.

::

    time of an event      0          60 s        in the source
    rate 25/24            0          62.5 s      a video played at 24 instead of 25 pictures a second is longer
    offset -2             -2 s       60.5 s      the first is before the video and is left out

    half 1  |--x---|      half 2  |---x--|       two clocks
    joined  |--x---|......|---x--|               one clock; half 2 starts at 47:12 of it
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import Any

from e2espot.core.annotated import AnnotatedRanges, merge_ranges
from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import HALVES, MAX_DURATION_MS, parse_clock_ms
from e2espot.formats.annotated_field import UNSURE_FIELD, read_unsure, unsure_field
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet, DroppedFields

_RATE = re.compile(r"\d{1,9}(\.\d{1,9})?(/\d{1,9}(\.\d{1,9})?)?")


@dataclass(frozen=True, kw_only=True)
class Retiming:
    """What happens to the times of all events, in this order: rate, offset, joining, taking apart."""

    rate: Fraction = Fraction(1)
    """Times are multiplied by it."""
    offsets_ms: tuple[int, ...] = (0,)
    """Milliseconds that are added, by half; the last one is for all later halves too."""
    join_ms: tuple[int, ...] = ()
    """Where each half starts in one video of the whole match, whose clock all halves get; empty for leaving them."""
    split_ms: tuple[int, ...] = ()
    """Where each half starts on the clock of the whole match, from which halves are taken; empty for leaving it."""

    def moved_ms(self, position_ms: int, half: int) -> int:
        """A time of a half after rate and offset, rounded to milliseconds."""
        return round(position_ms * self.rate) + self.offsets_ms[min(half, len(self.offsets_ms)) - 1]


def parse_retiming(shift: str, rate: str, join_halves: str, split_halves: str) -> Retiming:
    """Retiming as a person writes it: shift ``2.5`` or ``0,-45:00``, rate ``25/24``, halves ``0:00,47:12``.

    Raises:
        ConfigurationError: a value of another form, or both joining and taking apart.
    """
    offsets = [_signed_ms(part.strip()) for part in shift.split(",")]
    known = [value for value in offsets if value is not None]
    if len(known) < len(offsets) or len(known) > len(HALVES):
        raise ConfigurationError(
            f"shift is {shift!r}; give seconds or a clock, such as 2.5 or -0:02, or one of each half: 0,-45:00",
            option="shift",
        )
    if _RATE.fullmatch(rate) is None or not 0.01 <= (ratio := _ratio(rate)) <= 100:
        raise ConfigurationError(
            f"rate is {rate!r}; give a number from 0.01 to 100, such as 1.001 or 25/24", option="rate"
        )
    if join_halves and split_halves:
        raise ConfigurationError("join_halves and split_halves undo each other; give one of them", option="join_halves")
    return Retiming(
        rate=ratio,
        offsets_ms=tuple(known),
        join_ms=_starts(join_halves, "join_halves"),
        split_ms=_starts(split_halves, "split_halves"),
    )


def _ratio(text: str) -> Fraction:
    """``25/24`` or ``1.001`` as a fraction; 0 if it divides by zero."""
    above, _, below = text.partition("/")
    divisor = Fraction(below or 1)
    return Fraction(above) / divisor if divisor else Fraction(0)


def _signed_ms(text: str) -> int | None:
    sign = -1 if text.startswith("-") else 1
    position_ms = parse_clock_ms(text.lstrip("+-"))
    return None if position_ms is None else sign * position_ms


def _starts(text: str, option: str) -> tuple[int, ...]:
    if not text:
        return ()
    starts = [parse_clock_ms(part.strip()) for part in text.split(",")]
    known = [start for start in starts if start is not None]
    if len(known) < len(starts) or known != sorted(set(known)) or len(known) > len(HALVES):
        raise ConfigurationError(f"{option} is {text!r}; give times in order, such as 0:00,47:12", option=option)
    return tuple(known)


def retimed(dataset: AnnotationSet, retiming: Retiming, dropped: DroppedFields) -> AnnotationSet:
    """The dataset with its events and its stretches moved; events before the start of a video are left out.

    Raises:
        ConfigurationError: a half that ``join_ms`` does not name.
    """
    if retiming == Retiming():
        return dataset
    moved = _retimed(dataset, retiming, dropped)
    unsure = _retimed(_unsure_as_annotated(dataset), retiming, DroppedFields())
    fields: dict[str, dict[int, AnnotatedRanges]] = {}
    for video in unsure.videos:
        fields.setdefault(video.game, {})[video.half] = video.annotated or AnnotatedRanges()
    videos = (
        replace(video, game_metadata=_with_unsure(video.game_metadata, fields[video.game])) for video in moved.videos
    )
    return replace(moved, videos=tuple(videos))


def _with_unsure(game_metadata: Mapping[str, Any], halves: Mapping[int, AnnotatedRanges]) -> Mapping[str, Any]:
    if UNSURE_FIELD not in game_metadata:
        return game_metadata
    others = {name: value for name, value in game_metadata.items() if name != UNSURE_FIELD}
    return {**others, **unsure_field(halves)}


def _unsure_as_annotated(dataset: AnnotationSet) -> AnnotationSet:
    """The unsure stretches alone, as stretches that move like annotated ones."""
    videos = (
        replace(
            video,
            annotations=(),
            metadata={},
            annotated=read_unsure(video.game_metadata, video.game).get(video.half, AnnotatedRanges()),
        )
        for video in dataset.videos
    )
    return replace(dataset, videos=tuple(videos))


def _retimed(dataset: AnnotationSet, retiming: Retiming, dropped: DroppedFields) -> AnnotationSet:
    videos: Iterable[AnnotatedVideo] = (_moved(video, retiming, dropped) for video in dataset.videos)
    if retiming.join_ms:
        videos = [_joined(game, halves, retiming.join_ms, dropped) for game, halves in _by_game(videos)]
    if retiming.split_ms:
        videos = [half for _, halves in _by_game(videos) for half in _taken_apart(halves, retiming.split_ms)]
    return replace(dataset, videos=tuple(videos))


def _by_game(videos: Iterable[AnnotatedVideo]) -> Iterator[tuple[str, list[AnnotatedVideo]]]:
    ordered = sorted(videos, key=lambda video: (video.game, video.half))
    for game, halves in groupby(ordered, key=lambda video: video.game):
        yield game, list(halves)


def _moved(video: AnnotatedVideo, retiming: Retiming, dropped: DroppedFields) -> AnnotatedVideo:
    annotations = []
    for annotation in video.annotations:
        position_ms = retiming.moved_ms(annotation.position_ms, video.half)
        if 0 <= position_ms <= MAX_DURATION_MS:
            annotations.append(_at(annotation, position_ms))
        else:
            dropped.add("event that the new times put before its video, or a day after its start")
    return _with_ranges(replace(video, annotations=tuple(annotations)), lambda ms: retiming.moved_ms(ms, video.half))


def _at(annotation: Annotation, position_ms: int) -> Annotation:
    """The event at another time, without the clock of the old one."""
    if position_ms == annotation.position_ms:
        return annotation
    extra = {name: value for name, value in annotation.extra.items() if name != "gameTime"}
    return replace(annotation, position_ms=position_ms, extra=extra)


def _with_ranges(video: AnnotatedVideo, moved: Callable[[int], int]) -> AnnotatedVideo:
    return video if video.annotated is None else replace(video, annotated=moved_ranges(video.annotated, moved))


def moved_ranges(ranges: AnnotatedRanges, moved: Callable[[int], int]) -> AnnotatedRanges:
    """Stretches at other times, without what is before the video; one without an end keeps to be without.

    Args:
        ranges: The stretches.
        moved: New time of a time, both in milliseconds.
    """

    def clipped(position_ms: int) -> int:
        return max(0, min(MAX_DURATION_MS, position_ms))

    return merge_ranges(
        (clipped(moved(start)), stop if stop >= MAX_DURATION_MS else clipped(moved(stop)))
        for start, stop in ranges.ranges_ms
    )


def _joined(
    game: str, halves: Sequence[AnnotatedVideo], starts_ms: Sequence[int], dropped: DroppedFields
) -> AnnotatedVideo:
    """All halves of a game on the clock of one video."""
    last = max(video.half for video in halves)
    if last > len(starts_ms):
        raise ConfigurationError(
            f"{game}: has a half {last}; say where it starts in the one video, such as 0:00,47:12", option="join_halves"
        )
    shifted = [_shifted(video, starts_ms[video.half - 1]) for video in halves]
    first = shifted[0]
    for video in shifted[1:]:
        dropped.add_fields(video.metadata, "video")
    annotated: AnnotatedRanges | None = None
    if any(video.annotated is not None for video in shifted):
        # A half that does not say what was annotated was annotated in full: up to the start of the next one.
        ends_ms = [*starts_ms[1:], MAX_DURATION_MS]
        annotated = merge_ranges(
            pair
            for video in shifted
            for pair in (
                video.annotated.ranges_ms
                if video.annotated is not None
                else ((starts_ms[video.half - 1], ends_ms[video.half - 1]),)
            )
        )
    # One video of the match has labels of two halves, of which only the first has a video: it is the one.
    paths = {video.video for video in halves if video.video}
    return replace(
        first,
        half=1,
        annotations=tuple(annotation for video in shifted for annotation in video.annotations),
        annotated=annotated,
        video=paths.pop() if len(paths) == 1 else "",
    )


def _shifted(video: AnnotatedVideo, by_ms: int) -> AnnotatedVideo:
    annotations = tuple(_at(annotation, annotation.position_ms + by_ms) for annotation in video.annotations)
    return _with_ranges(replace(video, annotations=annotations), lambda ms: ms + by_ms)


def _taken_apart(videos: Sequence[AnnotatedVideo], starts_ms: Sequence[int]) -> list[AnnotatedVideo]:
    """The halves of a game on one clock; what is before the start of half 1 stays with it.

    Labels go to the video of their half where the game has one, next to labels that are of that half already.
    """
    by_half = {video.half: video for video in videos}
    first = by_half.pop(1, None)
    for number, start_ms in enumerate(starts_ms if first is not None else ()):
        assert first is not None
        stop_ms = starts_ms[number + 1] if number + 1 < len(starts_ms) else MAX_DURATION_MS + 1
        events = [event for event in first.annotations if start_ms <= event.position_ms < stop_ms]
        ranges = first.annotated
        if ranges is not None:
            pairs = ((max(start_ms, start), min(stop_ms, stop)) for start, stop in ranges.ranges_ms)
            ranges = merge_ranges(pair for pair in pairs if pair[0] < pair[1])
        half = replace(first, half=number + 1, annotations=tuple(events), annotated=ranges)
        half = _shifted(half, -start_ms)
        there = by_half.get(half.half)
        if there is not None:
            half = replace(
                there,
                annotations=(*half.annotations, *there.annotations),
                annotated=half.annotated if there.annotated is None else there.annotated,
            )
        elif number:
            half = replace(half, video="")
        by_half[half.half] = half
    return [by_half[half] for half in sorted(by_half)]

"""Annotations with every field of their files: the common form through which formats are converted.

Training and inference work on whole frames (:class:`e2espot.core.events.Event`). A conversion must keep
the milliseconds between them, and fields that this package does not use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from e2espot.core.annotated import AnnotatedRanges


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One event of one video."""

    label: str
    """Class name as spelt in the file."""
    position_ms: int
    """Milliseconds from the start of the video."""
    confidence: float | None = None
    """Score of a prediction; None for a label."""
    team: str = ""
    """``left``, ``right``, ``home``, ``away``, ``not applicable``, or empty if the file does not state it."""
    visibility: str = ""
    """``visible``, ``not shown``, or empty if the file does not state it."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the entry, by name."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedVideo:
    """One video with its events."""

    game: str
    """``league/season/game`` or another name of the game, with forward slashes."""
    half: int = 1
    """1 or 2, 3 and 4 in extra time, 5 for penalties; a game in one video is half 1."""
    split: str = ""
    """train, valid, test, challenge, or empty."""
    annotations: tuple[Annotation, ...] = ()
    """Events in the order of the file."""
    annotated: AnnotatedRanges | None = None
    """Stretches in which the events are complete; None for the whole video."""
    video: str = ""
    """Path of the video file, relative to the dataset; empty if unknown."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the video: ``fps``, ``num_frames``, ``width``, ``height`` and any others."""
    game_metadata: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the game; the same for both halves."""


@dataclass(frozen=True, kw_only=True)
class AnnotationSet:
    """Everything that one conversion reads."""

    videos: tuple[AnnotatedVideo, ...]
    """Videos in order, the halves of a game next to each other."""
    classes: tuple[str, ...] = ()
    """Class names in order if the format lists them, else empty."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the dataset as a whole."""
    predictions: bool = False
    """True for predictions, which have confidences; False for labels."""
    empty_splits: tuple[str, ...] = ()
    """Splits that the source states without a game: ``"valid": []`` says that no game is kept for validation."""

    def class_names(self) -> tuple[str, ...]:
        """The listed classes in order, then those that occur without being listed, sorted."""
        occurring = {annotation.label for video in self.videos for annotation in video.annotations}
        return (*self.classes, *sorted(occurring - set(self.classes)))


def without_videos(splits: Iterable[str], videos: Iterable[AnnotatedVideo]) -> tuple[str, ...]:
    """Those of the splits that none of the videos is in, each once; the empty name is no split."""
    used = {"", *(video.split for video in videos)}
    return tuple(dict.fromkeys(split for split in splits if split not in used))


def first_duplicate(videos: Iterable[AnnotatedVideo]) -> tuple[str, int] | None:
    """Game and half that two of the videos share; None if each is unique."""
    counts = Counter((video.game, video.half) for video in videos)
    return next((key for key, count in counts.items() if count > 1), None)


class DroppedFields:
    """Counts what a conversion drops or changes."""

    def __init__(self) -> None:
        """Start with no counts."""
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """Count something that the target format cannot hold."""
        if count:
            self._counts[what] += count

    def add_annotated(self, video: AnnotatedVideo, format_name: str) -> None:
        """Count a video whose annotated stretches the target format cannot hold."""
        if video.annotated is not None:
            self.add(
                f"annotated stretches of a video ({format_name} has none: readers take the rest for background)",
            )

    def add_fields(self, fields: Mapping[str, Any], owner: str) -> None:
        """Count each field that is not empty, as a field of ``owner`` (``event``, ``video``, ``game``, ``dataset``)."""
        for name, value in fields.items():
            self.add(f"{owner} field {name!r}", int(value not in ("", None, [], {})))

    def lines(self) -> list[str]:
        """One line for each kind, sorted by text."""
        return [f"{count} x {what}" for what, count in sorted(self._counts.items())]

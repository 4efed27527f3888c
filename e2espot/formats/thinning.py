"""Fewer events: by confidence, by class, and by how many a minute may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from e2espot.core.errors import ConfigurationError
from e2espot.formats.interchange import Annotation, AnnotationSet, DroppedFields

_MINUTE_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Thinning:
    """Which events stay."""

    min_confidence: float = 0.0
    """Events with a lower confidence are left out; one without a confidence stays."""
    classes: tuple[str, ...] = ()
    """Classes that stay; empty for all."""
    per_minute: int | None = None
    """Most events of each minute of a video, the most confident ones; None for all."""


def parse_thinning(min_confidence: float, classes: str, per_minute: int | None) -> Thinning:
    """Thinning from the values of a command; ``classes`` is ``PASS,HIGH PASS``.

    Raises:
        ConfigurationError: a value out of range.
    """
    if not 0 <= min_confidence <= 1:
        raise ConfigurationError(f"min_confidence is {min_confidence}; give 0 to 1", option="min_confidence")
    if per_minute is not None and per_minute < 1:
        raise ConfigurationError(f"per_minute is {per_minute}; give at least 1", option="per_minute")
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    return Thinning(min_confidence=min_confidence, classes=names, per_minute=per_minute)


def thinned(dataset: AnnotationSet, thinning: Thinning, dropped: DroppedFields) -> AnnotationSet:
    """The dataset with the events that stay, in their order.

    Raises:
        ConfigurationError: a class that does not occur.
    """
    known = dataset.class_names()
    if unknown := [name for name in thinning.classes if name not in known]:
        raise ConfigurationError(
            f"classes names {unknown[0]!r}; there are {', '.join(known) or 'none'}", option="classes"
        )
    videos = []
    for video in dataset.videos:
        annotations = remaining(video.annotations, thinning)
        dropped.add(
            "event below the limits (confidence, classes, number a minute)", len(video.annotations) - len(annotations)
        )
        videos.append(replace(video, annotations=annotations))
    return replace(dataset, videos=tuple(videos))


def remaining(annotations: Sequence[Annotation], thinning: Thinning) -> tuple[Annotation, ...]:
    """Events of one video that stay."""
    stay = [
        annotation
        for annotation in annotations
        if (not thinning.classes or annotation.label in thinning.classes)
        and (annotation.confidence is None or annotation.confidence >= thinning.min_confidence)
    ]
    if thinning.per_minute is None:
        return tuple(stay)
    # Of equal ones the earlier stays.
    ranking = sorted(range(len(stay)), key=lambda index: (-(stay[index].confidence or 0.0), stay[index].position_ms))
    counts: dict[int, int] = {}
    chosen: set[int] = set()
    for index in ranking:
        minute = stay[index].position_ms // _MINUTE_MS
        if counts.setdefault(minute, 0) < thinning.per_minute:
            counts[minute] += 1
            chosen.add(index)
    return tuple(annotation for index, annotation in enumerate(stay) if index in chosen)

"""Events that a program lists by the paths of their videos, as the videos of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.core.timeline import MAX_DURATION_MS
from e2espot.files.json_fields import relative_path
from e2espot.formats.filenames import VIDEO_SUFFIXES, files_ending_in
from e2espot.formats.interchange import AnnotatedVideo, Annotation, AnnotationSet
from e2espot.formats.video_paths import games_of_paths

_FIELDS = {"team": "team", "side": "team", "visibility": "visibility"}
"""Names of attributes, in small letters -> field of an event."""


def sources_ending_in(source: Path, *endings: str) -> list[Path]:
    """The source itself if it is a file, else every file below it whose name ends so.

    Raises:
        ConfigurationError: a folder without one.
    """
    files = [source] if source.is_file() else files_ending_in(source, *endings)
    if not files:
        raise ConfigurationError(f"{source}: no file there that ends in {' or '.join(endings)}")
    return files


def make_event(label: str, position_ms: int, attributes: Mapping[str, str], context: str) -> Annotation:
    """An event, whose team and visibility are attributes of these names; other attributes stay with it.

    Raises:
        AnnotationError: no label, or a time before the video or more than a day after its start.
    """
    if not label.strip():
        raise AnnotationError(f"{context}: its label is empty")
    if not 0 <= position_ms <= MAX_DURATION_MS:
        raise AnnotationError(f"{context}: its time is {position_ms} ms; expected 0 to {MAX_DURATION_MS}")
    fields = {_FIELDS[name.lower()]: text.strip() for name, text in attributes.items() if name.lower() in _FIELDS}
    return Annotation(
        label=" ".join(label.split()),
        position_ms=position_ms,
        team=fields.get("team", ""),
        visibility=fields.get("visibility", ""),
        extra={name: text for name, text in attributes.items() if name.lower() not in _FIELDS and text},
    )


def annotation_set_of(events_of: Mapping[str, Sequence[Annotation]], source: Path) -> AnnotationSet:
    """One video for each path, named as a table's; events in order of time.

    Raises:
        AnnotationError: a path that names no game.
    """
    games = games_of_paths(events_of)
    merged: dict[tuple[str, int], list[Annotation]] = {}
    paths: dict[tuple[str, int], str] = {}
    for path, events in events_of.items():
        game, half = games.get(path, (path, 1))
        key = relative_path(game, f"{source}: name of the game"), half
        merged.setdefault(key, []).extend(events)
        if PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES:
            paths[key] = path
    return AnnotationSet(
        videos=tuple(
            AnnotatedVideo(
                game=game,
                half=half,
                annotations=tuple(sorted(events, key=lambda event: event.position_ms)),
                video=paths.get((game, half), ""),
            )
            for (game, half), events in sorted(merged.items())
        )
    )

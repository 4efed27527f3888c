"""SoccerNet's label and result files as events on the frame grid: for training, review and inference.

Scoring reads the same files in official mode, with :func:`e2espot.formats.soccernet_json.read_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from e2espot.core.adaptation import Adaptation
from e2espot.core.annotated import AnnotatedHalves, AnnotatedRanges
from e2espot.core.annotated_classes import AnnotatedClasses
from e2espot.core.coverage import ReadCoverage
from e2espot.core.errors import AnnotationError
from e2espot.core.events import Event, ScoredEvent
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import frame_of_position_ms, position_ms_of_frame
from e2espot.core.version import VERSION_FIELD, __version__
from e2espot.files.atomic import write_atomically
from e2espot.files.json_fields import read_bytes
from e2espot.formats.annotated_field import read_annotated, read_annotated_classes, read_unsure
from e2espot.formats.label_documents import read_label_document
from e2espot.formats.label_map import LabelMap
from e2espot.formats.soccernet_json import dump_document, label_document, make_row, parse_document, read_row, read_rows

ONE_VIDEO_HINT = (
    "if one video shows the whole match, put all labels on its clock: convert them with join_halves, such as 0:00,47:12"
)
"""What a message says about labels of a half that has no video of its own."""


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """Content of a label file."""

    events: tuple[Event, ...]
    """Events in the order of the file."""
    skipped: int = 0
    """Number of invalid entries that were left out."""
    annotated: AnnotatedHalves = field(default_factory=dict)
    """What the file says was labelled of each half; empty if everything was."""
    classes: AnnotatedClasses = None
    """Classes that the file says were annotated; None for all of them."""
    unsure: Mapping[int, AnnotatedRanges] = field(default_factory=dict)
    """Stretches of each half in which a missing label does not mean that nothing happens."""


def read_labels(
    path: Path,
    label_set: LabelSet,
    *,
    fps: Fraction,
    num_frames: Mapping[int, int] | None = None,
    bad_labels: Literal["stop", "skip"] = "stop",
    label_map: LabelMap | None = None,
) -> LabelFile:
    """Read the labels of one game onto the frame grid, in strict mode.

    Args:
        path: ``Labels-ball.json`` or a file of its form.
        label_set: Classes that may occur.
        fps: Rate of the grid.
        num_frames: Half -> number of grid frames, if the videos are known.
        bad_labels: ``skip`` leaves out and counts the entries that ``stop`` refuses.
        label_map: New names of classes; None for those of the file.

    Raises:
        AnnotationError: an invalid entry; the message names file, entry and field.
    """
    content, rows = read_label_document(path)
    annotated, unsure = read_annotated(content, str(path)), read_unsure(content, str(path))
    classes = read_annotated_classes(content, str(path), label_map)
    events, skipped = [], 0
    for number, row in enumerate(rows):
        try:
            context = f"{path}: annotations[{number}]"
            entry = _renamed(read_row(row, context, kind="label", mode="strict"), label_map)
            if entry is not None:
                events.append(_checked_label(entry, context, label_set, fps, num_frames))
        except AnnotationError as error:
            if bad_labels == "stop":
                raise AnnotationError(
                    f"{error}; fix it, or pass bad_labels='skip' to leave such entries out", option="bad_labels"
                ) from None
            skipped += 1
    return LabelFile(events=tuple(events), skipped=skipped, annotated=annotated, classes=classes, unsure=unsure)


def read_other_labels(path: Path, label_set: LabelSet, *, fps: Fraction) -> list[Event]:
    """The labels of a file whose classes are not in ``label_set``, on the frame grid, in strict mode.

    Args:
        path: ``Labels-other.json`` or a file of its form.
        label_set: Classes to leave out.
        fps: Rate of the grid.

    Raises:
        AnnotationError: an invalid entry; the message names file, entry and field.
    """
    _, rows = read_label_document(path)
    entries = read_rows(rows, str(path), kind="label", mode="strict")
    return [_on_grid(entry, fps, visible=entry.value > 0) for entry in entries if entry.label not in label_set]


def _renamed(entry: ScoredEvent, label_map: LabelMap | None) -> ScoredEvent | None:
    """The event under its new name; None if its class is left out."""
    label = entry.label if label_map is None else label_map(entry.label)
    return None if label is None else replace(entry, label=label)


def _checked_label(
    entry: ScoredEvent, context: str, label_set: LabelSet, fps: Fraction, num_frames: Mapping[int, int] | None
) -> Event:
    if entry.label not in label_set:
        remedy = "a label_set that has it, such as your class.txt, or a map to a known name"
        raise AnnotationError(f"{context}: {label_set.unknown(entry.label)} (give {remedy})")
    event = _on_grid(entry, fps, visible=entry.value > 0)
    if num_frames is not None and event.half not in num_frames:
        raise AnnotationError(
            f"{context}: gameTime names half {event.half}, which has no video or features; {ONE_VIDEO_HINT}"
        )
    if num_frames is not None and event.frame >= num_frames[event.half]:
        raise AnnotationError(
            f"{context}: position {entry.position_ms} is past the last picture of half {event.half} "
            f"({num_frames[event.half]} frames)"
        )
    return event


def read_predictions(path: Path, *, fps: Fraction) -> list[Event]:
    """Read the predictions of one game onto the frame grid, in strict mode.

    Args:
        path: ``results_spotting.json`` or a file of its form.
        fps: Rate of the grid.

    Raises:
        AnnotationError: an invalid entry; the message names file, entry and field.
    """
    _, rows = parse_document(read_bytes(path), "prediction", str(path))
    entries = read_rows(rows, str(path), kind="prediction", mode="strict")
    return [_on_grid(entry, fps, confidence=entry.value) for entry in entries]


def _on_grid(entry: ScoredEvent, fps: Fraction, *, confidence: float = 1.0, visible: bool = True) -> Event:
    return Event(
        frame=frame_of_position_ms(entry.position_ms, fps),
        label=entry.label,
        half=entry.half,
        confidence=confidence,
        visible=visible,
        team=entry.team,
        fps=fps,
    )


def write_predictions(
    path: Path,
    *,
    url_local: str,
    events: Sequence[Event],
    fps: Fraction,
    coverage: Mapping[int, ReadCoverage] | None = None,
    adaptations: Mapping[int, Sequence[Adaptation]] | None = None,
    prepared: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write ``results_spotting.json`` atomically; an event's time is the middle of its frame.

    The version of this package is stored next to ``UrlLocal``, on a line of its own.

    Args:
        path: The file.
        url_local: Name of the game.
        events: Predictions, in any order.
        fps: Rate of the grid.
        coverage: Half -> what was read, for the halves that could not be read in full. It becomes the field
            ``readable`` next to the predictions, which evaluators ignore.
        adaptations: Half -> how the spotters were adapted to it, for those that were. It becomes the field ``adapted``.
        prepared: What was done to the pictures of which files before they were read. It becomes the field ``prepared``.

    Raises:
        E2ESpotError: the file cannot be written.
    """
    rows = [
        make_row(
            "prediction",
            half=event.half,
            position_ms=position_ms_of_frame(event.frame, fps),
            label=event.label,
            team=event.team,
            confidence=event.confidence,
        )
        for event in _in_order(events)
    ]
    content: dict[str, Any] = {"UrlLocal": url_local, VERSION_FIELD: __version__, "predictions": rows}
    if coverage:
        content["readable"] = [_coverage_row(half, coverage[half], fps) for half in sorted(coverage)]
    if adaptations:
        content["adapted"] = [
            {"half": str(half), **adaptation.to_json()}
            for half in sorted(adaptations)
            for adaptation in adaptations[half]
        ]
    if prepared:
        content["prepared"] = [dict(row) for row in prepared]
    write_atomically(path, dump_document(content))


def _coverage_row(half: int, coverage: ReadCoverage, fps: Fraction) -> dict[str, Any]:
    """What was read of a half, in milliseconds; the ends are exclusive."""
    row: dict[str, Any] = {
        "half": str(half),
        "stretches": [{"from": start_ms, "to": stop_ms} for start_ms, stop_ms in coverage.ranges_ms(fps)],
    }
    if coverage.declared_duration_s is not None:
        row["promised_to"] = int(1000 * coverage.declared_duration_s)
    return row


def write_labels(path: Path, *, url_local: str, events: Sequence[Event], fps: Fraction) -> None:
    """Write ``Labels-ball.json`` atomically; an event's time is the middle of its frame.

    Args:
        path: The file.
        url_local: Name of the game.
        events: Labels, in any order.
        fps: Rate of the grid.

    Raises:
        E2ESpotError: the file cannot be written.
    """
    rows = [
        make_row(
            "label",
            half=event.half,
            position_ms=position_ms_of_frame(event.frame, fps),
            label=event.label,
            team=event.team,
            visibility="visible" if event.visible else "not shown",
        )
        for event in _in_order(events)
    ]
    write_atomically(path, dump_document(label_document(url_local, rows)))


def _in_order(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.half, event.frame, event.label))

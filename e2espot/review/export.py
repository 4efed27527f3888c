"""Reviewed labels for others: OpenSportsLib JSON 2.0, and datasets to train on. Pure but for ``write_dataset``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2espot.core.errors import E2ESpotError
from e2espot.core.events import Event
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import DEFAULT_FPS, position_ms_of_frame
from e2espot.files.atomic import write_atomically
from e2espot.formats.filenames import BALL_LABEL_FILE
from e2espot.formats.games import Video
from e2espot.formats.opensportslab import HEAD
from e2espot.formats.soccernet_json import dump_document, parse_document
from e2espot.review.label_rows import EventKey, event_of_row, event_of_verdict, new_row

_SAME_FRAMES = 12


def unreviewed(
    predictions: Sequence[Event], places: Sequence[EventKey], verdicts: Mapping[str, str], threshold: float
) -> list[Event]:
    """Predictions of at least ``threshold`` that no label and no verdict is about, by class and closeness in time."""
    taken: dict[tuple[int, str], list[int]] = {}
    for place in places:
        taken.setdefault((place.half, place.label), []).append(place.frame)
    for place in filter(None, map(event_of_verdict, verdicts)):
        taken.setdefault((place.half, place.label), []).append(place.frame)
    return [
        event
        for event in predictions
        if event.confidence >= threshold
        and all(abs(frame - event.frame) > _SAME_FRAMES for frame in taken.get((event.half, event.label), ()))
    ]


def osl_json(
    games: Sequence[tuple[str, Sequence[Video], Sequence[EventKey], Sequence[Event]]], label_set: LabelSet
) -> dict[str, Any]:
    """OpenSportsLib JSON 2.0: one sample a video; predictions carry a ``confidence_score``, labels do not.

    Args:
        games: Name, videos, labels, and predictions to be confirmed elsewhere.
        label_set: Classes of the head.
    """
    samples: list[dict[str, Any]] = []
    for name, videos, places, predictions in games:
        for video in videos:
            rows: list[dict[str, Any]] = [
                _osl_event(place.frame, place.label) for place in places if place.half == video.half
            ]
            rows += [
                _osl_event(event.frame, event.label) | {"confidence_score": event.confidence}
                for event in predictions
                if event.half == video.half
            ]
            samples.append(
                {
                    "id": name if len(videos) == 1 else f"{name}/{video.half}",
                    "inputs": [{"type": "video", "path": str(video.path.resolve()), "fps": float(DEFAULT_FPS)}],
                    "events": sorted(rows, key=lambda row: int(row["position_ms"])),
                    "metadata": {"game": name, "half": video.half},
                }
            )
    return {
        "version": "2.0",
        "dataset_name": "e2espot review",
        "description": "",
        "modalities": ["video"],
        "metadata": {},
        "labels": {HEAD: {"type": "single_label", "labels": list(label_set.names)}},
        "data": samples,
    }


def _osl_event(frame: int, label: str) -> dict[str, Any]:
    return {"head": HEAD, "label": label, "position_ms": position_ms_of_frame(frame, DEFAULT_FPS)}


def with_pseudo_labels(
    text: bytes, predictions: Sequence[Event], verdicts: Mapping[str, str], threshold: float
) -> bytes:
    """A label file with the unreviewed predictions of at least ``threshold`` in it, as if they were right."""
    top, rows = parse_document(text, "label", "labels")
    places = [place for row in rows if (place := event_of_row(row)) is not None]
    assumed = [
        new_row(EventKey(half=event.half, frame=event.frame, label=event.label))
        for event in unreviewed(predictions, places, verdicts, threshold)
    ]

    def time(row: Any) -> tuple[int, int]:
        place = event_of_row(row)
        return (9, 0) if place is None else (place.half, place.frame)

    return dump_document({**top, "annotations": sorted([*rows, *assumed], key=time)})


def write_dataset(root: Path, games: Sequence[tuple[str, Sequence[Video], bytes]]) -> None:
    """A dataset folder for ``tools/train.py``: labels, and links to the videos.

    Raises:
        E2ESpotError: it cannot be written.
    """
    for name, videos, text in games:
        folder = root / name
        write_atomically(folder / BALL_LABEL_FILE, text)
        for video in videos:
            link = folder / video.path.name
            try:
                if link.is_symlink():
                    link.unlink()
                if not link.exists():
                    link.symlink_to(os.path.relpath(video.path.resolve(), folder.resolve()))
            except OSError as error:
                raise E2ESpotError(f"{link}: cannot be written ({error.strerror})") from None

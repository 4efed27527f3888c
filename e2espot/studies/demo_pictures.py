"""Pictures of a result: the scores along a match, and strips of frames around single events.

Needs OpenCV (the ``render`` extra) to draw. Shapes: T frames, H height, W width, C colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from e2espot.core.errors import E2ESpotError
from e2espot.core.events import Event
from e2espot.core.scores import Scores
from e2espot.core.timeline import game_time, position_ms_of_frame

_COLOURS = ((60, 90, 220), (200, 120, 30), (60, 150, 60), (150, 60, 150))
"""Blue, green, red of the classes in turn."""
_WIDTH, _LANE, _MINUTE_S = 1500, 90, 60

Kind = Literal["hit", "miss", "false positive"]


@dataclass(frozen=True, kw_only=True)
class MatchedEvent:
    """One label or prediction and what became of it."""

    event: Event
    """The label of a miss, else the prediction."""
    kind: Kind
    """What it is."""


def pair_events(labels: Sequence[Event], predictions: Sequence[Event], within: int) -> list[MatchedEvent]:
    """Pair predictions, the most confident first, with labels of their class at most ``within`` frames away.

    A label is paired once. Labels left over are misses, predictions left over are false positives.
    """
    free = list(labels)
    events = []
    for event in sorted(predictions, key=lambda event: -event.confidence):
        near = [label for label in free if (label.label, label.half) == (event.label, event.half)]
        near = [label for label in near if abs(label.frame - event.frame) <= within]
        if near:
            free.remove(min(near, key=lambda label: abs(label.frame - event.frame)))
        events.append(MatchedEvent(event=event, kind="hit" if near else "false positive"))
    return events + [MatchedEvent(event=label, kind="miss") for label in free]


def draw_timeline(scores: Scores, labels: Sequence[Event], path: Path, *, minutes: int = 10) -> None:
    """One lane per minute: the curve of each class, and a tick for each label in the colour of its class."""
    fps = float(scores.fps)
    lanes = min(minutes, int(np.ceil(len(scores.scores_TK) / fps / _MINUTE_S)))
    canvas = np.full((lanes * _LANE + 30, _WIDTH, 3), 255, np.uint8)
    for column, name in enumerate(scores.label_set.names):
        colour = _COLOURS[column % len(_COLOURS)]
        _write(canvas, f"{name}: curve = score, tick = label", (10 + 420 * column, 20), colour)
        for lane in range(lanes):
            frames = np.arange(round(lane * _MINUTE_S * fps), round((lane + 1) * _MINUTE_S * fps))
            frames = frames[frames < len(scores.scores_TK)]
            x = (frames / fps - lane * _MINUTE_S) / _MINUTE_S * _WIDTH
            y = 30 + (lane + 1) * _LANE - 5 - scores.scores_TK[frames, column] * (_LANE - 25)
            cv2.polylines(canvas, [np.column_stack([x, y]).astype(np.int32)], False, colour, 1, cv2.LINE_AA)
        for label in labels:
            minute, second = divmod(label.frame / fps, _MINUTE_S)
            if label.label == name and minute < lanes:
                x_label, top = round(second / _MINUTE_S * _WIDTH), 30 + int(minute) * _LANE
                cv2.line(canvas, (x_label, top + 4), (x_label, top + 16), colour, 2)
    for lane in range(lanes):
        cv2.line(canvas, (0, 30 + lane * _LANE), (_WIDTH, 30 + lane * _LANE), (200, 200, 200), 1)
        _write(canvas, f"{lane}:00", (4, 44 + lane * _LANE), (120, 120, 120))
    _save(canvas, path)


def draw_strips(video: Path, events: Sequence[MatchedEvent], fps: float, path: Path, *, reach: int = 2) -> None:
    """One row per event: its frame in the middle and two on each side, ``reach`` frames at 25 fps apart."""
    from e2espot.video import open_reader

    rows = []
    with open_reader(video, size=(398, 224)) as reader:
        for paired in events:
            centre = int((paired.event.frame + 0.5) / fps * 25)
            frames = np.clip(centre + reach * np.arange(-2, 3), 0, reader.info.num_frames - 1)
            row = np.hstack(list(reader.read(frames.tolist())))[..., ::-1].copy()
            clock = game_time(position_ms_of_frame(centre), paired.event.half)
            cv2.rectangle(row, (2 * 398, 0), (3 * 398 - 1, 223), (255, 255, 255), 1)
            text = f"{paired.kind}: {paired.event.label} {clock}"
            text += "" if paired.kind == "miss" else f" at {paired.event.confidence:.2f}"
            caption = np.full((24, row.shape[1], 3), 255, np.uint8)
            _write(caption, text, (6, 17), (20, 20, 20))
            rows += [caption, row]
    if rows:
        _save(np.vstack(rows), path)


def _write(canvas: np.ndarray, text: str, position: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _save(canvas: np.ndarray, path: Path) -> None:
    from e2espot.files.atomic import write_atomically

    done, data = cv2.imencode(path.suffix, canvas)
    if not done:
        raise E2ESpotError(f"{path}: OpenCV cannot write {path.suffix}; use .png or .jpg")
    write_atomically(path, data.tobytes())

"""Hard negatives of a half: moments that look like events, and where labels show that none happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from e2espot.clips.sampler import LabelledVideo
from e2espot.core.annotated_classes import AnnotatedClasses, of_classes
from e2espot.core.label_sets import LabelSet
from e2espot.formats.soccernet import read_other_labels

_MIN_CONFIDENCE, _MIN_DISTANCE_S = 0.2, 1.0
"""A predicted event this confident, this far from every label, is a hard negative."""


def add_other_labels(
    labelled: LabelledVideo, path: Path, half: int, label_set: LabelSet, fps: Fraction
) -> LabelledVideo:
    """The half with more hard negatives: labels of classes that are not learnt, where the frame is background.

    Args:
        labelled: The half.
        path: Label file of its game; without one there are no such labels.
        half: Number of the half.
        label_set: The classes that are learnt.
        fps: Rate of the half's frames.

    Raises:
        AnnotationError: an invalid label.
    """
    others = read_other_labels(path, label_set, fps=fps) if path.is_file() else []
    frames = [event.frame for event in others if event.half == half and event.visible]
    frames = [frame for frame in frames if frame < labelled.num_frames and labelled.is_background(frame)]
    return _with_negatives(labelled, frames, [1.0] * len(frames))


def add_false_positives(
    labelled: LabelledVideo, scores_path: Path, fps: Fraction, classes: AnnotatedClasses = None
) -> LabelledVideo:
    """The half with more hard negatives: confident predictions far from all labels, by a run that has not seen it.

    Args:
        labelled: The half.
        scores_path: Scores of the half by that run.
        fps: Rate of the half's frames.
        classes: Those that were annotated; a prediction of another one may be an event.

    Raises:
        AnnotationError: no scores of this half.
    """
    from e2espot.formats.scores import read_scores
    from e2espot.suppression.nms import suppress

    scores = read_scores(scores_path)
    min_distance = float(_MIN_DISTANCE_S * fps)
    frames, weights = [], []
    for event in suppress(scores):
        # From the grid of the scores to that of the labels: frame 80 at 25 fps, labels at 12.5 fps -> 40.
        frame = int((event.frame + 0.5) * float(fps / scores.fps))
        distance = min((abs(frame - known) for known in labelled.event_frames), default=min_distance + 1)
        counts = labelled.is_background(frame) and bool(of_classes([event], classes))
        if counts and event.confidence >= _MIN_CONFIDENCE and distance > min_distance and frame < labelled.num_frames:
            frames.append(frame)
            weights.append(event.confidence)
    return _with_negatives(labelled, frames, weights)


def _with_negatives(labelled: LabelledVideo, frames: Sequence[int], weights: Sequence[float]) -> LabelledVideo:
    return replace(
        labelled,
        negative_frames=(*labelled.negative_frames, *frames),
        negative_weights=(*labelled.negative_weights, *weights),
    )

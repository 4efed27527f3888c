"""Which events to ask the reviewer about first. All functions are pure.

:func:`rank_by_uncertainty` asks where an answer gives the most information: about predictions that are as
likely right as wrong. How likely a score is right is learnt from the answers so far.
:func:`rank_by_disagreement` asks where predictions contradict the labels, or the predictions of other models.
Both avoid asking twice about one passage of play, and ask about rare classes earlier than their number alone
would, because mAP weights all classes equally.

Sources: uncertainty sampling by entropy and query by committee (Settles, "Active Learning Literature Survey",
2009, sections 3.1 and 3.2).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from e2espot.core.events import Event

QueueMode = Literal["uncertain", "disagree"]
"""How the review queue is ordered."""
QuestionKind = Literal["prediction", "label"]
"""What a question is about."""

_NEIGHBOUR_FRAMES = 50
"""Questions this close to one that was asked are about the same passage of play."""
_NEIGHBOUR_FACTOR = 0.35
"""Their weight is multiplied by this."""
_SAME_EVENT_FRAMES = 6
"""A new prediction this close to an answered one of its class is the same event."""
_PRIOR_ANSWERS = 6.0
"""Weight of the score itself, in answers, when estimating how likely a score is right."""
_SCORE_BINS = 10
_MIN_DISAGREEMENT = 0.05
"""Smaller contradictions are not asked about."""
_AGREEMENT_SCORE = 0.5
"""A prediction of at least this score near a label agrees with it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """An event the reviewer is asked about."""

    video: int
    """Index in the list of videos."""
    frame: int
    """Frame of the event on the grid."""
    label: str
    """Class of the event."""
    score: float
    """Confidence of the prediction; for a label without a matching prediction, the best score near it."""
    kind: QuestionKind
    """Whether the event is a prediction or a label."""
    weight: float
    """How informative the answer is, 0 to 1, before neighbouring questions are taken into account."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A prediction that the reviewer has decided on."""

    video: int
    """Index in the list of videos."""
    frame: int
    """Frame of the prediction on the grid."""
    label: str
    """Class of the prediction."""
    score: float | None
    """Its confidence, if known."""
    correct: bool
    """Whether the reviewer accepted it."""


def probability_correct(scores_N: np.ndarray, answers: Sequence[Answer]) -> np.ndarray:
    """Probability that predictions of these scores are correct, float64 ``(N,)``.

    It is the mean of the score, which counts as ``_PRIOR_ANSWERS`` answers, and the answers in its score bin.
    """
    # score 0.55, no answers -> 0.55; with 40 answers "wrong" at 0.5 to 0.6 -> (6 * 0.55 + 0) / (6 + 40) = 0.07
    num_answers, num_correct = np.zeros(_SCORE_BINS), np.zeros(_SCORE_BINS)
    for answer in answers:
        if answer.score is not None:
            score_bin = min(_SCORE_BINS - 1, int(answer.score * _SCORE_BINS))
            num_answers[score_bin] += 1
            num_correct[score_bin] += answer.correct
    bin_N = np.clip((scores_N * _SCORE_BINS).astype(np.int64), 0, _SCORE_BINS - 1)
    return np.asarray((_PRIOR_ANSWERS * scores_N + num_correct[bin_N]) / (_PRIOR_ANSWERS + num_answers[bin_N]))


def entropy(probability_N: np.ndarray) -> np.ndarray:
    """Entropy in bits of a yes/no answer with these probabilities, 0 to 1, float64 ``(N,)``."""
    p_N = np.clip(probability_N, 1e-12, 1 - 1e-12)
    return np.asarray(-(p_N * np.log2(p_N) + (1 - p_N) * np.log2(1 - p_N)))


def rank_by_uncertainty(
    predictions: Mapping[int, Sequence[Event]], answers: Sequence[Answer] = (), *, max_questions: int = 500
) -> list[Question]:
    """Predictions without an answer, the most informative first.

    Args:
        predictions: Index of the video -> its predictions.
        answers: Decisions so far, about these or earlier predictions.
        max_questions: Maximum length of the result.
    """
    events = [(video, event) for video, of_video in predictions.items() for event in of_video]
    events = _without_answered(events, answers)
    weight_N = entropy(probability_correct(np.array([event.confidence for _, event in events]), answers))
    questions = [
        _question(video, event, "prediction", event.confidence, weight)
        for (video, event), weight in zip(events, weight_N.tolist(), strict=True)
    ]
    return _order(questions, max_questions)


def rank_by_disagreement(
    predictions: Mapping[int, Sequence[Event]],
    labels: Mapping[int, Sequence[Event]],
    answers: Sequence[Answer] = (),
    *,
    others: Sequence[Mapping[int, Sequence[Event]]] = (),
    tolerance_frames: int = 12,
    max_questions: int = 500,
) -> list[Question]:
    """Where predictions contradict labels or other predictions, the strongest contradiction first.

    Args:
        predictions: Index of the video -> its predictions.
        labels: Index of the video -> its labels; a video without labels is compared with ``others`` only.
        answers: Decisions so far; predictions they are about are left out.
        others: Predictions of other models.
        tolerance_frames: Frames within which two events of one class agree.
        max_questions: Maximum length of the result.
    """
    questions = []
    for video, events in predictions.items():
        unanswered = [event for _, event in _without_answered([(video, event) for event in events], answers)]
        questions += _label_contradictions(video, events, unanswered, labels.get(video, ()), tolerance_frames)
        for other in others:
            other_events = other.get(video, ())
            other_unanswered = [
                event for _, event in _without_answered([(video, event) for event in other_events], answers)
            ]
            questions += _model_contradictions(
                video, (events, unanswered), (other_events, other_unanswered), tolerance_frames
            )
    return _order([question for question in questions if question.weight > _MIN_DISAGREEMENT], max_questions)


def _label_contradictions(
    video: int, events: Sequence[Event], unanswered: Sequence[Event], labels: Sequence[Event], tolerance_frames: int
) -> list[Question]:
    """Predictions without a label, and labels without a confident prediction."""
    if not labels:
        return []
    labels_by_class, events_by_class = _EventsByClass(labels), _EventsByClass(events)
    questions = [
        _question(video, event, "prediction", event.confidence, event.confidence)
        for event in unanswered
        if not labels_by_class.near(event, tolerance_frames)
    ]
    for label in labels:
        score = max((event.confidence for event in events_by_class.near(label, tolerance_frames)), default=0.0)
        if score < _AGREEMENT_SCORE:
            questions.append(_question(video, label, "label", score, 1 - score))
    return questions


def _model_contradictions(
    video: int,
    mine: tuple[Sequence[Event], Sequence[Event]],
    other: tuple[Sequence[Event], Sequence[Event]],
    tolerance_frames: int,
) -> list[Question]:
    """Differences in confidence of two models; each is given as (all predictions, those without an answer)."""
    mine_by_class, other_by_class = _EventsByClass(mine[0]), _EventsByClass(other[0])
    questions = []
    for event in mine[1]:
        score = max((near.confidence for near in other_by_class.near(event, tolerance_frames)), default=0.0)
        questions.append(_question(video, event, "prediction", event.confidence, abs(event.confidence - score)))
    questions += [
        _question(video, event, "prediction", event.confidence, event.confidence)
        for event in other[1]
        if not mine_by_class.near(event, tolerance_frames)
    ]
    return questions


class _EventsByClass:
    """Events of one video, for lookup by class and time."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events: dict[str, list[Event]] = {}
        for event in sorted(events, key=lambda event: event.frame):
            self._events.setdefault(event.label, []).append(event)

    def near(self, event: Event, tolerance_frames: int) -> list[Event]:
        """Events of the same class at most ``tolerance_frames`` away."""
        candidates = self._events.get(event.label, [])
        first = bisect_left(candidates, event.frame - tolerance_frames, key=lambda other: other.frame)
        end = bisect_right(candidates, event.frame + tolerance_frames, key=lambda other: other.frame)
        return candidates[first:end]


def sort_in_batches(questions: Sequence[Question], size: int = 20) -> list[Question]:
    """Sort every ``size`` questions by video and time, because jumping around costs more than a perfect order gains."""
    batches = [questions[first : first + size] for first in range(0, len(questions), size)]
    return [
        question
        for batch in batches
        for question in sorted(batch, key=lambda question: (question.video, question.frame, question.label))
    ]


def _question(video: int, event: Event, kind: QuestionKind, score: float, weight: float) -> Question:
    return Question(video=video, frame=event.frame, label=event.label, score=score, kind=kind, weight=float(weight))


def _without_answered(events: list[tuple[int, Event]], answers: Sequence[Answer]) -> list[tuple[int, Event]]:
    """Events that no answer is about; predictions of a new run may move by a few frames."""
    answered: dict[tuple[int, str], np.ndarray] = {}
    for answer in answers:
        key = (answer.video, answer.label)
        answered[key] = np.append(answered.get(key, np.empty(0, dtype=np.int64)), answer.frame)
    return [
        (video, event)
        for video, event in events
        if (video, event.label) not in answered
        or np.abs(answered[video, event.label] - event.frame).min() > _SAME_EVENT_FRAMES
    ]


def _order(questions: Sequence[Question], max_questions: int) -> list[Question]:
    """Order by weight, greedily: each question reduces the weight of its neighbours in time and of its class.

    A class with ``n`` questions so far has its weights divided by ``sqrt(1 + n)``.
    """
    if not questions:
        return []
    names = sorted({question.label for question in questions})
    class_N = np.array([names.index(question.label) for question in questions])
    # Videos are far apart on one time line, so that neighbours are always of the same video.
    time_N = np.array([question.video * 10**8 + question.frame for question in questions])
    weight_N = np.array([question.weight for question in questions], dtype=np.float64)
    num_asked_C = np.zeros(len(names))
    by_time = np.argsort(time_N, kind="stable")
    sorted_time_N = time_N[by_time]
    ordered = []
    for _ in range(min(max_questions, len(questions))):
        best = int(np.argmax(weight_N / np.sqrt(1 + num_asked_C)[class_N]))
        ordered.append(questions[best])
        weight_N[best] = -1  # asked
        num_asked_C[class_N[best]] += 1
        first = np.searchsorted(sorted_time_N, time_N[best] - _NEIGHBOUR_FRAMES)
        end = np.searchsorted(sorted_time_N, time_N[best] + _NEIGHBOUR_FRAMES, side="right")
        near = by_time[first:end]
        weight_N[near] = np.where(weight_N[near] > 0, weight_N[near] * _NEIGHBOUR_FACTOR, weight_N[near])
    return ordered

"""Which moments to ask a person about first: pure ordering.

``uncertain`` asks where an answer tells the most: the predictions that are as likely right as wrong. How
likely a score is right is learnt from the answers so far. ``disagree`` asks where predictions contradict
the labels, or other predictions. Both avoid asking twice about one passage of play, and take rare classes
before they would come up by themselves, since mAP counts every class alike.

Source of the measure: uncertainty sampling by entropy (Settles, "Active Learning Literature Survey", 2009,
section 3.1); of the disagreement of several predictors: query by committee, section 3.2.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from e2espot.core.events import Event

QueueMode = Literal["uncertain", "disagree"]

_CLOSE_FRAMES = 50
_CLOSE_FACTOR = 0.35
_SAME_FRAMES = 6
_PRIOR_ANSWERS = 6.0
_SCORE_BINS = 10
_WORTH_ASKING = 0.05
_SAID = 0.5
"""A prediction of at least this score near a label agrees with it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A moment a person is asked about."""

    video: int
    """Place of the video in the list of videos."""
    frame: int
    label: str
    score: float
    """Confidence of the prediction; of a label nothing hits, the best score near it."""
    kind: Literal["prediction", "label"]
    """What is asked about."""
    weight: float
    """How much the answer should teach, 0 to 1, before questions near it are counted."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A prediction a person has decided on."""

    video: int
    frame: int
    label: str
    score: float | None
    """Its confidence, where known."""
    right: bool


def chance_right(scores_N: np.ndarray, answers: Sequence[Answer]) -> np.ndarray:
    """How likely predictions of these scores are right: the score itself, corrected by the answers to its like."""
    counts, right = np.zeros(_SCORE_BINS), np.zeros(_SCORE_BINS)
    for answer in answers:
        if answer.score is not None:
            place = min(_SCORE_BINS - 1, int(answer.score * _SCORE_BINS))
            counts[place] += 1
            right[place] += answer.right
    place_N = np.clip((scores_N * _SCORE_BINS).astype(np.int64), 0, _SCORE_BINS - 1)
    return np.asarray((_PRIOR_ANSWERS * scores_N + right[place_N]) / (_PRIOR_ANSWERS + counts[place_N]))


def entropy(chance_N: np.ndarray) -> np.ndarray:
    """Bits that an answer of two kinds holds, 0 to 1."""
    chance_N = np.clip(chance_N, 1e-12, 1 - 1e-12)
    return np.asarray(-(chance_N * np.log2(chance_N) + (1 - chance_N) * np.log2(1 - chance_N)))


def uncertain(
    predictions: Mapping[int, Sequence[Event]], answers: Sequence[Answer] = (), *, most: int = 500
) -> list[Question]:
    """Predictions nobody has decided on, the one whose answer tells the most first.

    Args:
        predictions: Video -> its predictions.
        answers: Decisions so far, of these or of earlier predictions.
        most: Length of the list.
    """
    flat = [(video, event) for video, events in predictions.items() for event in events]
    flat = _unanswered(flat, answers)
    weight_N = entropy(chance_right(np.array([event.confidence for _, event in flat]), answers))
    questions = [
        _question(video, event, "prediction", event.confidence, weight)
        for (video, event), weight in zip(flat, weight_N.tolist(), strict=True)
    ]
    return _spread(questions, most)


def disagree(
    predictions: Mapping[int, Sequence[Event]],
    labels: Mapping[int, Sequence[Event]],
    answers: Sequence[Answer] = (),
    *,
    others: Sequence[Mapping[int, Sequence[Event]]] = (),
    reach: int = 12,
    most: int = 500,
) -> list[Question]:
    """Where predictions contradict labels or each other, the surest contradiction first.

    Args:
        predictions: Video -> its predictions.
        labels: Video -> its labels; videos without any are compared with ``others`` only.
        answers: Decisions so far; predictions they are about are left out.
        others: Predictions of other spotters.
        reach: Frames within which a label and a prediction of one class agree.
        most: Length of the list.
    """
    questions = []
    for video, events in predictions.items():
        said = _ByClass(events)
        open_events = [event for _, event in _unanswered([(video, event) for event in events], answers)]
        if truth := labels.get(video, ()):
            known = _ByClass(truth)
            questions += [
                _question(video, event, "prediction", event.confidence, event.confidence)
                for event in open_events
                if not known.near(event, reach)
            ]
            for label in truth:
                score = max((event.confidence for event in said.near(label, reach)), default=0.0)
                if score < _SAID:
                    questions.append(_question(video, label, "label", score, 1 - score))
        for other in others:
            theirs = other.get(video, ())
            heard = _ByClass(theirs)
            for event in open_events:
                score = max((e.confidence for e in heard.near(event, reach)), default=0.0)
                questions.append(_question(video, event, "prediction", event.confidence, abs(event.confidence - score)))
            questions += [
                _question(video, event, "prediction", event.confidence, event.confidence)
                for _, event in _unanswered([(video, event) for event in theirs], answers)
                if not said.near(event, reach)
            ]
    return _spread([question for question in questions if question.weight > _WORTH_ASKING], most)


class _ByClass:
    """Events of one video, found by class and time."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events: dict[str, list[Event]] = {}
        for event in sorted(events, key=lambda event: event.frame):
            self._events.setdefault(event.label, []).append(event)

    def near(self, event: Event, reach: int) -> list[Event]:
        """Events of its class at most ``reach`` frames away."""
        mine = self._events.get(event.label, [])
        first = bisect_left(mine, event.frame - reach, key=lambda other: other.frame)
        end = bisect_right(mine, event.frame + reach, key=lambda other: other.frame)
        return mine[first:end]


def in_batches(questions: Sequence[Question], size: int = 20) -> list[Question]:
    """The same questions, every ``size`` of them in order of video and time: jumping about costs more than it gains."""
    batches = [questions[first : first + size] for first in range(0, len(questions), size)]
    return [q for batch in batches for q in sorted(batch, key=lambda q: (q.video, q.frame, q.label))]


def _question(video: int, event: Event, kind: Literal["prediction", "label"], score: float, weight: float) -> Question:
    return Question(video=video, frame=event.frame, label=event.label, score=score, kind=kind, weight=float(weight))


def _unanswered(flat: list[tuple[int, Event]], answers: Sequence[Answer]) -> list[tuple[int, Event]]:
    """Events that no answer is about; new predictions move by a few frames, so one close by counts."""
    answered: dict[tuple[int, str], np.ndarray] = {}
    for answer in answers:
        key = (answer.video, answer.label)
        answered[key] = np.append(answered.get(key, np.empty(0, dtype=np.int64)), answer.frame)
    return [
        (video, event)
        for video, event in flat
        if (video, event.label) not in answered
        or np.abs(answered[video, event.label] - event.frame).min() > _SAME_FRAMES
    ]


def _spread(questions: Sequence[Question], most: int) -> list[Question]:
    """Order by weight, each question that is asked making those near it and those of its class less urgent."""
    if not questions:
        return []
    names = sorted({question.label for question in questions})
    class_N = np.array([names.index(question.label) for question in questions])
    place_N = np.array([question.video * 10**8 + question.frame for question in questions])
    weight_N = np.array([question.weight for question in questions], dtype=np.float64)
    asked_C = np.zeros(len(names))
    by_place = np.argsort(place_N, kind="stable")
    sorted_places = place_N[by_place]
    order = []
    for _ in range(min(most, len(questions))):
        best = int(np.argmax(weight_N / np.sqrt(1 + asked_C)[class_N]))
        order.append(questions[best])
        weight_N[best] = -1
        asked_C[class_N[best]] += 1
        first = np.searchsorted(sorted_places, place_N[best] - _CLOSE_FRAMES)
        end = np.searchsorted(sorted_places, place_N[best] + _CLOSE_FRAMES, side="right")
        near = by_place[first:end]
        weight_N[near] = np.where(weight_N[near] > 0, weight_N[near] * _CLOSE_FACTOR, weight_N[near])
    return order

"""The review queue: events of all games, the most informative first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2espot.core.events import Event
from e2espot.review.active_learning import (
    Answer,
    Question,
    QueueMode,
    rank_by_disagreement,
    rank_by_uncertainty,
    sort_in_batches,
)
from e2espot.review.export import unreviewed
from e2espot.review.inputs import ReviewGame
from e2espot.review.label_rows import EventKey
from e2espot.review.verdicts import event_of_verdict, is_accepted, label_verdict_key


@dataclass(frozen=True, kw_only=True)
class VideoReview:
    """Predictions, labels and verdicts of one video at the moment the queue is computed."""

    predictions: Sequence[Event]
    """Predictions of the model that is shown."""
    others: Sequence[Sequence[Event]]
    """Predictions of each other model."""
    labels: Mapping[int, EventKey]
    """Label id -> label."""
    verdicts: Mapping[str, str]
    """Key -> verdict, of the whole game."""
    half: int
    """Half of the game that the video shows."""

    @classmethod
    def of(cls, game: ReviewGame, half: int, snapshot: Mapping[str, Any]) -> VideoReview:
        """Select what belongs to one half.

        Args:
            game: The game.
            half: 1 or 2.
            snapshot: ``LabelStore.snapshot()`` of the game.
        """
        return cls(
            predictions=game.predictions_of(0, half) if game.predictions else (),
            others=[game.predictions_of(model, half) for model in range(1, len(game.predictions))],
            labels={
                row["id"]: EventKey(half=half, frame=row["frame"], label=row["label"])
                for row in snapshot["labels"]
                if row["half"] == half
            },
            verdicts=snapshot["verdicts"],
            half=half,
        )

    def unlabelled_predictions(self) -> list[Event]:
        """Predictions without a label of their class nearby. The others agree with a label and need no question."""
        return unreviewed(self.predictions, list(self.labels.values()), {}, threshold=0.0)

    def confirmed_labels(self) -> set[tuple[int, str]]:
        """Frame and class of the labels that the reviewer has confirmed."""
        return {
            (event.frame, event.label)
            for label_id, event in self.labels.items()
            if label_verdict_key(label_id) in self.verdicts
        }

    def answers(self, video: int) -> list[Answer]:
        """The verdicts on predictions of this video, as answers.

        Args:
            video: Index of this video in the list of videos.
        """
        scores = {(event.frame, event.label): event.confidence for event in self.predictions}
        answers = []
        for key, verdict in self.verdicts.items():
            event = event_of_verdict(key)
            if event is not None and event.half == self.half:
                answers.append(
                    Answer(
                        video=video,
                        frame=event.frame,
                        label=event.label,
                        score=scores.get((event.frame, event.label)),
                        correct=is_accepted(verdict),
                    )
                )
        return answers


def review_queue(videos: Sequence[VideoReview], mode: QueueMode) -> list[Question]:
    """Questions about all videos, in batches of similar priority.

    Args:
        videos: The videos, in the order of the page.
        mode: ``uncertain`` asks about predictions without a label nearby, ``disagree`` about contradictions.
    """
    answers = [answer for index, video in enumerate(videos) for answer in video.answers(index)]
    if mode == "uncertain":
        unlabelled = {index: video.unlabelled_predictions() for index, video in enumerate(videos)}
        return sort_in_batches(rank_by_uncertainty(unlabelled, answers))
    num_others = max((len(video.others) for video in videos), default=0)
    questions = rank_by_disagreement(
        {index: video.predictions for index, video in enumerate(videos)},
        {index: _as_events(video.labels) for index, video in enumerate(videos)},
        answers,
        others=[
            {index: video.others[model] for index, video in enumerate(videos) if model < len(video.others)}
            for model in range(num_others)
        ],
    )
    confirmed = [video.confirmed_labels() for video in videos]
    return sort_in_batches(
        [q for q in questions if q.kind == "prediction" or (q.frame, q.label) not in confirmed[q.video]]
    )


def _as_events(labels: Mapping[int, EventKey]) -> list[Event]:
    return [Event(frame=event.frame, label=event.label, half=event.half) for event in labels.values()]

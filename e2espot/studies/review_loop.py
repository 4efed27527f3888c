"""What a hundred review decisions are worth: label, train, predict, review, with a simulated annotator.

One match is labelled, the others are not. A spotter trained on the first predicts the others; an annotator
who knows the exact labels answers the questions of the review queue; the next spotter learns from the
answers and from the confident predictions that were not asked about, and so on. The comparisons are the same
number of answers to questions in random order, no answers at all, and all labels.

Two things are measured: the quality of the labels that are learnt from (F1 against the exact ones), which is
what the answers change, and mAP@1 after the training, which one short training measures with much noise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.files.atomic import write_atomically
from e2espot.formats.filenames import BALL_LABEL_FILE, SPLITS_FILE
from e2espot.formats.game import Game
from e2espot.formats.games import find_games
from e2espot.formats.soccernet import read_labels
from e2espot.formats.soccernet_json import parse_document
from e2espot.review.active_learning import Answer, Question, rank_by_uncertainty
from e2espot.review.export import ExportedGame, with_pseudo_labels, write_dataset
from e2espot.review.inputs import load_inputs
from e2espot.review.label_rows import EventKey, event_of_row
from e2espot.review.label_store import LabelStore
from e2espot.review.state import ChangeOrigin
from e2espot.review.verdicts import REJECTED, event_of_verdict, is_accepted, verdict_key
from e2espot.studies.plans import ReviewPlan
from e2espot.studies.review_plot import ALL_LABELS, CURVES, LABELLED_ALONE, NO_QUESTIONS, plot

_TOLERANCE_FRAMES = 12
"""Half a second: a prediction and an event of the same class at most so far apart mean the same."""
_FIRST_RUN = "start"

QuestionOrder = Callable[[Mapping[int, Sequence[Event]], Sequence[Answer]], list[Question]]
"""(predictions by video, answers so far) -> questions, the first one first."""


class Trainer(Protocol):
    """Trains a spotter, predicts all matches, and scores the predictions."""

    def __call__(self, run: str, data: Path, *, init_from: str | None) -> float:
        """Train once; a run that has been trained before is only scored.

        Args:
            run: Name of the run; its predictions go to ``<out>/predictions/<run>``.
            data: Dataset to train on.
            init_from: Name of the run to start from.

        Returns:
            mAP@1 on the split that is scored, 0 to 1.
        """


def run_review_study(plan: ReviewPlan, train: Trainer) -> list[dict[str, Any]]:
    """Render, then train and review in turn, and write ``loop.json``, ``labels.svg`` and ``mAP.svg``.

    Returns:
        The points of the plots, as in ``loop.json``.

    Raises:
        ConfigurationError: a value of ``plan`` is out of range.
    """
    plan.check()
    shutil.rmtree(plan.out / "labels", ignore_errors=True)
    _render(plan)
    rng = np.random.default_rng(plan.seed)

    def shuffled(predictions: Mapping[int, Sequence[Event]], answers: Sequence[Answer]) -> list[Question]:
        questions = rank_by_uncertainty(predictions, answers, max_questions=10**6)
        return [questions[index] for index in rng.permutation(len(questions))]

    start = _train_on(plan, train, _FIRST_RUN, {}, init_from=None)
    points = [_point(LABELLED_ALONE, 0, start, {})]
    points.append(
        _point(NO_QUESTIONS, 0, *_review_round(plan, train, "none", _FIRST_RUN, 0, rank_by_uncertainty, "none"))
    )
    for name, order in (("uncertain", rank_by_uncertainty), ("random", shuffled)):
        previous = _FIRST_RUN
        for number in range(1, plan.rounds + 1):
            run = f"{name}{number}"
            result = _review_round(plan, train, run, previous, plan.decisions, order, name)
            points.append(_point(CURVES[name], number * plan.decisions, *result))
            previous = run
    exact = {game.name: (game.folder / BALL_LABEL_FILE).read_bytes() for game in _unlabelled_games(plan)}
    full = _train_on(plan, train, "full", exact, init_from=_FIRST_RUN)
    points.append(_point(ALL_LABELS, -1, full, {"labels_F1": 1.0}))
    write_atomically(plan.out / "loop.json", json.dumps(points, indent=1).encode())
    write_atomically(plan.out / "labels.svg", plot(points, "labels_F1", "F1 of the labels learnt from").encode())
    write_atomically(plan.out / "mAP.svg", plot(points, "mAP@1", "mAP@1").encode())
    return points


def _unlabelled_games(plan: ReviewPlan) -> list[Game]:
    """All games of the train split but the first."""
    return find_games(plan.matches_dir, split="train")[1:]


def _render(plan: ReviewPlan) -> None:
    """Render the matches unless they exist or a dataset is given."""
    from e2espot.synthetic.dataset import render_dataset
    from e2espot.synthetic.specs import DatasetSpec

    if plan.data is not None or (plan.matches_dir / SPLITS_FILE).is_file():
        return
    shutil.rmtree(plan.matches_dir, ignore_errors=True)
    spec = DatasetSpec(games=plan.matches + 2, minutes=plan.minutes, test_minutes=plan.test_minutes, seed=plan.seed)
    render_dataset(plan.matches_dir, spec, jobs=1, progress=True)


def _point(variant: str, decisions: int, value: float, more: Mapping[str, float]) -> dict[str, Any]:
    return {"variant": variant, "decisions": decisions, "mAP@1": round(value, 4), **more}


def true_event(question: Question, half: int, truth: Sequence[EventKey], taken: set[EventKey]) -> EventKey | None:
    """The event that a prediction means, as the simulated annotator sees it.

    Args:
        question: The prediction.
        half: Its half.
        truth: All events.
        taken: Events that are labelled already.

    Returns:
        The closest event of its class, else of another class, at most half a second away; None without one.
    """
    near = [
        event
        for event in truth
        if event.half == half and abs(event.frame - question.frame) <= _TOLERANCE_FRAMES and event not in taken
    ]
    near.sort(key=lambda event: (event.label != question.label, abs(event.frame - question.frame)))
    return near[0] if near else None


def label_quality(labels: Sequence[EventKey], truth: Sequence[EventKey]) -> tuple[int, int, int]:
    """Count (labels within half a second of an event of their class, labels, events); an event counts once."""
    free, right = list(truth), 0
    for label in labels:
        near = [event for event in free if (event.half, event.label) == (label.half, label.label)]
        near = [event for event in near if abs(event.frame - label.frame) <= _TOLERANCE_FRAMES]
        if near:
            free.remove(min(near, key=lambda event: abs(event.frame - label.frame)))
            right += 1
    return right, len(labels), len(truth)


def earlier_answers(video: int, store: LabelStore) -> list[Answer]:
    """Decisions of earlier rounds; they carry no score, which would be another run's."""
    judged = [(event_of_verdict(key), verdict) for key, verdict in store.verdicts().items()]
    return [
        Answer(video=video, frame=key.frame, label=key.label, score=None, correct=is_accepted(verdict))
        for key, verdict in judged
        if key is not None
    ]


def _review_round(
    plan: ReviewPlan, train: Trainer, run: str, previous: str, count: int, order: QuestionOrder, folder: str
) -> tuple[float, dict[str, float]]:
    """Answer questions about the predictions of run ``previous``, then train ``run`` on the labels.

    Args:
        plan: What is compared.
        train: Trains and scores.
        run: Name of the new run.
        previous: Name of the run whose predictions are reviewed.
        count: Number of questions to answer.
        order: Order of the questions.
        folder: Labels of all rounds of one order are kept under this name.

    Returns:
        mAP@1 of the new run; counts of the answers by kind, and the quality of the labels.
    """
    predicted = plan.out / "predictions" / previous
    inputs = load_inputs(plan.matches_dir, predictions=[predicted], split="train", label_set="ball-2")
    names = {game.name for game in _unlabelled_games(plan)}
    games = [game for game in inputs.games if game.name in names]
    stores = [LabelStore(plan.out / "labels" / folder / game.name / BALL_LABEL_FILE) for game in games]
    truths = [_exact_labels(game.videos[0].path.parent / BALL_LABEL_FILE) for game in games]
    answers = [answer for video, store in enumerate(stores) for answer in earlier_answers(video, store)]
    questions = order({video: game.predictions[0] for video, game in enumerate(games)}, answers)[:count]
    counts = _answer(questions, stores, truths, run)
    quality = np.zeros(3)
    labels: dict[str, bytes] = {}
    for game, store, truth in zip(games, stores, truths, strict=True):
        text = with_pseudo_labels(store.text(), game.predictions[0], store.verdicts(), plan.assume)
        given = [
            event for row in parse_document(text, "label", game.name)[1] if (event := event_of_row(row)) is not None
        ]
        quality += label_quality(given, truth)
        labels[game.name] = text
        store.close()
    right, given_count, event_count = quality.tolist()
    measures = {
        "labels_precision": round(right / max(1, given_count), 4),
        "labels_recall": round(right / max(1, event_count), 4),
        "labels_F1": round(2 * right / max(1, given_count + event_count), 4),
    }
    return _train_on(plan, train, run, labels, init_from=_FIRST_RUN), {**counts, **measures}


def _answer(
    questions: Sequence[Question], stores: Sequence[LabelStore], truths: Sequence[Sequence[EventKey]], run: str
) -> dict[str, int]:
    """Answer every question by the exact labels; return the number of answers of each kind."""
    counts = {"right": 0, "moved or renamed": 0, "wrong": 0}
    for number, question in enumerate(questions):
        store = stores[question.video]
        predicted = EventKey(half=1, frame=question.frame, label=question.label)
        event = true_event(question, 1, truths[question.video], set(store.label_events().values()))
        origin = ChangeOrigin(tab="annotator", op=f"{run}/{number}", name="", seen=store.revision)
        if event is None:
            store.set_verdict(verdict_key(predicted), REJECTED, origin)
            counts["wrong"] += 1
        else:
            store.accept(predicted, event, origin)
            counts["right" if event == predicted else "moved or renamed"] += 1
    return counts


def _exact_labels(path: Path) -> list[EventKey]:
    events = read_labels(path, LABEL_SETS["ball-2"], fps=DEFAULT_FPS).events
    return [EventKey(half=event.half, frame=event.frame, label=event.label) for event in events]


def _train_on(
    plan: ReviewPlan, train: Trainer, run: str, labels: Mapping[str, bytes], *, init_from: str | None
) -> float:
    """Train on the labelled match and on ``labels`` of others (game -> label file); return mAP@1."""
    data = plan.out / "data" / run
    by_split = {
        split: find_games(plan.matches_dir, split=split) for split in dict.fromkeys(("train", "valid", plan.score_on))
    }
    splits = {split: [game.name for game in games] for split, games in by_split.items()}
    splits["train"] = [splits["train"][0], *labels]
    games = {game.name: game for games in by_split.values() for game in games}
    used = [game for name, game in games.items() if any(name in names for names in splits.values())]
    write_dataset(
        data,
        [
            ExportedGame(
                name=game.name,
                videos=game.videos,
                text=labels.get(game.name) or (game.folder / BALL_LABEL_FILE).read_bytes(),
            )
            for game in used
        ],
    )
    write_atomically(data / SPLITS_FILE, json.dumps(splits).encode())
    return train(run, data, init_from=init_from)

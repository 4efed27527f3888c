"""Label, fine-tune, predict, review, again: what a hundred decisions are worth, with a simulated person.

    python tools/loop.py -o out/loop

One rendered match is labelled, the others are not. A spotter trained on the first predicts the others; a
person who knows the exact labels answers the questions of the review's queue; the spotter learns from the
answers and from the predictions it was sure of anyway (``tools/review.py --export_dataset --assume``), and
so on. Beside it the same number of answers to questions drawn at random, no answers at all, and all labels.

Two things are measured: how good the labels are that are learnt from (F1 against the exact ones), which
is what the answers change, and mAP@1 after the training, which one short training tells with much noise.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from e2espot.core.errors import ConfigurationError, E2ESpotError
from e2espot.core.events import Event
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.files.atomic import write_atomically
from e2espot.formats.games import Game, find_games
from e2espot.formats.soccernet import parse_file, read_labels
from e2espot.report.html import Markup, element
from e2espot.review.active_learning import Answer, Question, uncertain
from e2espot.review.export import with_assumed, write_dataset
from e2espot.review.inputs import LABEL_FILE, gather
from e2espot.review.label_rows import Place, judged_place, place_of, verdict_key
from e2espot.review.label_store import LabelStore

_REACH = 12
_NAMES = {"uncertain": "questions of the queue", "random": "questions at random"}

Order = Callable[[Mapping[int, Sequence[Event]], Sequence[Answer]], list[Question]]


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Measure what a hundred decisions on the review page are worth, with a simulated person."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out/loop")
    """Folder for everything."""
    data: Path | None = None
    """A dataset instead of rendered matches: the first game of its train split is labelled, the others are not."""
    score_on: str = "test"
    """Split that is scored."""
    matches: int = 5
    """Rendered matches to train on; the first is labelled from the start."""
    minutes: float = 2.0
    """Length of each."""
    test_minutes: float = 4.0
    """Length of the match that is scored."""
    rounds: int = 2
    """Rounds of review."""
    decisions: int = 100
    """Answers a round."""
    assume: float = 0.6
    """Predictions of at least this score are learnt from unasked."""
    seed: int = 0
    """The same seed gives the same matches and the same training."""
    train: str = ""
    """More words for tools/train.py, in one string."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the simulated person says to one question."""

    place: Place | None
    """The event as it really is; None where there is none."""


def answer(question: Question, half: int, truth: Sequence[Place], taken: set[Place]) -> Verdict:
    """The event a prediction means: of its class, else of another, at most half a second away and not yet labelled."""
    near = [
        place
        for place in truth
        if place.half == half and abs(place.frame - question.frame) <= _REACH and place not in taken
    ]
    near.sort(key=lambda place: (place.label != question.label, abs(place.frame - question.frame)))
    return Verdict(place=near[0] if near else None)


def label_quality(given: Sequence[Place], truth: Sequence[Place]) -> tuple[int, int, int]:
    """How many of the given labels mean an event of their class half a second away at most; given; events."""
    free, right = list(truth), 0
    for place in given:
        near = [t for t in free if (t.half, t.label) == (place.half, place.label)]
        near = [t for t in near if abs(t.frame - place.frame) <= _REACH]
        if near:
            free.remove(min(near, key=lambda t: abs(t.frame - place.frame)))
            right += 1
    return right, len(given), len(truth)


def run_loop(told: Loop) -> list[dict[str, Any]]:
    """Render, then train and review in turn; what was trained before is not trained again.

    Returns:
        The points of the plots, as they are in ``loop.json``.
    """
    _check(told)
    shutil.rmtree(told.out / "labels", ignore_errors=True)
    from e2espot.synthetic.match import render_dataset

    matches = _matches(told)
    if told.data is None and not (matches / "splits.json").is_file():
        shutil.rmtree(matches, ignore_errors=True)
        render_dataset(
            matches,
            games=told.matches + 2,
            minutes=told.minutes,
            test_minutes=told.test_minutes,
            seed=told.seed,
            jobs=1,
            progress=True,
        )
    points = [_point("labelled match alone", 0, _train(told, "start", {}), {})]
    rng = np.random.default_rng(told.seed)

    def at_random(predictions: Mapping[int, Sequence[Event]], answers: Sequence[Answer]) -> list[Question]:
        asked = uncertain(predictions, answers, most=10**6)
        return [asked[place] for place in rng.permutation(len(asked))]

    points.append(_point("no questions", 0, *_review(told, "none", "start", 0, uncertain)))
    for name, order in (("uncertain", uncertain), ("random", at_random)):
        before = "start"
        for number in range(1, told.rounds + 1):
            run = f"{name}{number}"
            points.append(
                _point(_NAMES[name], number * told.decisions, *_review(told, run, before, number, order, name))
            )
            before = run
    points.append(_point("all labels", -1, _train(told, "full", _truths(told), start="start"), {"labels_F1": 1.0}))
    write_atomically(told.out / "loop.json", json.dumps(points, indent=1).encode())
    write_atomically(told.out / "labels.svg", plot(points, "labels_F1", "F1 of the labels learnt from").encode())
    write_atomically(told.out / "mAP.svg", plot(points, "mAP@1", "mAP@1").encode())
    return points


def _check(told: Loop) -> None:
    """Refuse before an hour is spent."""
    if min(told.rounds, told.decisions, told.seed) < 0 or told.matches < 2 or not 0 <= told.assume <= 1:
        raise ConfigurationError(
            f"--rounds {told.rounds}, --decisions {told.decisions}, --seed {told.seed}: give at least 0; "
            f"--matches {told.matches}: at least 2; --assume {told.assume}: a score from 0 to 1"
        )
    try:
        shlex.split(told.train)
    except ValueError as error:
        raise ConfigurationError(f"--train {told.train!r}: {error}") from None


def _point(arm: str, decisions: int, value: float, more: Mapping[str, float]) -> dict[str, Any]:
    return {"arm": arm, "decisions": decisions, "mAP@1": round(value, 4), **more}


def _matches(told: Loop) -> Path:
    return told.data or told.out / "matches"


def _pool(told: Loop) -> list[Game]:
    """Matches without labels: all to train on but the first."""
    return find_games(_matches(told), split="train")[1:]


def _truths(told: Loop) -> dict[str, bytes]:
    return {game.name: (game.folder / LABEL_FILE).read_bytes() for game in _pool(told)}


def _review(
    told: Loop, run: str, before: str, number: int, order: Order, arm: str | None = None
) -> tuple[float, dict[str, float]]:
    """One round: questions on the predictions of run ``before``, then a new run.

    Returns:
        Its score; the answers by kind, and how good the labels are.
    """
    pool = _pool(told)
    labels: dict[str, bytes] = {}
    counts = {"right": 0, "moved or renamed": 0, "wrong": 0}
    material = gather(
        _matches(told), predictions=[told.out / "predictions" / before], split="train", label_set="ball-2"
    )
    games = [game for game in material.games if game.name in {game.name for game in pool}]
    stores = [LabelStore(told.out / "labels" / (arm or run) / game.name / LABEL_FILE) for game in games]
    truths = [_places(game.videos[0].path.parent / LABEL_FILE) for game in games]
    answers = [_known(video, store) for video, store in enumerate(stores)]
    predictions = {video: game.predictions[0] for video, game in enumerate(games)}
    asked = order(predictions, [a for known in answers for a in known])[: told.decisions if number else 0]
    for question in asked:
        store = stores[question.video]
        told_by = answer(question, 1, truths[question.video], set(store.places()))
        mine = Place(half=1, frame=question.frame, label=question.label)
        who = {
            "tab": "person",
            "op": f"{run}{len(counts)}{store.revision}{question}",
            "name": "",
            "seen": store.revision,
        }
        if told_by.place is None:
            store.judge(verdict_key(mine), "rejected", **who)
            counts["wrong"] += 1
        else:
            store.accept(mine, told_by.place, **who)
            counts["right" if told_by.place == mine else "moved or renamed"] += 1
    quality = np.zeros(3)
    for game, store, truth in zip(games, stores, truths, strict=True):
        text = with_assumed(store.text(), game.predictions[0], store.verdicts(), told.assume)
        given = [place for row in parse_file(text, game.name)[1] if (place := place_of(row)) is not None]
        quality += label_quality(given, truth)
        labels[game.name] = text
        store.close()
    right, given_count, event_count = quality.tolist()
    measured = {
        "labels_precision": round(right / max(1, given_count), 4),
        "labels_recall": round(right / max(1, event_count), 4),
        "labels_F1": round(2 * right / max(1, given_count + event_count), 4),
    }
    return _train(told, run, labels, start="start"), {**counts, **measured}


def _places(path: Path) -> list[Place]:
    events = read_labels(path, LABEL_SETS["ball-2"], fps=DEFAULT_FPS).events
    return [Place(half=event.half, frame=event.frame, label=event.label) for event in events]


def _known(video: int, store: LabelStore) -> list[Answer]:
    """Answers of earlier rounds; scores were another run's, so they say nothing of this one's."""
    found = [(judged_place(key), verdict) for key, verdict in store.verdicts().items()]
    return [
        Answer(video=video, frame=place.frame, label=place.label, score=None, right=verdict == "accepted")
        for place, verdict in found
        if place is not None
    ]


def _train(told: Loop, run: str, labels: Mapping[str, bytes], start: str | None = None) -> float:
    """Train on the labelled match and on ``labels``, predict everything, and score the test match."""
    data, folder, predictions = (told.out / kind / run for kind in ("data", "runs", "predictions"))
    matches = _matches(told)
    wanted = dict.fromkeys(("train", "valid", told.score_on))
    found = {split: find_games(matches, split=split) for split in wanted}
    splits = {split: [game.name for game in games] for split, games in found.items()}
    splits["train"] = [splits["train"][0], *labels]
    games = {game.name: game for of_split in found.values() for game in of_split}
    used = [game for name, game in games.items() if any(name in names for names in splits.values())]
    write_dataset(
        data,
        [(game.name, game.videos, labels.get(game.name) or (game.folder / LABEL_FILE).read_bytes()) for game in used],
    )
    write_atomically(data / "splits.json", json.dumps(splits).encode())
    if not (predictions / "done").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        begin = ("--init_from", str(told.out / "runs" / start)) if start else ()
        _tool("train", data, "-s", folder, "--recipe", "laptop", "--seed", told.seed, *begin, *shlex.split(told.train))
        _tool("infer", folder, matches, "-o", predictions, "--table", 0)
        write_atomically(predictions / "done", b"")
    scores = told.out / "scores" / f"{run}.json"
    _tool("evaluate", predictions, "-l", matches, "-s", told.score_on, "--label_set", "ball-2", "--json", scores)
    return float(json.loads(scores.read_text())["at1"]["mAP"])


def _tool(name: str, *arguments: object) -> None:
    words = [sys.executable, "-m", "e2espot", name, *map(str, arguments)]
    code = subprocess.run(words, check=False).returncode
    if code:
        raise E2ESpotError(f"e2espot {name} failed with exit status {code}; see above")


def plot(points: Sequence[Mapping[str, Any]], key: str, title: str) -> Markup:
    """One measure over decisions as a picture that stands alone."""
    points = [point for point in points if key in point]
    left, right, top, bottom = 56, 430, 32, 236
    most = max(point["decisions"] for point in points) or 1
    values = [point[key] for point in points]
    low, high = np.floor(min(values) * 20) / 20, min(1.0, np.ceil(max(values) * 20 + 1e-9) / 20)

    def across(decisions: float) -> float:
        return float(left + decisions / most * (right - left))

    def down(value: float) -> float:
        return float(bottom - (value - low) / (high - low or 1) * (bottom - top))

    style = "text{font:12px system-ui,sans-serif;fill:#5d656e}"
    parts = [element("style", Markup(style)), element("rect", width=640, height=280, fill="#ffffff")]
    for value in np.arange(round(low * 20), round(high * 20) + 1) / 20:
        parts.append(element("path", d=f"M{left} {down(value):.1f}H{right}", stroke="#eceef0"))
        parts.append(element("text", f"{100 * value:.0f}", x=left - 8, y=down(value) + 4, text_anchor="end"))
    for decisions in sorted({point["decisions"] for point in points if point["decisions"] >= 0}):
        parts.append(element("text", decisions, x=across(decisions), y=bottom + 18, text_anchor="middle"))
    parts.append(element("text", "decisions", x=(left + right) / 2, y=bottom + 34, text_anchor="middle"))
    parts.append(element("text", f"{title}, percent", x=left - 40, y=14))
    base = next((point for point in points if point["arm"] == "no questions"), None)
    colours = ("#2b5fd9", "#c2570c")
    for colour, name in zip(colours, _NAMES.values(), strict=True):
        mine = [point for point in (base, *points) if point is not None and point["arm"] in (name, "no questions")]
        line = sorted({(point["decisions"], point[key]) for point in mine})
        path = "L".join(f"{across(x):.1f} {down(y):.1f}" for x, y in line)
        parts.append(element("path", d=f"M{path}", stroke=colour, fill="none", stroke_width=2))
        parts += [element("circle", cx=across(x), cy=down(y), r=3.5, fill=colour) for x, y in line]
        parts.append(element("text", name, x=right + 10, y=down(line[-1][1]) + 4, style=f"fill:{colour}"))
    for name in ("labelled match alone", "all labels"):
        for point in (point for point in points if point["arm"] == name):
            y = down(point[key])
            parts.append(element("path", d=f"M{left} {y:.1f}H{right}", stroke="#9aa4ae", stroke_dasharray="3 4"))
            parts.append(element("text", name, x=right + 10, y=y + 4))
    return element("svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox="0 0 640 280", width=640, height=280)

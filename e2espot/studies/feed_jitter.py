"""What aligning the labels of event feeds wins back: exact labels made wrong, aligned, and learnt from.

Matches are rendered, so that the exact moments of their events are known. A feed is simulated: every time is late by a
normally distributed error, and the clock of each match is off. Three trainings start from one spotter and differ in the
labels of the train games alone::

    exact      the labels of the rendering
    jittered   each time with its error; the clock is set by hand
    aligned    each time with its error and the clock off, then moved by e2espot align

The gain is how much of the loss of mAP from exact to jittered labels is won back by aligned ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from e2espot.core.timeline import game_time
from e2espot.files.atomic import write_atomically
from e2espot.formats.filenames import BALL_LABEL_FILE, FEED_LABEL_FILE, SPLITS_FILE
from e2espot.formats.game import Game
from e2espot.formats.games import find_games
from e2espot.formats.soccernet_json import dump_document, parse_document
from e2espot.review.export import ExportedGame, write_dataset
from e2espot.studies.plans import FeedPlan

EXACT, JITTERED, ALIGNED = "exact", "jittered", "aligned"
START = "start"
"""The spotter as it was."""
METRICS = ("at1", "at2", "at3")


class Steps(Protocol):
    """The commands that a user would type."""

    def predict(self, run: str, split: str) -> Path:
        """Spot a split of the matches by a run, ``start`` for the spotter as it was; the folder of the results."""

    def align(self, predictions: Path, data: Path) -> None:
        """Move the labels of the feeds of a dataset."""

    def train(self, run: str, data: Path) -> None:
        """Go on training the spotter with a dataset."""

    def score(self, predictions: Path, run: str) -> dict[str, float]:
        """Score results on the test split: mAP by metric, 0 to 1."""


def run_feed_study(plan: FeedPlan, steps: Steps) -> dict[str, Any]:
    """Render, make labels wrong, align, train and score; writes ``jitter.json``.

    Args:
        plan: What is compared.
        steps: Spots, aligns, trains and scores.

    Returns:
        mAP by variant, and ``won_back``, the share of the loss of mAP@1; None where jitter costs nothing.

    Raises:
        ConfigurationError: a value of ``plan`` is out of range.
    """
    plan.check()
    _render(plan)
    rng = np.random.default_rng(plan.seed)
    games = find_games(plan.matches_dir, split="train")
    exact = {game.name: _labels_of(game) for game in games}
    late_ms = {
        name: [round(value) for value in rng.normal(1000 * plan.late, 1000 * plan.spread, len(_rows(text)))]
        for name, text in exact.items()
    }
    jittered = {name: moved(text, late_ms[name]) for name, text in exact.items()}
    # A clock that runs ahead, since labels have no times below zero.
    bias_ms = {name: round(rng.uniform(0, 1000 * plan.bias)) for name in exact}
    fed = {name: moved(text, [ms + bias_ms[name] for ms in late_ms[name]]) for name, text in exact.items()}
    folders = {name: plan.out / "data" / name for name in (EXACT, JITTERED, ALIGNED)}
    shutil.rmtree(plan.out / "data", ignore_errors=True)
    for variant, texts in ((EXACT, exact), (JITTERED, jittered), (ALIGNED, fed)):
        _write(plan, folders[variant], games, texts, is_feed=variant == ALIGNED)
    steps.align(steps.predict(START, "train"), folders[ALIGNED])
    scores = {START: steps.score(steps.predict(START, "test"), START)}
    for variant, folder in folders.items():
        steps.train(variant, folder)
        scores[variant] = steps.score(steps.predict(variant, "test"), variant)
    lost = scores[EXACT]["at1"] - scores[JITTERED]["at1"]
    gained = scores[ALIGNED]["at1"] - scores[JITTERED]["at1"]
    results = {"scores": scores, "won_back": gained / lost if lost > 0 else None}
    write_atomically(plan.out / "jitter.json", json.dumps(results, indent=1).encode())
    return results


def moved(text: bytes, late_ms: Sequence[int]) -> bytes:
    """A label file whose times are later by ``late_ms``, one for each label, in the order of the new times."""
    content, rows = parse_document(text, "label", "labels")
    times_ms = [max(0, int(row["position"]) + late) for row, late in zip(rows, late_ms, strict=True)]
    ordered = sorted(zip(times_ms, range(len(rows)), strict=True))
    changed = [
        {**rows[number], "position": str(ms), "gameTime": game_time(ms, int(rows[number]["gameTime"][0]))}
        for ms, number in ordered
    ]
    return dump_document({**content, "annotations": changed})


def table(results: dict[str, Any]) -> str:
    """The scores as Markdown, and a line on what was won back."""
    names = {
        START: "none: the spotter as it was",
        EXACT: "exact",
        JITTERED: "jittered, the clock set by hand",
        ALIGNED: "jittered, the clock off, then aligned",
    }
    lines = ["| labels | @1 | @2 | @3 |", "|---|---:|---:|---:|"]
    for variant, scores in results["scores"].items():
        lines.append(f"| {names[variant]} | {' | '.join(f'{100 * scores[metric]:.1f}' for metric in METRICS)} |")
    share = results["won_back"]
    at1 = {variant: 100 * scores["at1"] for variant, scores in results["scores"].items()}
    lines.append("")
    if share is None:
        lines.append("the errors cost nothing at 1 s: train longer, or score more minutes")
    else:
        gained, lost = at1[ALIGNED] - at1[JITTERED], at1[EXACT] - at1[JITTERED]
        lines.append(f"aligning wins back {100 * share:.0f} % of the loss of mAP@1, {gained:.1f} of {lost:.1f} points")
    return "\n".join(lines)


def _render(plan: FeedPlan) -> None:
    """Render the matches unless they exist or a dataset is given."""
    if plan.data is not None or (plan.matches_dir / SPLITS_FILE).is_file():
        return
    from e2espot.synthetic.dataset import render_dataset
    from e2espot.synthetic.specs import DatasetSpec

    spec = DatasetSpec(
        games=plan.matches + 2,
        minutes=plan.minutes,
        valid_minutes=plan.valid_minutes,
        test_minutes=plan.test_minutes,
        seed=plan.seed,
        world="tv",
    )
    render_dataset(plan.matches_dir, spec, jobs=1, progress=True)


def _labels_of(game: Game) -> bytes:
    return (game.folder / BALL_LABEL_FILE).read_bytes()


def _rows(text: bytes) -> list[Any]:
    return parse_document(text, "label", "labels")[1]


def _write(plan: FeedPlan, folder: Path, games: Sequence[Game], texts: dict[str, bytes], *, is_feed: bool) -> None:
    """A dataset with other labels of its train games, under the name of a feed's labels if they are to be aligned."""
    valid = find_games(plan.matches_dir, split="valid")
    exported = [ExportedGame(name=game.name, videos=game.videos, text=texts[game.name]) for game in games]
    exported += [ExportedGame(name=game.name, videos=game.videos, text=_labels_of(game)) for game in valid]
    write_dataset(folder, exported)
    if is_feed:
        for game in games:
            (folder / game.name / BALL_LABEL_FILE).rename(folder / game.name / FEED_LABEL_FILE)
    splits = {"train": [game.name for game in games], "valid": [game.name for game in valid]}
    write_atomically(folder / SPLITS_FILE, json.dumps(splits).encode())

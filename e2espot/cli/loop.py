"""Measure what corrections on the review page are worth: e2espot loop -o out/loop."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.cli.subcommand import run_subcommand, split_words
from e2espot.files.atomic import write_atomically
from e2espot.studies.plans import ReviewPlan


@dataclass(frozen=True, kw_only=True)
class Loop(ReviewPlan):
    """Measure what corrections on the review page are worth, with a simulated annotator.

    Example: e2espot loop -o out/loop --train="--size 256x144 --clip_len 48 --num_epochs 3"
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out/loop")
    """Folder for all outputs."""
    train: str = ""
    """More arguments for every training (e2espot train), in one string."""


def main(arguments: list[str]) -> None:
    """Run the study and print its points."""
    args = parse(Loop, arguments, "e2espot loop")
    args.check()
    trainer = CommandTrainer(args)
    from e2espot.studies.review_loop import run_review_study

    for point in run_review_study(args, trainer):
        print(json.dumps(point))


class CommandTrainer:
    """Trains, predicts and scores by the commands that a user would type."""

    def __init__(self, args: Loop) -> None:
        self._args = args
        self._train_words = split_words(args.train, "train")

    def __call__(self, run: str, data: Path, *, init_from: str | None) -> float:
        """See ``Trainer``."""
        args = self._args
        folder, predictions = args.out / "runs" / run, args.out / "predictions" / run
        if not (predictions / "done").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            start = ("--init_from", args.out / "runs" / init_from) if init_from else ()
            recipe = ("--recipe", "laptop-fast", "--seed", args.seed)
            run_subcommand("train", data, "-s", folder, *recipe, *start, *self._train_words)
            run_subcommand("infer", folder, args.matches_dir, "-o", predictions, "--table", 0)
            write_atomically(predictions / "done", b"")
        scores = args.out / "scores" / f"{run}.json"
        labels = ("-l", args.matches_dir, "-s", args.score_on, "--label_set", "ball-2")
        run_subcommand("evaluate", predictions, *labels, "--json", scores)
        return float(json.loads(scores.read_text())["at1"]["mAP"])

"""Measure what aligning the labels of event feeds wins back: e2espot jitter -o out/jitter."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from e2espot.cli.parsing import parse
from e2espot.cli.subcommand import run_subcommand, split_words
from e2espot.core.errors import ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.studies.plans import FeedPlan


@dataclass(frozen=True, kw_only=True)
class Jitter(FeedPlan):
    """Measure what aligning the labels of event feeds wins back, on rendered matches whose labels are made wrong.

    Example: e2espot jitter -o out/jitter --start out/weights/plain/best.safetensors
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out/jitter")
    """Folder for all outputs."""
    start: Path | None = None
    """Run or weights that align the labels and that trainings start from; by default the shipped ones."""
    train: str = "--clips_per_epoch 60 --num_epochs 4 --start_val_epoch 3 --learning_rate 0.0005"
    """More arguments for every training (e2espot train), in one string."""
    align: str = ""
    """More arguments for e2espot align, in one string."""


def main(arguments: list[str]) -> None:
    """Run the study and print its table."""
    args = parse(Jitter, arguments, "e2espot jitter")
    args.check()
    commands = Commands(args)
    from e2espot.studies.feed_jitter import run_feed_study, table

    print("\n" + table(run_feed_study(args, commands)))


class Commands:
    """Spots, aligns, trains and scores by the commands that a user would type."""

    def __init__(self, args: Jitter) -> None:
        self._args = args
        self._train_words = split_words(args.train, "train")
        self._align_words = split_words(args.align, "align")
        if args.start is not None and not args.start.exists():
            raise ConfigurationError(f"{args.start}: no such run or weights", option="start")

    def _start(self) -> Path:
        from e2espot.models.weights.checkpoint import shipped_spotter

        return self._args.start or shipped_spotter()

    def predict(self, run: str, split: str) -> Path:
        """See ``Steps``."""
        from e2espot.studies.feed_jitter import START

        out = self._args.out / "predictions" / f"{run}-{split}"
        if not (out / "done").is_file():
            folder = self._start() if run == START else self._args.out / "runs" / run
            words = ("-s", split, "-o", out, "--table", 0, "--adapt", "none")
            run_subcommand("infer", folder, self._args.matches_dir, *words)
            write_atomically(out / "done", b"")
        return out

    def align(self, predictions: Path, data: Path) -> None:
        """See ``Steps``."""
        run_subcommand("align", predictions, "-l", data, *self._align_words)

    def train(self, run: str, data: Path) -> None:
        """See ``Steps``; a run that has been trained and spotted with before is not repeated."""
        folder = self._args.out / "runs" / run
        if (self._args.out / "predictions" / f"{run}-test" / "done").is_file():
            return
        shutil.rmtree(folder, ignore_errors=True)
        words = ("--recipe", "laptop-fast", "--init_from", self._start(), "--seed", self._args.seed)
        run_subcommand("train", data, "-s", folder, *words, *self._train_words)

    def score(self, predictions: Path, run: str) -> dict[str, float]:
        """See ``Steps``."""
        from e2espot.studies.feed_jitter import METRICS

        file = self._args.out / "scores" / f"{run}.json"
        labels = ("-l", self._args.matches_dir, "-s", "test", "--label_set", "ball-2", "--metric", *METRICS)
        run_subcommand("evaluate", predictions, *labels, "--json", file)
        scores = json.loads(file.read_text())
        return {metric: float(scores[metric]["mAP"]) for metric in METRICS}

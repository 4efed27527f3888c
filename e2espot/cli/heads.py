"""Compare heads on features with a spotter on frames, on rendered matches: e2espot heads."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.cli.subcommand import run_subcommand, split_words
from e2espot.files.atomic import write_atomically

if TYPE_CHECKING:
    from e2espot.studies.feature_study import StudyRow

_FRAME_EPOCHS = 3


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Train heads on features of rendered matches, and spotters on their frames, and score all on the test match.

    Finished parts are not repeated when it is run again. By default it takes some eight minutes of CPU time.

    Example: e2espot heads -o out/heads
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out/heads")
    """Folder for matches, features and runs."""
    games: int = 5
    """Rendered matches: the last is for the test, the one before for validation."""
    minutes: float = 0.5
    """Length of each but the test match."""
    test_minutes: float = 1.5
    """Length of the test match."""
    seed: int = 0
    """Seed of matches and training."""
    heads: tuple[Literal["rows_gru", "netvlad++", "max++", "calf"], ...] = ("rows_gru", "netvlad++", "max++", "calf")
    """Heads to train."""
    train: str = "--clips_per_epoch 240 --num_epochs 4"
    """Settings of every head."""
    device: str = "auto"
    """cpu, cuda or auto."""


def main(arguments: list[str]) -> None:
    """Render, extract, train, score, and print one table."""
    args = parse(Heads, arguments, "e2espot heads")
    from e2espot.studies.feature_study import study_table

    with _sigterm_interrupts():
        rows = _Study(args, split_words(args.train, "train")).rows()
    print("\n" + study_table(rows))
    write_atomically(args.out / "study.json", (json.dumps([asdict(row) for row in rows], indent=1) + "\n").encode())


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the CPU time of an interrupted part counts."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


class _Study:
    """The parts of the study in one folder; what is complete there is not done again."""

    def __init__(self, args: Heads, head_settings: list[str]) -> None:
        self._args, self._matches, self._runs = args, args.out / "matches", args.out / "runs"
        self._head_settings = head_settings

    def rows(self) -> list[StudyRow]:
        """All spotters, trained and scored."""
        from e2espot.models.weights.checkpoint import shipped_spotter
        from e2espot.studies.ablations import shipped_backbone
        from e2espot.studies.feature_study import untrained_backbone

        args = self._args
        lengths = ("--minutes", args.minutes, "--test_minutes", args.test_minutes)
        run_subcommand("render", self._matches, "--games", args.games, *lengths, "--seed", args.seed)
        shipped = self._on_features("shipped", "features of the shipped backbone", shipped_spotter())
        # Those on frames may take as long as features and the slowest head together.
        seconds = max(row.extraction_s + row.training_s for row in shipped)
        backbone, none = shipped_backbone(args.out), Path("none")
        frames = [
            self._on_frames("frames", "frames, starting from the shipped backbone", backbone, seconds),
            self._on_frames("frames_none", "frames, starting from random weights", none, seconds),
        ]
        trained = self._on_features("trained", "features of that backbone after frames", self._runs / "frames")
        weights = untrained_backbone(args.out / "untrained.safetensors")
        return [*frames, *shipped, *trained, *self._on_features("untrained", "features of random weights", weights)]

    def _on_features(self, key: str, title: str, backbone: Path) -> list[StudyRow]:
        """Extract features with a backbone, and train every head on them."""
        from e2espot.studies.feature_study import HEADS

        args, folder = self._args, self._args.out / f"features_{key}"
        words = ("-o", folder, "--backbone", backbone, "--name", "study", "--device", args.device, "--resume")
        extraction_s = self._seconds(key, lambda: run_subcommand("features", self._matches, *words, show=True))
        rows = []
        for head in args.heads:
            settings = ["--recipe", "ball-features-gru", "--features", "study", *HEADS[head], *self._head_settings]
            rows.append(self._row(f"{key}_{head}", title, head, folder, settings, extraction_s))
        return rows

    def _on_frames(self, key: str, title: str, init_from: Path, seconds: float) -> StudyRow:
        """Train a spotter on frames for some CPU seconds."""
        from e2espot.studies.feature_study import clips_per_epoch

        plan = self._runs / f"{key}.json"
        if not plan.is_file():
            clips = clips_per_epoch(seconds, _FRAME_EPOCHS, self._matches, self._runs / f"{key}_timing", str(init_from))
            write_atomically(plan, json.dumps(clips).encode())
        length = ["--clips_per_epoch", plan.read_text(), "--num_epochs", str(_FRAME_EPOCHS)]
        settings = ["--recipe", "laptop-fast", "--init_from", str(init_from), *length]
        return self._row(key, title, "end to end", self._matches, settings, 0.0)

    def _row(
        self, key: str, features: str, head: str, data: Path, settings: list[str], extraction_s: float
    ) -> StudyRow:
        """Train, infer and score one spotter."""
        from e2espot.studies.feature_study import StudyRow

        args, run = self._args, self._runs / key

        def train() -> None:
            resume = ("--resume",) if (run / "last").is_dir() else ()
            words = (*settings, "--seed", args.seed, "--device", args.device, *resume)
            run_subcommand("train", data, "-s", run, *words, show=True)

        training_s = self._seconds(f"training_{key}", train)
        scores = run / "scores.json"
        if not scores.is_file():
            run_subcommand("infer", run, data, "-s", "test", "-o", run / "out", "--device", args.device, "--table", 0)
            words = ("-l", data, "-s", "test", "--metric", "at1", "at5", "--json", scores)
            run_subcommand("evaluate", run / "out", *words)
        report = json.loads(scores.read_bytes())
        return StudyRow(
            features=features,
            head=head,
            extraction_s=extraction_s,
            training_s=training_s,
            at1=float(report["at1"]["mAP"]),
            at5=float(report["at5"]["mAP"]),
        )

    def _seconds(self, key: str, work: Callable[[], None]) -> float:
        """CPU seconds of the commands in ``work``, interrupted tries included; what is complete is not done again."""
        file = self._args.out / "seconds" / f"{key}.json"
        record = json.loads(file.read_bytes()) if file.is_file() else {"cpu_s": 0.0, "complete": False}
        if not record["complete"]:
            before = _children_s()
            try:
                work()
                record["complete"] = True
            finally:
                record["cpu_s"] += _children_s() - before
                write_atomically(file, json.dumps(record).encode())
        return float(record["cpu_s"])


def _children_s() -> float:
    """CPU seconds of the finished child processes of this one."""
    times = os.times()
    return times.children_user + times.children_system

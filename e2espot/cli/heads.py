"""Compare heads on features with a spotter on frames, on rendered matches: e2espot heads."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from e2espot.cli.subcommand import run_subcommand, split_words
from e2espot.files.atomic import write_atomically

if TYPE_CHECKING:
    from e2espot.studies.feature_study import StudyRow


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Train heads on features of rendered matches, and a spotter on their frames, and score all on the test match.

    Finished parts are not repeated when it is run again. Example: e2espot heads -o out/heads
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out/heads")
    """Folder for matches, features and runs."""
    games: int = 8
    """Rendered matches: the last is for the test, the one before for validation."""
    minutes: float = 1.0
    """Length of each."""
    seed: int = 0
    """Seed of matches and training."""
    heads: tuple[Literal["rows_gru", "netvlad++", "calf"], ...] = ("rows_gru", "netvlad++", "calf")
    """Heads to train."""
    train: str = "--clips_per_epoch 480 --num_epochs 12"
    """Settings of every head."""
    train_frames: str = "--clips_per_epoch 60 --num_epochs 3"
    """Settings of the spotter on frames."""
    device: str = "auto"
    """cpu, cuda or auto."""


def main(arguments: list[str]) -> None:
    """Render, extract, train, score, and print one table."""
    args = tyro.cli(Heads, args=arguments, use_underscores=True, prog="e2espot heads")
    from e2espot.models.weights.checkpoint import shipped_spotter
    from e2espot.studies.feature_study import HEADS, study_table, untrained_backbone

    words_of_heads, words_of_frames = split_words(args.train, "train"), split_words(args.train_frames, "train_frames")
    matches, runs = args.out / "matches", args.out / "runs"
    run_subcommand("render", matches, "--games", args.games, "--minutes", args.minutes, "--seed", args.seed)
    frames = ["--recipe", "laptop", "--init_from", "none", *words_of_frames]
    rows = [_row(args, "frames", "end to end", matches, runs / "frames", frames)]
    backbones = {
        "the shipped spotter's": shipped_spotter(),
        "of the spotter on frames": runs / "frames",
        "of random weights": untrained_backbone(args.out / "untrained.safetensors"),
    }
    for number, (title, backbone) in enumerate(backbones.items()):
        features = args.out / f"features{number}"
        words = ("-o", features, "--backbone", backbone, "--name", "study", "--device", args.device, "--resume")
        run_subcommand("features", matches, *words, show=True)
        for head in args.heads:
            settings = ["--recipe", "ball-features-gru", "--features", "study", *HEADS[head], *words_of_heads]
            rows.append(_row(args, title, head, features, runs / f"{number}_{head}", settings))
    print("\n" + study_table(rows))
    write_atomically(args.out / "study.json", (json.dumps([asdict(row) for row in rows], indent=1) + "\n").encode())


def _row(args: Heads, features: str, head: str, data: Path, run: Path, settings: list[str]) -> StudyRow:
    """Train, infer and score one spotter; what exists is taken as it is."""
    from e2espot.studies.feature_study import StudyRow

    seconds = run / "cpu_s.json"
    if not seconds.is_file():
        before = os.times()
        resume = ("--resume",) if (run / "last").is_dir() else ()
        words = (*settings, "--seed", args.seed, "--device", args.device, *resume)
        run_subcommand("train", data, "-s", run, *words, show=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        write_atomically(seconds, json.dumps(spent).encode())
    run_subcommand("infer", run, data, "-s", "test", "-o", run / "out", "--device", args.device, "--table", 0)
    scores = run / "scores.json"
    run_subcommand("evaluate", run / "out", "-l", data, "-s", "test", "--metric", "at1", "at5", "--json", scores)
    report = json.loads(scores.read_bytes())
    return StudyRow(
        features=features,
        head=head,
        cpu_s=float(json.loads(seconds.read_bytes())),
        at1=float(report["at1"]["mAP"]),
        at5=float(report["at5"]["mAP"]),
    )

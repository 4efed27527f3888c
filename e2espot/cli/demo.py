"""See it work without any download: render, train, infer, score and draw. `make demo` runs it."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.cli.parsing import parse
from e2espot.cli.subcommand import command_line, run_subcommand
from e2espot.files.atomic import write_atomically

GAMES, MINUTES, VALID_MINUTES, TEST_MINUTES = 14, 0.5, 3, 9
"""Twelve train games, one valid and one test game, each with its own look: 6 + 3 + 9 minutes."""
TRAINING = (
    *("--recipe", "laptop-fast", "--num_epochs", "1", "--epoch_clips", "160"),
    *("--warm_up_epochs", "0.25", "--learning_rate", "0.0005"),
)
"""A recipe, shortened and with a lower rate: the initial weights have seen rendered matches."""

MIN_CONFIDENCE = 0.3
"""Lowest confidence of predictions in the pictures."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Render matches, train a spotter on their video files, run it on an unseen match, and score it.

    It takes some eight minutes on two cores.

    Example: e2espot demo --out demo --seed 1
    """

    out: Path = Path("demo")
    """Folder for all outputs."""
    seed: int = 0
    """Another seed gives other matches."""


def main(arguments: list[str]) -> None:
    """Run the commands that a user would type, then draw the pictures and print the table."""
    args = parse(Demo, arguments, "e2espot demo")
    begun = time.perf_counter()
    matches, run = args.out / "matches", args.out / "run"
    _show("render", matches, *_render_arguments(args.seed))
    train(matches, run, args.seed)
    _show("infer", run, matches, "-s", "test", "-o", args.out / "predictions", "--flip", "--save_scores", "--table", 10)
    scores = args.out / "scores.json"
    _show("evaluate", args.out / "predictions", "-l", matches, "-s", "test", "--label_set", "ball-2", "--json", scores)
    baseline = _baseline(matches)
    content = json.loads(scores.read_text())
    content["guesser"] = baseline
    write_atomically(scores, (json.dumps(content, indent=1) + "\n").encode())
    pictures = _draw(args.out, matches)
    print(_table(content, _start_of(run)))
    print(f"\npredictions: {args.out / 'predictions'}\nscores:      {scores}\nrun:         {run}")
    print("pictures:    " + "\n             ".join(map(str, pictures)))
    following = command_line("infer", run, "YOUR_VIDEO.mp4", "-o", "out/")
    print(f"\n{time.perf_counter() - begun:.0f} s in total. Next: {following}")


def _render_arguments(seed: int) -> tuple[object, ...]:
    lengths = "--minutes", MINUTES, "--valid_minutes", VALID_MINUTES, "--test_minutes", TEST_MINUTES
    return "--games", GAMES, *lengths, "--seed", seed


def _show(name: str, *arguments: object) -> None:
    """Print the command line and run it."""
    run_subcommand(name, *arguments, show=True)


def train(matches: Path, run: Path, seed: int, *more: object) -> None:
    """Train into ``run``; resume a run of the same arguments, start over on any other."""
    words = (matches, "-s", run, *TRAINING, "--seed", seed, *more)
    stamp = run / "demo.json"
    content = json.dumps([str(word) for word in words])
    if (run / "last").is_dir() and stamp.is_file() and stamp.read_text() == content:
        _show("train", *words, "--resume")
        return
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    stamp.write_text(content)
    _show("train", *words)


def _baseline(matches: Path) -> dict[str, object]:
    """Scores of the periodic baseline on the test game, in evaluate's form."""
    from e2espot.core.label_sets import LABEL_SETS
    from e2espot.core.timeline import DEFAULT_FPS
    from e2espot.training.data import load_games
    from e2espot.training.validation import baseline_report

    label_set = LABEL_SETS["ball-2"]
    train_games, test_games = (load_games(matches, split, label_set, DEFAULT_FPS) for split in ("train", "test"))
    return baseline_report(train_games, test_games, label_set, DEFAULT_FPS).to_json()


def _start_of(run: Path) -> str:
    from e2espot.training.checkpoints import load_config

    return str(load_config(run)["start"])


def _draw(out: Path, matches: Path) -> list[Path]:
    """The score curves of the test game, and its best hits, worst misses and false positives."""
    from e2espot.formats.filenames import RESULTS_FILE, scores_file
    from e2espot.formats.games import find_games
    from e2espot.formats.scores import read_scores
    from e2espot.formats.soccernet import read_labels, read_predictions
    from e2espot.studies.demo_pictures import draw_strips, draw_timeline, pair_events

    game = find_games(matches, split="test")[0]
    folder = out / "predictions" / game.name
    scores = read_scores(folder / scores_file(half=1, num_videos=1))
    assert game.labels_path is not None
    num_frames = {1: len(scores.scores_TK)}
    labels = read_labels(game.labels_path, scores.label_set, fps=scores.fps, num_frames=num_frames).events
    draw_timeline(scores, labels, out / "pictures" / "timeline.png")
    predictions = read_predictions(folder / RESULTS_FILE, fps=scores.fps)
    confident = [event for event in predictions if event.confidence >= MIN_CONFIDENCE]
    paired_events = pair_events(labels, confident, round(scores.fps / 2))
    for kind, name in (("hit", "hits"), ("miss", "misses"), ("false positive", "false_alarms")):
        shown = [paired for paired in paired_events if paired.kind == kind][:6]
        draw_strips(game.videos[0].path, shown, float(scores.fps), out / "pictures" / f"{name}.png")
    return sorted((out / "pictures").glob("*.png"))


def _table(content: dict[str, Any], start: str) -> str:
    """mAP@1..5 of the model next to the periodic baseline."""
    metrics = [name for name in content if name != "guesser"]
    rows = {"this spotter": content, "periodic baseline": content["guesser"]}
    lines = [f"\nThe unseen test match, mAP in percent; training started from: {start}"]
    lines.append(f"{'':18}" + "".join(f"{'@' + name[2:]:>8}" for name in metrics))
    for title, scores in rows.items():
        lines.append(f"{title:18}" + "".join(f"{100 * scores[name]['mAP']:8.2f}" for name in metrics))
    return "\n".join(lines)

"""The main job on data that needs no download: render, train, infer, score, look. `make demo` runs it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from e2espot.core.errors import E2ESpotError
from e2espot.files.atomic import write_atomically

if TYPE_CHECKING:
    from e2espot.core.events import Event

GAMES, MINUTES, VALID_MINUTES, TEST_MINUTES = 14, 1.5, 3, 9
"""Twelve train games, one valid, one test, each with a look of its own: 18 + 3 + 9 minutes."""
TRAINING = ("--recipe", "laptop", "--num_epochs", "4", "--learning_rate", "0.0005")
"""The laptop recipe, cut to the demo's time and gentler: the start has seen matches of this kind."""

LIKELY = 0.3
"""Confidence from which on a prediction is shown in the pictures."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Render matches, train a spotter from the video files, run it on a match it has never seen, score it."""

    out: Path = Path("demo")
    """Folder for everything."""
    seed: int = 0
    """Another seed plays other matches."""


def main(arguments: list[str]) -> None:
    """Five commands a user could type, then the pictures and the table."""
    args = tyro.cli(Demo, args=arguments, prog="e2espot demo")
    begun = time.perf_counter()
    matches, run = args.out / "matches", args.out / "run"
    tool("render", matches, *_numbers(args.seed))
    train(matches, run, args.seed)
    tool("infer", run, matches, "-s", "test", "-o", args.out / "predictions", "--flip", "--save_scores", "--table", 10)
    scores = args.out / "scores.json"
    tool("evaluate", args.out / "predictions", "-l", matches, "-s", "test", "--label_set", "ball-2", "--json", scores)
    baseline = _baseline(matches)
    content = json.loads(scores.read_text())
    content["guesser"] = baseline
    write_atomically(scores, (json.dumps(content, indent=1) + "\n").encode())
    pictures = _draw(args.out, matches)
    print(_table(content, _start_of(run)))
    print(f"\npredictions: {args.out / 'predictions'}\nscores:      {scores}\nrun:         {run}")
    print("pictures:    " + "\n             ".join(map(str, pictures)))
    print(f"\n{time.perf_counter() - begun:.0f} s in all. Next: e2espot infer {run} YOUR_VIDEO.mp4 -o out/")


def _numbers(seed: int) -> tuple[object, ...]:
    lengths = "--minutes", MINUTES, "--valid_minutes", VALID_MINUTES, "--test_minutes", TEST_MINUTES
    return "--games", GAMES, *lengths, "--seed", seed


def tool(name: str, *arguments: object) -> None:
    """Show the command line and run it; its error is ours.

    Raises:
        E2ESpotError: it failed and has said why.
        KeyboardInterrupt: it was interrupted.
    """
    words = [name, *map(str, arguments)]
    print(f"\n$ e2espot {shlex.join(words)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "e2espot", *words], check=False).returncode
    if code in (130, -2):
        raise KeyboardInterrupt
    if code:
        raise E2ESpotError(f"e2espot {name} failed with exit status {code}; see above")


def train(matches: Path, run: Path, seed: int, *more: object) -> None:
    """Train into ``run``, going on with one of the same seed and starting over on any other."""
    words = (matches, "-s", run, *TRAINING, "--seed", seed, *more)
    stamp = run / "demo.json"
    args = json.dumps([str(word) for word in words])
    if (run / "last").is_dir() and stamp.is_file() and stamp.read_text() == args:
        tool("train", *words, "--resume")
        return
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    stamp.write_text(args)
    tool("train", *words)


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
    """The score curves of the test game, and its best hits, worst misses and false alarms."""
    from e2espot.formats.games import find_games
    from e2espot.formats.scores import read_scores
    from e2espot.formats.soccernet import read_labels
    from e2espot.studies.demo_pictures import draw_strips, draw_timeline, match_events

    game = find_games(matches, split="test")[0]
    folder = out / "predictions" / game.name
    scores = read_scores(folder / "scores.npz")
    assert game.labels_path is not None
    num_frames = {1: len(scores.scores_TK)}
    labels = read_labels(game.labels_path, scores.label_set, fps=scores.fps, num_frames=num_frames).events
    draw_timeline(scores, labels, out / "pictures" / "timeline.png")
    found = _predictions(folder / "results_spotting.json", scores.fps)
    likely = [event for event in found if event.confidence >= LIKELY]
    moments = match_events(labels, likely, round(scores.fps / 2))
    for kind, name in (("hit", "hits"), ("miss", "misses"), ("false alarm", "false_alarms")):
        own = [moment for moment in moments if moment.kind == kind][:6]
        draw_strips(game.videos[0].path, own, float(scores.fps), out / "pictures" / f"{name}.png")
    return sorted((out / "pictures").glob("*.png"))


def _predictions(path: Path, fps: Fraction) -> list[Event]:
    from e2espot.core.events import Event
    from e2espot.core.timeline import frame_of_position_ms

    return [
        Event(
            frame=frame_of_position_ms(int(row["position"]), fps),
            label=row["label"],
            half=int(row["half"]),
            confidence=float(row["confidence"]),
        )
        for row in json.loads(path.read_text())["predictions"]
    ]


def _table(content: dict[str, Any], start: str) -> str:
    """mAP@1..5 of the model next to the periodic baseline."""
    metrics = [name for name in content if name != "guesser"]
    rows = {"this spotter": content, "periodic baseline": content["guesser"]}
    lines = [f"\nThe unseen test match, mAP in percent; start of the training: {start}"]
    lines.append(f"{'':18}" + "".join(f"{'@' + name[2:]:>8}" for name in metrics))
    for title, found in rows.items():
        lines.append(f"{title:18}" + "".join(f"{100 * found[name]['mAP']:8.2f}" for name in metrics))
    return "\n".join(lines)

"""Train two control networks that must fail where the demo's succeeds: no motion, no order. `make controls`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2espot.cli.demo import train
from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError
from e2espot.files.atomic import write_atomically

if TYPE_CHECKING:
    from e2espot.core.scores import Scores
    from e2espot.models import Spotter

SINGLE_FRAME = ("-m", "small", "-t", "", "--single_frame")
"""Neither gate shift nor GRU nor motion at the input."""
SHUFFLED = ("--shuffle_frames",)
"""The demo's network on clips whose frames come in random order."""


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Train two control networks on the demo's matches and score them on its test match.

    One sees single frames, the other clips whose frames are in random order. Run e2espot demo first.
    Example: e2espot controls --out demo
    """

    out: Path = Path("demo")
    """The demo's folder."""
    seed: int = 0
    """The demo's seed."""


def main(arguments: list[str]) -> None:
    """Train and score both, and print them together with the demo's spotter."""
    args = parse(Controls, arguments, "e2espot controls")
    matches = args.out / "matches"
    if not (args.out / "scores.json").is_file():
        raise ConfigurationError(f"{args.out / 'scores.json'}: no such file; run e2espot demo first")
    model = _score_of_demo(args.out / "scores.json")
    results = {"the demo's spotter": model}
    for name, words, shuffled in (("single frames", SINGLE_FRAME, False), ("shuffled frames", SHUFFLED, True)):
        run = args.out / "controls" / name.replace(" ", "_")
        train(matches, run, args.seed, *words)
        results[name] = _score(run, matches, shuffled)
    print("\nmAP@1 in percent on the test match")
    for name, value in results.items():
        print(f"{name:20}{100 * value:8.2f}{value / max(model, 1e-9):8.2f} of the spotter's")
    write_atomically(args.out / "controls" / "scores.json", (json.dumps(results, indent=1) + "\n").encode())


def _score_of_demo(file: Path) -> float:
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["at1"]["mAP"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise ConfigurationError(f"{file}: not the scores of a demo; run e2espot demo again") from None


def _score(run: Path, matches: Path, shuffled: bool) -> float:
    """mAP@1 on the test game, under the calibration fitted on the valid game."""
    from e2espot.models import load_spotter
    from e2espot.training.data import load_games
    from e2espot.training.fit_calibration import fit_calibration
    from e2espot.training.validation import classes_of, labels_of, score_games, score_predictions

    spotter = load_spotter(run)
    valid, test = (load_games(matches, split, spotter.label_set, spotter.fps) for split in ("valid", "test"))
    if shuffled:
        scores = [
            {game.game.name: {1: shuffled_scores(spotter, game.game.videos[0].path)} for game in games}
            for games in (valid, test)
        ]
    else:
        scores = [score_games(spotter, games) for games in (valid, test)]
    calibration = fit_calibration(scores[0], labels_of(valid), spotter.label_set, classes_of(valid))
    return score_predictions(scores[1], test, calibration, spotter.label_set).mAP("at1")


def shuffled_scores(spotter: Spotter, path: Path) -> Scores:
    """Score each clip of ``clip_len`` frames in random order, then put the scores back in the order of time."""
    import numpy as np
    import torch

    from e2espot.core.device import compute_dtype
    from e2espot.core.scores import Scores
    from e2espot.models import normalise
    from e2espot.video import stream_frames

    rng = np.random.default_rng(0)
    dtype = compute_dtype(torch.device("cpu"))
    size, parts = (spotter.spec.width, spotter.spec.height), []
    for chunk in stream_frames(path, fps=spotter.fps, size=size, chunk_len=spotter.spec.clip_len):
        order = torch.from_numpy(rng.permutation(len(chunk.frames_THWC)))
        frames_TCHW = normalise(torch.from_numpy(chunk.frames_THWC)[order], dtype)
        with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            scores_TK = spotter(frames_TCHW[None])[0].softmax(-1)[:, 1:]
        parts.append(torch.empty_like(scores_TK).index_copy_(0, order, scores_TK).numpy())
    return Scores(scores_TK=np.concatenate(parts), label_set=spotter.label_set, fps=spotter.fps, path=path)

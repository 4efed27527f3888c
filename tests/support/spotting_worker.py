"""Spot the matches of a folder with the shipped weights, in a separate process.

Needed to choose an instruction set: oneDNN reads ``ONEDNN_MAX_CPU_ISA`` once, when it is first used.

    python -m tests.support.spotting_worker MATCHES SCORES.npz

Writes ``scores_TK`` of each match under its name; prints what oneDNN reports about the CPU, and the number format.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from e2espot.core.device import compute_dtype
from e2espot.formats.games import find_games
from e2espot.inference.options import InferenceOptions
from e2espot.inference.predict import spot_video
from e2espot.models import load_spotter
from e2espot.models.weights.checkpoint import shipped_spotter


def main(matches: Path, file: Path) -> None:
    mkldnn = torch.backends.mkldnn
    if mkldnn.is_available():
        with mkldnn.verbose(mkldnn.VERBOSE_ON):
            torch.nn.functional.conv2d(torch.ones(1, 32, 32, 32), torch.ones(32, 32, 3, 3))
    sys.stdout.write(f"computing in {compute_dtype(torch.device('cpu'))}\n")
    spotter = load_spotter(shipped_spotter())
    options = InferenceOptions(adapt="none")
    scores = {game.name: spot_video(spotter, game.videos[0].path, options) for game in find_games(matches)}
    np.savez(file, **{name: of_game.scores_TK for name, of_game in scores.items()})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

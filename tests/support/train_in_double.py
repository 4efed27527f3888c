"""Train in double precision, so that one process and several can be compared: DATA RUN OUT FIELDS STEPS PAUSE_S.

Adam divides gradients by their size, so a gradient of rounding errors gives a full step. In double precision
there are none. A run whose name contains ``frozen`` keeps its batch statistics fixed.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from e2espot.models.spotter import Spotter
from e2espot.training import fit, setup
from e2espot.training.config import resolve
from e2espot.training.distributed import destroy_process_group
from e2espot.training.options import RunOptions
from e2espot.training.recipe import Recipe, merge, read_recipe
from e2espot.training.state import Run

RESTORE, FEATURES, TRAIN, TAKE_STEP = setup.restore, Spotter.features, Spotter.train, fit.take_step


def restore_in_double(run: Run, state: dict[str, Any]) -> None:
    run.spotter.double()
    RESTORE(run, state)


def train_with_fixed_statistics(self: Spotter, mode: bool = True) -> Spotter:
    TRAIN(self, mode)
    for layer in self.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.eval()
    return self


def build_run(data: Path, folder: Path, fields: dict[str, Any], steps: int) -> Run:
    small = {"size": "96x64", "clip_len": 16, "batch_size": 4, "clips_per_epoch": 4 * steps, "num_epochs": 1}
    exact = {"num_workers": 0, "precision": "fp32", "warm_up_epochs": 0, "save_every": 5}
    recipe = merge(merge(Recipe(), read_recipe("laptop-fast")), small | exact | fields)
    options = RunOptions(resume=(folder / "last").exists(), device="cpu")
    run = setup.setup(resolve(recipe, data, folder, options))
    run.spotter.double()
    run.ema = {name: value.double() if value.is_floating_point() else value for name, value in run.ema.items()}
    for layer in run.spotter.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0  # each process would sample another mask
    return run


def train(
    data: Path,
    folder: Path,
    out: Path,
    fields: dict[str, Any],
    steps: int,
    pause_s: float = 0.0,
    replace: Callable[[Any, str, Any], None] = setattr,
) -> None:
    """Train and write weights and losses to ``out``; ``replace`` exchanges parts of the package for that."""
    replace(setup, "restore", restore_in_double)
    replace(fit, "_validate_and_keep_best", lambda run: None)
    if "frozen" in str(folder):
        replace(Spotter, "train", train_with_fixed_statistics)
    run = build_run(data, folder, fields, steps)
    # Frames and features arrive in single precision, the layers are in double.
    replace(Spotter, "features", lambda self, frames: FEATURES(self, frames.double()))
    encode = run.spotter.head.encode
    run.spotter.head.encode = lambda features: encode(features.double())

    def slow_step(run: Run, batch: Any) -> float:
        time.sleep(pause_s)
        return TAKE_STEP(run, batch)

    replace(fit, "take_step", slow_step)
    fit.fit(run)
    if run.group.is_main:
        losses = [row["loss"] for row in run.progress.rows]
        torch.save({"weights": run.spotter.state_dict(), "losses": losses}, out)
    destroy_process_group()


if __name__ == "__main__":
    data, folder, out, fields, steps, pause_s = sys.argv[1:]
    train(Path(data), Path(folder), Path(out), json.loads(fields), int(steps), float(pause_s))

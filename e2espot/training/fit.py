"""The training loop: ``fit`` learns, ``validate`` judges as a user would."""

from __future__ import annotations

import dataclasses
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from e2espot.clips.dataset import ClipBatch
from e2espot.clips.device_batch import ReadyBatch
from e2espot.core.errors import VideoError
from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import save_spotter
from e2espot.suppression.calibration import Calibration
from e2espot.training import checkpoints
from e2espot.training.state import Progress, Run
from e2espot.training.step import take_step
from e2espot.training.validation import report_on, score_games

_LOG = logging.getLogger(__name__)


def fit(run: Run) -> Progress:
    """Train to the end of the recipe, or to the first SIGINT or SIGTERM, leaving a run that can be resumed.

    Raises:
        TrainingError: the loss is not finite; nothing was changed by that step.
        KeyboardInterrupt: after an interrupted run was saved.
    """
    recipe, progress = run.recipe, run.progress
    with _stop_when_asked() as asked:

        def stopped() -> bool:
            return run.ranks.any(asked(), run.device)

        to_do = progress.epoch < recipe.num_epochs
        batches = run.batches(progress.epoch, progress.step) if to_do else iter(())
        while progress.epoch < recipe.num_epochs:
            try:
                _train_epoch(run, batches, stopped)
            except VideoError:
                if not asked():
                    raise
                # A signal to the whole group has ended those that decode as well, and the videos are not to blame.
                _save(run)
                raise KeyboardInterrupt from None
            if stopped():
                _save(run)
                raise KeyboardInterrupt
            if progress.epoch + 1 < recipe.num_epochs:
                # The first clips of the next epoch are decoded while this one is judged.
                batches = run.batches(progress.epoch + 1, 0)
            _end_epoch(run)
    return progress


def _train_epoch(run: Run, batches: Iterator[ClipBatch | ReadyBatch], stopped: Callable[[], bool]) -> None:
    recipe, progress = run.recipe, run.progress
    first = progress.step
    bar = tqdm(
        total=run.steps_per_epoch,
        initial=first,
        desc=f"epoch {progress.epoch}",
        unit="step",
        disable=None if run.ranks.is_first else True,
    )
    losses, here = progress.losses, 0
    waited_s, spent_s, begun = progress.waited_s, progress.spent_s, time.perf_counter()
    with bar:
        while progress.step < run.steps_per_epoch and not stopped():
            asked = time.perf_counter()
            batch = next(batches)
            progress.waited_s += time.perf_counter() - asked
            losses.append(take_step(run, batch))
            progress.step, here = progress.step + 1, here + 1
            progress.spent_s = spent_s + time.perf_counter() - begun
            if progress.step % recipe.save_every == 0:
                _save(run)
            now_s = time.perf_counter() - begun
            rate, share = here * recipe.batch_size / now_s, (progress.waited_s - waited_s) / now_s
            bar.set_postfix_str(
                f"loss {np.mean(losses[-50:]):.3f}, {rate:.2f} clips/s, {share:.0%} waiting", refresh=False
            )
            bar.update()


def _end_epoch(run: Run) -> None:
    """Validate, keep the best, move on; what is judged and written is the first rank's alone."""
    recipe, progress = run.recipe, run.progress
    progress.rows.append(
        {
            "epoch": progress.epoch,
            "loss": float(np.mean(progress.losses)),
            "clips_per_s": run.steps_per_epoch * recipe.batch_size / max(progress.spent_s, 1e-9),
            "waiting": progress.waited_s / max(progress.spent_s, 1e-9),
        }
    )
    if run.ranks.is_first:
        _judge(run)
    progress.losses, progress.spent_s, progress.waited_s = [], 0.0, 0.0
    progress.epoch, progress.step = progress.epoch + 1, 0
    if run.ranks.is_first:
        checkpoints.write_metrics(run.folder, progress.rows)
    _save(run)
    run.ranks.wait()


def _judge(run: Run) -> None:
    recipe, progress = run.recipe, run.progress
    last = progress.epoch == recipe.num_epochs - 1
    if run.valid and (progress.epoch >= recipe.start_val_epoch or last):
        value = validate(run)
        progress.rows[-1]["valid_mAP@1"] = value
        _LOG.info("epoch %d: mAP@1 %.4f on the valid games", progress.epoch, value)
        if value > progress.best_mAP:
            progress.best_mAP, progress.best_epoch = value, progress.epoch
            save_spotter(run.folder / "best.safetensors", run.averaged, run.spotter.spec)
    elif not run.valid:
        save_spotter(run.folder / "best.safetensors", run.averaged, run.spotter.spec)


def validate(run: Run) -> float:
    """mAP@1 of the averaged weights on the valid games, through the road that inference takes."""
    spotter = Spotter(run.spotter.spec).to(run.device)
    spotter.load_state_dict(run.averaged)
    scores = score_games(spotter.eval(), run.valid, run.reader)
    return report_on(scores, run.valid, Calibration(), run.label_set).mAP("at1")


def _save(run: Run) -> None:
    if not run.ranks.is_first:
        return
    progress = run.progress
    checkpoints.save_state(
        run.folder,
        {
            "spotter": run.spotter.state_dict(),
            "averaged": run.averaged,
            "optimizer": run.optimizer.state_dict(),
            "scaler": run.scaler.state_dict(),
            "progress": dataclasses.asdict(progress),
        },
    )


@contextmanager
def _stop_when_asked() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a wish that is granted between two steps; a second one stops at once."""
    asked: list[int] = []

    def note(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

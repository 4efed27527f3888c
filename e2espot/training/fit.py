"""The training loop.

Run -> epoch: batches -> take_step ... -> validate, keep the best weights -> save -> next epoch
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from tqdm import tqdm

from e2espot.clips.dataset import ClipBatch
from e2espot.clips.device_batch import DeviceBatch
from e2espot.clips.feature_clips import FeatureBatch
from e2espot.core.errors import VideoError
from e2espot.models.spotter import Spotter
from e2espot.models.weights.checkpoint import save_spotter
from e2espot.training import checkpoints
from e2espot.training.fit_calibration import first_calibration
from e2espot.training.resume import state_of
from e2espot.training.state import Progress, Run
from e2espot.training.step import take_step
from e2espot.training.validation import metric_title, score_games, score_predictions
from e2espot.video.parts import indexes_of
from e2espot.video.preparation import known_look, preparation_of

_LOG = logging.getLogger(__name__)


def fit(run: Run) -> Progress:
    """Train to the end of the recipe, or to the first SIGINT or SIGTERM, leaving a run that can be resumed.

    Raises:
        TrainingError: the loss is not finite; nothing was changed by that step.
        KeyboardInterrupt: after an interrupted run was saved.
    """
    with run.lock or nullcontext():
        return _fit(run)


def _fit(run: Run) -> Progress:
    num_epochs, progress = run.recipe.optimisation.num_epochs, run.progress
    with _deferred_signals() as signalled:

        def stopped() -> bool:
            return run.group.any(signalled(), run.device)

        batches = run.batches(progress.epoch, progress.step) if progress.epoch < num_epochs else iter(())
        while progress.epoch < num_epochs:
            try:
                _train_epoch(run, batches, stopped)
            except VideoError:
                if not signalled():
                    raise
                # A signal to the whole process group has ended the workers too; the videos are fine.
                save(run)
                raise KeyboardInterrupt from None
            if stopped():
                save(run)
                raise KeyboardInterrupt
            if progress.epoch + 1 < num_epochs:
                # Workers decode the first clips of the next epoch during validation.
                batches = run.batches(progress.epoch + 1, 0)
            _end_epoch(run)
    return progress


def _train_epoch(
    run: Run, batches: Iterator[ClipBatch | DeviceBatch | FeatureBatch], stopped: Callable[[], bool]
) -> None:
    """Take the remaining steps of the current epoch, or those up to a signal."""
    settings, progress, num_steps = run.recipe.optimisation, run.progress, run.config.steps_per_epoch
    bar = tqdm(
        total=num_steps,
        initial=progress.step,
        desc=f"epoch {progress.epoch}",
        unit="step",
        disable=None if run.group.is_main else True,
    )
    losses, steps_here = progress.losses, 0  # a resumed epoch has earlier losses, but no earlier steps to time
    waited_before_s, spent_before_s, start_s = progress.waited_s, progress.spent_s, time.perf_counter()
    with bar:
        while progress.step < num_steps and not stopped():
            asked_s = time.perf_counter()
            batch = next(batches)
            progress.waited_s += time.perf_counter() - asked_s
            losses.append(take_step(run, batch))
            progress.step, steps_here = progress.step + 1, steps_here + 1
            progress.spent_s = spent_before_s + time.perf_counter() - start_s
            if progress.step % settings.save_every == 0:
                save(run)
            elapsed_s = time.perf_counter() - start_s
            clips_per_s = steps_here * settings.batch_size / elapsed_s
            waiting = (progress.waited_s - waited_before_s) / elapsed_s
            bar.set_postfix_str(
                f"loss {np.mean(losses[-50:]):.3f}, {clips_per_s:.2f} clips/s, {waiting:.0%} waiting", refresh=False
            )
            bar.update()


def _end_epoch(run: Run) -> None:
    """Validate, keep the best weights, go on to the next epoch; rank 0 alone validates and writes."""
    progress = run.progress
    num_clips = run.config.steps_per_epoch * run.recipe.optimisation.batch_size
    progress.rows.append(
        {
            "epoch": progress.epoch,
            "loss": float(np.mean(progress.losses)),
            "clips_per_s": num_clips / max(progress.spent_s, 1e-9),
            "waiting": progress.waited_s / max(progress.spent_s, 1e-9),
        }
    )
    if run.group.is_main:
        _validate_and_keep_best(run)
    progress.losses, progress.spent_s, progress.waited_s = [], 0.0, 0.0
    progress.epoch, progress.step = progress.epoch + 1, 0
    if run.group.is_main:
        checkpoints.write_metrics(run.config.folder, progress.rows)
        checkpoints.add_preparations(run.config.folder, _preparations(run))
    save(run)
    run.group.barrier()


def _preparations(run: Run) -> dict[str, dict[str, Any]]:
    """Video -> what is done to its pictures, for those of the run that are known and not plain."""
    if run.recipe.data.features:
        return {}
    prepared = dict(run.dataset.prepared)
    for video in (video for game in run.valid_games for video in game.game.videos):
        for index in indexes_of(video.path, video_stream=video.video_stream):
            if known_look(index) is not None:
                prepared[index.path] = preparation_of(index, run.config.pictures)
    return {str(path): preparation.to_json() for path, preparation in prepared.items() if not preparation.is_plain}


def _validate_and_keep_best(run: Run) -> None:
    """Save the averaged weights if they are the best so far; without valid games that have labels the latest are."""
    settings, progress = run.recipe.optimisation, run.progress
    weights = run.config.folder / "best.safetensors"
    is_last = progress.epoch == settings.num_epochs - 1
    if run.validates and (progress.epoch >= settings.start_val_epoch or is_last):
        value = validate(run)
        name = metric_title(settings.metric)
        progress.rows[-1][f"valid_{name}"] = value
        _LOG.info("epoch %d: %s %.4f on the valid games", progress.epoch, name, value)
        if value >= progress.best_mAP:  # of equal epochs the later one has learnt more
            progress.best_mAP, progress.best_epoch = value, progress.epoch
            save_spotter(weights, run.ema, run.spotter.spec)
    elif not run.validates:
        save_spotter(weights, run.ema, run.spotter.spec)


def validate(run: Run) -> float:
    """The recipe's metric of the averaged weights on the valid games, computed as inference does."""
    spotter = Spotter(run.spotter.spec).to(run.device)
    spotter.load_state_dict(run.ema)
    scores = score_games(spotter.eval(), run.valid_games, run.config.backend, run.config.pictures)
    metric = run.recipe.optimisation.metric
    start = first_calibration(run.spotter.spec)
    return score_predictions(scores, run.valid_games, start, run.config.label_set, (metric,)).mAP(metric)


def save(run: Run) -> None:
    """Save the state to resume from; rank 0 alone does."""
    if run.group.is_main:
        checkpoints.save_state(run.config.folder, state_of(run))


@contextmanager
def _deferred_signals() -> Iterator[Callable[[], bool]]:
    """Defer SIGINT and SIGTERM to the next step boundary; a second one interrupts at once.

    Yields:
        Whether a signal has arrived.
    """
    received: list[int] = []

    def receive(number: int, _frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    handlers = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

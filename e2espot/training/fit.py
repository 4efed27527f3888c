"""The training run: ``setup`` decides everything, ``fit`` learns, ``validate`` judges as a user would."""

from __future__ import annotations

import dataclasses
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from e2espot.augment import Augmentation, augment_clips
from e2espot.calibration import Calibration
from e2espot.clips.loader import ClipBatch, ClipDataset, load_clips
from e2espot.clips.sampler import ClipSampler
from e2espot.errors import CheckpointError, ConfigurationError, TrainingError
from e2espot.events import LabelSet
from e2espot.formats.soccernet import label_set_named
from e2espot.models.spotter import Spotter, SpotterSpec, adopt_weights, read_weights, save_spotter
from e2espot.precision import compute_dtype, keep_freed_memory
from e2espot.timeline import parse_fps
from e2espot.training import checkpoints
from e2espot.training.data import BadLabels, LabelledGame, load_games
from e2espot.training.losses import ball_loss, spotting_loss
from e2espot.training.recipe import Recipe
from e2espot.training.validation import report_on, score_games
from e2espot.video import ReaderName

_LOG = logging.getLogger(__name__)

SHIPPED_TRUNK = Path(__file__).parents[1] / "models" / "weights" / "small_gsm.safetensors"
"""Small trunk trained on rendered matches, the start of the small network where it exists."""


@dataclass
class Progress:
    """How far a run is: with the weights, the whole truth of it."""

    epoch: int = 0
    """Epoch under way."""
    step: int = 0
    """Steps done in it."""
    best_mAP: float = -1.0
    """Best validated mAP@1 so far."""
    best_epoch: int = -1
    """Epoch that reached it."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Lines of ``metrics.jsonl``."""


@dataclass(kw_only=True)
class Run:
    """All that a training run is made of."""

    folder: Path
    recipe: Recipe
    label_set: LabelSet
    spotter: Spotter
    averaged: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    dataset: ClipDataset
    train: list[LabelledGame]
    valid: list[LabelledGame]
    device: torch.device
    dtype: torch.dtype
    scaler: torch.amp.GradScaler
    progress: Progress
    start: str

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return self.recipe.epoch_clips // self.recipe.batch_size


def setup(
    root: Path,
    folder: Path,
    recipe: Recipe,
    *,
    resolution: str = "224p",
    label_file: str = "Labels-ball.json",
    bad_labels: BadLabels = "stop",
    reader: ReaderName = "auto",
    device: str = "auto",
    resume: bool = False,
) -> Run:
    """Read the data, build the network, pick up an interrupted run.

    Raises:
        E2ESpotError: anything about the data, the recipe or the run folder that cannot work.
    """
    keep_freed_memory()
    state = checkpoints.load_state(folder) if resume else None
    if not resume and (folder / "config.yaml").exists():
        raise ConfigurationError(f"{folder} already holds a run; add --resume to go on with it, or choose another -s")
    fps = parse_fps(recipe.fps)
    label_set = label_set_named(recipe.label_set)
    load = {"resolution": resolution, "label_file": label_file, "bad_labels": bad_labels}
    train = load_games(root, "train", label_set, fps, **load)  # type: ignore[arg-type]
    valid = load_games(root, "valid", label_set, fps, **load)  # type: ignore[arg-type]
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    torch.manual_seed(recipe.seed)
    spotter, start = _build(recipe, label_set)
    videos = [video for game in train for video in game.training_videos(label_set)]
    sampler = ClipSampler(
        videos=[video.labelled for video in videos],
        clip_len=recipe.clip_len,
        num_clips=recipe.epoch_clips,
        seed=recipe.seed,
        event_fraction=recipe.event_fraction,
    )
    dtype = compute_dtype(where, recipe.precision)
    run = Run(
        folder=folder,
        recipe=recipe,
        label_set=label_set,
        spotter=spotter.to(where),
        averaged={},
        optimizer=_optimizer(spotter, recipe),
        dataset=ClipDataset(
            videos,
            sampler,
            fps=recipe.fps,
            size=recipe.frame_size(),
            dilate_len=recipe.dilate_len,
            reader=reader,
        ),
        train=train,
        valid=valid,
        device=where,
        dtype=dtype,
        scaler=torch.amp.GradScaler(where.type, enabled=dtype == torch.float16),
        progress=Progress(),
        start=start,
    )
    run.averaged = {name: value.detach().clone() for name, value in spotter.state_dict().items()}
    if state is not None:
        _restore(run, state)
    checkpoints.save_config(folder, {**dataclasses.asdict(recipe), "start": start})
    return run


def _build(recipe: Recipe, label_set: LabelSet) -> tuple[Spotter, str]:
    """Network with its starting weights, and a word on where these come from."""
    width, height = recipe.frame_size()
    spec = SpotterSpec(
        feature_arch=recipe.feature_arch,
        temporal_arch=recipe.temporal_arch,
        classes=label_set.names,
        clip_len=recipe.clip_len,
        fps=recipe.fps,
        width=width,
        height=height,
        single_frame=recipe.single_frame,
    )
    small = recipe.feature_arch.startswith("small")
    spotter = Spotter(spec, pretrained=recipe.init_from == "auto" and not small)
    source = recipe.init_from
    if source == "auto" and small and SHIPPED_TRUNK.is_file():
        source = str(SHIPPED_TRUNK)
    if source in ("auto", "none"):
        return spotter, "ImageNet weights if they could be had" if source == "auto" and not small else "random weights"
    path = Path(source)
    copied, fresh = adopt_weights(spotter, read_weights(path / "best.safetensors" if path.is_dir() else path)[1])
    _LOG.info("start from %s: %d tensors taken, %d fresh", source, copied, fresh)
    return spotter, "the shipped trunk" if path == SHIPPED_TRUNK else source


def _optimizer(spotter: Spotter, recipe: Recipe) -> torch.optim.Optimizer:
    decayed = [p for p in spotter.parameters() if p.ndim > 1]
    plain = [p for p in spotter.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def learning_rate_share(step: int, warm_up_steps: float, total_steps: int) -> float:
    """Share of the highest rate at ``step``: a line up, then a cosine that reaches zero at the very last step."""
    if step < warm_up_steps:
        return (step + 1) / (warm_up_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up_steps) / max(1, total_steps - warm_up_steps)))


def fit(run: Run) -> Progress:
    """Train to the end of the recipe, or to the first SIGINT or SIGTERM, leaving a run that can be resumed.

    Raises:
        TrainingError: the loss is not finite; nothing was changed by that step.
        KeyboardInterrupt: after an interrupted run was saved.
    """
    recipe, progress = run.recipe, run.progress
    with _stop_when_asked() as stopped:
        while progress.epoch < recipe.num_epochs:
            _train_epoch(run, stopped)
            if stopped():
                _save(run)
                raise KeyboardInterrupt
            _end_epoch(run)
    return progress


def _train_epoch(run: Run, stopped: Callable[[], bool]) -> None:
    recipe, progress = run.recipe, run.progress
    first = progress.step
    bar = tqdm(total=run.steps_per_epoch, initial=first, desc=f"epoch {progress.epoch}", unit="step", disable=None)
    batches = load_clips(
        run.dataset,
        epoch=progress.epoch,
        batch_size=recipe.batch_size,
        first_step=first,
        num_workers=recipe.num_workers,
    )
    waited, begun, losses = 0.0, time.perf_counter(), []
    with bar:
        while progress.step < run.steps_per_epoch and not stopped():
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            losses.append(_step(run, batch))
            progress.step += 1
            if progress.step % recipe.save_every == 0:
                _save(run)
            spent = time.perf_counter() - begun
            rate = len(losses) * recipe.batch_size / spent
            bar.set_postfix_str(
                f"loss {np.mean(losses[-50:]):.3f}, {rate:.2f} clips/s, {waited / spent:.0%} waiting", refresh=False
            )
            bar.update()
    if losses:
        progress.rows.append(
            {
                "epoch": progress.epoch,
                "loss": float(np.mean(losses)),
                "clips_per_s": len(losses) * recipe.batch_size / (time.perf_counter() - begun),
                "waiting": waited / (time.perf_counter() - begun),
            }
        )


def _step(run: Run, batch: ClipBatch) -> float:
    """One optimizer step; the mean loss."""
    recipe, progress = run.recipe, run.progress
    number = progress.epoch * run.steps_per_epoch + progress.step
    torch.manual_seed(hash((recipe.seed, number)) % 2**63)
    share = learning_rate_share(
        number, recipe.warm_up_epochs * run.steps_per_epoch, recipe.num_epochs * run.steps_per_epoch
    )
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share
    run.spotter.train()
    run.optimizer.zero_grad(set_to_none=True)
    total, parts = 0.0, recipe.acc_grad_iter
    for part in range(parts):
        own = slice(part * recipe.batch_size // parts, (part + 1) * recipe.batch_size // parts)
        loss = _loss(run, batch, own) / parts
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"the loss is {float(loss)} in epoch {batch.epoch}, clips {list(batch.indexes[own])}; nothing was "
                "changed by this step. Lower --learning_rate or set --precision fp32, then go on with --resume"
            )
        run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    run.scaler.unscale_(run.optimizer)
    torch.nn.utils.clip_grad_norm_(run.spotter.parameters(), 5.0)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    _average(run, number)
    return total


def _loss(run: Run, batch: ClipBatch, own: slice) -> Tensor:
    recipe = run.recipe
    frames_BTHWC = batch.frames_BTHWC[own].to(run.device, non_blocking=True)
    targets_BT, valid_BT = batch.targets_BT[own].to(run.device), batch.valid_BT[own].to(run.device)
    rngs = [np.random.default_rng((recipe.seed, batch.epoch, index, 1)) for index in batch.indexes[own]]
    with torch.autocast(run.device.type, dtype=run.dtype, enabled=run.dtype != torch.float32):
        frames_BTCHW, ball_BT2 = augment_clips(
            frames_BTHWC,
            valid_BT,
            batch.ball_BT2[own].to(run.device),
            rngs,
            Augmentation() if recipe.augment else None,
        )
        soft_BTK = functional.one_hot(targets_BT, len(run.label_set) + 1).float()
        if recipe.shuffle_frames:
            order = torch.from_numpy(rngs[0].permutation(targets_BT.shape[1]))
            frames_BTCHW, soft_BTK = frames_BTCHW[:, order], soft_BTK[:, order]
            valid_BT, ball_BT2 = valid_BT[:, order], ball_BT2[:, order]
        if recipe.mixup:
            frames_BTCHW, soft_BTK, valid_BT = _mix(frames_BTCHW, soft_BTK, valid_BT, rngs[0])
            ball_BT2 = torch.full_like(ball_BT2, float("nan"))
        seen = run.spotter.features(frames_BTCHW)
    loss = spotting_loss(run.spotter.logits(seen.features_BTD), soft_BTK, valid_BT, recipe.fg_weight)
    if seen.heat_BTHW is not None and recipe.ball_weight:
        loss = loss + recipe.ball_weight * ball_loss(seen.heat_BTHW, ball_BT2)
    return loss


def _mix(
    frames_BTCHW: Tensor, soft_BTK: Tensor, valid_BT: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Blend each clip with its neighbour in the batch (Zhang et al., "mixup", ICLR 2018)."""
    share = torch.tensor(rng.beta(0.2, 0.2, len(frames_BTCHW)), dtype=torch.float32, device=frames_BTCHW.device)
    other = torch.arange(len(frames_BTCHW)).roll(1)
    pixels = share.to(frames_BTCHW.dtype)[:, None, None, None, None]
    frames_BTCHW = pixels * frames_BTCHW + (1 - pixels) * frames_BTCHW[other]
    soft_BTK = share[:, None, None] * soft_BTK + (1 - share[:, None, None]) * soft_BTK[other]
    return frames_BTCHW, soft_BTK, valid_BT & valid_BT[other]


def _average(run: Run, number: int) -> None:
    """Exponential mean of the weights, quick at first so that a short run is not held back by its start."""
    decay = min(run.recipe.ema_decay, (1 + number) / (10 + number))
    with torch.no_grad():
        for name, value in run.spotter.state_dict().items():
            mean = run.averaged[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def _end_epoch(run: Run) -> None:
    """Validate, keep the best, move on."""
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
    progress.epoch, progress.step = progress.epoch + 1, 0
    checkpoints.write_metrics(run.folder, progress.rows)
    _save(run)


def validate(run: Run) -> float:
    """mAP@1 of the averaged weights on the valid games, through the road that inference takes."""
    spotter = Spotter(run.spotter.spec).to(run.device)
    spotter.load_state_dict(run.averaged)
    scores = score_games(spotter.eval(), run.valid)
    return report_on(scores, run.valid, Calibration(), run.label_set).mAP("at1")


def _save(run: Run) -> None:
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


def _restore(run: Run, state: dict[str, Any]) -> None:
    try:
        run.spotter.load_state_dict(state["spotter"])
        run.averaged = {name: value.to(run.device) for name, value in state["averaged"].items()}
        run.optimizer.load_state_dict(state["optimizer"])
        run.scaler.load_state_dict(state["scaler"])
        run.progress = Progress(**state["progress"])
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{run.folder}: what it holds does not fit these settings ({str(error).splitlines()[-1].strip()}); resume "
            "with the network and classes it was started with, or choose another -s"
        ) from None
    _LOG.info("resuming in epoch %d at step %d", run.progress.epoch, run.progress.step)


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

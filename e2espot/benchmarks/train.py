"""A training step: ours, from uint8 clips on, beside E2E-Spot's, from normalised fp32 frames on; and waiting.

Each way runs in a process of its own, for the reason given in ``benchmarks.infer``.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from e2espot.benchmarks.infer import spotter_named, volume_spotter
from e2espot.benchmarks.results import Facts, Findings, Target
from e2espot.benchmarks.timing import Apart, Work, interleaved
from e2espot.clips.augmentation import augment_clips
from e2espot.clips.augmentation_params import Augmentation, draw_change
from e2espot.core.device import compute_dtype, keep_freed_memory
from e2espot.models.spotter import Spotter, lay_out_for_training, normalise
from e2espot.training.losses import spotting_loss


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What is trained."""

    feature_arch: str = "rny002_gsm"
    """Trunk."""
    clip_len: int = 100
    """Frames of the one clip of a step."""
    repeats: int = 3
    """Measured rounds."""
    wait_steps: int = 60
    """Steps of the short training that shows how long one waits for data; 0 leaves it out."""


def _step(spotter: Spotter, clip_len: int, features: Callable[[], Tensor]) -> Work:
    optimizer = torch.optim.AdamW(spotter.train().parameters(), lr=1e-4)
    targets_BTK = functional.one_hot(torch.randint(0, 3, (1, clip_len)), 3).float()
    valid_BT, weights_K = torch.ones(1, clip_len, dtype=torch.bool), torch.tensor((1.0, 5.0, 5.0))

    def work() -> int:
        optimizer.zero_grad(set_to_none=True)
        spotting_loss(spotter.logits(features()), targets_BTK, valid_BT, weights_K).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return clip_len

    return work


def _pixels(spotter: Spotter, clip_len: int) -> Tensor:
    return torch.randint(0, 256, (1, clip_len, spotter.spec.height, spotter.spec.width, 3), dtype=torch.uint8)


def their_step(feature_arch: str, clip_len: int) -> Work:
    """Forward, backward and AdamW in fp32 and contiguous memory, nothing augmented."""
    spotter = volume_spotter(spotter_named(feature_arch))
    frames_BTCHW = normalise(_pixels(spotter, clip_len)).contiguous()
    return _step(spotter, clip_len, lambda: spotter.features(frames_BTCHW).features_BTD)


def our_step(feature_arch: str, clip_len: int) -> Work:
    """Augmentation, forward, backward and AdamW as ``tools/train.py`` does them."""
    keep_freed_memory()
    spotter = spotter_named(feature_arch)
    lay_out_for_training(spotter)
    frames_BTHWC, dtype = _pixels(spotter, clip_len), compute_dtype(torch.device("cpu"))
    valid_BT, targets_BTK = torch.ones(1, clip_len, dtype=torch.bool), torch.zeros(1, clip_len, 2)

    def features() -> Tensor:
        change = draw_change(np.random.default_rng(0), Augmentation())
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            frames, _ = augment_clips(frames_BTHWC, valid_BT, targets_BTK, [change])
            return spotter.features(frames).features_BTD

    return _step(spotter, clip_len, features)


def bench_train(settings: TrainSettings) -> Findings:
    """One clip at 398x224 on the CPU; the processes need 14 GB together."""
    arch, length = settings.feature_arch, settings.clip_len
    theirs, ours = "E2E-Spot's way: fp32, contiguous, no augmentation", "e2espot"
    variants = [
        Apart(theirs, their_step, arch, length),
        Apart(ours, our_step, arch, length),
        Apart("e2espot, without a shift", our_step, arch.partition("_")[0], length),
    ]
    title = f"training step, {arch}, one clip of {length} frames, 398x224"
    table = interleaved(title, "frame", variants, settings.repeats)
    step = Target(
        road="training step", against="E2E-Spot's way", promised="2.5x", least=2.5, measured=table.ratio(theirs, ours)
    )
    found = Findings(tables=[table], targets=[step])
    if settings.wait_steps:
        found += _waiting(settings.wait_steps)
    return found


def _waiting(steps: int) -> Findings:
    """The share of a laptop training's time spent waiting for clips, on rendered matches."""
    from e2espot.synthetic.match import render_dataset
    from e2espot.training.fit import fit
    from e2espot.training.recipe import Recipe, merge, read_recipe
    from e2espot.training.setup import setup

    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "data", Path(folder) / "run"
        render_dataset(data, games=3, minutes=0.5, jobs=1)
        recipe = merge(Recipe(), {**read_recipe("laptop"), "num_epochs": 2})
        fit(setup(data, run, dataclasses.replace(recipe, epoch_clips=steps * recipe.batch_size // 2)))
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    waits = [100 * row["waiting"] for row in rows]
    facts = Facts(
        title="laptop recipe, one thread to compute, one process to decode",
        columns=("clips a second", "waiting for data"),
        rows=tuple(
            (f"epoch {row['epoch']}", f"{row['clips_per_s']:.2f}", f"{wait:.1f} %")
            for row, wait in zip(rows, waits, strict=True)
        ),
    )
    target = Target(
        road="waiting for data in training",
        against="the whole epoch",
        promised="under 3 %",
        most=3,
        unit="%",
        measured=median(waits),
        why="the first batch of an epoch is waited for",
    )
    return Findings(tables=[facts], targets=[target])

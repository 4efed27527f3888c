"""A training step of e2espot (from uint8 clips) and of E2E-Spot (from normalised fp32 frames), and data stalls.

Each runs in its own process, for the reason given in ``benchmarks.infer``.
"""

from __future__ import annotations

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

from e2espot.benchmarks.infer import baseline_spotter, build_spotter
from e2espot.benchmarks.results import BenchResults, FactTable, Target
from e2espot.benchmarks.timing import Subprocess, Work, interleaved
from e2espot.clips.augmentation import augment_frames
from e2espot.clips.augmentation_params import Augmentation, sample_augmentation
from e2espot.core.device import compute_dtype, reuse_freed_memory
from e2espot.models.spotter import Spotter, normalise, to_channels_last
from e2espot.training.kernels.network import use_kernels
from e2espot.training.losses import spotting_loss


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Size of the problem."""

    feature_arch: str = "rny002_gsm"
    """Backbone."""
    clip_len: int = 100
    """Frames of the clip; a step has one clip."""
    repeats: int = 3
    """Measured rounds."""
    wait_steps: int = 60
    """Steps of the short training that measures the wait for data; 0 skips it."""


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


def baseline_step(feature_arch: str, clip_len: int) -> Work:
    """Forward, backward and AdamW in fp32 and contiguous memory, without augmentation."""
    spotter = baseline_spotter(build_spotter(feature_arch))
    frames_BTCHW = normalise(_pixels(spotter, clip_len)).contiguous()
    return _step(spotter, clip_len, lambda: spotter.features(frames_BTCHW).features_BTD)


def e2espot_step(feature_arch: str, clip_len: int) -> Work:
    """Augmentation, forward, backward and AdamW as in training."""
    reuse_freed_memory()
    spotter = build_spotter(feature_arch)
    to_channels_last(spotter)
    use_kernels(spotter)
    frames_BTHWC, dtype = _pixels(spotter, clip_len), compute_dtype(torch.device("cpu"))
    valid_BT = torch.ones(1, clip_len, dtype=torch.bool)

    def features() -> Tensor:
        change = sample_augmentation(np.random.default_rng(0), Augmentation())
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            return spotter.features(augment_frames(frames_BTHWC, valid_BT, [change])).features_BTD

    return _step(spotter, clip_len, features)


def bench_train(settings: TrainSettings) -> BenchResults:
    """Time one clip at 398x224 on the CPU; the processes need 14 GB together."""
    arch, length = settings.feature_arch, settings.clip_len
    baseline, e2espot = "E2E-Spot's pipeline: fp32, contiguous, no augmentation", "e2espot"
    variants = [
        Subprocess(baseline, baseline_step, arch, length),
        Subprocess(e2espot, e2espot_step, arch, length),
        Subprocess("e2espot, without a shift", e2espot_step, arch.partition("_")[0], length),
    ]
    title = f"training step, {arch}, one clip of {length} frames, 398x224"
    table = interleaved(title, "frame", variants, settings.repeats)
    step = Target(
        what="training step",
        baseline="E2E-Spot's pipeline",
        target="2.5x",
        least=2.5,
        measured=table.ratio(baseline, e2espot),
    )
    results = BenchResults(tables=[table], targets=[step])
    if settings.wait_steps:
        results += _waiting(settings.wait_steps)
    return results


def _waiting(steps: int) -> BenchResults:
    """Share of the time that a training with the recipe ``laptop-fast`` waits for clips, on rendered matches."""
    from e2espot.synthetic.dataset import render_dataset
    from e2espot.synthetic.specs import DatasetSpec
    from e2espot.training.config import resolve
    from e2espot.training.fit import fit
    from e2espot.training.recipe import Recipe, merge, read_recipe
    from e2espot.training.setup import setup

    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "data", Path(folder) / "run"
        render_dataset(data, DatasetSpec(games=3, minutes=0.5), jobs=1)
        recipe = merge(Recipe(), {**read_recipe("laptop-fast"), "num_epochs": 2})
        num_clips = steps * recipe.optimisation.batch_size // 2
        fit(setup(resolve(merge(recipe, {"clips_per_epoch": num_clips}), data, run)))
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    waits = [100 * row["waiting"] for row in rows]
    facts = FactTable(
        title="recipe laptop-fast, one thread to compute, one process to decode",
        columns=("clips per second", "waiting for data"),
        rows=tuple(
            (f"epoch {row['epoch']}", f"{row['clips_per_s']:.2f}", f"{wait:.1f} %")
            for row, wait in zip(rows, waits, strict=True)
        ),
    )
    target = Target(
        what="waiting for data in training",
        baseline="the whole epoch",
        target="under 3 %",
        most=3,
        unit="%",
        measured=median(waits),
        why="every epoch waits for its first batch",
    )
    return BenchResults(tables=[facts], targets=[target])

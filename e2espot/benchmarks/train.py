"""A training step: ours, from uint8 clips on, beside E2E-Spot's, from normalised fp32 frames on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from e2espot.augment import Augmentation, augment_clips, draw_change
from e2espot.benchmarks.infer import volume_spotter
from e2espot.benchmarks.timing import Table, Variant, interleaved
from e2espot.models.spotter import Spotter, SpotterSpec, normalise
from e2espot.precision import compute_dtype
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


def bench_train(settings: TrainSettings) -> list[Table]:
    """Forward, backward and AdamW on one clip at 398x224, on the CPU."""
    torch.manual_seed(0)
    spec = SpotterSpec(feature_arch=settings.feature_arch, temporal_arch="gru", classes=("PASS", "DRIVE"))
    ours, without = (Spotter(spec) for _ in range(2))
    theirs = volume_spotter(without)
    bare = Spotter(
        SpotterSpec(
            feature_arch=settings.feature_arch.partition("_")[0], temporal_arch="gru", classes=("PASS", "DRIVE")
        )
    )
    frames_BTHWC = torch.randint(0, 256, (1, settings.clip_len, spec.height, spec.width, 3), dtype=torch.uint8)
    plain_BTCHW = normalise(frames_BTHWC).contiguous()
    targets_BTK = functional.one_hot(torch.randint(0, 3, (1, settings.clip_len)), 3).float()
    dtype = compute_dtype(torch.device("cpu"))
    valid_BT = torch.ones(1, settings.clip_len, dtype=torch.bool)

    def augmented(spotter: Spotter) -> Tensor:
        change = draw_change(np.random.default_rng(0), Augmentation())
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            frames, _ = augment_clips(frames_BTHWC, valid_BT, torch.zeros(1, settings.clip_len, 2), [change])
            return spotter.features(frames).features_BTD

    def step(spotter: Spotter, features: Callable[[], Tensor]) -> Callable[[], int]:
        optimizer = torch.optim.AdamW(spotter.train().parameters(), lr=1e-4)

        def work() -> int:
            optimizer.zero_grad(set_to_none=True)
            spotting_loss(spotter.logits(features()), targets_BTK, valid_BT, 5.0).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            return settings.clip_len

        return work

    variants = [
        Variant(
            name="E2E-Spot's way: fp32, contiguous, no augmentation",
            work=step(theirs, lambda: theirs.features(plain_BTCHW).features_BTD),
        ),
        Variant(name=f"e2espot, {str(dtype).removeprefix('torch.')}", work=step(ours, lambda: augmented(ours))),
        Variant(name="e2espot, without a shift", work=step(bare, lambda: augmented(bare))),
    ]
    title = f"training step, {settings.feature_arch}, one clip of {settings.clip_len} frames, 398x224"
    return [interleaved(title, "frame", variants, settings.repeats)]

"""State of a training run: its parts, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from e2espot.clips.augmentation_params import ClipChange, draw_change
from e2espot.clips.dataset import ClipBatch, ClipDataset, load_clips
from e2espot.clips.device_batch import ReadyBatch
from e2espot.core.label_sets import LabelSet
from e2espot.models.spotter import Spotter
from e2espot.training.data import LabelledGame
from e2espot.training.distributed import Ranks
from e2espot.training.recipe import Recipe
from e2espot.video import Reader


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
    losses: list[float] = field(default_factory=list)
    """Mean loss of each step done in the epoch under way."""
    spent_s: float = 0.0
    """Seconds that these steps took."""
    waited_s: float = 0.0
    """Seconds of them in which clips were waited for."""

    def __post_init__(self) -> None:
        """Refuse what no run was ever at.

        Raises:
            ValueError: a field of another type, or a number that cannot be.
        """
        numbers = (self.best_mAP, self.spent_s, self.waited_s, *self.losses)
        whole = (self.epoch, self.step, self.best_epoch)
        plain = all(type(number) is int for number in whole) and all(type(number) in (int, float) for number in numbers)
        rows = isinstance(self.rows, list) and all(isinstance(row, dict) for row in self.rows)
        if not (plain and rows and isinstance(self.losses, list) and min(whole) >= -1 and min(whole[:2]) >= 0):
            raise ValueError("its progress is not that of a run")


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
    reader: Reader
    class_weights: Tensor
    joint_weights: Tensor
    ranks: Ranks = Ranks()  # noqa: RUF009 (frozen)
    dali_clips: Any = None
    """``dali_pipelines.iterators.DaliClips`` where the reader is DALI."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return self.recipe.epoch_clips // self.recipe.batch_size

    def changes(self, epoch: int, indexes: tuple[int, ...]) -> list[ClipChange]:
        """What happens to the clips ``indexes`` of an epoch; the same three numbers, the same change."""
        how = self.recipe.augmentation()
        return [draw_change(np.random.default_rng((self.recipe.seed, epoch, index, 1)), how) for index in indexes]

    def batches(self, epoch: int, first_step: int) -> Iterator[ClipBatch | ReadyBatch]:
        """Clips of an epoch in the sampler's order, whatever reads them."""
        recipe = self.recipe
        source: Callable[..., Iterator[ClipBatch | ReadyBatch]]
        source = partial(load_clips, self.dataset) if self.dali_clips is None else self.dali_clips.epoch
        return source(
            epoch=epoch,
            batch_size=recipe.batch_size,
            first_step=first_step,
            num_workers=recipe.num_workers,
            slots=self.ranks.slots(recipe.batch_size),
        )

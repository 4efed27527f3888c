"""State of a training run: its parts, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from e2espot.clips.augmentation_params import AugmentationParams, sample_augmentation
from e2espot.clips.dataset import ClipBatch, ClipDataset, load_clips
from e2espot.clips.device_batch import DeviceBatch
from e2espot.clips.feature_clips import FeatureBatch, FeatureClips
from e2espot.files.lock import ProcessLock
from e2espot.models.spotter import Spotter
from e2espot.training.config import TrainingConfig
from e2espot.training.data import LabelledGame
from e2espot.training.distributed import ProcessGroup
from e2espot.training.recipe import Recipe

if TYPE_CHECKING:
    from dali_pipelines.iterators import DaliClips


@dataclass
class Progress:
    """How far a run is; stored with the weights. ``training.resume`` validates what it reads by these types."""

    epoch: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Current epoch."""
    step: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Steps done in it."""
    best_mAP: float = -1.0
    """Best validated mAP@1 so far."""
    best_epoch: Annotated[int, msgspec.Meta(ge=-1)] = -1
    """Epoch that reached it."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Lines of ``metrics.jsonl``."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of each step done in the current epoch."""
    spent_s: float = 0.0
    """Seconds that these steps took."""
    waited_s: float = 0.0
    """Seconds of them that were spent waiting for clips."""


@dataclass(kw_only=True)
class Run:
    """The parts of a training run."""

    config: TrainingConfig
    """All settings."""
    spotter: Spotter
    """The network under training, on the device."""
    ema: dict[str, Tensor]
    """Exponential moving average of the network's state, which is validated and saved."""
    optimizer: torch.optim.Optimizer
    """AdamW over the network's parameters."""
    scaler: torch.amp.GradScaler
    """Loss scaling; does nothing but in fp16."""
    dataset: ClipDataset | FeatureClips
    """The training clips, of frames or of features."""
    train_games: list[LabelledGame]
    """Games that are learnt from."""
    valid_games: list[LabelledGame]
    """Games that choose the best epoch; without any that has labels, the last epoch is kept."""
    class_weights: Tensor
    """Loss weights ``(K,)`` of background and classes."""
    joint_weights: Tensor
    """The same for the second dataset; empty without one."""
    start: str
    """Description of the initial weights."""
    progress: Progress
    """How far the run is."""
    dali_clips: DaliClips | None = None
    """Clips decoded by DALI; None where the dataset's workers decode."""
    lock: ProcessLock | None = None
    """Keeps other trainings out of the folder until ``fit`` ends; None on all processes but the first."""

    @property
    def recipe(self) -> Recipe:
        """The recipe under training."""
        return self.config.recipe

    @property
    def validates(self) -> bool:
        """Whether the valid games can tell a good epoch from a bad one; without a label every epoch scores zero."""
        return any(game.events for game in self.valid_games)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.config.device

    @property
    def group(self) -> ProcessGroup:
        """The processes of the run."""
        return self.config.group

    def augmentation_params(self, epoch: int, indexes: tuple[int, ...]) -> list[AugmentationParams]:
        """How the clips ``indexes`` of an epoch are augmented; the same (seed, epoch, index) gives the same."""
        seed, augmentation = self.recipe.sampling.seed, self.config.augmentation
        return [sample_augmentation(np.random.default_rng((seed, epoch, index, 1)), augmentation) for index in indexes]

    def batches(self, epoch: int, first_step: int) -> Iterator[ClipBatch | DeviceBatch | FeatureBatch]:
        """Clips of an epoch in the sampler's order, whichever backend decodes them."""
        if isinstance(self.dataset, FeatureClips):
            return self.dataset.batches(
                epoch=epoch,
                batch_size=self.recipe.optimisation.batch_size,
                first_step=first_step,
                slots=self.config.local_slots,
            )
        source: Callable[..., Iterator[ClipBatch | DeviceBatch]]
        source = partial(load_clips, self.dataset) if self.dali_clips is None else self.dali_clips.epoch
        return source(
            epoch=epoch,
            batch_size=self.recipe.optimisation.batch_size,
            first_step=first_step,
            num_workers=self.recipe.data.num_workers,
            slots=self.config.local_slots,
        )

"""Losses of heads that answer for a window or a chunk of features as a whole.

FeatureBatch -> windows of NetVLAD++ and its family: which classes have an event in it -> binary cross-entropy
             -> chunks of CALF: shifts and slots -> segmentation loss + spotting loss

Shapes: B windows or chunks, T rows, C classes, K = 1 + C with background.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from e2espot.clips.feature_clips import FeatureBatch
from e2espot.clips.sampler import ClipSpec, LabelledVideo
from e2espot.models.feature_heads.calf import CalfHead
from e2espot.models.feature_heads.pooling import PoolHead
from e2espot.training.calf_loss import SEGMENTATION_WEIGHT, SPOTTING_WEIGHT, segmentation_terms, spotting_terms
from e2espot.training.calf_targets import chunk_targets, contexts_of, shift_targets
from e2espot.training.state import Run


def chunk_loss(run: Run, batch: FeatureBatch, clips: slice) -> Tensor:
    """Mean loss of some windows or chunks of a batch."""
    head = run.spotter.chunk_head
    rows_BTD = batch.rows_BTD[clips].to(run.device, non_blocking=True)
    videos = [video.labelled for video in run.dataset.videos]
    if isinstance(head, PoolHead):
        with torch.autocast(run.device.type, dtype=run.config.dtype, enabled=run.config.dtype != torch.float32):
            logits_BK = head(rows_BTD)
        target_BK, weight_BK = window_targets(batch.clips[clips], videos, len(run.config.label_set))
        return _window_loss(run, logits_BK.float(), target_BK.to(run.device), weight_BK.to(run.device))
    assert isinstance(head, CalfHead)
    return _calf_loss(run, head, rows_BTD, batch.clips[clips], videos)


def window_targets(
    clips: Sequence[ClipSpec], videos: Sequence[LabelledVideo], num_classes: int
) -> tuple[Tensor, Tensor]:
    """Targets and weights of windows, float32 ``(B, K)`` each.

    Column 0 is 1 unless an event is in the window, then 0 with the columns of its classes at 1. The weight of a column
    is 0 where the labels say nothing about it: the window is not annotated, or the class is not.
    """
    target_BK, weight_BK = np.zeros((2, len(clips), 1 + num_classes), dtype=np.float32)
    for target_K, weight_K, clip in zip(target_BK, weight_BK, clips, strict=True):
        video = videos[clip.video]
        inside = range(clip.start, min(clip.start + clip.length, video.num_frames))
        target_K[list(classes_in(video, clip))] = 1
        target_K[0] = not target_K.any()
        partial = video.annotated is not None or bool(video.unsure)
        weight_K[:] = not partial or all(map(video.is_background, inside))
        weight_K[list(video.unannotated_targets)] = 0
    return torch.from_numpy(target_BK), torch.from_numpy(weight_BK)


def classes_in(video: LabelledVideo, clip: ClipSpec) -> set[int]:
    """Numbers of the classes that have an event in a clip."""
    rows = np.asarray(video.event_frames, dtype=np.int64)
    inside = np.flatnonzero((rows >= clip.start) & (rows < clip.start + clip.length))
    return {video.event_targets[number] for number in inside}


def _window_loss(run: Run, logits_BK: Tensor, target_BK: Tensor, weight_BK: Tensor) -> Tensor:
    losses_BK = functional.binary_cross_entropy_with_logits(logits_BK, target_BK, reduction="none")
    total: Tensor = (losses_BK * weight_BK).sum() / run.group.normalizer(weight_BK.sum(), 1)
    return total


@lru_cache(maxsize=4096)
def _shifts(video: LabelledVideo, num_classes: int, contexts: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """Shift targets of a whole half, computed once."""
    return shift_targets(video.num_frames, _by_class(video, num_classes), np.array(contexts))


def _by_class(video: LabelledVideo, num_classes: int) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(num_classes)]
    for row, target in zip(video.event_frames, video.event_targets, strict=True):
        rows[target - 1].append(row)
    return rows


def _calf_loss(
    run: Run, head: CalfHead, rows_BTD: Tensor, clips: Sequence[ClipSpec], videos: Sequence[LabelledVideo]
) -> Tensor:
    label_set = run.config.label_set
    contexts_C4 = contexts_of(label_set, float(run.config.fps))
    contexts = tuple(map(tuple, contexts_C4.tolist()))
    targets = [
        chunk_targets(
            _shifts(videos[clip.video], len(label_set), contexts),
            _by_class(videos[clip.video], len(label_set)),
            clip.start,
            clip.length,
            head.receptive_field // 2,
        )
        for clip in clips
    ]
    shift_BTC, slots_BSX = (torch.from_numpy(np.stack(arrays)).to(run.device) for arrays in zip(*targets, strict=True))
    outputs = head(rows_BTD)
    terms_BTC = segmentation_terms(
        outputs.segmentation_BTC, shift_BTC, torch.tensor(contexts_C4, dtype=torch.float32, device=run.device)
    )
    known_B1C = torch.tensor(
        [[c + 1 not in videos[clip.video].unannotated_targets for c in range(len(label_set))] for clip in clips],
        device=run.device,
    )[:, None]
    segmentation = (terms_BTC * known_B1C).sum()
    spotting = spotting_terms(outputs.slots_BSX, slots_BSX).sum()
    # Sums over the batch, as published; divided by its size, so that the learning rate does not depend on it.
    total: Tensor = (SEGMENTATION_WEIGHT * segmentation + SPOTTING_WEIGHT * spotting) / len(clips)
    return total

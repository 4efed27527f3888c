"""Adapts a spotter to one video before it is processed: size of its frames, set of weights, batch norm statistics."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from e2espot.core.adaptation import Adaptation, share_of_second_set, unlikeness
from e2espot.core.device import return_freed_memory
from e2espot.core.errors import ConfigurationError, VideoError
from e2espot.inference.options import InferenceOptions
from e2espot.inference.sampled_clips import SampledClips, sample_clips
from e2espot.models.norm_statistics import batch_norms, distance_from_training, measure_statistics, mix_statistics
from e2espot.models.spotter import Spotter, centre_crop
from e2espot.models.unfamiliar import between_sets, size_of_share
from e2espot.video.parts import indexes_of

_LOG = logging.getLogger(__name__)

AdaptMode = Literal["auto", "none", "statistics"]
"""How a spotter is adapted, as in ``UserOptions.adapt``."""
SHARE = 0.5
"""Largest share of the video's statistics. From 0.4 to 0.8 real footage gains about as much (``docs/experiments.md``);
with all of them, a layer forgets what it was trained on. ``auto`` takes less of a video like the training data."""


def adapt_to_video(spotter: Spotter, path: Path, options: InferenceOptions) -> tuple[Spotter, Adaptation | None]:
    """The spotter for frames of the requested size, with batch norms that are adapted to a video; and what was done.

    A spotter with a second set of weights gets those between its sets, by how far from the training data the video is.
    Equal videos give equal statistics, bit by bit at an equal number of threads, whatever reader is used afterwards.

    Args:
        spotter: In evaluation mode; stays as it is.
        path: The video.
        options: ``size`` decides the size of the frames, ``adapt`` whether it is adapted.

    Returns:
        None as the second if it is not adapted: it has no batch norms, or no frame could be sampled.

    Raises:
        ConfigurationError: another size for a spotter that sees a square cut out of each frame.
    """
    spotter = resize(spotter, options.frame_size())
    if options.adapt == "none" or not batch_norms(spotter.backbone):
        return spotter, None

    def clips_of_size(size: tuple[int, int]) -> SampledClips:
        return sample_clips(path, spotter.fps, size, options)

    try:
        clips = clips_of_size((spotter.spec.width, spotter.spec.height))
        larger = spotter.spec.unfamiliar_size
        may_change = options.size == "auto" and larger is not None and _has_pixels(path, larger, options)
        return adapt_to_clips(spotter, clips, options.adapt, clips_of_size if may_change else None)
    except VideoError as error:  # if the video cannot be used at all, reading it from the start reports that
        _LOG.warning("not adapted to the video: %s", error)
        return spotter, None


def _has_pixels(path: Path, size: tuple[int, int], options: InferenceOptions) -> bool:
    """Whether pictures are at least of a (width, height): enlarged ones show the network nothing more."""
    indexes = indexes_of(path, **options.opening)
    return all(index.width >= size[0] and index.height >= size[1] for index in indexes)


def adapt_to_clips(
    spotter: Spotter,
    clips: SampledClips | Sequence[np.ndarray],
    adapt: AdaptMode,
    clips_of_size: Callable[[tuple[int, int]], SampledClips] | None = None,
) -> tuple[Spotter, Adaptation | None]:
    """The spotter with batch norms that are adapted to some clips; and what was done.

    Args:
        spotter: In evaluation mode; stays as it is.
        clips: Batches, uint8 RGB ``BTHWC``, each with clips from all over the footage; iterated up to twice.
        adapt: ``auto`` mixes the statistics as far as the footage differs from the training data.
        clips_of_size: Reads the clips again, in the (width, height) that a second set of weights sees; None keeps the
            size of the first set.

    Returns:
        The spotter itself and None without any batch.
    """
    num_frames = 0

    def batches(clips: SampledClips | Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        nonlocal num_frames
        num_frames = 0
        for batch_BTHWC in clips:
            num_frames += batch_BTHWC.shape[0] * batch_BTHWC.shape[1]
            levels = torch.from_numpy(batch_BTHWC)
            yield centre_crop(levels.flatten(0, 1), spotter.spec.crop_dim).unflatten(0, levels.shape[:2])
            del batch_BTHWC, levels  # or they are held while the next ones are read

    statistics = measure_statistics(spotter.backbone, batches(clips))
    if not statistics:
        return spotter, None
    distance = distance_from_training(spotter.backbone, statistics)
    share = SHARE if adapt == "statistics" else SHARE * unlikeness(distance)
    second_share = share_of_second_set(distance)
    adapted = between_sets(spotter, second_share)
    size: tuple[int, int] | None = None
    if spotter.unfamiliar is not None and second_share:  # its statistics are those of the weights that it now has
        return_freed_memory()
        wanted = size_of_share(spotter.spec, second_share)
        if clips_of_size is not None and wanted is not None:
            size, clips = wanted, clips_of_size(wanted)
            adapted = resize(adapted, size)
        statistics = measure_statistics(adapted.backbone, batches(clips))
    return_freed_memory()  # 64 frames at once in fp32 need more than all that follows
    mix_statistics(adapted.backbone, statistics, share)
    return adapted, Adaptation(num_frames=num_frames, share=share, distance=distance, size=size)


def resize(spotter: Spotter, size: tuple[int, int] | None) -> Spotter:
    """The spotter for frames of another size, (width, height); None for its own. Weights are shared.

    Raises:
        ConfigurationError: the spotter sees a square cut out of each frame, whose size is fixed.
    """
    if size is None or size == (spotter.spec.width, spotter.spec.height):
        return spotter
    if spotter.spec.crop_dim:
        raise ConfigurationError(
            f"this spotter sees the centre {spotter.spec.crop_dim} pixels of frames of {spotter.spec.width}x"
            f"{spotter.spec.height}; leave size at 'trained'",
            option="size",
        )
    resized = copy.copy(spotter)
    resized.spec = dataclasses.replace(spotter.spec, width=size[0], height=size[1])
    return resized

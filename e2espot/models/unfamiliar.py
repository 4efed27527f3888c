"""A second set of weights in one spotter, for footage unlike the data that the first set is best at.

Weights that learn from a new kind of footage get worse at the old kind. A file may therefore hold both. Which set a
video gets need not be guessed: the first look at it measures how far from the training data it is, and the weights lie
between the two sets accordingly (``core.adaptation.share_of_second_set``)::

    distance      up to 0.005    0.006                      0.01 and more
    weights       first set      0.8 first + 0.2 second     second set

Both sets come from one training, the second continuing the first, so the weights between them work as well as either
(``models.weights.blend`` relies on the same).

The second set may have an image network that the first does without (``models.backbones.lite``): what that adds is
scaled by the share. So familiar footage does not pay for it. The look-ahead of the head, whether the map of the ball is
smoothed, and the size of the frames are those of the second set as soon as it counts (``SECOND_COUNTS``).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from e2espot.models.backbones.lite import ADDED_LAYERS
from e2espot.models.spotter import Spotter, SpotterSpec

PREFIX = "unfamiliar."
"""Beginning of the names of the second set's tensors in a weights file."""
IMAGE = "backbone.image."
"""Beginning of the names of the image network's tensors."""
SECOND_COUNTS = 0.2
"""Share from which on inference does what suits the second set: from a distance of 0.006 on footage is no longer of the
kind that the first set is best at."""
NO_SECOND_SET: dict[str, Any] = {
    "unfamiliar_look_ahead_s": None,
    "unfamiliar_smooth_ball": False,
    "unfamiliar_size": None,
}
"""Fields of the specification of a spotter with one set of weights."""


def size_of_share(spec: SpotterSpec, share: float) -> tuple[int, int] | None:
    """(width, height) of the frames for a share of the second set; None for those of the first."""
    return spec.unfamiliar_size if share >= SECOND_COUNTS else None


def split_sets(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of a weights file -> those of the first set and of the second, both under the names of the first.

    The second is empty in most files.
    """
    first = {name: value for name, value in state.items() if not name.startswith(PREFIX)}
    second = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    return first, second


def joined_sets(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The opposite of :func:`split_sets`."""
    return {**first, **{f"{PREFIX}{name}": value for name, value in second.items()}}


def set_with_image(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """That set of a weights file that has an image network; the first if none has."""
    first, second = split_sets(state)
    return second if any(name.startswith(IMAGE) for name in second) else first


def spec_of_second_set(spec: SpotterSpec, second: Mapping[str, Tensor]) -> SpotterSpec:
    """Specification of a file's second set: that of its first, with the image network if there are weights for it."""
    spec = dataclasses.replace(
        spec, look_ahead_s=spec.unfamiliar_look_ahead_s, smooth_ball=spec.unfamiliar_smooth_ball, **NO_SECOND_SET
    )
    kind, _, shift = spec.feature_arch.partition("_")
    if kind != "small" or not any(name.startswith(IMAGE) for name in second):
        return spec
    return dataclasses.replace(spec, feature_arch="lite" + (f"_{shift}" if shift else ""))


def between_sets(spotter: Spotter, share: float) -> Spotter:
    """A copy of a spotter with weights between its sets; it has one set.

    Args:
        spotter: Stays as it is.
        share: From 0, which gives the first set, to 1, which gives the second if there is one.
    """
    single = copy.copy(spotter)
    single._modules = {**spotter._modules, "unfamiliar": None}  # so that the second set is not copied for nothing
    single.spec = dataclasses.replace(spotter.spec, **NO_SECOND_SET)
    if spotter.unfamiliar is None or not share:
        return copy.deepcopy(single)
    mixed = copy.deepcopy(spotter.unfamiliar)
    used = mixed.spec if share >= SECOND_COUNTS else single.spec
    mixed.spec = dataclasses.replace(
        mixed.spec,
        look_ahead_s=used.look_ahead_s,
        smooth_ball=used.smooth_ball,
        width=spotter.spec.width,  # which may be another one than that of the file
        height=spotter.spec.height,
    )
    mixed.load_state_dict(between_states(single.state_dict(), mixed.state_dict(), share))
    return mixed


def between_states(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """``(1 - share) * first + share * second``, where only the second may have an image network."""
    return {name: _between(first.get(name, _absent(name, value)), value, share) for name, value in second.items()}


def _absent(name: str, second: Tensor) -> Tensor:
    """What stands for a tensor that the first set lacks: zeros for the layers that add; otherwise the second's own."""
    adds = any(name.startswith(f"backbone.{layer}.") for layer in ADDED_LAYERS)
    return torch.zeros_like(second) if adds else second


def _between(first: Tensor, second: Tensor, share: float) -> Tensor:
    # Counters, which are whole numbers, are those of the second.
    return torch.lerp(first, second, share) if first.is_floating_point() else second

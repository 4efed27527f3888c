"""A second set of weights in one spotter, for footage unlike the data that the first set is best at.

Weights that learn from a new kind of footage get worse at the old kind. A file may therefore hold both. Which set a
video gets need not be guessed: the first look at it measures how far from the training data it is, and the weights lie
between the two sets accordingly (``core.adaptation.share_of_second_set``)::

    distance      up to 0.005    0.006                      0.01 and more
    weights       first set      0.8 first + 0.2 second     second set

Both sets come from one training, the second continuing the first, so the weights between them work as well as either
(``models.weights.blend`` relies on the same).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from e2espot.models.spotter import Spotter

PREFIX = "unfamiliar."
"""Beginning of the names of the second set's tensors in a weights file."""


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


def between_sets(spotter: Spotter, share: float) -> Spotter:
    """A copy of a spotter with weights between its sets; it has one set.

    Args:
        spotter: Stays as it is.
        share: From 0, which gives the first set, to 1, which gives the second if there is one.
    """
    single = copy.copy(spotter)
    single._modules = {**spotter._modules, "unfamiliar": None}  # so that the second set is not copied for nothing
    mixed = copy.deepcopy(single)
    if spotter.unfamiliar is not None:
        second = spotter.unfamiliar.state_dict()
        first = mixed.state_dict()
        mixed.load_state_dict({name: between(value, second[name], share) for name, value in first.items()})
    return mixed


def between(first: Tensor, second: Tensor, share: float) -> Tensor:
    """``(1 - share) * first + share * second``; counters, which are whole numbers, are those of the second."""
    return torch.lerp(first, second, share) if first.is_floating_point() else second

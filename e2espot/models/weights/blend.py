"""Weights between those of two spotters: fine-tuned on a new kind of footage, yet still good on the old kind.

Fine-tuning moves all weights a little. On the line between the weights before and after, accuracy on the old footage
returns sooner than that on the new footage leaves (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from e2espot.core.errors import CheckpointError
from e2espot.models.weights.checkpoint import read_weights, save_spotter


def blend(before: Path, after: Path, out: Path, share: float) -> None:
    """Write ``(1 - share) * before + share * after``; statistics of batch norms are blended as well.

    Args:
        before: Weights file of a spotter.
        after: That of a spotter of the same specification.
        out: File to write.
        share: From 0, which gives ``before``, to 1, which gives ``after``.

    Raises:
        CheckpointError: a file cannot be read, or the two specifications differ.
    """
    spec, first = read_weights(before)
    other, second = read_weights(after)
    if spec != other or first.keys() != second.keys() or not 0 <= share <= 1:
        raise CheckpointError(
            f"{before} and {after} cannot be blended with share {share}: both must be spotters of the same "
            "specification, and the share from 0 to 1"
        )
    save_spotter(out, {name: _between(value, second[name], share) for name, value in first.items()}, spec)


def _between(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Counters, which are whole numbers, are those of the second."""
    return torch.lerp(first, second, share) if first.is_floating_point() else second

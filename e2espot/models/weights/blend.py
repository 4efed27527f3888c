"""Weights between those of two spotters: fine-tuned on a new kind of footage, yet still good on the old kind.

Fine-tuning moves all weights a little. On the line between the weights before and after, accuracy on the old footage
returns sooner than that on the new footage leaves (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from e2espot.core.errors import CheckpointError
from e2espot.models.spotter import SpotterSpec
from e2espot.models.unfamiliar import between_states, joined_sets, spec_of_second_set, split_sets
from e2espot.models.weights.checkpoint import read_weights, save_spotter


def blend(before: Path, after: Path, out: Path, share: float, unfamiliar: Path | None = None) -> None:
    """Write ``(1 - share) * before + share * after``; statistics of batch norms are blended as well.

    Of files with a second set of weights, the first set is taken.

    Args:
        before: Weights file of a spotter.
        after: That of a spotter of the same specification, or of one that has an image network more (``lite`` after
            ``small``); what this adds is scaled by the share.
        out: File to write.
        share: From 0, which gives ``before``, to 1, which gives ``after``.
        unfamiliar: Weights file whose first set becomes the second set of ``out``, for footage unlike the training
            data; None for a file with one set.

    Raises:
        CheckpointError: a file cannot be read, or the two specifications differ.
    """
    spec, first = _first_set(before)
    other, second = _first_set(after)
    if other != spec_of_second_set(spec, second) or not first.keys() <= second.keys() or not 0 <= share <= 1:
        raise CheckpointError(
            f"{before} and {after} cannot be blended with share {share}: both must be spotters of the same "
            "specification, or the second lite where the first is small, and the share from 0 to 1"
        )
    blended = between_states(first, second, share)
    if unfamiliar is not None:
        third_spec, third = _first_set(unfamiliar)
        if third_spec != spec_of_second_set(other, third) or not third.keys() >= blended.keys():
            raise CheckpointError(
                f"{unfamiliar} cannot be the second set of weights: it must be a spotter of the same "
                "specification, with or without an image network (lite for small)",
                option="unfamiliar",
            )
        blended = joined_sets(blended, third)
    save_spotter(out, blended, other)


def _first_set(file: Path) -> tuple[SpotterSpec, dict[str, Tensor]]:
    spec, state = read_weights(file)
    return spec, split_sets(state)[0]

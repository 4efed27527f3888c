"""Weights between those of two spotters: fine-tuned on a new kind of footage, yet still good on the old kind.

Fine-tuning moves all weights a little. On the line between the weights before and after, accuracy on the old footage
returns sooner than that on the new footage leaves (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import Tensor

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.timeline import MAX_DURATION_S
from e2espot.models.spotter import SpotterSpec
from e2espot.models.unfamiliar import between_states, joined_sets, spec_of_second_set, split_sets
from e2espot.models.weights.checkpoint import read_weights, save_spotter


def blend(
    before: Path,
    after: Path,
    out: Path,
    share: float,
    unfamiliar: Path | None = None,
    look_ahead_s: float | None = None,
) -> None:
    """Write ``(1 - share) * before + share * after``; statistics of batch norms are blended as well.

    Of files with a second set of weights, the first set is taken. The look-aheads of ``before`` and ``after`` are not.

    Args:
        before: Weights file of a spotter.
        after: That of a spotter of the same specification, or of one that has an image network more (``lite`` after
            ``small``); what this adds is scaled by the share.
        out: File to write.
        share: From 0, which gives ``before``, to 1, which gives ``after``.
        unfamiliar: Weights file whose first set becomes the second set of ``out``, for footage unlike the training
            data, with its look-ahead; None for a file with one set.
        look_ahead_s: Seconds after a frame that the head of ``out`` sees at inference; None for all of its windows.

    Raises:
        CheckpointError: a file cannot be read, or the two specifications differ.
        ConfigurationError: ``look_ahead_s`` is no number of seconds.
    """
    if look_ahead_s is not None and not 0 <= look_ahead_s <= MAX_DURATION_S:
        raise ConfigurationError(f"look_ahead is {look_ahead_s}; give seconds from 0 on", option="look_ahead")
    spec, first, _ = _first_set(before)
    other, second, _ = _first_set(after)
    if other != spec_of_second_set(spec, second) or not first.keys() <= second.keys() or not 0 <= share <= 1:
        raise CheckpointError(
            f"{before} and {after} cannot be blended with share {share}: both must be spotters of the same "
            "specification, or the second lite where the first is small, and the share from 0 to 1"
        )
    blended = between_states(first, second, share)
    out_spec = dataclasses.replace(other, look_ahead_s=look_ahead_s)
    if unfamiliar is not None:
        third_spec, third, third_look_ahead_s = _first_set(unfamiliar)
        if third_spec != spec_of_second_set(other, third) or not third.keys() >= blended.keys():
            raise CheckpointError(
                f"{unfamiliar} cannot be the second set of weights: it must be a spotter of the same "
                "specification, with or without an image network (lite for small)",
                option="unfamiliar",
            )
        blended = joined_sets(blended, third)
        out_spec = dataclasses.replace(out_spec, unfamiliar_look_ahead_s=third_look_ahead_s)
    save_spotter(out, blended, out_spec)


def _first_set(file: Path) -> tuple[SpotterSpec, dict[str, Tensor], float | None]:
    """Specification without look-aheads, tensors and look-ahead of a file's first set."""
    spec, state = read_weights(file)
    plain = dataclasses.replace(spec, look_ahead_s=None, unfamiliar_look_ahead_s=None)
    return plain, split_sets(state)[0], spec.look_ahead_s

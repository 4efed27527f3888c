"""Weights between those of two spotters: fine-tuned on a new kind of footage, yet still good on the old kind.

Fine-tuning moves all weights a little. On the line between the weights before and after, accuracy on the old footage
returns sooner than that on the new footage leaves (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.timeline import MAX_DURATION_S
from e2espot.models.spotter import SpotterSpec
from e2espot.models.unfamiliar import NO_SECOND_SET, between_states, joined_sets, spec_of_second_set, split_sets
from e2espot.models.weights.checkpoint import read_weights, save_spotter


@dataclass(frozen=True, kw_only=True)
class InferenceDefaults:
    """What inference does with weights, if nothing else is asked for; see ``SpotterSpec``."""

    look_ahead_s: float | None = None
    """Seconds after a frame that the head sees; None for all of its windows."""
    smooth_ball: bool = False
    """Whether the map of the ball is smoothed over time."""
    size: tuple[int, int] | None = None
    """(width, height) of the frames; None for those of ``before``."""


def blend(
    before: Path,
    after: Path,
    out: Path,
    share: float,
    unfamiliar: Path | None = None,
    defaults: InferenceDefaults | None = None,
) -> None:
    """Write ``(1 - share) * before + share * after``; statistics of batch norms are blended as well.

    Of files with a second set of weights, the first set is taken, and of ``before`` and ``after`` no look-ahead and no
    smoothing; the size of the frames is that of ``before`` where the defaults have none.

    Args:
        before: Weights file of a spotter.
        after: That of a spotter of the same specification, or of one that has an image network more (``lite`` after
            ``small``); what this adds is scaled by the share.
        out: File to write.
        share: From 0, which gives ``before``, to 1, which gives ``after``.
        unfamiliar: Weights file whose first set becomes the second set of ``out``, for footage unlike the training
            data, with its defaults of inference; None for a file with one set.
        defaults: How inference uses the weights that are blended; None for the class's own values.

    Raises:
        CheckpointError: a file cannot be read, or the two specifications differ.
        ConfigurationError: ``defaults`` has no number of seconds, or what this network cannot have.
    """
    defaults = defaults or InferenceDefaults()
    spec, first, _ = _first_set(before)
    other, second, _ = _first_set(after)
    other = dataclasses.replace(other, width=spec.width, height=spec.height)
    if other != spec_of_second_set(spec, second) or not first.keys() <= second.keys() or not 0 <= share <= 1:
        raise CheckpointError(
            f"{before} and {after} cannot be blended with share {share}: both must be spotters of the same "
            "specification, or the second lite where the first is small, and the share from 0 to 1"
        )
    _check(defaults, other)
    blended = between_states(first, second, share)
    width, height = defaults.size or (other.width, other.height)
    out_spec = dataclasses.replace(
        other, look_ahead_s=defaults.look_ahead_s, smooth_ball=defaults.smooth_ball, width=width, height=height
    )
    if unfamiliar is not None:
        third_spec, third, use = _first_set(unfamiliar)
        third_spec = dataclasses.replace(third_spec, width=other.width, height=other.height)
        if third_spec != spec_of_second_set(other, third) or not third.keys() >= blended.keys():
            raise CheckpointError(
                f"{unfamiliar} cannot be the second set of weights: it must be a spotter of the same "
                "specification, with or without an image network (lite for small)",
                option="unfamiliar",
            )
        blended = joined_sets(blended, third)
        out_spec = dataclasses.replace(
            out_spec,
            unfamiliar_look_ahead_s=use.look_ahead_s,
            unfamiliar_smooth_ball=use.smooth_ball,
            unfamiliar_size=None if use.size == (width, height) else use.size,
        )
    save_spotter(out, blended, out_spec)


def _check(defaults: InferenceDefaults, spec: SpotterSpec) -> None:
    look_ahead_s = defaults.look_ahead_s
    if look_ahead_s is not None and not 0 <= look_ahead_s <= MAX_DURATION_S:
        raise ConfigurationError(f"look_ahead is {look_ahead_s}; give seconds from 0 on", option="look_ahead")
    if defaults.smooth_ball and not spec.feature_arch.startswith(("small", "lite")):
        raise ConfigurationError(
            f"{spec.feature_arch} has no map of the ball; only small and lite have one", option="smooth_ball"
        )
    if defaults.size is not None and spec.crop_dim:
        raise ConfigurationError(
            f"this spotter sees the centre {spec.crop_dim} pixels of frames of one size; leave size at 'trained'",
            option="size",
        )


def _first_set(file: Path) -> tuple[SpotterSpec, dict[str, Tensor], InferenceDefaults]:
    """Specification without what inference does with a file's first set, its tensors, and what inference does."""
    spec, state = read_weights(file)
    plain = dataclasses.replace(spec, look_ahead_s=None, smooth_ball=False, **NO_SECOND_SET)
    use = InferenceDefaults(
        look_ahead_s=spec.look_ahead_s, smooth_ball=spec.smooth_ball, size=(spec.width, spec.height)
    )
    return plain, split_sets(state)[0], use

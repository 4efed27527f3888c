"""Initial weights of a network from those of another one: by the names of layers, and of classes in the output layers.

state of a run, its specification -> load_matching_weights(spotter) -> TransferredWeights, which the log reports
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from e2espot.core.errors import ConfigurationError
from e2espot.models.spotter import Spotter, SpotterSpec

_OUTPUT_LAYERS = {"head._fc_out.1": "classes", "joint.1": "joint_classes"}
"""Output layers with one row per class after that of the background -> field of the specification with the classes."""


@dataclass(frozen=True, kw_only=True)
class TransferredWeights:
    """What a network took from another one."""

    copied: int
    """Tensors that were copied as a whole or by class."""
    fresh: int
    """Tensors that keep their initial values."""
    classes: tuple[str, ...] = ()
    """Classes whose rows of the output layer were copied."""
    new_classes: tuple[str, ...] = ()
    """Classes that start from random weights."""
    differences: tuple[str, ...] = ()
    """What the other network was trained for that this one is not: ``12.5 frames a second instead of 25``."""

    def lines(self) -> list[str]:
        """What a person should know about it, one line each."""
        lines = [f"{self.copied} tensors taken, {self.fresh} fresh"]
        if self.new_classes:
            taken = f"{', '.join(self.classes)} taken by name" if self.classes else "no class in common"
            lines.append(f"output layer: {taken}; fresh: {', '.join(self.new_classes)}")
        return lines + [f"these weights were trained for {difference}" for difference in self.differences]


def load_matching_weights(
    spotter: Spotter, state: dict[str, Tensor], spec: SpotterSpec | None = None
) -> TransferredWeights:
    """Copy every tensor of ``state`` that matches by name and shape, and the rows of output layers by class.

    A backbone with shifts takes the weights of one without; the shifts alone keep their initial weights. A first
    convolution for luma takes the sum over the colours of one for RGB.

        # "s1.b1.conv1.net.conv.weight" (with a shift) matches "s1.b1.conv1.conv.weight" (without)

    Args:
        spotter: The network that gets the weights.
        state: Tensors of the other network by name.
        spec: Specification of the other network; None for a backbone without heads.

    Raises:
        ConfigurationError: no weight of the backbone matches.
    """
    current = spotter.state_dict()
    given = {name.replace(".net.", "."): value for name, value in state.items()}
    matching = _match_by_name(current, given)
    # A bias or a norm may match by chance; only a weight of more than one dimension proves the same backbone.
    proof = "" if spotter.spec.features is not None else "backbone."
    if not any(name.startswith(proof) and value.ndim > 1 for name, value in matching.items()):
        raise ConfigurationError("none of the given weights fits this network; choose the same feature_arch")
    for layer, field in _OUTPUT_LAYERS.items():
        old, new = () if spec is None else getattr(spec, field), getattr(spotter.spec, field)
        if old != new:
            for name in (f"{layer}.weight", f"{layer}.bias"):
                matching.pop(name, None)  # as many classes, but others: a match by chance
                rows = _rows_by_class(current.get(name), given.get(name), new, old)
                matching.update({} if rows is None else {name: rows})
    spotter.load_state_dict({**current, **matching})
    has_output = spec is not None and "head._fc_out.1.weight" in matching
    known = {*spec.classes} if spec is not None and has_output else set()
    return TransferredWeights(
        copied=len(matching),
        fresh=len(current) - len(matching),
        classes=tuple(name for name in spotter.spec.classes if name in known),
        new_classes=tuple(name for name in spotter.spec.classes if name not in known),
        differences=() if spec is None else _differences(spec, spotter.spec),
    )


def _match_by_name(current: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name in ``current`` -> the tensor of ``given`` for it, whose names have no ``.net``; of the same shape."""
    matching = {}
    for name, value in current.items():
        candidate = given.get(name.replace(".net.", "."))
        if candidate is None:
            continue
        if candidate.ndim == 4 and (candidate.shape[1], *value.shape[1:2]) == (3, 1):  # RGB to luma
            candidate = candidate.sum(1, keepdim=True)
        if candidate.shape == value.shape:
            matching[name] = candidate
    return matching


def _rows_by_class(
    current_K: Tensor | None, given_K: Tensor | None, new: Sequence[str], old: Sequence[str]
) -> Tensor | None:
    """``current_K`` with the background's row and those of the classes in common from ``given_K``.

    None if one network lacks the layer, or the layers have no class in common, or another width.

    # old PASS DRIVE, new DRIVE SHOT -> rows background, DRIVE from row 2, SHOT as it was
    """
    common = [name for name in new if name in old]
    if current_K is None or given_K is None or not common or given_K.shape != (len(old) + 1, *current_K.shape[1:]):
        return None
    rows_K = current_K.clone()
    rows_K[0] = given_K[0]
    for name in common:
        rows_K[1 + new.index(name)] = given_K[1 + old.index(name)]
    return rows_K


def _differences(old: SpotterSpec, new: SpotterSpec) -> tuple[str, ...]:
    texts = {"fps": "{} frames a second instead of {}", "modality": "{} frames instead of {}"}
    before, now = dataclasses.asdict(old), dataclasses.asdict(new)
    return tuple(text.format(before[field], now[field]) for field, text in texts.items() if before[field] != now[field])

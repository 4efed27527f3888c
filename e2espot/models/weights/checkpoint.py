"""Weights files: a spotter or a backbone as safetensors, its specification in the metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import parse_fps
from e2espot.models.spotter import Spotter, SpotterSpec

_MOST = 100_000
"""Pixels a side and frames a clip that no network has."""

TRUNK_ONLY = "e2espot_trunk"
"""Key of the metadata of a weights file that holds a trunk without a head."""


def save_spotter(path: Path, state: dict[str, Tensor], spec: SpotterSpec) -> None:
    """Write weights and spec to one safetensors file, whole or not at all."""
    _save(path, state, {"e2espot": json.dumps(asdict(spec))})


def save_trunk(path: Path, state: dict[str, Tensor], feature_arch: str) -> None:
    """Write a trunk without a head, to start training from; whole or not at all."""
    _save(path, state, {TRUNK_ONLY: feature_arch})


def _save(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save

    from e2espot.files.atomic import write_atomically

    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_atomically(path, save(tensors, metadata=metadata))


def load_spotter(path: str | Path, device: str | torch.device = "cpu") -> Spotter:
    """Spotter of a run folder (its best epoch) or of a ``.safetensors`` file, in evaluation mode.

    Raises:
        CheckpointError: nothing there, damaged, or not written by this package.
    """
    file = weights_file(path)
    spec, state = read_weights(file)
    spotter = Spotter(spec)
    try:
        spotter.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{file}: weights do not fit {spec.feature_arch}: {str(error).splitlines()[-1].strip()}"
        ) from None
    for name, value in spotter.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{file}: {name} holds values that are not finite numbers")
    return spotter.eval().to(device)


def weights_file(path: str | Path) -> Path:
    """The weights of a run folder, or the file itself.

    Raises:
        CheckpointError: neither, or another package's.
    """
    path = Path(path)
    file = path / "best.safetensors" if path.is_dir() else path
    foreign = path.is_dir() and not file.is_file() and ((path / "config.json").is_file() or any(path.glob("*.pt")))
    if foreign or file.suffix in (".pt", ".pth", ".tar", ".bin", ".ckpt"):
        raise CheckpointError(
            f"{path}: weights of another package; first run: python tools/convert.py checkpoint SRC DST"
        )
    if not file.is_file():
        raise CheckpointError(
            f"{file}: no such weights file; give a run folder made by tools/train.py or a .safetensors file"
        )
    return file


def read_weights(file: Path) -> tuple[SpotterSpec, dict[str, Tensor]]:
    """Spec and tensors of a weights file; nothing in it is executed.

    Raises:
        CheckpointError: as :func:`load_spotter`.
    """
    metadata, state = read_tensors(file)
    if TRUNK_ONLY in metadata:
        raise CheckpointError(
            f"{file}: holds the trunk {metadata[TRUNK_ONLY]} without a head; start training from it with --init_from"
        )
    try:
        told = json.loads(metadata["e2espot"])
        lists = {name: tuple(told[name]) for name in ("classes", "joint_classes") if name in told}
        return _checked(SpotterSpec(**{**told, **lists})), state
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{file}: carries no e2espot description ({error!r}); convert it first") from None


def _checked(spec: SpotterSpec) -> SpotterSpec:
    """The same, if each field is of its type and no number is absurd."""
    values: dict[str, Any] = vars(spec)
    for place in fields(SpotterSpec):
        value = values[place.name]
        kind = {"str": str, "int": int, "bool": bool}.get(str(place.type), tuple)
        least = 0 if place.name == "crop_dim" else 1
        fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        if not fits or (kind is int and not least <= int(value) <= _MOST):
            raise ValueError(f"{place.name} is {value!r:.80}")
        if kind is tuple and not all(isinstance(name, str) for name in tuple(value)):
            raise ValueError(f"{place.name} holds something that is no name")
    parse_fps(spec.fps)
    LabelSet(spec.classes)
    return spec


def read_tensors(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file.

    Raises:
        CheckpointError: missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(weights_file(file)), framework="pt") as handle:
            state = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            return handle.metadata() or {}, state
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file ({error})") from None


def adopt_weights(spotter: Spotter, state: dict[str, Tensor]) -> tuple[int, int]:
    """Copy every tensor of ``state`` that fits by name and shape; return (copied, left fresh).

    A trunk with shifts takes the weights of one without: the shifts alone are left as they are. A stem that sees
    brightness takes the sum of one that saw colours.

    Raises:
        ConfigurationError: nothing fits.
    """
    own = spotter.state_dict()
    given = {name.replace(".net.", "."): value for name, value in state.items()}
    fitting = {}
    for name, value in own.items():
        taken = given.get(name.replace(".net.", "."))
        if taken is not None and taken.ndim == 4 and (taken.shape[1], *value.shape[1:2]) == (3, 1):
            taken = taken.sum(1, keepdim=True)
        if taken is not None and taken.shape == value.shape:
            fitting[name] = taken
    if not any(name.startswith("backbone.") and value.ndim > 1 for name, value in fitting.items()):
        raise ConfigurationError("none of the given weights fits this network; choose the same feature_arch")
    spotter.load_state_dict({**own, **fitting})
    return len(fitting), len(own) - len(fitting)

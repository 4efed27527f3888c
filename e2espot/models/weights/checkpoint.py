"""Weights files: a spotter or a backbone as safetensors.

The metadata of the file hold the specification, as JSON under ``e2espot`` (a spotter) or as the name of the backbone
under ``e2espot_trunk`` (a backbone without heads), and under ``e2espot_version`` the version of this package that
wrote it; older files have no version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.label_sets import LabelSet
from e2espot.core.timeline import parse_fps
from e2espot.core.version import VERSION_FIELD, __version__
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.unfamiliar import spec_of_second_set, split_sets

SPOTTER_FIELD = "e2espot"
"""Metadata field with the specification of a spotter."""
BACKBONE_FIELD = "e2espot_trunk"
"""Metadata field with the name of a backbone without heads."""

FOREIGN_ENDINGS = (".pt", ".pth", ".tar", ".bin", ".ckpt")
"""Endings of weights files of other packages."""

_OLD_FIELDS = {"full_grid": "double_rate_output"}
"""Fields of the specification under the names that older files have."""
_NEW_FIELDS = (
    "features",
    "look_ahead_s",
    "smooth_ball",
    "unfamiliar_look_ahead_s",
    "unfamiliar_smooth_ball",
    "unfamiliar_size",
)
"""Fields that older versions refuse; written only where they say something."""


def shipped_spotter() -> Path:
    """Weights file of the spotter that ships with the package: trained on rendered matches.

    A small network (``small_gsm`` with a GRU; ``lite_gsm`` in its second set) that finds passes and drives at 12.5 fps.
    It has never seen a filmed match; training on filmed matches starts from its backbone.
    """
    return Path(str(resources.files("e2espot.models.weights") / "small_gsm.safetensors"))


def save_spotter(path: Path, state: dict[str, Tensor], spec: SpotterSpec) -> None:
    """Write a spotter's weights, specification and version to one safetensors file, whole or not at all."""
    content = asdict(spec)
    for name in _NEW_FIELDS:
        if content[name] is None or content[name] is False:
            del content[name]
    _save(path, state, {SPOTTER_FIELD: json.dumps(content)})


def save_backbone(path: Path, state: dict[str, Tensor], feature_arch: str) -> None:
    """Write the weights of a backbone without heads, to start training from; whole or not at all."""
    _save(path, state, {BACKBONE_FIELD: feature_arch})


def _save(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save

    from e2espot.files.atomic import write_atomically

    # The image network's weights are rounded to half precision where they come from (``lite_stages``).
    halved = {name: value.half() if ".image." in name else value for name, value in state.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in halved.items()}
    write_atomically(path, _sort_metadata(save(tensors, metadata={**metadata, VERSION_FIELD: __version__})))


def _sort_metadata(data: bytes) -> bytes:
    """The same file with its metadata in order of the keys, so that equal weights are equal bytes.

    safetensors 0.8 writes the keys in another order each time. A file is an 8-byte length, a JSON header of that
    length, and the tensors; the header may end in blanks, and reordering does not make it longer.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(text) <= size
    return data[:8] + text.ljust(size) + data[8 + size :]


def load_spotter(path: str | Path, device: str | torch.device = "cpu") -> Spotter:
    """Spotter of a run folder (its best epoch) or of a ``.safetensors`` file, in evaluation mode.

    Raises:
        CheckpointError: the file is missing, damaged, or not written by this package.
    """
    file = weights_file(path)
    spec, state = read_weights(file)
    spotter = Spotter(spec)
    first, second = split_sets(state)
    try:
        spotter.load_state_dict(first)
        if second:
            spotter.unfamiliar = Spotter(spec_of_second_set(spec, second))
            spotter.unfamiliar.load_state_dict(second)
    except RuntimeError as error:
        raise CheckpointError(
            f"{file}: weights do not fit {spec.feature_arch}: {str(error).splitlines()[-1].strip()}"
        ) from None
    for name, value in spotter.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{file}: {name} holds values that are not finite numbers")
    return spotter.eval().to(device)


def weights_file(path: str | Path) -> Path:
    """Path of the weights of a run folder, or of the weights file given.

    Raises:
        CheckpointError: the file is missing, or belongs to another package.
    """
    path = Path(path)
    file = path / "best.safetensors" if path.is_dir() else path
    foreign = path.is_dir() and not file.is_file() and ((path / "config.json").is_file() or any(path.glob("*.pt")))
    if foreign or file.suffix in FOREIGN_ENDINGS:
        raise CheckpointError(f"{path}: weights of another package; convert them first: e2espot convert checkpoint")
    if not file.is_file():
        raise CheckpointError(f"{file}: no such weights file; give the folder of a trained run or a .safetensors file")
    return file


def read_weights(file: Path) -> tuple[SpotterSpec, dict[str, Tensor]]:
    """Specification and tensors of a spotter's weights file; nothing in it is executed.

    Raises:
        CheckpointError: as :func:`load_spotter`.
    """
    metadata, state = read_tensors(file)
    if BACKBONE_FIELD in metadata:
        raise CheckpointError(
            f"{file}: holds the backbone {metadata[BACKBONE_FIELD]} without heads; "
            "it is no spotter, but training can start from it (init_from)"
        )
    try:
        return _parse_spec(metadata[SPOTTER_FIELD]), state
    except (KeyError, ValueError, RecursionError, ConfigurationError) as error:
        raise CheckpointError(f"{file}: carries no e2espot description ({error!r}); convert it first") from None


def read_spec(file: Path) -> SpotterSpec:
    """Specification of a spotter's weights file, without its tensors.

    Raises:
        CheckpointError: as :func:`load_spotter`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(weights_file(file)), framework="pt") as handle:
            return _parse_spec((handle.metadata() or {})[SPOTTER_FIELD])
    except (KeyError, ValueError, RecursionError, ConfigurationError, SafetensorError, OSError):
        return read_weights(file)[0]  # which says what is wrong


def read_initial_weights(file: Path) -> tuple[SpotterSpec | None, dict[str, Tensor]]:
    """Specification and tensors to start training from; weights other than a whole spotter's have no specification.

    Raises:
        CheckpointError: as :func:`load_spotter`.
    """
    metadata, state = read_tensors(file)
    return read_weights(file) if SPOTTER_FIELD in metadata else (None, state)


def _parse_spec(text: str) -> SpotterSpec:
    """Specification from its JSON; raises ``ValueError`` if a field is unknown, of another type or out of range."""
    content = msgspec.json.decode(text)
    if isinstance(content, dict):
        content = {_OLD_FIELDS.get(name, name): value for name, value in content.items()}
        unknown = sorted(content.keys() - {field.name for field in fields(SpotterSpec)})
        if unknown:  # msgspec passes over unknown fields of a dataclass
            raise ValueError(f"unknown fields {unknown!r:.80}")
    spec = msgspec.convert(content, SpotterSpec, strict=True)
    parse_fps(spec.fps)
    LabelSet(spec.classes)
    return spec


def read_tensors(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(weights_file(file)), framework="pt") as handle:
            state = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            return handle.metadata() or {}, state
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file ({error})") from None

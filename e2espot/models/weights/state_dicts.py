"""Tensors of other people's weights files: read without running anything, and told apart by their names.

Names and shapes are facts of E2E-Spot (jhong93/spot), of OpenSportsLib, which keeps E2E-Spot's
names behind ``backbone.`` and ``head.``, and of timm's and torchvision's image networks.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from e2espot.core.errors import CheckpointError
from e2espot.models.backbones.registry import FEATURE_ARCHS

_WRAPPERS = ("model_state_dict", "state_dict", "model")
_PREFIXES = ("module.", "_model.", "model.")
_UNPROVEN = {"_pred_fine._tcn.": "mstcn", "_pred_fine._net.": "asformer", "_features.stages.": "convnextt"}


def read_state(file: Path) -> dict[str, Tensor]:
    """Tensors by E2E-Spot's names from a ``.safetensors`` file or a pickle of ``torch.save``.

    Of a pickle only tensors and plain values are taken; a file that asks for more is refused
    before anything in it has run.

    Raises:
        CheckpointError: missing, unreadable, or without tensors.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such weights file")
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    tensors = {str(name): value for name, value in content.items()} if isinstance(content, dict) else {}
    tensors = {_plain(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{file}: holds no named tensors; give a state dict such as checkpoint_049.pt")
    return tensors


def _plain(name: str) -> str:
    """E2E-Spot's name of a tensor, whatever was wrapped around the network."""
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return re.sub(r"^(backbone\.(?=_features)|head\.(?=_pred_fine))", "", name)


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file ({_first_line(error)})") from None


def _read_pickle(file: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")  # the error below says it in one line
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{file}: refused, for it is damaged or holds more than tensors and plain values ({_first_line(error)}); "
            "nothing in it was executed. Save the state dict alone with torch.save"
        ) from None


def _harmless() -> list[Any]:
    """What numpy needs to rebuild a single number: OpenSportsLib stores its best mAP as one."""
    import numpy as np
    from numpy._core.multiarray import scalar  # type: ignore[attr-defined]

    kinds = [type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")]
    return [np.dtype, *kinds, (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]


def _first_line(error: Exception) -> str:
    text = re.sub(r"^Weights only load failed\.?.*?:\s*", "", str(error).strip(), count=1)
    found = re.search(r"Unsupported (?:global|operand|class)[^\n]*|GLOBAL [\w.]+[^\n.]*", str(error))
    return (found.group(0) if found else (text.splitlines() or [type(error).__name__])[0])[:160]


def feature_arch_of(state: dict[str, Tensor], where: str) -> str:
    """E2E-Spot's name of the trunk that has these tensors below ``_features``.

    Raises:
        CheckpointError: a network that this package does not have.
    """
    for start, name in _UNPROVEN.items():
        if any(key.startswith(start) for key in state):
            raise CheckpointError(f"{where}: {name} is not supported: it has no proof of parity yet")
    names = [key.removeprefix("_features.") for key in state if key.startswith("_features.")]
    base = "?"
    if any(name.startswith("s1.b1.") for name in names):
        last = state.get("_features.s4.b1.conv3.conv.weight")
        base = {368: "rny002", 768: "rny008"}.get(len(last) if last is not None and last.ndim else 0, "?")
    elif any(name.startswith("layer1.0.") for name in names):
        count = len({name.split(".")[1] for name in names if name.startswith("layer3.")})
        deep = any(name.startswith("layer1.0.conv3.") for name in names)
        base = {(2, False): "rn18", (6, True): "rn50"}.get((count, deep), "?")
    shift = "_gsm" if any(".gsm." in name for name in names) else "_tsm" if any(".net." in n for n in names) else ""
    if base + shift not in FEATURE_ARCHS:
        known = ", ".join(name for name in FEATURE_ARCHS if not name.startswith("small"))
        raise CheckpointError(f"{where}: not the weights of a known trunk; known are {known}")
    return base + shift


def temporal_arch_of(state: dict[str, Tensor], where: str) -> str:
    """E2E-Spot's name of the head that has these tensors below ``_pred_fine``.

    Raises:
        CheckpointError: a head that this package does not have, or none.
    """
    if "_pred_fine._gru.weight_ih_l0" in state:
        return "deeper_gru" if "_pred_fine._gru.weight_ih_l2" in state else "gru"
    if "_pred_fine._fc_out.weight" in state:
        return ""
    raise CheckpointError(f"{where}: no head of E2E-Spot's in these weights; known are '', 'gru', 'deeper_gru'")


def own_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by the names of :class:`e2espot.models.Spotter`."""
    renamed = {}
    for name, value in state.items():
        name = re.sub(r"^_features\.", "backbone._features.", name)
        name = re.sub(r"^_pred_fine\._fc_out\.(_fc_out\.)?", "head._fc_out.1.", name)
        renamed[re.sub(r"^_pred_fine\.", "head.", name)] = value
    return renamed

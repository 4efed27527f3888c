"""State dicts of other packages: read without executing anything, and recognised by the names of their tensors.

Names and shapes are facts of E2E-Spot (jhong93/spot), of OpenSportsLib, which keeps E2E-Spot's names behind
``backbone.`` and ``head.``, and of timm's and torchvision's image networks.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from e2espot.core.errors import CheckpointError, shortened
from e2espot.models.backbones.registry import FEATURE_ARCHS

_WRAPPERS = ("model_state_dict", "state_dict", "model")
_PREFIXES = ("module.", "_model.", "model.")
_UNSUPPORTED = {"_pred_fine._tcn.": "mstcn", "_pred_fine._net.": "asformer", "_features.stages.": "convnextt"}


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """Tensors by E2E-Spot's names from a ``.safetensors`` file or a pickle of ``torch.save``.

    Only tensors and plain values are read from pickles. A file that asks for more is refused before anything in it
    has run.

    Raises:
        CheckpointError: the file is missing, unreadable, or holds no tensors.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such weights file")
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    tensors = {str(name): value for name, value in content.items()} if isinstance(content, dict) else {}
    tensors = {_strip_prefixes(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{file}: holds no named tensors; give a state dict such as checkpoint_049.pt")
    return tensors


def _strip_prefixes(name: str) -> str:
    """E2E-Spot's name of a tensor, without the names of what was wrapped around the network."""
    # "module.backbone._features.stem.conv.weight" -> "_features.stem.conv.weight"
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return re.sub(r"^(backbone\.(?=_features)|head\.(?=_pred_fine))", "", name)


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file}: not a readable safetensors file ({_reason(error)})") from None


def _read_pickle(file: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_safe_globals()):
            warnings.simplefilter("ignore")  # the error below reports the same in one line
            return torch.load(file, map_location="cpu", weights_only=True)
    # Damaged pickles raise errors of every kind, from EOFError to IndexError.
    except Exception as error:
        raise CheckpointError(
            f"{file}: refused, for it is damaged or holds more than tensors and plain values ({_reason(error)}); "
            "nothing in it was executed. Save the state dict alone with torch.save"
        ) from None


def _safe_globals() -> list[Any]:
    """What numpy needs to rebuild a single number: OpenSportsLib stores its best mAP as one."""
    import numpy as np
    from numpy._core.multiarray import scalar  # type: ignore[attr-defined]

    kinds = [type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")]
    return [np.dtype, *kinds, (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]


def _reason(error: Exception) -> str:
    """One short line of an error: what a pickle asked for if the text shows it, else its first line."""
    text = re.sub(r"^Weights only load failed\.?.*?:\s*", "", str(error).strip(), count=1)
    asked_for = re.search(r"Unsupported (?:global|operand|class)[^\n]*|GLOBAL [\w.]+[^\n.]*", str(error))
    return shortened(asked_for.group(0) if asked_for else (text.splitlines() or [type(error).__name__])[0])


def detect_feature_arch(state: dict[str, Tensor], source: str) -> str:
    """E2E-Spot's name of the backbone that has these tensors below ``_features``.

    Args:
        state: Tensors by E2E-Spot's names.
        source: Where they come from, for the error.

    Raises:
        CheckpointError: a network that this package does not have.
    """
    for start, name in _UNSUPPORTED.items():
        if any(key.startswith(start) for key in state):
            raise CheckpointError(f"{source}: {name} is not supported: it has no proof of parity yet")
    names = [key.removeprefix("_features.") for key in state if key.startswith("_features.")]
    base = "?"
    if any(name.startswith("s1.b1.") for name in names):  # a RegNetY, by the width of its last stage
        last = state.get("_features.s4.b1.conv3.conv.weight")
        base = {368: "rny002", 768: "rny008"}.get(len(last) if last is not None and last.ndim else 0, "?")
    elif any(name.startswith("layer1.0.") for name in names):  # a ResNet, by the number and kind of its blocks
        blocks = len({name.split(".")[1] for name in names if name.startswith("layer3.")})
        bottleneck = any(name.startswith("layer1.0.conv3.") for name in names)
        base = {(2, False): "rn18", (6, True): "rn50"}.get((blocks, bottleneck), "?")
    shift = "_gsm" if any(".gsm." in name for name in names) else "_tsm" if any(".net." in n for n in names) else ""
    if base + shift not in FEATURE_ARCHS:
        known = ", ".join(name for name in FEATURE_ARCHS if not name.startswith("small"))
        raise CheckpointError(f"{source}: not the weights of a known backbone; known are {known}")
    return base + shift


def detect_temporal_arch(state: dict[str, Tensor], source: str) -> str:
    """E2E-Spot's name of the head that has these tensors below ``_pred_fine``.

    Raises:
        CheckpointError: a head that this package does not have, or none.
    """
    if "_pred_fine._gru.weight_ih_l0" in state:
        return "deeper_gru" if "_pred_fine._gru.weight_ih_l2" in state else "gru"
    if "_pred_fine._fc_out.weight" in state:
        return ""
    raise CheckpointError(f"{source}: no head of E2E-Spot's in these weights; known are '', 'gru', 'deeper_gru'")


def remap_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by the names of :class:`e2espot.models.Spotter`."""
    # "_features.stem.conv.weight" -> "backbone._features.stem.conv.weight"
    # "_pred_fine._gru.bias_hh_l0" -> "head._gru.bias_hh_l0"
    # "_pred_fine._fc_out._fc_out.bias" -> "head._fc_out.1.bias"
    remapped = {}
    for name, value in state.items():
        name = re.sub(r"^_features\.", "backbone._features.", name)
        name = re.sub(r"^_pred_fine\._fc_out\.(_fc_out\.)?", "head._fc_out.1.", name)
        remapped[re.sub(r"^_pred_fine\.", "head.", name)] = value
    return remapped

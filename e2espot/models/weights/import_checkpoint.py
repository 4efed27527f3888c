"""Published weights -> weights of this package, equal in every logit.

Three sources: a folder that E2E-Spot trained into, OpenSportsLib's weights of the same network,
and an ImageNet network of timm or torchvision as a trunk to start from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import parse_fps
from e2espot.models.backbones.imagenet import hub_as_it_is
from e2espot.models.backbones.registry import build_backbone
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.weights.checkpoint import save_spotter, save_trunk
from e2espot.models.weights.state_dicts import feature_arch_of, own_names, read_state, temporal_arch_of

_SOCCER_V2 = tuple(sorted(LABEL_SETS["soccernet-v2-17"].names))
_KNOWN_CLASSES = {
    "soccernet_ball": ("DRIVE", "PASS"),
    "soccernetv2": _SOCCER_V2,
    "soccernetv2_challenge": _SOCCER_V2,
}
"""Classes of E2E-Spot's soccer datasets: alphabetical, as its parsers write them."""
_TWO_FPS = "25/12"
"""What "2 fps" means to E2E-Spot and OpenSportsLib: every twelfth picture of 25."""
_FRAME_HEIGHT = 224
_UNPROVEN = ("mstcn", "asformer", "convnextt")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the files may not say, or say wrongly."""

    epoch: int | None = None
    """Which ``checkpoint_NNN.pt`` of an E2E-Spot folder; None for its own best."""
    classes: Path | None = None
    """A class.txt with the names in order; None to look for it."""
    fps: str | None = None
    """Rate of the frames the network was trained on; None for the data set's own."""

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        try:
            parse_fps(self.fps or "25")
        except ValueError as error:
            raise ConfigurationError(f"--fps: {error}") from None


def convert_checkpoint(source: str, destination: Path, wishes: Wishes | None = None) -> str:
    """Convert ``source`` and write it to ``destination``, whole or not at all.

    Args:
        source: An E2E-Spot folder (``config.json``, ``checkpoint_NNN.pt``), an OpenSportsLib folder
            (``config.yaml`` and weights), a weights file, ``timm:NAME``, or ``owner/name`` on the hub.
        destination: A folder to become a run, or a ``.safetensors`` file.
        wishes: What to take instead of what is found.

    Returns:
        One line on what was read and written.

    Raises:
        E2ESpotError: says what cannot be converted, and why.
    """
    wishes, target = wishes or Wishes(), _target(destination)
    path = Path(source)
    if source.startswith("timm:"):
        return _convert_timm(source.removeprefix("timm:"), target)
    if not path.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        path = _from_hub(source)
    if path.is_dir():
        if (path / "config.json").is_file():
            return _convert_e2e_spot(path, _checkpoint_of(path, wishes.epoch), target, wishes)
        return _convert_osl(path, _weights_in(path), target, wishes)
    if not path.is_file():
        raise CheckpointError(f"{source}: no such folder or file; a hub id has the form owner/name")
    if (path.parent / "config.json").is_file() and re.fullmatch(r"checkpoint_\d+\.pt", path.name):
        return _convert_e2e_spot(path.parent, path, target, wishes)
    state = read_state(path)
    if any(name.startswith("_pred_fine.") for name in state):
        return _convert_osl(path.parent, path, target, wishes, state)
    return _convert_trunk(state, str(path), target)


def _target(destination: Path) -> Path:
    if destination.suffix == ".safetensors":
        return destination
    if destination.suffix in (".pt", ".pth", ".tar", ".bin", ".ckpt") or destination.is_file():
        raise ConfigurationError(f"{destination}: give a folder, or a file that ends in .safetensors")
    if (destination / "config.yaml").is_file():
        raise ConfigurationError(f"{destination} already holds a trained run; choose another folder")
    return destination / "best.safetensors"


def _checkpoint_of(folder: Path, epoch: int | None) -> Path:
    """E2E-Spot's choice: the epoch of the highest ``val_mAP`` in ``loss.json``, else the last one kept."""
    kept = {int(f.stem.split("_")[1]): f for f in folder.glob("checkpoint_*.pt") if f.stem.split("_")[1].isdecimal()}
    if not kept:
        raise CheckpointError(f"{folder}: no checkpoint_NNN.pt beside config.json")
    if epoch is None and len(kept) == 1:
        return next(iter(kept.values()))
    chosen = epoch if epoch is not None else _best_epoch(folder / "loss.json", max(kept))
    if chosen not in kept:
        raise CheckpointError(
            f"{folder}: no checkpoint of epoch {chosen}; there are {', '.join(map(str, sorted(kept)))}, "
            "choose one with --epoch"
        )
    return kept[chosen]


def _best_epoch(losses: Path, last: int) -> int:
    if not losses.is_file():
        return last
    rows = _read_json(losses)
    try:
        if any(row["val_mAP"] > 0 for row in rows):
            return int(max(rows, key=lambda row: row["val_mAP"])["epoch"])
        return int(min(rows, key=lambda row: row["val"])["epoch"])  # trained with --criterion loss
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{losses}: not E2E-Spot's list of epochs; choose one with --epoch") from None


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not readable JSON ({error})") from None


def _convert_e2e_spot(folder: Path, file: Path, target: Path, wishes: Wishes) -> str:
    config = _read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'}: it must be an object")
    modality = _modality(str(config.get("modality", "rgb")), str(folder))
    for key in ("feature_arch", "temporal_arch"):
        _refuse_unproven(str(config.get(key, "")), str(folder))
    state = read_state(file)
    dataset, where = str(config.get("dataset", "")), str(file)
    feature_arch, temporal_arch = feature_arch_of(state, where), temporal_arch_of(state, where)
    for key, value in (("feature_arch", feature_arch), ("temporal_arch", temporal_arch)):
        if key in config and config[key] != value:
            raise CheckpointError(
                f"{folder / 'config.json'}: {key} is {config[key]!r}, but {file.name} holds {value!r}"
            )
    classes, whence = _classes(folder, dataset, _num_classes(state), wishes)
    crop_dim = max(0, _whole(config.get("crop_dim") or 0, "crop_dim", folder, -1))
    height = max(_FRAME_HEIGHT, crop_dim)
    spec = SpotterSpec(
        feature_arch=feature_arch,
        temporal_arch=temporal_arch,
        classes=classes,
        clip_len=_whole(config.get("clip_len", 100), "clip_len", folder),
        fps=wishes.fps or (_TWO_FPS if dataset.startswith("soccernetv2") else "25"),
        width=max(round(height * 398 / 224), crop_dim),
        height=height,
        crop_dim=crop_dim,
        modality=modality,
    )
    return _write(spec, state, target, str(file), whence)


def _whole(value: Any, name: str, where: Path, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10_000:
        raise CheckpointError(f"{where}: {name} is {value!r}; expected a whole number from {least} to 10,000")
    return value


def _modality(name: str, where: str) -> str:
    if name not in ("rgb", "bw"):
        raise ConfigurationError(f"{where}: modality {name!r} is not supported; rgb and bw are")
    return "gray" if name == "bw" else "rgb"


def _refuse_unproven(name: str, where: str) -> None:
    if name.startswith(_UNPROVEN):
        raise ConfigurationError(f"{where}: {name} is not supported: it has no proof of parity yet")


def _num_classes(state: Mapping[str, Tensor]) -> int:
    weight = state.get("_pred_fine._fc_out._fc_out.weight", state.get("_pred_fine._fc_out.weight"))
    if weight is None or weight.ndim != 2 or len(weight) < 2:
        raise CheckpointError("the weights hold no output layer with a background and at least one class")
    return len(weight) - 1


def _classes(folder: Path, dataset: str, count: int, wishes: Wishes) -> tuple[tuple[str, ...], str]:
    """Class names in order, and a word on where they come from."""
    plain = dataset if re.fullmatch(r"[\w-]+", dataset) else ""
    roots = (folder, *folder.absolute().parents, Path.cwd())
    places = [folder / "class.txt", *(root / "data" / plain / "class.txt" for root in roots if plain)]
    file = wishes.classes or next((place for place in places if place.is_file()), None)
    if file is not None:
        from e2espot.core.label_sets import label_set_named

        names = label_set_named(str(file)).names
        if len(names) != count:
            raise CheckpointError(f"{file}: names {len(names)} classes, but the weights tell {count} apart")
        return names, str(file)
    if len(_KNOWN_CLASSES.get(dataset, ())) == count:
        return _KNOWN_CLASSES[dataset], f"E2E-Spot's {dataset}"
    numbered = tuple(f"class {number}" for number in range(1, count + 1))
    return numbered, f"no class.txt was found for {dataset or 'it'}, give one with --classes"


def _weights_in(folder: Path) -> Path:
    """The one weights file of a folder, the best one if it is named so."""
    endings = (".safetensors", ".pt", ".pth", ".pth.tar", ".bin", ".ckpt")
    found = sorted(file for file in folder.glob("*") if file.name.endswith(endings))
    best = [file for file in found if "best" in file.name]
    if len(found) != 1 and len(best) != 1:
        raise CheckpointError(
            f"{folder}: {len(found)} weights files and no config.json of E2E-Spot's; give the path of one file"
        )
    return found[0] if len(found) == 1 else best[0]


def _convert_osl(folder: Path, file: Path, target: Path, wishes: Wishes, state: dict[str, Tensor] | None = None) -> str:
    config = _osl_config(folder)
    data = config.get("DATA", config.get("dataset", {}))
    head = str(_dig(config, "type", "head") or "")
    _refuse_unproven(head, str(folder))
    modality = _modality(str(_dig(data, "modality") or "rgb").lower(), str(folder))
    state = state if state is not None else read_state(file)
    count = _num_classes(state)
    names = _dig(data, "classes")
    if wishes.classes is not None or not isinstance(names, list) or len(names) != count:
        classes, whence = _classes(folder, "", count, wishes)
    else:
        classes, whence = tuple(map(str, names)), "config.yaml"
    crop_dim = max(0, _whole(_dig(data, "crop_dim") or 0, "crop_dim", folder, -1))
    spec = SpotterSpec(
        feature_arch=feature_arch_of(state, str(file)),
        temporal_arch=temporal_arch_of(state, str(file)),
        classes=classes,
        clip_len=_whole(_dig(data, "clip_len") or 100, "clip_len", folder),
        fps=wishes.fps or _osl_fps(data, folder),
        width=_whole(_dig(data, "target_width") or _dig(data, "width", "resize") or 398, "width", folder),
        height=_whole(_dig(data, "target_height") or _dig(data, "height", "resize") or 224, "height", folder),
        crop_dim=crop_dim,
        modality=modality,
    )
    return _write(spec, state, target, str(file), whence)


def _osl_config(folder: Path) -> dict[str, Any]:
    import yaml

    file = next((folder / name for name in ("config.yaml", "config.yml") if (folder / name).is_file()), None)
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(f"{file}: not YAML ({str(error).splitlines()[0]})") from None
    return content if isinstance(content, dict) else {}


def _osl_fps(data: Any, folder: Path) -> str:
    """Every n-th picture is taken, n being the whole part of the ratio of the two rates."""
    source, wanted = _dig(data, "input_fps") or 25, _dig(data, "extract_fps") or 2
    source, wanted = _whole(source, "input_fps", folder), _whole(wanted, "extract_fps", folder)
    return f"{source}/{source // wanted}" if 0 < wanted <= source else str(source)


def _dig(tree: Any, key: str, below: str = "") -> Any:
    """First value of ``key`` anywhere in a tree of mappings, under a mapping named ``below`` if one is given."""
    if not isinstance(tree, dict):
        return None
    if not below and key in tree:
        return tree[key]
    for name, branch in tree.items():
        found = _dig(branch, key, "" if name == below else below)
        if found is not None:
            return found
    return None


def _from_hub(name: str) -> Path:
    """Folder with the config and the weights of a model on the Hugging Face hub."""
    try:
        from huggingface_hub import snapshot_download

        kinds = ("yaml", "yml", "json", "txt", "pt", "pth", "pth.tar", "bin", "safetensors")
        with hub_as_it_is():
            return Path(snapshot_download(name, allow_patterns=[f"*.{kind}" for kind in kinds]))
    except ImportError:
        raise ConfigurationError("a hub id needs huggingface_hub: pip install huggingface_hub") from None
    except Exception as error:
        text = (str(error).splitlines() or [""])[0][:160]
        raise CheckpointError(
            f"{name}: neither a file or folder here, nor to be had from huggingface.co ({text})"
        ) from None


def _write(spec: SpotterSpec, state: dict[str, Tensor], target: Path, source: str, whence: str) -> str:
    spotter = Spotter(spec)
    _load(spotter, own_names(state), source)
    save_spotter(target, spotter.state_dict(), spec)
    head = spec.temporal_arch or "linear"
    return (
        f"{source} -> {target}: {spec.feature_arch} + {head}, {len(spec.classes)} classes "
        f"({', '.join(spec.classes)}; {whence}), {spec.clip_len} frames a clip at {spec.fps} fps"
    )


def _load(network: torch.nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy all tensors, as fp32.

    Raises:
        CheckpointError: one is missing, too many, of another shape, or holds what is not a number.
    """
    own = network.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counters, **state})
    except (RuntimeError, TypeError) as error:
        problem = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), str(error))
        raise CheckpointError(f"{source}: these weights do not fit: {problem[:200]}") from None
    for name, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{source}: {name} holds values that are not finite numbers")


def _convert_timm(name: str, target: Path) -> str:
    import timm

    known = {"regnety_002", "regnety_008", "resnet18", "resnet50"}
    if name.partition(".")[0] not in known:
        raise ConfigurationError(f"timm:{name}: not a trunk of this package; known are {', '.join(sorted(known))}")
    make: Callable[..., Any] = timm.create_model
    try:
        with hub_as_it_is():
            network = make(name, pretrained=True, num_classes=0)
    except Exception as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise CheckpointError(f"timm:{name}: not to be had ({text}); give the path of its weights file") from None
    return _convert_trunk(dict(network.state_dict()), f"timm:{name}", target)


def _convert_trunk(state: dict[str, Tensor], source: str, target: Path) -> str:
    trunk = {name if name.startswith("_features.") else f"_features.{name}": value for name, value in state.items()}
    trunk = {name: v for name, v in trunk.items() if not name.startswith(("_features.head.", "_features.fc."))}
    arch = feature_arch_of(trunk, source)
    backbone = build_backbone(arch)
    _load(backbone, trunk, source)
    save_trunk(target, {f"backbone.{name}": value for name, value in backbone.state_dict().items()}, arch)
    return f"{source} -> {target}: the trunk {arch}, without a head; start training from it with --init_from {target}"

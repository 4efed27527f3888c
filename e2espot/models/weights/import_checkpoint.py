"""Published weights -> weights of this package, equal in every logit.

Sources, and what they become:

    E2E-Spot folder        config.json, loss.json, checkpoint_NNN.pt   -> spotter
    OpenSportsLib folder   config.yaml, one weights file               -> spotter
    timm or torchvision    ImageNet weights of an image network        -> backbone to start training from
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

from e2espot.core.errors import CheckpointError, ConfigurationError, first_line, shortened
from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import parse_fps
from e2espot.core.wording import counted
from e2espot.models.backbones.imagenet import offline_if_unreachable
from e2espot.models.backbones.lite_stages import LITE_NAME, folded_weights
from e2espot.models.backbones.registry import build_backbone
from e2espot.models.spotter import Spotter, SpotterSpec
from e2espot.models.unfamiliar import IMAGE
from e2espot.models.weights.checkpoint import FOREIGN_ENDINGS, save_backbone, save_spotter
from e2espot.models.weights.state_dicts import (
    detect_feature_arch,
    detect_temporal_arch,
    read_state_dict,
    remap_keys,
)

_SOCCER_V2 = tuple(sorted(LABEL_SETS["soccernet-v2-17"].names))
_KNOWN_CLASSES = {
    "soccernet_ball": ("DRIVE", "PASS"),
    "soccernetv2": _SOCCER_V2,
    "soccernetv2_challenge": _SOCCER_V2,
}
"""Classes of E2E-Spot's soccer datasets, in alphabetical order, as its parsers write them."""
_TWO_FPS = "25/12"
"""What "2 fps" means to E2E-Spot and OpenSportsLib: every twelfth picture of a video of 25 fps."""
_FRAME_HEIGHT = 224
"""Height of the frames that E2E-Spot crops from, in pixels."""
_UNSUPPORTED = ("mstcn", "asformer", "convnextt")


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the files may lack or state wrongly."""

    epoch: int | None = None
    """Number of the ``checkpoint_NNN.pt`` of an E2E-Spot folder; None for the best epoch."""
    classes: Path | None = None
    """A class.txt with the class names in order; None to search for one."""
    fps: str | None = None
    """Rate of the frames that the network was trained on; None for that of the dataset."""

    def __post_init__(self) -> None:
        """Check the rate.

        Raises:
            ConfigurationError: ``fps`` is not a rate.
        """
        try:
            parse_fps(self.fps or "25")
        except ValueError as error:
            raise ConfigurationError(str(error), option="fps") from None


def convert_checkpoint(source: str, destination: Path, options: ImportOptions | None = None) -> str:
    """Convert ``source`` and write it to ``destination``, whole or not at all.

    Args:
        source: An E2E-Spot folder (``config.json``, ``checkpoint_NNN.pt``), an OpenSportsLib folder
            (``config.yaml`` and weights), a weights file, ``timm:NAME``, or ``owner/name`` on the hub.
        destination: A folder to become a run, or a ``.safetensors`` file.
        options: Values that override what the files contain.

    Returns:
        One line that describes what was read and written.

    Raises:
        E2ESpotError: the source cannot be converted; the message gives the reason.
    """
    options, target = options or ImportOptions(), _target(destination)
    path = Path(source)
    if source.startswith("timm:"):
        return _convert_timm(source.removeprefix("timm:"), target)
    if not path.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        path = _from_hub(source)
    if path.is_dir():
        if (path / "config.json").is_file():
            return _convert_e2e_spot(path, _checkpoint_of(path, options.epoch), target, options)
        return _convert_osl(path, _weights_in(path), target, options)
    if not path.is_file():
        raise CheckpointError(f"{source}: no such folder or file; a hub id has the form owner/name")
    if (path.parent / "config.json").is_file() and re.fullmatch(r"checkpoint_\d+\.pt", path.name):
        return _convert_e2e_spot(path.parent, path, target, options)
    state = read_state_dict(path)
    if any(name.startswith("_pred_fine.") for name in state):
        return _convert_osl(path.parent, path, target, options, state)
    return _convert_backbone(state, str(path), target)


def _target(destination: Path) -> Path:
    """The weights file to write."""
    # "run" -> run/best.safetensors; "start.safetensors" -> start.safetensors
    if destination.suffix == ".safetensors":
        return destination
    if destination.suffix in FOREIGN_ENDINGS or destination.is_file():
        raise ConfigurationError(f"{destination}: give a folder, or a file that ends in .safetensors")
    if (destination / "config.yaml").is_file():
        raise ConfigurationError(f"{destination} already holds a trained run; choose another folder")
    return destination / "best.safetensors"


def _checkpoint_of(folder: Path, epoch: int | None) -> Path:
    """The checkpoint of an epoch; for None that of the highest ``val_mAP`` in ``loss.json``, else the last one."""
    checkpoints = {
        int(file.stem.split("_")[1]): file
        for file in folder.glob("checkpoint_*.pt")
        if file.stem.split("_")[1].isdecimal()
    }
    if not checkpoints:
        raise CheckpointError(f"{folder}: no checkpoint_NNN.pt next to config.json")
    if epoch is None and len(checkpoints) == 1:
        return next(iter(checkpoints.values()))
    chosen = epoch if epoch is not None else _best_epoch(folder / "loss.json", max(checkpoints))
    if chosen not in checkpoints:
        raise CheckpointError(
            f"{folder}: no checkpoint of epoch {chosen}; choose from {', '.join(map(str, sorted(checkpoints)))}",
            option="epoch",
        )
    return checkpoints[chosen]


def _best_epoch(losses: Path, last: int) -> int:
    """E2E-Spot's own choice of an epoch; ``last`` without a list of epochs."""
    if not losses.is_file():
        return last
    rows = _read_json(losses)
    try:
        if any(row["val_mAP"] > 0 for row in rows):
            # The first of equal epochs, as E2E-Spot takes it.
            return int(max(rows, key=lambda row: row["val_mAP"])["epoch"])
        return int(min(rows, key=lambda row: row["val"])["epoch"])  # trained with --criterion loss
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{losses}: not E2E-Spot's list of epochs; choose an epoch", option="epoch") from None


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not readable JSON ({error})") from None


def _convert_e2e_spot(folder: Path, file: Path, target: Path, options: ImportOptions) -> str:
    """Convert one checkpoint of an E2E-Spot folder, whose ``config.json`` must agree with the weights."""
    config = _read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'}: it must be an object")
    modality = _modality(str(config.get("modality", "rgb")), str(folder))
    for key in ("feature_arch", "temporal_arch"):
        _check_supported(str(config.get(key, "")), str(folder))
    state = read_state_dict(file)
    dataset = str(config.get("dataset", ""))
    feature_arch, temporal_arch = detect_feature_arch(state, str(file)), detect_temporal_arch(state, str(file))
    # The weights decide; a config that contradicts them belongs to other weights.
    for key, value in (("feature_arch", feature_arch), ("temporal_arch", temporal_arch)):
        if key in config and config[key] != value:
            raise CheckpointError(
                f"{folder / 'config.json'}: {key} is {config[key]!r}, but {file.name} holds {value!r}"
            )
    classes, origin = _classes(folder, dataset, _num_classes(state), options)
    crop_dim = max(0, _check_int(config.get("crop_dim") or 0, "crop_dim", folder, -1))
    # E2E-Spot extracts frames of height 224; a larger crop can only come from larger frames.
    height = max(_FRAME_HEIGHT, crop_dim)
    spec = SpotterSpec(
        feature_arch=feature_arch,
        temporal_arch=temporal_arch,
        classes=classes,
        clip_len=_check_int(config.get("clip_len", 100), "clip_len", folder),
        fps=options.fps or (_TWO_FPS if dataset.startswith("soccernetv2") else "25"),
        width=max(round(height * 398 / 224), crop_dim),
        height=height,
        crop_dim=crop_dim,
        modality=modality,
    )
    return _write(spec, state, target, str(file), origin)


def _check_int(value: Any, name: str, source: Path, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10_000:
        raise CheckpointError(f"{source}: {name} is {value!r}; expected a whole number from {least} to 10,000")
    return value


def _modality(name: str, source: str) -> str:
    if name not in ("rgb", "bw"):
        raise ConfigurationError(f"{source}: modality {name!r} is not supported; rgb and bw are")
    return "gray" if name == "bw" else "rgb"


def _check_supported(name: str, source: str) -> None:
    if name.startswith(_UNSUPPORTED):
        raise ConfigurationError(f"{source}: {name} is not supported: it has no proof of parity yet")


def _num_classes(state: Mapping[str, Tensor]) -> int:
    weight = state.get("_pred_fine._fc_out._fc_out.weight", state.get("_pred_fine._fc_out.weight"))
    if weight is None or weight.ndim != 2 or len(weight) < 2:
        raise CheckpointError("the weights hold no output layer with a background and at least one class")
    return len(weight) - 1


def _classes(folder: Path, dataset: str, count: int, options: ImportOptions) -> tuple[tuple[str, ...], str]:
    """Class names in order, and a description of their source."""
    # E2E-Spot keeps class.txt in data/DATASET of its own folder, which may be any folder above the run.
    safe_name = dataset if re.fullmatch(r"[\w-]+", dataset) else ""
    roots = (folder, *folder.absolute().parents, Path.cwd())
    candidates = [folder / "class.txt", *(root / "data" / safe_name / "class.txt" for root in roots if safe_name)]
    file = options.classes or next((path for path in candidates if path.is_file()), None)
    if file is not None:
        from e2espot.core.label_sets import label_set_named

        names = label_set_named(str(file)).names
        if len(names) != count:
            raise CheckpointError(
                f"{file}: names {counted(len(names), 'class', 'classes')}, but the weights have {count}"
            )
        return names, str(file)
    if len(_KNOWN_CLASSES.get(dataset, ())) == count:
        return _KNOWN_CLASSES[dataset], f"E2E-Spot's {dataset}"
    numbered = tuple(f"class {number}" for number in range(1, count + 1))
    return numbered, f"no class.txt found for {dataset or 'it'}, pass one as classes"


def _weights_in(folder: Path) -> Path:
    """The only weights file of a folder, or the only one with "best" in its name."""
    endings = (".safetensors", ".pt", ".pth", ".pth.tar", ".bin", ".ckpt")
    files = sorted(file for file in folder.glob("*") if file.name.endswith(endings))
    best = [file for file in files if "best" in file.name]
    if len(files) != 1 and len(best) != 1:
        raise CheckpointError(
            f"{folder}: {len(files)} weights files and no config.json of E2E-Spot's; give the path of one file"
        )
    return files[0] if len(files) == 1 else best[0]


def _convert_osl(
    folder: Path, file: Path, target: Path, options: ImportOptions, state: dict[str, Tensor] | None = None
) -> str:
    """Convert OpenSportsLib's weights, with what ``config.yaml`` has on them if there is one."""
    config = _osl_config(folder)
    data = config.get("DATA", config.get("dataset", {}))
    head = str(_dig(config, "type", "head") or "")
    _check_supported(head, str(folder))
    modality = _modality(str(_dig(data, "modality") or "rgb").lower(), str(folder))
    state = state if state is not None else read_state_dict(file)
    count = _num_classes(state)
    names = _dig(data, "classes")
    if options.classes is not None or not isinstance(names, list) or len(names) != count:
        classes, origin = _classes(folder, "", count, options)
    else:
        classes, origin = tuple(map(str, names)), "config.yaml"
    crop_dim = max(0, _check_int(_dig(data, "crop_dim") or 0, "crop_dim", folder, -1))
    spec = SpotterSpec(
        feature_arch=detect_feature_arch(state, str(file)),
        temporal_arch=detect_temporal_arch(state, str(file)),
        classes=classes,
        clip_len=_check_int(_dig(data, "clip_len") or 100, "clip_len", folder),
        fps=options.fps or _osl_fps(data, folder),
        width=_check_int(_dig(data, "target_width") or _dig(data, "width", "resize") or 398, "width", folder),
        height=_check_int(_dig(data, "target_height") or _dig(data, "height", "resize") or 224, "height", folder),
        crop_dim=crop_dim,
        modality=modality,
    )
    return _write(spec, state, target, str(file), origin)


def _osl_config(folder: Path) -> dict[str, Any]:
    import yaml

    file = next((folder / name for name in ("config.yaml", "config.yml") if (folder / name).is_file()), None)
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(f"{file}: not YAML ({first_line(error)})") from None
    return content if isinstance(content, dict) else {}


def _osl_fps(data: Any, folder: Path) -> str:
    """Rate of OpenSportsLib's frames: every n-th picture, n being the whole part of the ratio of the two rates."""
    # input_fps = 25, extract_fps = 2 -> every 12th picture -> "25/12"
    input_fps = _check_int(_dig(data, "input_fps") or 25, "input_fps", folder)
    extract_fps = _check_int(_dig(data, "extract_fps") or 2, "extract_fps", folder)
    return f"{input_fps}/{input_fps // extract_fps}" if 0 < extract_fps <= input_fps else str(input_fps)


def _dig(tree: Any, key: str, below: str = "") -> Any:
    """First value of ``key`` anywhere in a tree of mappings, inside a mapping named ``below`` if that is given."""
    # {"a": {"resize": {"width": 398}}}, key "width", below "resize" -> 398
    if not isinstance(tree, dict):
        return None
    if not below and key in tree:
        return tree[key]
    for name, branch in tree.items():
        value = _dig(branch, key, "" if name == below else below)
        if value is not None:
            return value
    return None


def _from_hub(name: str) -> Path:
    """Local folder with the config and the weights of a model on the Hugging Face hub."""
    try:
        from huggingface_hub import snapshot_download

        kinds = ("yaml", "yml", "json", "txt", "pt", "pth", "pth.tar", "bin", "safetensors")
        with offline_if_unreachable():
            return Path(snapshot_download(name, allow_patterns=[f"*.{kind}" for kind in kinds]))
    except ImportError:
        raise ConfigurationError("a hub id needs huggingface_hub: pip install huggingface_hub") from None
    except Exception as error:
        raise CheckpointError(
            f"{name}: no such file or folder, and not available from huggingface.co ({shortened(first_line(error))})"
        ) from None


def _write(spec: SpotterSpec, state: dict[str, Tensor], target: Path, source: str, origin: str) -> str:
    spotter = Spotter(spec)
    _load(spotter, remap_keys(state), source)
    save_spotter(target, spotter.state_dict(), spec)
    head = spec.temporal_arch or "linear"
    return (
        f"{source} -> {target}: {spec.feature_arch} + {head}, {counted(len(spec.classes), 'class', 'classes')} "
        f"({', '.join(spec.classes)}; {origin}), {spec.clip_len} frames a clip at {spec.fps} fps"
    )


def _load(network: torch.nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy all tensors, as fp32.

    Raises:
        CheckpointError: a tensor is missing, unexpected, of another shape, or not finite.
    """
    # Counters of batches may be missing. Nothing reads them, so those of the new network do.
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counters, **state})
    except (RuntimeError, TypeError) as error:
        problem = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), str(error))
        raise CheckpointError(f"{source}: these weights do not fit: {shortened(problem, 200)}") from None
    for name, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{source}: {name} holds values that are not finite numbers")


def _convert_timm(name: str, target: Path) -> str:
    """Download ImageNet weights with timm and convert them."""
    import timm

    known = {"regnety_002", "regnety_008", "resnet18", "resnet50", LITE_NAME}
    if name.partition(".")[0] not in known:
        raise ConfigurationError(f"timm:{name}: not a backbone of this package; known are {', '.join(sorted(known))}")
    make: Callable[..., Any] = timm.create_model
    try:
        with offline_if_unreachable():
            network = make(name, pretrained=True, num_classes=0)
    except Exception as error:
        raise CheckpointError(
            f"timm:{name}: not available ({shortened(first_line(error))}); give the path of its weights file"
        ) from None
    if name.startswith(LITE_NAME):
        image = {f"{IMAGE}{tensor}": value for tensor, value in folded_weights(network.eval()).items()}
        save_backbone(target, image, "lite")
        return f"timm:{name} -> {target}: the image network of the backbone lite; start training from it (init_from)"
    return _convert_backbone(dict(network.state_dict()), f"timm:{name}", target)


def _convert_backbone(state: dict[str, Tensor], source: str, target: Path) -> str:
    """Convert the weights of an image network, without its classification layer."""
    tensors = {name if name.startswith("_features.") else f"_features.{name}": value for name, value in state.items()}
    tensors = {name: v for name, v in tensors.items() if not name.startswith(("_features.head.", "_features.fc."))}
    arch = detect_feature_arch(tensors, source)
    backbone = build_backbone(arch)
    _load(backbone, tensors, source)
    save_backbone(target, {f"backbone.{name}": value for name, value in backbone.state_dict().items()}, arch)
    return f"{source} -> {target}: the backbone {arch}, without heads; start training from it (init_from)"

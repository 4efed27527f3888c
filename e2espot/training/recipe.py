"""Training settings: a recipe in five groups, read from YAML files and changed by flags.

The docstring of a field is its ``--help``. Files and flags are flat: ``batch_size: 8`` and ``--batch_size 8`` both
set ``recipe.optimisation.batch_size``. A recipe holds what a user wrote; ``training.config`` resolves it::

    Recipe() <- read_recipe("laptop") <- read_recipe("my.yaml") <- flags      merge, later ones win
    resolve(recipe, ...) -> TrainingConfig
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
import yaml

from e2espot.core.device import Precision
from e2espot.core.errors import ConfigurationError, first_line
from e2espot.core.frame_size import MAX_SIDE, parse_frame_size
from e2espot.core.timeline import parse_fps
from e2espot.formats.filenames import V2_LABEL_FILE

if TYPE_CHECKING:
    from e2espot.clips.augmentation_params import Augmentation

METRIC_NAMES = ("at1", "at2", "at3", "at4", "at5", "tight", "loose")
"""Metrics that may choose the best epoch."""
FEATURES_ARCH = "features"
"""``feature_arch`` of recipes for feature files."""
_MANY = 10**9
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("batch_size", "acc_grad_iter", "clips_per_epoch", "num_epochs", "save_every"), (1, _MANY)),
    **dict.fromkeys(("clip_len",), (1, MAX_SIDE)),
    **dict.fromkeys(("displacement", "dilate_len", "crop_dim"), (0, MAX_SIDE)),
    **dict.fromkeys(("warm_up_epochs", "weight_decay", "fg_weight", "focal_gamma"), (0, _MANY)),
    **dict.fromkeys(("displacement_weight", "team_weight", "ball_weight", "negative_weight"), (0, _MANY)),
    **dict.fromkeys(("joint_fraction", "event_balance", "class_balance", "event_fraction"), (0, 1)),
    **dict.fromkeys(("negative_fraction", "blur", "colour_jitter", "look_ahead_fraction"), (0, 1)),
    "learning_rate": (0, 1000),
    "start_val_epoch": (0, _MANY),
    "seed": (0, 2**63 - 1),
    "num_workers": (0, 1024),
}
"""Smallest and largest value of each number."""


_FEATURE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


class _Settings:
    """A group of settings whose numbers are within ``_RANGES``."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work."""
        for name, value in vars(self).items():
            if name in _RANGES:
                smallest, largest = _RANGES[name]
                if not smallest <= value <= largest:  # refuses NaN as well
                    raise ConfigurationError(f"{name} is {value}; it must be from {smallest} to {largest}", option=name)
        self._check()

    def _check(self) -> None:
        """Refuse what a range does not express."""


@dataclass(frozen=True, kw_only=True)
class DataSettings(_Settings):
    """Which data is read."""

    label_set: str = "ball-2"
    """ball-2, ball-12, soccernet-v2-17, footpass, dfl, or the path of a class.txt."""
    fps: str = "25"
    """Rate of the frame grid in frames per second, such as 25, 12.5 or 30000/1001."""
    features: str = ""
    """Learn from feature files of this name, such as ResNET_TF2_PCA512, at fps rows a second; empty for video."""
    size: str = "398x224"
    """Size of the frames that the network sees, width x height in pixels."""
    fold: str = ""
    """Fold i/k, such as 2/7, in place of the splits: every k-th labelled game from the i-th on is for validation."""
    joint_label_set: str = ""
    """Classes of a second dataset that is learnt alongside, with an output layer of its own; empty for none."""
    joint_label_file: str = V2_LABEL_FILE
    """Name of the label file in the second dataset."""
    annotated_classes: str = ""
    """Classes that the labels of the dataset are complete in, such as PASS,SHOT: the others are left out of the loss
    and of scores. Empty for what the label files say, by default all."""
    joint_annotated_classes: str = ""
    """The same for the second dataset."""
    num_workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 1
    """Number of decoding processes."""

    def frame_size(self) -> tuple[int, int]:
        """``size`` as (width, height).

        Raises:
            ConfigurationError: not of that form, or out of range.
        """
        return parse_frame_size(self.size)

    def _check(self) -> None:
        self.frame_size()
        try:
            parse_fps(self.fps)
        except ValueError as error:
            raise ConfigurationError(str(error), option="fps") from None


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(_Settings):
    """Which network is trained."""

    feature_arch: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "rny002_gsm"
    """Backbone: rny002, rny008, rn18, rn50 or small, with suffix _gsm, _tsm or none; features for feature files."""
    temporal_arch: Annotated[str, tyro.conf.arg(aliases=["-t"])] = "gru"
    """Head over time: gru, deeper_gru, or an empty string for none; on features also rows_gru, rows_transformer, calf,
    and max, avg, netvlad or netrvlad, each with ++ for both sides of the middle apart."""
    modality: str = "rgb"
    """Colours that the network sees: rgb or gray."""
    single_frame: bool = False
    """Hide motion from the small backbone (a control experiment)."""
    smooth_ball: bool = False
    """Pool features under the map of the ball smoothed over time, in training and at inference (small and lite)."""
    init_from: str = "auto"
    """Initial weights: auto (ImageNet for RegNets, the shipped ones for small), none, or a run or file."""
    displacement: int = 0
    """Radius in frames within which a head learns the distance to the event; replaces dilate_len. 0 for none."""
    team: bool = False
    """Learn which team acts, left or right, from the team field of the labels."""
    double_rate_output: Annotated[bool, tyro.conf.arg(aliases=["--full_grid"])] = False
    """Write scores at twice the frame rate that the network sees."""

    def _check(self) -> None:
        if self.modality not in ("rgb", "gray"):
            raise ConfigurationError(f"modality is {self.modality!r}; choose rgb or gray", option="modality")
        if self.smooth_ball and not self.feature_arch.startswith(("small", "lite")):
            raise ConfigurationError(
                f"{self.feature_arch} has no map of the ball to smooth; only small and lite have one",
                option="smooth_ball",
            )


@dataclass(frozen=True, kw_only=True)
class OptimisationSettings(_Settings):
    """How weights are updated, validated and saved."""

    batch_size: int = 8
    """Clips per optimiser step."""
    acc_grad_iter: Annotated[int, tyro.conf.arg(aliases=["-ag"])] = 1
    """Parts into which a batch is split; their gradients are accumulated."""
    num_epochs: int = 50
    """Number of epochs."""
    warm_up_epochs: float = 3.0
    """Epochs over which the learning rate rises at the start."""
    learning_rate: Annotated[float, tyro.conf.arg(aliases=["-lr"])] = 1e-3
    """Highest learning rate."""
    weight_decay: float = 0.01
    """AdamW's weight decay; biases and norms have none."""
    ema_decay: float = 0.999
    """Decay of the moving average of weights that is validated and saved; 0 uses the latest weights."""
    precision: Precision = "auto"
    """Number format: auto, fp32, bf16 or fp16."""
    start_val_epoch: int = 0
    """First epoch after which the run is validated; after the last one it always is."""
    save_every: int = 50
    """Optimiser steps between saved states from which training can resume."""
    metric: str = "at1"
    """What chooses the best epoch and the calibration: at1 to at5 (average precision within so many seconds), tight or
    loose."""

    def _check(self) -> None:
        if not 0 <= self.ema_decay < 1:
            raise ConfigurationError(f"ema_decay is {self.ema_decay}; it must be in [0, 1)", option="ema_decay")
        if self.metric not in METRIC_NAMES:
            raise ConfigurationError(
                f"metric is {self.metric!r}; choose from {', '.join(METRIC_NAMES)}", option="metric"
            )


@dataclass(frozen=True, kw_only=True)
class LossSettings(_Settings):
    """Which loss is minimised."""

    fg_weight: float = 5.0
    """Loss weight of the classes relative to the background."""
    dilate_len: int = 2
    """Frames to each side of an event that are labelled with its class."""
    negative_weight: float = 1.0
    """Loss weight of the background as near to a hard negative; fg_weight makes it count as much as an event."""
    shared_frames: bool = True
    """Learn both of two events at one frame, with half a target each; without it only the one listed first."""
    class_balance: float = 0.0
    """Loss weight of rare classes: with 0 every event counts the same, with 1 every class."""
    focal_gamma: float = 0.0
    """Focal loss: how strongly well-classified frames are down-weighted; 0 for plain cross-entropy."""
    displacement_weight: float = 1.0
    """Loss weight of the squared error of the distance, in frames."""
    team_weight: float = 1.0
    """Loss weight of the team."""
    ball_weight: float = 0.2
    """Loss weight of the ball's heat map, where the ball's position is known and the backbone has such a map."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings(_Settings):
    """Which clips are sampled, and how they are augmented."""

    clip_len: int = 100
    """Frames per clip."""
    clips_per_epoch: Annotated[int, tyro.conf.arg(aliases=["--epoch_clips"])] = 5000
    """Clips per epoch."""
    event_fraction: float = 0.5
    """Fraction of clips around an event."""
    event_balance: float = 0.0
    """How classes share those clips: 0 for as often as they occur, 1 for all equally often."""
    hard_negatives: str = ""
    """Folder of scores by runs not trained on these games; clips are sampled around their confident false positives."""
    negative_label_file: str = ""
    """Name of a second label file in the games' folders, such as Labels-other.json; its labels of classes that are not
    learnt are hard negatives too."""
    negative_fraction: float = 0.0
    """Fraction of clips around hard negatives."""
    joint_fraction: float = 0.5
    """Fraction of clips from the second dataset."""
    mixup: bool = False
    """Blend pairs of clips, in proportions drawn from Beta(0.2, 0.2)."""
    augment: bool = True
    """Flip clips, change their colours, and apply crop and blur, in the same way to all frames of a clip."""
    colour_jitter: float = 0.0
    """Largest change of the gain and the black level of each colour channel, such as 0.1; 0 for none."""
    crop: float = 1.0
    """Smallest fraction of width and height that a random crop keeps; 1 never crops."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    crop_dim: int = 0
    """Side of the square that is cut out of frames, at random in training, else from the centre. 0 for whole frames."""
    look_ahead: str = ""
    """Seconds of the future that the scores of a frame may depend on, such as 1, or 0.5-4 to draw them for each clip
    between the two; for live streams. Empty for the whole clip."""
    look_ahead_fraction: float = 0.5
    """Fraction of clips that look_ahead cuts; the others are seen as a whole."""
    shuffle_frames: bool = False
    """Shuffle the frames within each clip (a control experiment that should fail)."""
    seed: int = 0
    """Seed of all randomness."""

    def augmentation(self) -> Augmentation | None:
        """Ranges that augmentations are sampled from, None without augmentation."""
        from e2espot.clips.augmentation_params import Augmentation  # numpy, which the command line does without

        if not self.augment:
            return None
        return Augmentation(crop=self.crop, blur=self.blur, jitter=self.colour_jitter)

    def look_ahead_range_s(self) -> tuple[float, float] | None:
        """``look_ahead`` as (shortest, longest) in seconds; None for the whole clip.

        Raises:
            ConfigurationError: not of that form, or out of range.
        """
        if not self.look_ahead:
            return None
        number = r"([0-9]{1,6}(?:\.[0-9]{1,6})?)"
        match = re.fullmatch(f"{number}(?:-{number})?", self.look_ahead)
        shortest, longest = (float(match[1]), float(match[2] or match[1])) if match is not None else (1.0, 0.0)
        if shortest > longest:
            raise ConfigurationError(
                f"look_ahead is {self.look_ahead!r:.80}; give seconds such as 1, or from the shortest to the longest "
                "such as 0.5-4",
                option="look_ahead",
            )
        return shortest, longest

    def _check(self) -> None:
        self.look_ahead_range_s()
        if self.event_fraction + self.negative_fraction > 1:
            raise ConfigurationError(
                f"event_fraction {self.event_fraction} and negative_fraction {self.negative_fraction} must sum to at "
                "most 1"
            )
        if not 0 < self.crop <= 1:
            raise ConfigurationError(f"crop is {self.crop}; it must be in (0, 1]", option="crop")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training recipe; the shipped ones are in ``e2espot/recipes``."""

    data: DataSettings = field(default_factory=DataSettings)
    """Which data is read."""
    network: NetworkSettings = field(default_factory=NetworkSettings)
    """Which network is trained."""
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    """How weights are updated, validated and saved."""
    loss: LossSettings = field(default_factory=LossSettings)
    """Which loss is minimised."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """Which clips are sampled, and how they are augmented."""

    def __post_init__(self) -> None:
        """Refuse settings of several groups that contradict each other."""
        batch_size, parts = self.optimisation.batch_size, self.optimisation.acc_grad_iter
        if batch_size % parts or self.sampling.clips_per_epoch < batch_size:
            raise ConfigurationError(
                f"batch_size {batch_size} must be a multiple of acc_grad_iter {parts} and at most clips_per_epoch "
                f"{self.sampling.clips_per_epoch}",
                option="batch_size",
            )
        if self.sampling.look_ahead and self.network.temporal_arch not in ("", "gru"):
            raise ConfigurationError(
                f"look_ahead is {self.sampling.look_ahead!r} and temporal_arch {self.network.temporal_arch!r}; only "
                "gru and a linear layer can be cut in training: set temporal_arch to gru, or leave look_ahead out",
                option="look_ahead",
            )
        self._check_features()

    def _check_features(self) -> None:
        """Refuse settings that need pictures together with features."""
        name = self.data.features
        if bool(name) != (self.network.feature_arch == FEATURES_ARCH):
            raise ConfigurationError(
                f"features is {name!r} and feature_arch {self.network.feature_arch!r}; to learn from feature files, "
                f"name them and set feature_arch to {FEATURES_ARCH}, as the recipe v2-features-gru does",
                option="features",
            )
        if name and (not _FEATURE_NAME.fullmatch(name) or name.endswith(".npy")):
            raise ConfigurationError(
                f"features is {name!r:.80}; give the name of the files without half and ending, such as "
                "ResNET_TF2_PCA512",
                option="features",
            )
        if name and (self.data.joint_label_set or self.sampling.crop_dim or self.network.single_frame):
            raise ConfigurationError("features have no second dataset, crop_dim or single_frame", option="features")

    @property
    def label_radius(self) -> int:
        """Frames to each side of an event that carry its class."""
        return self.network.displacement or self.loss.dilate_len

    def to_fields(self) -> dict[str, Any]:
        """All settings by name, as in files."""
        return {name: value for group in dataclasses.asdict(self).values() for name, value in group.items()}


_GROUPS = {
    setting: group.name for group in dataclasses.fields(Recipe) for setting in vars(getattr(Recipe(), group.name))
}
"""The group of each setting."""
_OLD_NAMES = {"epoch_clips": "clips_per_epoch", "full_grid": "double_rate_output"}
"""Names in files of earlier versions."""


def current_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with settings of earlier versions under their current names."""
    return {_OLD_NAMES.get(name, name): value for name, value in fields.items()}


_BEFORE_THEY_EXISTED = {"shared_frames": False}
"""What runs of earlier versions did, whose files do not have these settings."""


def stored_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Everything in the file of a run, under current names, and with what its version did without stating it.

    # of a run from before two events at one frame were both learnt -> shared_frames: False
    """
    return {**_BEFORE_THEY_EXISTED, **current_names(fields)}


def recipe_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a recipe in the file of a run, under their current names."""
    return {name: value for name, value in stored_fields(fields).items() if name in _GROUPS}


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("e2espot") / "recipes"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def read_recipe(name_or_path: str) -> dict[str, Any]:
    """Settings in a shipped recipe (by name) or in a YAML file.

    Raises:
        ConfigurationError: no such recipe, not a YAML mapping, or an unknown setting.
    """
    if name_or_path in recipe_names():
        text = (resources.files("e2espot") / "recipes" / f"{name_or_path}.yaml").read_text()
    elif Path(name_or_path).is_file():
        text = _read_text(Path(name_or_path))
    else:
        raise ConfigurationError(
            f"no recipe {name_or_path!r}; shipped: {', '.join(recipe_names())}; or give the path of a YAML file",
        )
    try:
        fields = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name_or_path}: not YAML ({first_line(error)})") from None
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{name_or_path}: a recipe maps settings to values, this is a {type(fields).__name__}")
    fields = current_names(fields)
    unknown = sorted(map(str, set(fields) - set(_GROUPS)))
    if unknown:
        raise ConfigurationError(
            f"{name_or_path}: no such setting: {', '.join(unknown)}; known: {', '.join(sorted(_GROUPS))}"
        )
    return fields


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read ({error})") from None


def merge(base: Recipe, fields: Mapping[str, Any]) -> Recipe:
    """``base`` with some settings replaced, each checked for its type.

    Raises:
        ConfigurationError: an unknown setting, a value of the wrong type, or one out of range.
    """
    groups = dataclasses.asdict(base)
    for name, value in current_names(fields).items():
        if name not in _GROUPS:
            raise ConfigurationError(f"no recipe setting {name!r}; known: {', '.join(sorted(_GROUPS))}")
        group = groups[_GROUPS[name]]
        group[name] = _typed(name, value, type(group[name]))
    return Recipe(
        data=DataSettings(**groups["data"]),
        network=NetworkSettings(**groups["network"]),
        optimisation=OptimisationSettings(**groups["optimisation"]),
        loss=LossSettings(**groups["loss"]),
        sampling=SamplingSettings(**groups["sampling"]),
    )


def _typed(name: str, value: Any, wanted: type) -> Any:
    """``value`` as it is, an ``fps`` or a ``look_ahead`` as text: YAML reads ``25`` and ``12.5`` as numbers."""
    # In Python True is an int: learning_rate: true must be refused.
    as_text = name in ("fps", "look_ahead")
    fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int)) or as_text
    if not fits or (wanted is not bool and isinstance(value, bool)):
        raise ConfigurationError(f"recipe setting {name} is {value!r}; expected {wanted.__name__}")
    return str(value) if as_text else value

"""Everything a training run can be told. The text under a field is its ``--help``."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import tyro
import yaml

from e2espot.clips.augmentation_params import Augmentation
from e2espot.core.device import Precision
from e2espot.core.errors import ConfigurationError
from e2espot.core.timeline import parse_fps

MOST = 100_000
"""Pixels a side and frames a clip that no network has."""

_MANY = 10**9
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("batch_size", "acc_grad_iter", "epoch_clips", "num_epochs", "save_every"), (1, _MANY)),
    **dict.fromkeys(("clip_len",), (1, MOST)),
    **dict.fromkeys(("displacement", "dilate_len", "crop_dim"), (0, MOST)),
    **dict.fromkeys(("warm_up_epochs", "weight_decay", "fg_weight", "focal_gamma"), (0, _MANY)),
    **dict.fromkeys(("displacement_weight", "team_weight", "ball_weight"), (0, _MANY)),
    **dict.fromkeys(("joint_fraction", "event_balance", "class_balance", "event_fraction"), (0, 1)),
    **dict.fromkeys(("negative_fraction", "blur"), (0, 1)),
    "learning_rate": (0, 1000),
    "start_val_epoch": (0, _MANY),
    "seed": (0, 2**63 - 1),
    "num_workers": (0, 1024),
}
"""Smallest and largest value of each number."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training recipe; shipped ones lie in ``e2espot/recipes``."""

    feature_arch: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "rny002_gsm"
    """Trunk: rny002, rny008, rn18, rn50 or small, with suffix _gsm, _tsm or none."""
    temporal_arch: Annotated[str, tyro.conf.arg(aliases=["-t"])] = "gru"
    """Head over time: gru, deeper_gru, or an empty string for none."""
    single_frame: bool = False
    """Blind the small trunk to motion (a control)."""
    init_from: str = "auto"
    """Weights to start from: auto (ImageNet for RegNets, the shipped trunk for small), none, or a run or file."""
    label_set: str = "ball-2"
    """ball-2, ball-12, soccernet-v2-17, or the path of a class.txt."""
    fps: str = "25"
    """Rate of the frame grid: 25, 12.5, 30000/1001."""
    size: str = "398x224"
    """What the network sees, width x height in pixels."""
    crop_dim: int = 0
    """Side of a square cut out of the frames, anywhere in training and in the middle otherwise, as large as the frame
    has room for; 0 for whole frames."""
    modality: str = "rgb"
    """What the network sees: rgb or gray."""
    clip_len: int = 100
    """Frames of a clip."""
    batch_size: int = 8
    """Clips of a batch."""
    acc_grad_iter: Annotated[int, tyro.conf.arg(aliases=["-ag"])] = 1
    """Parts a batch is split into; the gradients are added up."""
    epoch_clips: int = 5000
    """Clips of an epoch."""
    num_epochs: int = 50
    """Epochs."""
    warm_up_epochs: float = 3.0
    """Epochs over which the learning rate rises."""
    learning_rate: Annotated[float, tyro.conf.arg(aliases=["-lr"])] = 1e-3
    """Highest learning rate."""
    weight_decay: float = 0.01
    """AdamW's decay of weight matrices; biases and norms have none."""
    ema_decay: float = 0.999
    """Decay of the averaged weights that are validated and kept; 0 keeps the last ones."""
    fg_weight: float = 5.0
    """Weight of the classes against background in the loss."""
    dilate_len: int = 2
    """Frames to each side of an event that carry its class."""
    class_balance: float = 0.0
    """Weight of rare classes in the loss: 0 for every event alike, 1 for every class alike."""
    focal_gamma: float = 0.0
    """Focal loss: how much less frames count that are told well; 0 for plain cross-entropy."""
    displacement: int = 0
    """Frames to each side of an event that learn how far it is, so that scores are moved there; 0 for no such head,
    else it stands for dilate_len too."""
    displacement_weight: float = 1.0
    """Weight of the squared distance, in frames, in the loss."""
    team: bool = False
    """Learn which side acts, left or right, from the labels' team."""
    team_weight: float = 1.0
    """Weight of the side in the loss."""
    full_grid: bool = False
    """Write scores at twice the rate that the network sees."""
    ball_weight: float = 0.2
    """Weight of the ball heat-map loss where the ball's place is known and the trunk has a map."""
    event_fraction: float = 0.5
    """Share of clips placed around an event."""
    event_balance: float = 0.0
    """Classes among those clips: 0 as often as they occur, 1 all alike."""
    hard_negatives: str = ""
    """Folder of scores (tools/infer.py --save_scores) by runs that did not learn from those games; what is high there
    and no event is learnt from more often."""
    negative_fraction: float = 0.0
    """Share of clips placed around hard negatives."""
    fold: str = ""
    """Part of a cross-validation, such as 2/7: every seventh labelled game, from the second on, is the valid one and
    all others are for training, whatever the splits say."""
    joint_label_set: str = ""
    """Classes of a second data set that is learnt beside, with an output layer of its own; empty for none."""
    joint_label_file: str = "Labels-v2.json"
    """Name of the label file in the second data set."""
    joint_fraction: float = 0.5
    """Share of clips from the second data set."""
    mixup: bool = False
    """Blend pairs of clips with a Beta(0.2, 0.2) share."""
    augment: bool = True
    """Mirror, colour changes and the two below, consistent over a clip."""
    crop: float = 1.0
    """Smallest share of width and height that a random crop keeps; 1 never crops."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    shuffle_frames: bool = False
    """Shuffle the frames within each clip (a control that must not learn)."""
    start_val_epoch: int = 0
    """First epoch that is validated; the last one always is."""
    seed: int = 0
    """Start of all randomness."""
    num_workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 1
    """Decoding processes."""
    precision: Precision = "auto"
    """Number format: auto, fp32, bf16 or fp16."""
    save_every: int = 50
    """Steps between checkpoints to resume from."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work, naming the flag."""
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:  # so that a NaN is refused as well
                raise ConfigurationError(f"--{name} is {getattr(self, name)}; it must lie from {least} to {most}")
        if self.batch_size % self.acc_grad_iter or self.epoch_clips < self.batch_size:
            raise ConfigurationError(
                f"--batch_size {self.batch_size} must be a multiple of --acc_grad_iter {self.acc_grad_iter} "
                f"and at most --epoch_clips {self.epoch_clips}"
            )
        self.frame_size()
        self._check_shares()
        self._check_heads()
        try:
            parse_fps(self.fps)
        except ValueError as error:
            raise ConfigurationError(f"--fps: {error}") from None

    def _check_shares(self) -> None:
        if not 0 <= self.ema_decay < 1:
            raise ConfigurationError(f"--ema_decay is {self.ema_decay}; it must lie in [0, 1)")
        if self.event_fraction + self.negative_fraction > 1:
            raise ConfigurationError("--event_fraction and --negative_fraction must sum to at most 1")
        if not 0 < self.crop <= 1:
            raise ConfigurationError(f"--crop is {self.crop}; it must lie in (0, 1]")

    def _check_heads(self) -> None:
        if self.modality not in ("rgb", "gray"):
            raise ConfigurationError(f"--modality is {self.modality!r}; choose rgb or gray")

    @property
    def crop_side(self) -> int:
        """Side of the square that is cut out, 0 for none."""
        return min(self.crop_dim, *self.frame_size())

    @property
    def reach(self) -> int:
        """Frames to each side of an event that carry its class."""
        return self.displacement or self.dilate_len

    def augmentation(self) -> Augmentation | None:
        """What clips are changed by, None for nothing."""
        return Augmentation(crop=self.crop, blur=self.blur) if self.augment else None

    def frame_size(self) -> tuple[int, int]:
        """``size`` as (width, height)."""
        told = re.fullmatch(r"([0-9]{2,6})x([0-9]{2,6})", self.size)
        width, height = (int(told[1]), int(told[2])) if told is not None else (0, 0)
        if not (32 <= width <= MOST and 32 <= height <= MOST):
            raise ConfigurationError(
                f"--size is {self.size!r}; give width x height from 32 to {MOST} pixels, such as 398x224"
            )
        return width, height


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("e2espot") / "recipes"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def read_recipe(name_or_path: str) -> dict[str, Any]:
    """Fields of a shipped recipe (by name) or of a YAML file.

    Raises:
        ConfigurationError: no such recipe, not a YAML mapping, or a field that no recipe has.
    """
    if name_or_path in recipe_names():
        text, where = (resources.files("e2espot") / "recipes" / f"{name_or_path}.yaml").read_text(), name_or_path
    elif Path(name_or_path).is_file():
        text, where = _text_of(Path(name_or_path)), name_or_path
    else:
        raise ConfigurationError(
            f"no recipe {name_or_path!r}; shipped: {', '.join(recipe_names())}; or give the path of a YAML file"
        )
    try:
        fields = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where}: not YAML ({str(error).splitlines()[0]})") from None
    known = {field.name for field in dataclasses.fields(Recipe)}
    if not isinstance(fields, dict) or set(fields) - known:
        strange = sorted(map(str, set(fields) - known)) if isinstance(fields, dict) else type(fields).__name__
        raise ConfigurationError(f"{where}: {strange} is no recipe field; known: {', '.join(sorted(known))}")
    return fields


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read ({error})") from None


def merge(base: Recipe, fields: dict[str, Any]) -> Recipe:
    """``base`` with ``fields`` put over it, each checked for its type.

    Raises:
        ConfigurationError: a value of the wrong type.
    """
    for name, value in fields.items():
        want = type(getattr(base, name))
        fits = isinstance(value, want) or (want is float and isinstance(value, int)) or (want is str and name == "fps")
        if not fits or (want is not bool and isinstance(value, bool)):
            raise ConfigurationError(f"recipe field {name} is {value!r}; expected {want.__name__}")
    fixed: dict[str, Any] = {name: str(value) if name == "fps" else value for name, value in fields.items()}
    return dataclasses.replace(base, **fixed)

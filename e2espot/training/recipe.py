"""Everything a training run can be told. The text under a field is its ``--help``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import tyro
import yaml

from e2espot.clips.changes import Augmentation
from e2espot.errors import ConfigurationError
from e2espot.precision import Precision
from e2espot.timeline import parse_fps


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training recipe; shipped ones lie in ``e2espot/recipes``."""

    feature_arch: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "rny002_gsm"
    """Trunk: rny002, rny008 or small, with suffix _gsm, _tsm or none."""
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
    ball_weight: float = 0.2
    """Weight of the ball heat-map loss where the ball's place is known and the trunk has a map."""
    event_fraction: float = 0.5
    """Share of clips placed around an event."""
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
        for name in ("clip_len", "batch_size", "acc_grad_iter", "epoch_clips", "num_epochs", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch_size % self.acc_grad_iter or self.epoch_clips < self.batch_size:
            raise ConfigurationError(
                f"--batch_size {self.batch_size} must be a multiple of --acc_grad_iter {self.acc_grad_iter} "
                f"and at most --epoch_clips {self.epoch_clips}"
            )
        if not 0 <= self.ema_decay < 1 or not 0 <= self.event_fraction <= 1:
            raise ConfigurationError("--ema_decay must lie in [0, 1) and --event_fraction in [0, 1]")
        if not 0 < self.crop <= 1 or not 0 <= self.blur <= 1:
            raise ConfigurationError("--crop must lie in (0, 1] and --blur in [0, 1]")
        self.frame_size()
        try:
            parse_fps(self.fps)
        except ValueError as error:
            raise ConfigurationError(f"--fps: {error}") from None

    def augmentation(self) -> Augmentation | None:
        """What clips are changed by, None for nothing."""
        return Augmentation(crop=self.crop, blur=self.blur) if self.augment else None

    def frame_size(self) -> tuple[int, int]:
        """``size`` as (width, height)."""
        width, _, height = self.size.partition("x")
        if not (width.isdigit() and height.isdigit() and int(width) >= 32 and int(height) >= 32):
            raise ConfigurationError(f"--size is {self.size!r}; give width x height of at least 32, such as 398x224")
        return int(width), int(height)


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
        text, where = Path(name_or_path).read_text(encoding="utf-8"), name_or_path
    else:
        raise ConfigurationError(
            f"no recipe {name_or_path!r}; shipped: {', '.join(recipe_names())}; or give the path of a YAML file"
        )
    try:
        fields = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where}: not YAML ({str(error).splitlines()[0]})") from None
    known = {field.name for field in dataclasses.fields(Recipe)}
    if not isinstance(fields, dict) or set(fields) - known:
        strange = sorted(map(str, set(fields) - known)) if isinstance(fields, dict) else type(fields).__name__
        raise ConfigurationError(f"{where}: {strange} is no recipe field; known: {', '.join(sorted(known))}")
    return fields


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

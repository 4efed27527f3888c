"""From what a user wrote to exact values: strings are parsed, names looked up and defaults decided here, once.

Recipe, RunOptions -> resolve -> TrainingConfig -> setup -> Run
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from e2espot.clips.augmentation_params import Augmentation
from e2espot.core.annotated_classes import AnnotatedClasses, parse_annotated_classes
from e2espot.core.device import compute_dtype, parse_device
from e2espot.core.errors import ConfigurationError
from e2espot.core.label_sets import LabelSet, label_set_named
from e2espot.core.parts import parse_part
from e2espot.core.picture_options import PictureOptions
from e2espot.core.teams import parse_team_map
from e2espot.core.timeline import parse_fps
from e2espot.core.version import VERSION_FIELD, __version__
from e2espot.formats.annotated_table import stated_stretches
from e2espot.formats.filenames import label_file_of
from e2espot.formats.games import check_label_file
from e2espot.formats.label_map import read_label_map
from e2espot.training.distributed import ProcessGroup, init_process_group
from e2espot.training.options import LabelReading, RunOptions
from e2espot.training.recipe import Recipe
from e2espot.video import COLOUR_RULE, Backend, choose_backend

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All settings of a training run as exact values."""

    data: Path
    """Dataset folder."""
    folder: Path
    """Run folder."""
    recipe: Recipe
    """The settings that need no resolving, and those that do as the user wrote them."""
    resume: bool
    """Whether to go on with the run in ``folder``."""

    fps: Fraction
    """Rate of the frame grid."""
    frame_size: tuple[int, int]
    """Width and height of the frames, in pixels."""
    crop_side: int
    """Side of the square that is cut out of the frames, in pixels; 0 for whole frames."""
    label_radius: int
    """Frames to each side of an event that carry its class."""
    augmentation: Augmentation | None
    """Ranges that augmentations are sampled from; None without augmentation."""
    look_ahead: tuple[int, int] | None
    """Fewest and most frames after a frame that its scores may depend on in clips that are cut; None to cut none."""

    label_set: LabelSet
    """Classes."""
    joint_label_set: LabelSet | None
    """Classes of the second dataset; None where there is none."""
    joint_data: Path | None
    """Folder of the second dataset; None where there is none."""
    joint_classes: AnnotatedClasses
    """Classes that the second dataset annotates, besides what its files say; None for all of them."""
    fold: tuple[int, int] | None
    """Part and number of parts of a cross-validation; None to follow the splits."""
    hard_negatives: Path | None
    """Folder of scores that hard negatives are taken from."""
    resolution: str
    """Which of a game's files is read: its 224p or 720p video, or features of that name."""
    labels: LabelReading
    """How label files are read."""
    options: RunOptions
    """The options as the user wrote them."""
    video_stream: int | None
    """Which video stream of each file is read; None for the one that players choose."""

    device: torch.device
    """Where this process computes."""
    dtype: torch.dtype
    """Number format of the convolutions."""
    group: ProcessGroup
    """The processes of the run."""
    backend: Backend
    """What decodes the videos."""
    pictures: PictureOptions
    """How their pictures may be prepared."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch."""
        return self.recipe.sampling.clips_per_epoch // self.recipe.optimisation.batch_size

    @property
    def local_slots(self) -> range:
        """Slots of each batch that belong to this process."""
        return self.group.local_slots(self.recipe.optimisation.batch_size)

    def to_fields(self, start: str) -> dict[str, Any]:
        """Content of ``config.yaml``.

        Args:
            start: Description of the initial weights.
        """
        return {
            **self.recipe.to_fields(),
            "start": start,
            "reader": self.backend,
            "colour_rule": COLOUR_RULE,
            **asdict(self.pictures),
            "resolution": self.options.resolution if self.recipe.data.features else self.resolution,
            "label_file": self.labels.label_file,
            "bad_labels": self.labels.bad_labels,
            "map": None if self.options.map is None else str(self.options.map),
            "annotated": self.options.annotated,
            "team_map": self.options.team_map,
            "second_half": self.options.second_half,
            "video_stream": self.video_stream,
            "joint_data": None if self.joint_data is None else str(self.joint_data),
            VERSION_FIELD: __version__,
        }


def resolve(recipe: Recipe, data: Path, folder: Path, options: RunOptions | None = None) -> TrainingConfig:
    """Resolve a recipe for a dataset, a run folder and this machine; joins the process group.

    Args:
        recipe: What to train.
        data: Dataset folder.
        folder: Run folder.
        options: Options of the run; the defaults without.

    Raises:
        ConfigurationError: a name that is unknown, a combination that cannot work, or something that this machine
            does not have.
    """
    options = options or RunOptions()
    device, group = _select_device(options.device)
    _check_parts(recipe, group)
    check_label_file(recipe.data.joint_label_file, "joint_label_file")
    if recipe.sampling.negative_label_file:
        check_label_file(recipe.sampling.negative_label_file, "negative_label_file")
    width, height = recipe.data.frame_size()
    return TrainingConfig(
        data=data,
        folder=folder,
        recipe=recipe,
        resume=options.resume,
        fps=parse_fps(recipe.data.fps),
        frame_size=(width, height),
        crop_side=min(recipe.sampling.crop_dim, width, height),
        label_radius=recipe.label_radius,
        augmentation=recipe.sampling.augmentation(),
        look_ahead=_look_ahead(recipe),
        label_set=label_set_named(recipe.data.label_set),
        joint_label_set=_joint_label_set(recipe, options.joint_data),
        joint_data=options.joint_data,
        joint_classes=_known_classes(
            recipe.data.joint_annotated_classes, recipe.data.joint_label_set, "joint_annotated_classes"
        ),
        fold=parse_part(recipe.data.fold, "fold", min_count=2) if recipe.data.fold else None,
        hard_negatives=Path(recipe.sampling.hard_negatives) if recipe.sampling.hard_negatives else None,
        resolution=recipe.data.features or _resolution(options, height),
        labels=_label_reading(recipe, options),
        options=options,
        video_stream=options.video_stream,
        device=device,
        dtype=compute_dtype(device, recipe.optimisation.precision),
        group=group,
        backend="pyav" if recipe.data.features else choose_backend(options.reader, device.type),
        pictures=options.only_pictures(),
    )


def _select_device(name: str) -> tuple[torch.device, ProcessGroup]:
    """Device of this process, and its process group: one GPU per process where there are several."""
    import torch

    device = parse_device(name)
    group = init_process_group(device.type)
    if device.type == "cuda" and group.world_size > 1:
        device = torch.device("cuda", group.local_rank)
    return device, group


def _check_parts(recipe: Recipe, group: ProcessGroup) -> None:
    """Refuse a batch whose share per process cannot be split for gradient accumulation."""
    num_clips, parts = len(group.local_slots(recipe.optimisation.batch_size)), recipe.optimisation.acc_grad_iter
    if num_clips % parts:
        raise ConfigurationError(
            f"each of {group.world_size} processes has {num_clips} clips of a batch, which acc_grad_iter {parts} does "
            "not divide",
            option="acc_grad_iter",
        )


def _look_ahead(recipe: Recipe) -> tuple[int, int] | None:
    """The range of look-aheads in frames, rounded as inference does."""
    seconds = recipe.sampling.look_ahead_range_s()
    if seconds is None:
        return None
    fps = float(parse_fps(recipe.data.fps))
    return round(seconds[0] * fps), round(seconds[1] * fps)


def _joint_label_set(recipe: Recipe, joint_data: Path | None) -> LabelSet | None:
    name = recipe.data.joint_label_set
    if bool(name) != (joint_data is not None):
        raise ConfigurationError(
            "a second dataset needs both its folder, joint_data, and a recipe with joint_label_set; "
            f"given: {joint_data or 'no folder'}, {name or 'no label set'}",
            option="joint_data",
        )
    return label_set_named(name) if name else None


def _label_reading(recipe: Recipe, options: RunOptions) -> LabelReading:
    return LabelReading(
        label_file=label_file_of(recipe.data.label_set) if options.label_file == "auto" else options.label_file,
        bad_labels=options.bad_labels,
        teams=parse_team_map(options.team_map, options.second_half),
        annotated=stated_stretches(options.annotated),
        classes=_known_classes(recipe.data.annotated_classes, recipe.data.label_set, "annotated_classes"),
        label_map=read_label_map(options.map),
    )


def _known_classes(text: str, label_set: str, option: str) -> AnnotatedClasses:
    """Annotated classes as a recipe names them; None for all.

    Raises:
        ConfigurationError: a name that the label set does not have.
    """
    classes = parse_annotated_classes(text, option)
    known = label_set_named(label_set).names if label_set else ()
    unknown = sorted((classes or frozenset()) - set(known))
    if unknown:
        raise ConfigurationError(
            f"{option} names {', '.join(map(repr, unknown))}; the classes of the label set are "
            f"{', '.join(known) or 'none, since there is no second dataset'}",
            option=option,
        )
    return classes


def _resolution(options: RunOptions, height: int) -> Literal["224p", "720p"]:
    if options.resolution == "auto":
        return "720p" if height > 224 else "224p"
    return options.resolution

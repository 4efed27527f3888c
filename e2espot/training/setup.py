"""Builds a training run from its config, or picks up an interrupted one.

TrainingConfig -> games -> ClipDataset
               -> Spotter with initial weights, AdamW
               -> Run (-> resume.restore)
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from e2espot.clips.chunk_samplers import ChunkSampler, WindowSampler
from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.feature_clips import FeatureClips
from e2espot.clips.sampler import ClipSampler, JointSampler, Sampler
from e2espot.core.device import reuse_freed_memory
from e2espot.core.errors import ConfigurationError
from e2espot.core.feature_kind import FeatureKind
from e2espot.core.label_sets import LABEL_SETS, LabelSet
from e2espot.core.timeline import parse_fps
from e2espot.files.atomic import check_folder
from e2espot.formats.feature_files import open_features
from e2espot.models.backbones.small import SmallBackbone
from e2espot.models.feature_heads.build import CHUNK_HEADS
from e2espot.models.feature_heads.pooling import POOLS, PROJECTED_DIM
from e2espot.models.spotter import Spotter, SpotterSpec, to_channels_last
from e2espot.models.unfamiliar import IMAGE, set_with_image
from e2espot.models.weights.checkpoint import read_initial_weights, read_tensors, shipped_spotter
from e2espot.models.weights.initial_weights import load_matching_weights
from e2espot.training import checkpoints
from e2espot.training.config import TrainingConfig
from e2espot.training.data import LabelledGame, load_fold, load_games
from e2espot.training.distributed import ProcessGroup
from e2espot.training.kernels.network import use_kernels
from e2espot.training.label_checks import check_labels, check_train_labels
from e2espot.training.losses import class_weights
from e2espot.training.optimizer import EagerAdamW
from e2espot.training.options import LabelReading
from e2espot.training.recipe import Recipe
from e2espot.training.resume import restore
from e2espot.training.state import Progress, Run
from e2espot.training.sync_batch_norm import convert_sync_batchnorm, count_unsynced

if TYPE_CHECKING:
    from dali_pipelines.iterators import DaliClips

_LOG = logging.getLogger(__name__)


def setup(config: TrainingConfig) -> Run:
    """Read the data, build the network, restore an interrupted run, and write ``config.yaml``.

    Raises:
        E2ESpotError: anything about the data, the settings or the run folder that cannot work.
    """
    reuse_freed_memory()
    _check_folder(config)
    state = checkpoints.load_state(config.folder) if config.resume else None
    train, valid = _load_split(config)
    joint = _load_joint(config)
    kind = _feature_kind(config, [*train, *valid])
    check_labels(train, valid, config)
    if config.joint_label_set is not None:
        check_train_labels(joint, config.joint_label_set, "second dataset")
    # Seeded right before the first random weight, so that nothing read above can change it.
    torch.manual_seed(config.recipe.sampling.seed)
    spotter, start = _build(config, kind)
    to_channels_last(spotter)
    if config.recipe.network.smooth_ball:
        assert isinstance(spotter.backbone, SmallBackbone)
        spotter.backbone.smooth_fps = float(parse_fps(config.recipe.data.fps))
    run = Run(
        config=config,
        spotter=spotter.to(config.device),
        ema={},
        optimizer=_optimizer(spotter, config.recipe),
        scaler=torch.amp.GradScaler(config.device.type, enabled=config.dtype == torch.float16),
        dataset=_dataset(config, train, joint),
        train_games=train,
        valid_games=valid,
        class_weights=_class_weights(config, train, config.label_set),
        joint_weights=_class_weights(config, joint, config.joint_label_set) if joint else torch.empty(0),
        start=start,
        progress=Progress(),
    )
    if config.backend == "dali":
        run.dali_clips = _dali_clips(run)
    _synchronise(run.spotter, config.group)
    use_kernels(run.spotter)
    # After the exchange, so that the average starts from the common weights.
    run.ema = {name: value.detach().clone() for name, value in spotter.state_dict().items()}
    if state is not None:
        restore(run, state)
    config.group.barrier()  # all processes have read the state that rank 0 is about to overwrite
    if config.group.is_main:
        run.lock = checkpoints.lock_run(config.folder)
        _refuse_other_run(config)  # one that has begun since the folder was checked
        checkpoints.sweep_run(config.folder)
        checkpoints.save_config(config.folder, config.to_fields(start))
        if config.recipe.data.label_set not in LABEL_SETS:
            checkpoints.save_classes(config.folder, config.label_set)
    return run


def _check_folder(config: TrainingConfig) -> None:
    """Refuse a folder that holds another run, that cannot be written to, or that not all processes see."""
    if config.group.is_main:
        check_folder(config.folder, option="save_dir")
    if config.group.is_main:
        _refuse_other_run(config)
    _check_shared_filesystem(config.folder, config.group, config.device)


def _refuse_other_run(config: TrainingConfig) -> None:
    if not config.resume and (config.folder / "config.yaml").exists():
        raise ConfigurationError(
            f"{config.folder} already holds a run; resume it, or choose another folder", option="resume"
        )


def _check_shared_filesystem(folder: Path, group: ProcessGroup, device: torch.device) -> None:
    """Refuse a run folder that is not the same on all processes, because each of them resumes from it."""
    if group.world_size == 1:
        return
    # Rank 0 creates a file under a random name; every process must see it.
    token = torch.tensor(secrets.randbits(62), device=device)
    group.broadcast([token])
    probe = folder / f".seen.{int(token)}.part"
    if group.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    group.barrier()
    unseen = group.any(not probe.exists(), device)
    if group.is_main:
        probe.unlink()
        if unseen:
            with suppress(OSError):  # only if it is empty
                folder.rmdir()
    if unseen:
        raise ConfigurationError(
            f"{folder}: not all processes see the folder of the first one; put the run where all machines can read it",
            option="save_dir",
        )


def _load_split(config: TrainingConfig) -> tuple[list[LabelledGame], list[LabelledGame]]:
    """Train and valid games."""
    options: dict[str, Any] = {
        "resolution": config.resolution,
        "reading": config.labels,
        "video_stream": config.video_stream,
    }
    if config.fold is not None:
        return load_fold(config.data, config.fold, config.label_set, config.fps, **options)
    train, valid = (
        load_games(config.data, split, config.label_set, config.fps, **options) for split in ("train", "valid")
    )
    return train, valid


def _feature_kind(config: TrainingConfig, games: Sequence[LabelledGame]) -> FeatureKind | None:
    """The one kind of features that all games have; None for videos. Warns where only some of them have a JSON.

    Raises:
        ConfigurationError: two kinds of features.
    """
    if not config.recipe.data.features:
        return None
    first: FeatureKind | None = None
    unknown: list[Path] = []
    paths = [video.path for game in games for video in game.game.videos]
    for path in paths:
        kind = open_features(path).kind
        first = first or kind
        first.check(kind, path)
        if not kind.origin:
            unknown.append(path)
        # The most that is known: files of SoccerNet say nothing of their origin.
        first = first if first.origin else kind
    if first is not None and first.origin and unknown:
        _LOG.warning(
            "%d of %d feature files are without a JSON, such as %s, and the others are of %s; scores mean nothing "
            "unless all were made alike",
            len(unknown),
            len(paths),
            unknown[0],
            first.origin,
        )
    return first


def _load_joint(config: TrainingConfig) -> list[LabelledGame]:
    """Training games of the second dataset; none without one."""
    if config.joint_data is None or config.joint_label_set is None:
        return []
    return load_games(
        config.joint_data,
        "train",
        config.joint_label_set,
        config.fps,
        resolution=config.resolution,
        reading=LabelReading(
            label_file=config.recipe.data.joint_label_file,
            bad_labels=config.labels.bad_labels,
            teams=config.labels.teams,
            classes=config.joint_classes,
            label_map=config.labels.label_map,
        ),
        video_stream=config.video_stream,
    )


def _check_negative_labels(
    config: TrainingConfig, train: Sequence[LabelledGame], videos: Sequence[TrainingVideo]
) -> None:
    name = config.recipe.sampling.negative_label_file
    # Hard negatives may also come from scores, so that there are some does not mean that there is a file.
    is_there = any((game.game.folder / name).is_file() for game in train)
    if name and not (is_there and any(video.labelled.negative_frames for video in videos)):
        raise ConfigurationError(
            f"no train game has a file {name} with labels of classes that are not learnt; the run learns "
            f"{', '.join(config.label_set.names)}; check the name, or leave it out",
            option="negative_label_file",
        )


def _dataset(
    config: TrainingConfig, train: Sequence[LabelledGame], joint: Sequence[LabelledGame]
) -> ClipDataset | FeatureClips:
    """Clips of the training games, of both datasets where there are two."""
    videos = [
        video
        for game in train
        for video in game.training_videos(
            config.label_set,
            negatives=config.hard_negatives,
            negative_label_file=config.recipe.sampling.negative_label_file,
        )
    ]
    _check_negative_labels(config, train, videos)
    if config.recipe.data.features:
        return _feature_clips(config, videos)
    first = _sampler(config.recipe, videos, config.label_set)
    sampler: Sampler = first
    if joint and config.joint_label_set is not None:
        more = [video for game in joint for video in game.training_videos(config.joint_label_set, joint=True)]
        sampler = JointSampler(
            first=first,
            second=_sampler(config.recipe, more, config.joint_label_set),
            second_fraction=config.recipe.sampling.joint_fraction,
        )
        videos = videos + more
    return ClipDataset(
        videos,
        sampler,
        fps=config.fps,
        size=config.frame_size,
        label_radius=config.label_radius,
        reader="decord" if config.backend == "decord" else "auto",
        pictures=config.pictures,
    )


def _feature_clips(config: TrainingConfig, videos: list[TrainingVideo]) -> FeatureClips:
    """Clips of features: around events for heads over rows, else as the head was published."""
    settings, arch = config.recipe.sampling, config.recipe.network.temporal_arch
    halves = [video.labelled for video in videos]
    sampler: Sampler
    if arch == "calf":
        sampler = ChunkSampler(
            videos=halves,
            clip_len=settings.clip_len,
            num_clips=settings.clips_per_epoch,
            num_classes=len(config.label_set),
            seed=settings.seed,
        )
    elif arch in CHUNK_HEADS:
        sampler = WindowSampler(
            videos=halves, clip_len=settings.clip_len, num_clips=settings.clips_per_epoch, seed=settings.seed
        )
    else:
        sampler = _sampler(config.recipe, videos, config.label_set)
    return FeatureClips(
        videos,
        sampler,
        label_radius=config.label_radius,
        row_targets=arch not in CHUNK_HEADS,
        # A pooling head begins with a linear layer in the run's format; the rest computes in single precision.
        dtype=config.dtype if arch in POOLS and open_features(videos[0].path).dim != PROJECTED_DIM else torch.float32,
    )


def _sampler(recipe: Recipe, videos: Sequence[TrainingVideo], label_set: LabelSet) -> ClipSampler:
    settings = recipe.sampling
    counts = np.bincount([c for v in videos for c in v.labelled.event_targets], minlength=len(label_set) + 1)[1:]
    # counts (100, 25): event_balance 0 samples classes 4 : 1, 0.5 samples them 2 : 1, 1 samples them 1 : 1
    shares = tuple(float(count ** (1 - settings.event_balance)) if count else 0.0 for count in counts)
    return ClipSampler(
        videos=[video.labelled for video in videos],
        clip_len=settings.clip_len,
        num_clips=settings.clips_per_epoch,
        seed=settings.seed,
        event_fraction=settings.event_fraction,
        class_shares=shares if settings.event_balance and any(shares) else None,
        negative_fraction=settings.negative_fraction,
    )


def _class_weights(config: TrainingConfig, games: Sequence[LabelledGame], label_set: LabelSet | None) -> Tensor:
    names = label_set.names if label_set is not None else ()
    counts = [sum(event.label == name for game in games for event in game.events) for name in names]
    return class_weights(counts, config.recipe.loss.fg_weight, config.recipe.loss.class_balance)


def _build(config: TrainingConfig, kind: FeatureKind | None) -> tuple[Spotter, str]:
    """Network with its initial weights, and a description of these."""
    network = config.recipe.network
    spec = SpotterSpec(
        feature_arch=network.feature_arch,
        temporal_arch=network.temporal_arch,
        classes=config.label_set.names,
        clip_len=config.recipe.sampling.clip_len,
        fps=config.recipe.data.fps,
        width=config.frame_size[0],
        height=config.frame_size[1],
        crop_dim=config.crop_side,
        modality=network.modality,
        displacement=network.displacement > 0,
        team=network.team,
        joint_classes=config.joint_label_set.names if config.joint_label_set is not None else (),
        double_rate_output=network.double_rate_output,
        single_frame=network.single_frame,
        features=kind,
        smooth_ball=network.smooth_ball,
    )
    if kind is not None and network.init_from in ("auto", "none"):
        return Spotter(spec), "random weights"
    kind_of_network = network.feature_arch.partition("_")[0]
    shipped = kind_of_network in ("small", "lite") and shipped_spotter().is_file()
    source = str(shipped_spotter()) if network.init_from == "auto" and shipped else network.init_from
    if source in ("auto", "none"):
        pretrained = source == "auto" and kind_of_network != "small"
        start = "ImageNet weights if they could be had" if pretrained else "random weights"
        spotter = Spotter(spec, pretrained=pretrained)
        if kind_of_network == "lite":  # its image network is never trained, so a random one would stay random
            spotter.load_state_dict({**spotter.state_dict(), **_with_image_network({})})
        return spotter, start
    spotter, path = Spotter(spec), Path(source)
    trained, state = read_initial_weights(path)
    if kind_of_network == "lite":
        state = _with_image_network(state)
    for line in load_matching_weights(spotter, state, trained).lines():
        _LOG.info("start from %s: %s", source, line)
    return spotter, "the shipped weights" if path == shipped_spotter() else source


def _with_image_network(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The set of a weights file that has an image network; that of the package for a file without one."""
    chosen = set_with_image(state)
    if not any(name.startswith(IMAGE) for name in chosen):
        shipped = set_with_image(read_tensors(shipped_spotter())[1])
        chosen |= {name: value for name, value in shipped.items() if name.startswith(IMAGE)}
    return chosen


def _optimizer(spotter: Spotter, recipe: Recipe) -> torch.optim.Optimizer:
    # Norms and biases are vectors; decaying them would only shift activations.
    learning = [p for p in spotter.parameters() if p.requires_grad]
    decayed = [p for p in learning if p.ndim > 1]
    plain = [p for p in learning if p.ndim <= 1]
    settings = recipe.optimisation
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return EagerAdamW(groups, lr=settings.learning_rate)


def _synchronise(spotter: Spotter, group: ProcessGroup) -> None:
    """Give all processes the network of rank 0, and batch norms over the clips of all of them."""
    if group.world_size > 1:
        convert_sync_batchnorm(spotter)
        if count_unsynced(spotter) and group.is_main:
            _LOG.warning("%d batch norms use their own process's clips only", count_unsynced(spotter))
    group.broadcast(spotter.state_dict().values())


def _dali_clips(run: Run) -> DaliClips:
    assert isinstance(run.dataset, ClipDataset)
    from dali_pipelines.graph import GraphOptions
    from dali_pipelines.iterators import DaliClips

    return DaliClips(
        run.dataset,
        run.augmentation_params,
        options=GraphOptions(device=run.device, batch_size=len(run.config.local_slots)),
        dtype=run.config.dtype,
        augmentation=run.config.augmentation,
    )

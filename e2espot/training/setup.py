"""What a training run is made of, and how it is set up or picked up again."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from e2espot.clips.dataset import ClipDataset, TrainingVideo
from e2espot.clips.sampler import ClipSampler, JointSampler, Sampler
from e2espot.core.device import compute_dtype, device_named, keep_freed_memory
from e2espot.core.errors import CheckpointError, ConfigurationError
from e2espot.core.label_sets import LabelSet, label_set_named
from e2espot.core.timeline import parse_fps
from e2espot.models.spotter import Spotter, SpotterSpec, lay_out_for_training
from e2espot.models.weights.checkpoint import adopt_weights, read_tensors
from e2espot.training import checkpoints
from e2espot.training.data import BadLabels, LabelledGame, load_fold, load_games
from e2espot.training.distributed import Ranks, join_ranks
from e2espot.training.losses import class_weights
from e2espot.training.recipe import Recipe
from e2espot.training.state import Progress, Run
from e2espot.training.sync_batch_norm import share_batch_norms, unshared
from e2espot.video import COLOUR_RULE, ReaderChoice, choose_reader

_LOG = logging.getLogger(__name__)

SHIPPED_TRUNK = Path(__file__).parents[1] / "models" / "weights" / "small_gsm.safetensors"
"""Small trunk trained on rendered matches, the start of the small network where it exists."""


def setup(
    root: Path,
    folder: Path,
    recipe: Recipe,
    *,
    resolution: str = "224p",
    label_file: str = "Labels-ball.json",
    bad_labels: BadLabels = "stop",
    reader: ReaderChoice = "auto",
    device: str = "auto",
    resume: bool = False,
    joint_root: Path | None = None,
) -> Run:
    """Read the data, build the network, pick up an interrupted run.

    ``joint_root`` is the second data set of a recipe that has a ``joint_label_set``.

    Raises:
        E2ESpotError: anything about the data, the recipe or the run folder that cannot work.
    """
    keep_freed_memory()
    where, ranks = _place(device)
    _check_shares(recipe, ranks)
    if ranks.is_first and not resume and (folder / "config.yaml").exists():
        raise ConfigurationError(f"{folder} already holds a run; add --resume to go on with it, or choose another -s")
    _check_shared(folder, ranks, where)
    state = checkpoints.load_state(folder) if resume else None
    fps = parse_fps(recipe.fps)
    label_set = label_set_named(recipe.label_set)
    load: dict[str, Any] = {"resolution": resolution, "label_file": label_file, "bad_labels": bad_labels}
    if recipe.fold:
        train, valid = load_fold(root, recipe.fold, label_set, fps, **load)
    else:
        train, valid = (load_games(root, split, label_set, fps, **load) for split in ("train", "valid"))
    joint = _load_joint(recipe, joint_root, {**load, "label_file": recipe.joint_label_file})
    chosen = choose_reader(reader, where.type)
    torch.manual_seed(recipe.seed)
    spotter, start = _build(recipe, label_set)
    lay_out_for_training(spotter)
    dtype = compute_dtype(where, recipe.precision)
    run = Run(
        folder=folder,
        recipe=recipe,
        label_set=label_set,
        spotter=spotter.to(where),
        averaged={},
        optimizer=_optimizer(spotter, recipe),
        dataset=_dataset(train, joint, recipe, label_set, chosen),
        train=train,
        valid=valid,
        device=where,
        dtype=dtype,
        scaler=torch.amp.GradScaler(where.type, enabled=dtype == torch.float16),
        progress=Progress(),
        start=start,
        reader=chosen,
        class_weights=_weights(train, label_set, recipe),
        joint_weights=_weights(joint, label_set_named(recipe.joint_label_set), recipe) if joint else torch.empty(0),
        ranks=ranks,
    )
    if chosen == "dali":
        run.dali_clips = _dali_clips(run)
    _share(run.spotter, ranks)
    run.averaged = {name: value.detach().clone() for name, value in spotter.state_dict().items()}
    if state is not None:
        _restore(run, state)
    ranks.wait()  # whoever resumes has read what is about to be written anew
    if ranks.is_first:
        checkpoints.sweep_run(folder)
        told: dict[str, Any] = {"start": start, "reader": chosen, "colour_rule": COLOUR_RULE}
        told |= {**load, "joint_data": None if joint_root is None else str(joint_root)}
        checkpoints.save_config(folder, {**dataclasses.asdict(recipe), **told})
    return run


def _place(device: str) -> tuple[torch.device, Ranks]:
    """Where this process computes, and which of how many it is."""
    where = device_named(device)
    ranks = join_ranks(where.type)
    return (torch.device("cuda", ranks.local_rank) if where.type == "cuda" and ranks.count > 1 else where), ranks


def _check_shared(folder: Path, ranks: Ranks, device: torch.device) -> None:
    """All processes must see one run folder, from whose state they go on; those of other machines may not."""
    if ranks.count == 1:
        return
    token = torch.tensor(secrets.randbits(62), device=device)
    ranks.copy_first([token])
    sign = folder / f".seen.{int(token)}.part"
    if ranks.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        sign.touch()
    ranks.wait()
    unseen = ranks.any(not sign.exists(), device)
    if ranks.is_first:
        sign.unlink()
        if unseen:
            with suppress(OSError):  # only if it is empty
                folder.rmdir()
    if unseen:
        raise ConfigurationError(
            f"-s {folder}: not all processes see the first one's folder; put it where all machines can read it"
        )


def _share(spotter: Spotter, ranks: Ranks) -> None:
    """All ranks begin with the first one's network, and their batch norms see everybody's clips."""
    if ranks.count > 1:
        share_batch_norms(spotter)
        if unshared(spotter) and ranks.is_first:
            _LOG.warning("%d batch norms see their own process's clips only", unshared(spotter))
    ranks.copy_first(spotter.state_dict().values())


def _dataset(
    train: list[LabelledGame], joint: list[LabelledGame], recipe: Recipe, label_set: LabelSet, chosen: str
) -> ClipDataset:
    """Clips of the training games, of both data sets where there are two."""
    negatives = Path(recipe.hard_negatives) if recipe.hard_negatives else None
    videos = [video for game in train for video in game.training_videos(label_set, negatives=negatives)]
    sampler: Sampler = _sampler(videos, recipe, label_set)
    if joint:
        other = label_set_named(recipe.joint_label_set)
        more = [video for game in joint for video in game.training_videos(other, joint=True)]
        sampler = JointSampler(
            first=_sampler(videos, recipe, label_set),
            second=_sampler(more, recipe, other),
            second_fraction=recipe.joint_fraction,
        )
        videos = videos + more
    return ClipDataset(
        videos,
        sampler,
        fps=recipe.fps,
        size=recipe.frame_size(),
        dilate_len=recipe.reach,
        reader="decord" if chosen == "decord" else "auto",
    )


def _load_joint(recipe: Recipe, root: Path | None, load: dict[str, Any]) -> list[LabelledGame]:
    """Training games of the second data set, if the recipe has one."""
    if bool(recipe.joint_label_set) != (root is not None):
        raise ConfigurationError(
            "a second data set needs both --joint_data FOLDER and a recipe with joint_label_set; "
            f"given: {root or 'no folder'}, {recipe.joint_label_set or 'no label set'}"
        )
    if root is None:
        return []
    return load_games(root, "train", label_set_named(recipe.joint_label_set), parse_fps(recipe.fps), **load)


def _sampler(videos: list[TrainingVideo], recipe: Recipe, label_set: LabelSet) -> ClipSampler:
    counts = np.bincount([c for v in videos for c in v.labelled.event_targets], minlength=len(label_set) + 1)[1:]
    shares = tuple(float(count ** (1 - recipe.event_balance)) if count else 0.0 for count in counts)
    return ClipSampler(
        videos=[video.labelled for video in videos],
        clip_len=recipe.clip_len,
        num_clips=recipe.epoch_clips,
        seed=recipe.seed,
        event_fraction=recipe.event_fraction,
        class_shares=shares if recipe.event_balance and any(shares) else None,
        negative_fraction=recipe.negative_fraction,
    )


def _weights(games: list[LabelledGame], label_set: LabelSet, recipe: Recipe) -> Tensor:
    counts = [sum(event.label == name for game in games for event in game.events) for name in label_set.names]
    return class_weights(counts, recipe.fg_weight, recipe.class_balance)


def _check_shares(recipe: Recipe, ranks: Ranks) -> None:
    own = len(ranks.slots(recipe.batch_size))
    if own % recipe.acc_grad_iter:
        raise ConfigurationError(
            f"each of {ranks.count} processes has {own} clips of a batch, which --acc_grad_iter "
            f"{recipe.acc_grad_iter} does not divide"
        )


def _build(recipe: Recipe, label_set: LabelSet) -> tuple[Spotter, str]:
    """Network with its starting weights, and a word on where these come from."""
    width, height = recipe.frame_size()
    spec = SpotterSpec(
        feature_arch=recipe.feature_arch,
        temporal_arch=recipe.temporal_arch,
        classes=label_set.names,
        clip_len=recipe.clip_len,
        fps=recipe.fps,
        width=width,
        height=height,
        crop_dim=recipe.crop_side,
        modality=recipe.modality,
        displacement=recipe.displacement > 0,
        team=recipe.team,
        joint_classes=label_set_named(recipe.joint_label_set).names if recipe.joint_label_set else (),
        full_grid=recipe.full_grid,
        single_frame=recipe.single_frame,
    )
    small = recipe.feature_arch.startswith("small")
    spotter = Spotter(spec, pretrained=recipe.init_from == "auto" and not small)
    source = recipe.init_from
    if source == "auto" and small and SHIPPED_TRUNK.is_file():
        source = str(SHIPPED_TRUNK)
    if source in ("auto", "none"):
        return spotter, "ImageNet weights if they could be had" if source == "auto" and not small else "random weights"
    path = Path(source)
    copied, fresh = adopt_weights(spotter, read_tensors(path)[1])
    _LOG.info("start from %s: %d tensors taken, %d fresh", source, copied, fresh)
    return spotter, "the shipped trunk" if path == SHIPPED_TRUNK else source


def _dali_clips(run: Run) -> Any:
    from dali_pipelines.graph import GraphOptions
    from dali_pipelines.iterators import DaliClips

    return DaliClips(
        run.dataset,
        run.changes,
        options=GraphOptions(device=run.device, batch_size=len(run.ranks.slots(run.recipe.batch_size))),
        dtype=run.dtype,
        augmentation=run.recipe.augmentation(),
    )


def _optimizer(spotter: Spotter, recipe: Recipe) -> torch.optim.Optimizer:
    decayed = [p for p in spotter.parameters() if p.ndim > 1]
    plain = [p for p in spotter.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _restore(run: Run, state: dict[str, Any]) -> None:
    try:
        run.spotter.load_state_dict(state["averaged"])  # tells whether they fit
        run.averaged = {name: value.detach().clone() for name, value in run.spotter.state_dict().items()}
        run.spotter.load_state_dict(state["spotter"])
        settings = run.optimizer.state_dict()["param_groups"]  # those of the recipe, but for where the schedule is
        for group, kept in zip(settings, state["optimizer"]["param_groups"], strict=True):
            if not isinstance(kept["lr"], float) or not 0 <= kept["lr"] < 1e6:
                raise ValueError(f"the learning rate is {kept['lr']!r:.80}")
            group["lr"] = kept["lr"]
        run.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": settings})
        _check_moments(run.optimizer)
        run.scaler.load_state_dict(state["scaler"])
        run.progress = Progress(**state["progress"])
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError, IndexError) as error:
        problem = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        raise CheckpointError(
            f"{run.folder}: what it holds does not fit these settings ({problem}); resume "
            "with the network and classes it was started with, or choose another -s"
        ) from None
    _LOG.info("resuming in epoch %d at step %d", run.progress.epoch, run.progress.step)


def _check_moments(optimizer: torch.optim.Optimizer) -> None:
    """Refuse a state that the next step would trip over.

    Raises:
        ValueError: moments that do not fit their weights, or a number of steps that cannot be.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            found = optimizer.state.get(weight, {})
            if found == {}:
                continue
            if not isinstance(found, dict):
                raise ValueError("the optimizer holds no moments")
            for moment in (found.get("exp_avg"), found.get("exp_avg_sq")):
                if not isinstance(moment, Tensor) or (moment.shape, moment.dtype) != (weight.shape, weight.dtype):
                    raise ValueError("the optimizer's moments do not fit the weights")
            steps = found.get("step")
            if not isinstance(steps, Tensor) or steps.numel() != 1 or not 0 <= float(steps) < 1e12:
                raise ValueError(f"the optimizer made {steps!r:.80} steps")

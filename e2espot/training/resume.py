"""The state that a run is resumed from: what is stored, and how it is validated before the next step uses it."""

from __future__ import annotations

import dataclasses
import logging
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor

from e2espot.core.errors import CheckpointError
from e2espot.training.state import Progress, Run

_LOG = logging.getLogger(__name__)


def state_of(run: Run) -> dict[str, Any]:
    """State of a run for :func:`e2espot.training.checkpoints.save_state`; ``averaged`` is the moving average."""
    return {
        "spotter": run.spotter.state_dict(),
        "averaged": run.ema,
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
        "progress": dataclasses.asdict(run.progress),
    }


@dataclasses.dataclass(frozen=True)
class _ParamGroup:
    """What is taken over from a stored parameter group."""

    lr: Annotated[float, msgspec.Meta(ge=0, lt=1e6)]
    """Learning rate of the last step."""


@dataclasses.dataclass(frozen=True)
class _Moments:
    """What Adam stores for a parameter."""

    exp_avg: Tensor
    """First moment, of the parameter's shape."""
    exp_avg_sq: Tensor
    """Second moment, of the parameter's shape."""
    step: Tensor
    """Number of steps, one element."""


def restore(run: Run, state: dict[str, Any]) -> None:
    """Put a stored state into a run.

    Raises:
        CheckpointError: it is damaged, or of a run with another network.
    """
    try:
        # Loading the average into the network first checks its names and shapes, and moves it to the device.
        run.spotter.load_state_dict(state["averaged"])
        run.ema = {name: value.detach().clone() for name, value in run.spotter.state_dict().items()}
        run.spotter.load_state_dict(state["spotter"])
        _restore_optimizer(run.optimizer, state["optimizer"])
        run.scaler.load_state_dict(state["scaler"])
        run.progress = msgspec.convert(state["progress"], Progress)
    except (
        *(RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError, IndexError),
        msgspec.ValidationError,
    ) as error:
        problem = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        raise CheckpointError(
            f"{run.config.folder}: what it holds does not fit these settings ({problem}); resume with the network and "
            "classes it was started with, or choose another folder",
            option="save_dir",
        ) from None
    _LOG.info("resuming in epoch %d at step %d", run.progress.epoch, run.progress.step)


def _restore_optimizer(optimizer: torch.optim.Optimizer, stored: dict[str, Any]) -> None:
    """Restore moments and learning rates; all other settings stay those of the recipe."""
    param_groups = optimizer.state_dict()["param_groups"]
    for param_group, stored_group in zip(param_groups, stored["param_groups"], strict=True):
        param_group["lr"] = msgspec.convert(stored_group, _ParamGroup).lr
    optimizer.load_state_dict({"state": stored["state"], "param_groups": param_groups})
    for group in optimizer.param_groups:
        for weight in group["params"]:
            _check_moments(weight, optimizer.state.get(weight, {}))


def _check_moments(weight: Tensor, stored: Any) -> None:
    """Refuse moments that would break the next step; a parameter that was never updated has none.

    Raises:
        ValueError: moments that do not fit their weight, or an impossible number of steps.
        ValidationError: something other than moments.
    """
    if stored == {}:
        return
    moments = msgspec.convert(stored, _Moments)
    for moment in (moments.exp_avg, moments.exp_avg_sq):
        if (moment.shape, moment.dtype) != (weight.shape, weight.dtype):
            raise ValueError("the optimizer's moments do not fit the weights")
    if moments.step.numel() != 1 or not 0 <= float(moments.step) < 1e12:
        raise ValueError(f"the optimizer made {moments.step!r:.80} steps")

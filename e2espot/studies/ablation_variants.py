"""What the ablations compare, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULTS = "our defaults"
ARMS: dict[str, dict[str, Any]] = {
    DEFAULTS: {},
    "E2E-Spot's recipe": {
        **{"fps": "25", "clip_len": 100, "crop_dim": 224, "dilate_len": 0, "event_fraction": 0.0},
        **{"mixup": True, "blur": 0.25, "ema_decay": 0.0},
    },
    "displacement 2": {"displacement": 2},
    "25 frames a second": {"fps": "25", "clip_len": 128, "batch_size": 2, "dilate_len": 4},
    "clips from anywhere": {"event_fraction": 0.0},
    "balanced classes": {"class_balance": 0.5, "event_balance": 0.5},
}
"""What each arm changes of the laptop recipe."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is compared, and how long."""

    out: Path
    """Folder for matches, runs, scores and the table."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the trainings; every arm has them all."""
    seconds: float = 240.0
    """Processor seconds of each training."""
    arms: tuple[str, ...] = tuple(ARMS)
    """Arms to train."""
    games: int = 14
    """Rendered games: the last is the test, the one before valid."""
    minutes: float = 1.5
    """Length of a train game."""
    valid_minutes: float = 3.0
    """Length of the valid game."""
    test_minutes: float = 20.0
    """Length of the test game."""

"""What the studies compare and for how long; light, so that the commands show their help at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.errors import ConfigurationError

DEFAULTS = "our defaults"
VARIANTS: dict[str, dict[str, Any]] = {
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
"""Variant -> what it changes of the recipe ``laptop-fast``."""


@dataclass(frozen=True, kw_only=True)
class AblationPlan:
    """What the ablations compare, and how long they train."""

    out: Path
    """Folder for matches, runs, scores and the table."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds; every variant is trained with each of them."""
    seconds: float = 240.0
    """CPU seconds per training."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Variants to train."""
    games: int = 14
    """Rendered games: the last is the test game, the one before the valid game."""
    minutes: float = 1.5
    """Length of a train game in minutes."""
    valid_minutes: float = 3.0
    """Length of the valid game in minutes."""
    test_minutes: float = 20.0
    """Length of the test game in minutes."""

    def check(self) -> None:
        """Fail before hours are spent.

        Raises:
            ConfigurationError: a value is out of range.
        """
        unknown = [variant for variant in self.variants if variant not in VARIANTS]
        if unknown or DEFAULTS not in self.variants:
            known = ", ".join(map(repr, VARIANTS))
            raise ConfigurationError(f"variants must contain {DEFAULTS!r} and be among {known}", option="variants")
        if not self.seeds or not all(0 <= seed < 2**63 for seed in self.seeds):
            raise ConfigurationError("give one seed at least, each from 0 and below 2^63", option="seeds")
        if not 0 < self.seconds < 1e9:
            raise ConfigurationError(f"seconds is {self.seconds}; give more than 0, below 1e9", option="seconds")
        if self.games < 3:
            raise ConfigurationError(
                f"games is {self.games}; one to train on, one valid and one test game are three", option="games"
            )


@dataclass(frozen=True, kw_only=True)
class ReviewPlan:
    """What the review study compares."""

    out: Path
    """Folder for everything."""
    data: Path | None = None
    """A dataset instead of rendered matches: the first game of its train split is labelled, the others are not."""
    score_on: str = "test"
    """Split to score."""
    matches: int = 5
    """Rendered matches to train on; the first is labelled from the start."""
    minutes: float = 2.0
    """Length of each rendered match to train on, in minutes."""
    test_minutes: float = 4.0
    """Length of the match to score."""
    rounds: int = 2
    """Rounds of review."""
    decisions: int = 100
    """Answers per round."""
    assume: float = 0.6
    """Predictions of at least this score count as labels without a question."""
    seed: int = 0
    """The same seed gives the same matches and the same training."""

    def check(self) -> None:
        """Fail before an hour is spent.

        Raises:
            ConfigurationError: a value is out of range.
        """
        for name, least in (("rounds", 0), ("decisions", 0), ("seed", 0), ("matches", 2)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; give at least {least}", option=name)
        if not 0 <= self.assume <= 1:
            raise ConfigurationError(f"assume is {self.assume}; give a score from 0 to 1", option="assume")

    @property
    def matches_dir(self) -> Path:
        """The dataset that is used."""
        return self.data or self.out / "matches"


@dataclass(frozen=True, kw_only=True)
class FeedPlan:
    """What the study of event feeds compares."""

    out: Path
    """Folder for everything."""
    data: Path | None = None
    """A dataset with exact labels and the splits train, valid and test, instead of rendered matches."""
    matches: int = 3
    """Rendered halves to train on."""
    minutes: float = 10.0
    """Length of each, in minutes."""
    valid_minutes: float = 2.0
    """Length of the valid game."""
    test_minutes: float = 14.0
    """Length of the game to score."""
    late: float = 0.3
    """Seconds by which a feed is late on average."""
    spread: float = 0.5
    """Standard deviation of its times, in seconds."""
    bias: float = 40.0
    """Most seconds by which the clock of a half is ahead."""
    seed: int = 0
    """The same seed gives the same matches, errors and trainings."""

    def check(self) -> None:
        """Fail before an hour is spent.

        Raises:
            ConfigurationError: a value is out of range.
        """
        for name, least, most in (("matches", 1, 1000), ("seed", 0, 2**63)):
            if not least <= getattr(self, name) <= most:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; give at least {least}", option=name)
        for name, most in (("late", 60), ("spread", 60), ("bias", 3600)):
            if not 0 <= getattr(self, name) <= most:  # refuses NaN as well
                raise ConfigurationError(f"{name} is {getattr(self, name)}; give 0 to {most} seconds", option=name)

    @property
    def matches_dir(self) -> Path:
        """The dataset that is used."""
        return self.data or self.out / "matches"

"""What determines the files of rendered games, and which games a dataset has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from e2espot.core.errors import ConfigurationError

SIZES = {"224p": (398, 224), "720p": (1280, 720)}
"""Resolution -> (width, height)."""
RENDERER_VERSION = 5
"""Incremented when the same parameters give other files, so that a rerun writes them again."""
PLAIN, TELEVISION, MIXED, ENGINE = WORLDS = ("plain", "tv", "mixed", "engine")
"""How matches look: a plain pitch with few colours, the variety of television pictures, every fourth game plain, or
played and drawn by a game engine with that variety."""
_MOST_GAMES, _MOST_MINUTES = 100_000, 1_000


@dataclass(frozen=True, kw_only=True)
class GameSpec:
    """Parameters that determine the files of one game."""

    name: str
    """Folder relative to the dataset, ``rendered/<season>/<game>``."""
    seed: int
    """Seed of the dataset."""
    index: int
    """Number of the game within the dataset, from 0."""
    frames: int
    """Length at 25 frames per second."""
    density: float
    """Multiplies the pace of events."""
    resolution: str
    """Key of ``SIZES``."""
    version: int = RENDERER_VERSION
    """Version of the renderer."""
    world: str = PLAIN
    """``plain``, ``tv`` or ``engine``."""
    picture_step: int = 1
    """Every which frame of an engine match is drawn; it is shown again until the next."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """What determines the games of a dataset: the same values give the same bytes (one OpenCV, one x264)."""

    games: int = 6
    """Number of games: the last is test, the one before valid; fewer than three are all train."""
    minutes: float = 2.0
    """Length of a game in minutes."""
    seed: int = 0
    """The same seed gives the same games."""
    valid_minutes: float | None = None
    """Length of the valid game in minutes; by default that of the others."""
    test_minutes: float | None = None
    """Length of the test game in minutes; by default that of the others."""
    density: float = 1.0
    """Factor on the pace of events; 1 is the pace of real matches. Engine matches have their own."""
    resolution: Literal["224p", "720p"] = "224p"
    """Frame size: 224p is 398x224, 720p is 1280x720."""
    world: Literal["plain", "tv", "mixed", "engine"] = "plain"
    """Looks: plain; tv for the variety of television (balls, kits, boards, graphics, cameras, signal); mixed for tv
    with every fourth game plain; engine for matches of Google Research Football with the variety of television."""
    picture_step: int = 1
    """Every which frame of an engine match is drawn; 2 is enough to train at 12.5 frames a second, in half the time."""

    def plan(self) -> tuple[list[GameSpec], dict[str, list[str]]]:
        """Parameters of every game, and the names of the games of each split.

        Raises:
            ConfigurationError: a value is out of range.
        """
        self._check()
        minutes_of = {"valid": self.valid_minutes, "test": self.test_minutes}
        split_of = {self.games - 2: "valid", self.games - 1: "test"} if self.games >= 3 else {}
        splits: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
        specs = []
        for index in range(self.games):
            split = split_of.get(index, "train")
            spec = GameSpec(
                name=f"rendered/season-{self.seed}/game-{index + 1:03d}",
                seed=self.seed,
                index=index,
                frames=max(2, round((minutes_of.get(split) or self.minutes) * 1500)),
                density=self.density,
                resolution=self.resolution,
                world=(PLAIN if index % 4 == 3 else TELEVISION) if self.world == MIXED else self.world,
                picture_step=self.picture_step,
            )
            splits[split].append(spec.name)
            specs.append(spec)
        return specs, splits

    def _check(self) -> None:
        if not 1 <= self.games <= _MOST_GAMES or not 0 <= self.seed < 2**63:
            raise ConfigurationError(
                f"games is {self.games}, seed {self.seed}; give 1 to {_MOST_GAMES} games, and a seed of at least 0 and "
                "below 2^63"
            )
        lengths = (self.minutes, self.valid_minutes, self.test_minutes)
        if not all(0 < minutes <= _MOST_MINUTES for minutes in lengths if minutes is not None):
            raise ConfigurationError(f"minutes must be above zero and at most {_MOST_MINUTES}")
        if not 0.1 <= self.density <= 4:
            raise ConfigurationError(f"density is {self.density}; give 0.1 to 4", option="density")
        if self.world == ENGINE and self.density != 1:
            raise ConfigurationError(
                f"density is {self.density}; the engine sets the pace of its matches: leave density at 1",
                option="density",
            )
        if self.resolution not in SIZES:
            raise ConfigurationError(
                f"resolution is {self.resolution!r}; choose from {', '.join(SIZES)}", option="resolution"
            )
        if not 1 <= self.picture_step <= (25 if self.world == ENGINE else 1):
            raise ConfigurationError(
                f"picture_step is {self.picture_step}; give 1 to 25 for engine matches, 1 for painted ones",
                option="picture_step",
            )
        if self.world not in WORLDS:
            raise ConfigurationError(f"world is {self.world!r}; choose from {', '.join(WORLDS)}", option="world")

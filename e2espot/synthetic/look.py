"""Appearance of one match: camera position, light, kits, grain, bitrate."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from e2espot.synthetic.colours import Colour, colour
from e2espot.synthetic.television import Television


@dataclass(frozen=True, kw_only=True)
class Look:
    """Appearance of one match, sampled once."""

    camera_m: tuple[float, float, float]
    """Position of the main camera: x along the pitch, y (negative: behind the near touch line), height."""
    player_px: float
    """Height of a player near the ball, in pixels of a 224 line picture."""
    grass: tuple[Colour, Colour]
    """The two shades of mown stripes."""
    stripe_m: float
    """Width of a stripe."""
    kits: tuple[tuple[Colour, Colour, Colour], ...]
    """Shirt, shorts, socks of teams 0 and 1, keepers 0 and 1, referee."""
    skin: np.ndarray
    """float [23, 3]: skin and hair-to-face mix of every figure."""
    ball: Colour
    """Colour of the ball."""
    ball_scale: float
    """Painted diameter over real diameter; lens bloom enlarges the ball."""
    light: float
    """Share by which brightness falls from one side of the picture to the other."""
    shadow: float
    """Darkness of shadows, 0-1."""
    sun: tuple[float, float]
    """Offset on the ground of the shadow of a point one metre high, metres."""
    blur: float
    """Sigma of the lens, pixels of a 224 line picture; 0 none."""
    grain: float
    """Standard deviation of sensor noise, 8-bit steps."""
    shutter: float
    """Exposure time as a share of the frame interval."""
    bitrate: int
    """H.264 rate for 224 lines, bit/s."""
    gop: int
    """Frames between keyframes."""
    names: tuple[str, str]
    """Three letters per team, for the score bug."""
    television: Television | None = None
    """What a televised picture adds; None for a plain one."""

    def replace(self, **changes: Any) -> Look:
        """The look with some fields changed."""
        return dataclasses.replace(self, **changes)


def _kit(rng: np.random.Generator, dark: bool) -> tuple[Colour, Colour, Colour]:
    """Shirt, shorts and socks, in hues unlike grass."""
    hue = float(rng.choice([0.0, 0.05, 0.14, 0.55, 0.62, 0.68, 0.78, 0.92])) + float(rng.normal(0, 0.012))
    if dark:
        shirt = colour(hue, float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.1, 0.42)))
    else:
        saturation = float(rng.uniform(0.0, 0.1)) if rng.random() < 0.4 else float(rng.uniform(0.6, 1.0))
        shirt = colour(hue, saturation, float(rng.uniform(0.75, 0.98)))
    other = colour(0.0, 0.0, float(rng.choice([0.1, 0.9])))
    shorts = other if rng.random() < 0.45 else shirt
    return shirt, shorts, other if rng.random() < 0.4 else shirt


def sample_look(rng: np.random.Generator) -> Look:
    """Sample the look of one match from ``rng``."""
    hue, value = float(rng.uniform(0.24, 0.35)), float(rng.uniform(0.24, 0.45))
    saturation = float(rng.uniform(0.5, 0.82))
    contrast = float(rng.uniform(0.86, 0.96))
    dark_first = bool(rng.integers(2))
    bright = colour(float(rng.choice([0.13, 0.17, 0.47, 0.83, 0.04])), 0.9, 0.95)
    keeper = colour(float(rng.choice([0.08, 0.5, 0.75])), 0.8, 0.6)
    black: Colour = (25.0, 25.0, 25.0)
    tone = rng.uniform(0.35, 1.0, (23, 1))
    letters = "ABCDEFGHIKLMNOPRSTUV"
    names = ["".join(letters[int(i)] for i in rng.integers(0, len(letters), 3)) for _ in range(2)]
    return Look(
        camera_m=(52.5 + float(rng.normal(0, 2.5)), -float(rng.uniform(26, 48)), float(rng.uniform(13, 24))),
        player_px=float(math.exp(rng.uniform(math.log(15.0), math.log(23.0)))),
        grass=(colour(hue, saturation, value), colour(hue, saturation, value * contrast)),
        stripe_m=float(rng.uniform(4.5, 9.0)),
        kits=(_kit(rng, dark_first), _kit(rng, not dark_first), (bright,) * 3, (keeper,) * 3, (black,) * 3),
        skin=np.array([140.0, 170.0, 215.0]) * tone,
        ball=(235.0, 245.0, 245.0) if rng.random() < 0.7 else (90.0, 240.0, 250.0),
        ball_scale=float(rng.uniform(1.0, 1.15)),
        light=float(rng.uniform(-0.18, 0.18)),
        shadow=float(rng.uniform(0.15, 0.45)),
        sun=(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(-0.4, 0.6))),
        blur=float(rng.choice([0.0, 0.3, 0.45])),
        grain=float(rng.uniform(0.8, 3.0)),
        shutter=float(rng.uniform(0.25, 0.7)),
        bitrate=int(rng.uniform(250_000, 500_000)),
        gop=int(rng.integers(50, 251)),
        names=(names[0], names[1]),
    )

"""What a televised picture has and a plain one has not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e2espot.synthetic.colours import Colour

FIGURES = 25
"""Twenty-two players, the referee and two assistants."""
PATCHES = 4
"""Coloured patches on a figure: three on the shirt, one for the hair."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Television:
    """What a televised picture has and a plain one has not; N = 25 figures."""

    oversampling: float
    """Lines painted per line of the video; scaled down afterwards."""
    scaler: int
    """OpenCV's interpolation for that."""
    halo: float
    """Strength of the sharpening, 0 none."""
    halo_early: bool
    """Whether sharpening comes before scaling, as in a camera, or after, as in a player."""
    colours_34: np.ndarray
    """float64; from BGR to BGR: contrast, saturation, white balance, haze."""
    curve_256: np.ndarray
    """uint8; gamma."""
    quality: int
    """JPEG quality of an earlier generation of compression; 0 none."""
    repeat_every: int
    """Every which picture shows the one before it again; 0 never."""
    least_ball_px: float
    """Smallest painted diameter of the ball, pixels of a 224 line picture."""
    ball_dark: Colour
    """Second colour of the ball: its panels, or its shaded underside."""
    lamps: int
    """Shadows of a figure: one from the sun, four from floodlights."""
    boots_N3: np.ndarray
    """float [N, 3]."""
    patches_N: np.ndarray
    """float [N, 4, 4]: left, right, bottom, top of each patch as shares of the shirt or head."""
    patch_colours_N: np.ndarray
    """float [N, 4, 3]."""
    sleeves: tuple[Colour, ...]
    """Colour of the sleeves of each kit."""
    pattern: str
    """How the grass is mown: stripes, hoops, checks, diagonals, circles or none."""
    wear: float
    """Strength of worn patches."""
    shade: float
    """Brightness of ground in the shadow of the stand; 1 for no such shadow."""
    line: float
    """Opacity of the lines."""
    line_m: float
    """Width of the lines."""
    crowd: Colour
    """Mean colour of the crowd."""
    crowd_contrast: float
    """Spread of its brightness."""

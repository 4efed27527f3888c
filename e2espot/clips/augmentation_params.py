"""Which changes a clip undergoes: drawn as a small value a clip, whoever carries it out.

All colour changes (brightness, contrast, saturation, hue) are affine in RGB, so they are multiplied into
one 3x4 matrix together with the ImageNet normalisation and cost one pass over the pixels instead of six.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD

_GREY = np.array([0.299, 0.587, 0.114])
BLUR_TAPS = 5
"""Width of the blur's kernel, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far a clip may be changed."""

    flip: float = 0.5
    """Probability of a mirror image."""
    colour: float = 0.25
    """Probability of each of the four colour changes."""
    brightness: tuple[float, float] = (0.7, 1.2)
    """Range of the brightness factor."""
    contrast: tuple[float, float] = (0.7, 1.2)
    """Range of the contrast factor."""
    saturation: tuple[float, float] = (0.7, 1.2)
    """Range of the saturation factor."""
    hue: float = 0.2
    """Largest turn of the hue circle to either side, 0.5 being half a turn."""
    crop: float = 1.0
    """Smallest share of width and height that a crop keeps; 1 for whole pictures."""
    blur: float = 0.0
    """Probability of a Gaussian blur of 0.1 to 2 pixels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipChange:
    """What happens to one clip."""

    matrix_33: np.ndarray
    """float32; 0..255 RGB to changed and normalised RGB, before ``offset_3`` is added."""
    offset_3: np.ndarray
    """float32."""
    flip: bool = False
    """Mirror left and right, after the crop."""
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right, bottom of what is kept, as shares of the picture."""
    blur_sigma: float = 0.0
    """Pixels of the picture as the network sees it; 0 for none."""


def draw_change(rng: np.random.Generator, how: Augmentation | None) -> ClipChange:
    """One clip's change; all its randomness comes from ``rng``. None draws nothing: normalisation only."""
    if how is None:
        matrix_33, offset_3 = _normalised(np.eye(3), np.zeros(3))
        return ClipChange(matrix_33=matrix_33, offset_3=offset_3)
    matrix, offset = np.eye(3), np.zeros(3)
    for change in (_brightness, _contrast, _saturation, _hue):
        # The draw happens either way, so one clip's numbers do not depend on its outcomes.
        chance, value = rng.random(), rng.random()
        if chance < how.colour:
            more, shift = change(value, how)
            matrix, offset = more @ matrix, more @ offset + shift
    flip = bool(rng.random() < how.flip)
    share, left, top = how.crop + (1 - how.crop) * rng.random(), rng.random(), rng.random()
    window = (left * (1 - share), top * (1 - share), left * (1 - share) + share, top * (1 - share) + share)
    chance, sigma = rng.random(), 0.1 + 1.9 * rng.random()
    matrix_33, offset_3 = _normalised(matrix, offset)
    return ClipChange(
        matrix_33=matrix_33,
        offset_3=offset_3,
        flip=flip,
        window=window if how.crop < 1 else ClipChange.window,
        blur_sigma=sigma if chance < how.blur else 0.0,
    )


def _normalised(matrix: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A change of 0..1 RGB, with ImageNet's normalisation behind it and 0..255 in front."""
    std = np.array(IMAGENET_STD)
    return (matrix / 255 / std[:, None]).astype(np.float32), ((offset - IMAGENET_MEAN) / std).astype(np.float32)


def _between(value: float, bounds: tuple[float, float]) -> float:
    return bounds[0] + value * (bounds[1] - bounds[0])


def _brightness(value: float, how: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    return np.eye(3) * _between(value, how.brightness), np.zeros(3)


def _contrast(value: float, how: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    factor = _between(value, how.contrast)
    return np.eye(3) * factor, np.full(3, (1 - factor) * 0.4)


def _saturation(value: float, how: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    factor = _between(value, how.saturation)
    return np.eye(3) * factor + (1 - factor) * np.tile(_GREY, (3, 1)), np.zeros(3)


def _hue(value: float, how: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """Turn around the grey axis (Rodrigues' formula)."""
    angle = 2 * np.pi * how.hue * (2 * value - 1)
    axis = 1 / np.sqrt(3)
    cross = axis * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * axis**2 * np.ones((3, 3))
    return turn, np.zeros(3)

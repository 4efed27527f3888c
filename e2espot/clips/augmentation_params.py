"""How a clip is augmented: sampled as one small value per clip, applied by torch or by DALI.

All colour changes (brightness, contrast, saturation, hue, gain and black level) are affine in RGB, so they are
multiplied into one 3x4 matrix, together with the ImageNet normalisation. They cost one pass over the pixels instead of
seven.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD, LUMA_BT601

_GREY = np.array(LUMA_BT601)
BLUR_TAPS = 5
"""Width of the blur's kernel, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Ranges and probabilities of the augmentations."""

    flip: float = 0.5
    """Probability of a horizontal flip."""
    colour: float = 0.25
    """Probability of each of the four colour changes."""
    brightness: tuple[float, float] = (0.7, 1.2)
    """Range of the brightness factor."""
    contrast: tuple[float, float] = (0.7, 1.2)
    """Range of the contrast factor."""
    saturation: tuple[float, float] = (0.7, 1.2)
    """Range of the saturation factor."""
    hue: float = 0.2
    """Largest hue rotation in either direction, in turns of the colour circle."""
    jitter: float = 0.0
    """Largest change of each colour channel's gain, and of its black level as a share of white: 0.1 gives gains from
    0.9 to 1.1 and black levels from -0.1 to 0.1. It applies to every clip, as readers and scalers differ that way."""
    crop: float = 1.0
    """Smallest fraction of width and height that a random crop keeps; 1 for whole frames."""
    blur: float = 0.0
    """Probability of a Gaussian blur with a sigma of 0.1 to 2 pixels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AugmentationParams:
    """The augmentation of one clip; the same for all of its frames."""

    matrix_33: np.ndarray
    """float32; from RGB of 0 to 255 to augmented and normalised RGB, before ``offset_3`` is added."""
    offset_3: np.ndarray
    """float32; added after the matrix."""
    flip: bool = False
    """Whether to mirror left and right, after the crop."""
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right and bottom of the crop, as fractions of width and height."""
    blur_sigma: float = 0.0
    """In pixels at the size the network sees; 0 for none."""


def sample_augmentation(rng: np.random.Generator, augmentation: Augmentation | None) -> AugmentationParams:
    """Parameters of one clip, all randomness from ``rng``; normalisation alone without ``augmentation``."""
    if augmentation is None:
        matrix_33, offset_3 = _normalised(np.eye(3), np.zeros(3))
        return AugmentationParams(matrix_33=matrix_33, offset_3=offset_3)
    matrix, offset = np.eye(3), np.zeros(3)
    # Applying M1 x + o1, then M2 x + o2, is one affine map: M2 M1 x + (M2 o1 + o2).
    for change in (_brightness, _contrast, _saturation, _hue):
        # Both numbers are drawn either way, so that one augmentation does not shift the random numbers of the next.
        chance, value = rng.random(), rng.random()
        if chance < augmentation.colour:
            next_matrix, next_offset = change(value, augmentation)
            matrix, offset = next_matrix @ matrix, next_matrix @ offset + next_offset
    flip = bool(rng.random() < augmentation.flip)
    share, left, top = augmentation.crop + (1 - augmentation.crop) * rng.random(), rng.random(), rng.random()
    window = (left * (1 - share), top * (1 - share), left * (1 - share) + share, top * (1 - share) + share)
    chance, sigma = rng.random(), 0.1 + 1.9 * rng.random()
    change_6 = augmentation.jitter * rng.uniform(-1, 1, 6)
    matrix, offset = np.diag(1 + change_6[:3]) @ matrix, (1 + change_6[:3]) * offset + change_6[3:]
    matrix_33, offset_3 = _normalised(matrix, offset)
    return AugmentationParams(
        matrix_33=matrix_33,
        offset_3=offset_3,
        flip=flip,
        window=window if augmentation.crop < 1 else AugmentationParams.window,
        blur_sigma=sigma if chance < augmentation.blur else 0.0,
    )


def _normalised(matrix: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A colour change of RGB from 0 to 1, scaled to take 0 to 255 and followed by ImageNet's normalisation."""
    std = np.array(IMAGENET_STD)
    return (matrix / 255 / std[:, None]).astype(np.float32), ((offset - IMAGENET_MEAN) / std).astype(np.float32)


def _lerp(value: float, bounds: tuple[float, float]) -> float:
    return bounds[0] + value * (bounds[1] - bounds[0])


def _brightness(value: float, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    return np.eye(3) * _lerp(value, augmentation.brightness), np.zeros(3)


def _contrast(value: float, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    factor = _lerp(value, augmentation.contrast)
    return np.eye(3) * factor, np.full(3, (1 - factor) * 0.4)


def _saturation(value: float, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    factor = _lerp(value, augmentation.saturation)
    return np.eye(3) * factor + (1 - factor) * np.tile(_GREY, (3, 1)), np.zeros(3)


def _hue(value: float, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """Rotation around the grey axis (Rodrigues' formula)."""
    angle = 2 * np.pi * augmentation.hue * (2 * value - 1)
    axis = 1 / np.sqrt(3)
    cross = axis * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    rotation = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * axis**2 * np.ones((3, 3))
    return rotation, np.zeros(3)

"""Changes to clips on the training device: the same over a clip, different between clips.

All colour changes (brightness, contrast, saturation, hue) are affine in RGB, so they are
multiplied into one 3x4 matrix a clip together with the ImageNet normalisation and cost one
pass over the pixels instead of six.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from e2espot.models.spotter import IMAGENET_MEAN, IMAGENET_STD

_GREY = np.array([0.299, 0.587, 0.114])


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


def augment_clips(
    frames_BTHWC: Tensor, valid_BT: Tensor, ball_BT2: Tensor, rngs: list[np.random.Generator], how: Augmentation | None
) -> tuple[Tensor, Tensor]:
    """Normalised, changed frames and the ball's places that go with them.

    Args:
        frames_BTHWC: uint8 RGB.
        valid_BT: Frames outside the video become exact zeros (the mean colour), as in inference.
        ball_BT2: Places as shares of width and height.
        rngs: One generator a clip; nothing else is random.
        how: None for normalisation only.

    Returns:
        Float frames ``BTCHW`` (channels-last memory) and ``ball_BT2``.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    clips, num_frames, height, width, _ = frames_BTHWC.shape
    out = torch.empty(clips, num_frames, height, width, 3, dtype=dtype, device=frames_BTHWC.device)
    ball_BT2 = ball_BT2.clone()
    for b, rng in enumerate(rngs):
        matrix, offset = _colour_transform(rng, how)
        # One fused product: a separate sum over a last axis of three took a seventh of a training step.
        pixels = torch.addmm(
            torch.from_numpy(offset).to(out), frames_BTHWC[b].view(-1, 3).to(dtype), torch.from_numpy(matrix.T).to(out)
        ).view(frames_BTHWC.shape[1:])
        if how is not None and rng.random() < how.flip:
            pixels = pixels.flip(2)
            ball_BT2[b, :, 0] = 1 - ball_BT2[b, :, 0]
        out[b] = pixels
        if not bool(valid_BT[b].all()):
            out[b, ~valid_BT[b]] = 0
    return out.movedim(-1, 2), ball_BT2


def _colour_transform(rng: np.random.Generator, how: Augmentation | None) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (3, 3) and offset (3,) from 0..255 RGB to changed and normalised RGB."""
    matrix, offset = np.eye(3), np.zeros(3)
    if how is not None:
        for change in (_brightness, _contrast, _saturation, _hue):
            # The draw happens either way, so one clip's numbers do not depend on its outcomes.
            chance, value = rng.random(), rng.random()
            if chance < how.colour:
                more, shift = change(value, how)
                matrix, offset = more @ matrix, more @ offset + shift
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

"""The static background of a televised match: grass and its shadows, lines, stands; painted once per match."""

from __future__ import annotations

import math

import cv2
import numpy as np

from e2espot.synthetic.camera import View, aim
from e2espot.synthetic.look import Look
from e2espot.synthetic.panorama import Panorama, grain, pitch_lines
from e2espot.synthetic.television import Television

_LEFT_M, _NEAR_M, _WIDE_M, _DEEP_M = -13.0, -11.0, 131.0, 92.0
"""The ground that is mown and shaded: corner and extent."""
_TEXEL_M = 0.1
_WIDEST, _HIGHEST = 4400, 1700
"""Largest panorama in pixels."""


def paint_stadium(rng: np.random.Generator, look: Look, television: Television, focal: float) -> Panorama:
    """Ground, lines and stands on all sides but the camera's, for pictures of focal length ``focal``."""
    view = _wide_view(look, focal)
    picture = np.empty((view.size[1], view.size[0], 3), dtype=np.float32)
    picture[:] = np.array(look.grass[1]) * rng.uniform(0.35, 0.8)
    _lay(picture, view, _ground(rng, look, television), (_LEFT_M, _NEAR_M, 0.0), (_WIDE_M, 0, 0), (0, _DEEP_M, 0))
    grain(rng, picture)
    shade = np.clip(
        np.array(look.grass[0]) * (1 - television.line) + np.array((225, 232, 228)) * television.line, 0, 255
    )
    pitch_lines(picture, view, (float(shade[0]), float(shade[1]), float(shade[2])), television.line_m)
    _tribunes(rng, picture, view, television)
    slope = np.linspace(1 + look.light, 1 - look.light, view.size[0], dtype=np.float32)
    picture *= slope[None, :, None]
    return Panorama(picture=np.clip(picture, 0, 255).astype(np.uint8), view=view)


def _wide_view(look: Look, focal: float) -> View:
    """A view that holds the whole pitch from the camera's position."""
    x, y, height = look.camera_m
    at_2 = np.array([x, y])
    corners_2 = np.array([(0, 0), (105, 0), (0, 68), (105, 68)], float) - at_2
    middle = math.atan2(52.5 - x, 34 - y)
    turn = (np.arctan2(corners_2[:, 0], corners_2[:, 1]) - middle + math.pi) % (2 * math.pi) - math.pi
    half_turn = min(float(np.abs(turn).max()) + 0.12, 1.12)
    near_m = max(4.0, min(math.hypot(*np.clip(at_2, (0, 0), (105, 68)) - at_2) - 12, 60))
    steep, above = math.atan2(height, near_m), 0.17
    half_tilt = (steep + above) / 2
    focal = min(focal, _WIDEST / 2 / math.tan(half_turn), _HIGHEST / 2 / math.tan(half_tilt))
    size = (int(2 * focal * math.tan(half_turn)), int(2 * focal * math.tan(half_tilt)))
    return View(centre_3=np.array(look.camera_m), axes_33=aim(middle, (steep - above) / 2), focal=focal, size=size)


def plane_matrix(
    view: View, size: tuple[int, int], corner: tuple[float, ...], along: tuple[float, ...], up: tuple[float, ...]
) -> np.ndarray:
    """Homography [3, 3] from pixels of a texture of ``size`` on a plane in metres to pixels of ``view``."""
    origin_3 = np.array(corner, float) - view.centre_3
    spans_33 = np.column_stack([np.array(along, float) / size[0], np.array(up, float) / size[1], origin_3])
    return np.asarray(view.matrix() @ spans_33)


def _lay(
    picture: np.ndarray,
    view: View,
    texture: np.ndarray,
    corner: tuple[float, float, float],
    along: tuple[float, float, float],
    up: tuple[float, float, float],
) -> None:
    """Warp ``texture`` onto a plane of the panorama; nothing where the plane reaches behind the camera."""
    corners = np.array([np.array(corner) + a * np.array(along) + b * np.array(up) for a in (0, 1) for b in (0, 1)])
    if ((corners - view.centre_3) @ view.axes_33[2] < 1.0).any():
        return
    size = (texture.shape[1], texture.shape[0])
    matrix = plane_matrix(view, size, corner, along, up)
    cv2.warpPerspective(
        texture, matrix, view.size, dst=picture, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )


def _ground(rng: np.random.Generator, look: Look, television: Television) -> np.ndarray:
    """Grass seen from above, float32 [Y, X, 3]."""
    columns = (np.arange(int(_WIDE_M / _TEXEL_M)) * _TEXEL_M + _LEFT_M)[None, :]
    rows = (np.arange(int(_DEEP_M / _TEXEL_M)) * _TEXEL_M + _NEAR_M)[:, None]
    band = look.stripe_m
    first, second = np.floor(columns / band).astype(int), np.floor(rows / band).astype(int)
    mown = {
        "stripes": first + 0 * second,
        "hoops": second + 0 * first,
        "checks": first + second,
        "diagonals": np.floor((columns + rows) / band / 1.4).astype(int),
        "circles": np.floor(np.hypot(columns - 52.5, rows - 34) / band).astype(int),
        "none": 0 * first + 0 * second,
    }[television.pattern] % 2
    texture = np.array(look.grass, dtype=np.float32)[mown]
    height, width = mown.shape
    coarse = rng.random((14, 20)).astype(np.float32)
    worn = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) - 0.35
    for spot_x, spot_y, reach in ((3, 34, 6), (102, 34, 6), (11, 34, 4), (94, 34, 4), (52.5, 34, 5), (60, 2, 14)):
        worn += 0.6 * np.exp(-((columns - spot_x) ** 2 + (rows - spot_y) ** 2) / (2 * reach**2)).astype(np.float32)
    share = (np.clip(worn, 0, 1) * television.wear)[..., None]
    dry = np.array(look.grass[0]) * (0.9, 1.0, 1.35) + (8, 8, 14)
    texture += share * (dry.astype(np.float32) - texture)
    if television.shade < 1:
        _shade(rng, texture, television.shade)
    return np.asarray(texture)


def _shade(rng: np.random.Generator, texture: np.ndarray, shade: float) -> None:
    """The shadow of a stand: everything on one side of a straight or stepped edge."""
    height, width = texture.shape[:2]
    mask = np.zeros((height // 4, width // 4), dtype=np.float32)
    at = np.sort(rng.uniform(0, 1, 6)) * mask.shape[1]
    level = rng.uniform(0.15, 0.85) + rng.uniform(-0.25, 0.25) * np.linspace(-1, 1, 6) + rng.normal(0, 0.05, 6)
    edge = np.column_stack([np.r_[0, at, mask.shape[1]], np.r_[level[0], level, level[-1]] * mask.shape[0]])
    side = 0 if rng.random() < 0.5 else mask.shape[0]
    outline = np.vstack([edge, [[mask.shape[1], side], [0, side]]])
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1.0)
    mask = cv2.GaussianBlur(cv2.resize(mask, (width, height)), (0, 0), float(rng.uniform(2, 12)))
    tint = np.array([1.12, 1.0, 0.92], dtype=np.float32)
    texture *= 1 + mask[..., None] * (shade * tint - 1)


def _tribunes(rng: np.random.Generator, picture: np.ndarray, view: View, television: Television) -> None:
    """Sloping tiers of spectators behind the far touch line and both goals."""
    gap, rise = float(rng.uniform(2, 9)), float(rng.uniform(0.3, 0.65))
    deep = float(rng.uniform(25, 45))
    left, right, far = -6.0 - gap, 111.0 + gap, 74.0 + gap
    sides = (
        ((left, -20.0, 1.0), (0.0, 120.0, 0.0), (-deep, 0.0, deep * rise)),
        ((right, -20.0, 1.0), (0.0, 120.0, 0.0), (deep, 0.0, deep * rise)),
        ((-60.0, far, 1.0), (225.0, 0.0, 0.0), (0.0, deep, deep * rise)),
    )
    for corner, along, up in sides:
        foot = ((corner[0], corner[1], 0.0), along, (0.0, 0.0, 1.2))
        wall = np.full((4, 4, 3), rng.uniform(15, 110, 3), dtype=np.float32)
        _lay(picture, view, _crowd(rng, television, float(np.hypot(*along[:2])), math.hypot(*up)), corner, along, up)
        _lay(picture, view, wall, *foot)


def _crowd(rng: np.random.Generator, television: Television, wide_m: float, deep_m: float) -> np.ndarray:
    """Spectators, one seat of 0.55 x 0.85 m each, with aisles and empty blocks; float32."""
    rows, seats = int(deep_m / 0.85), int(wide_m / 0.55)
    mean, spread = np.array(television.crowd), television.crowd_contrast
    light = np.exp(rng.normal(0, spread, (rows, seats, 1)))
    clothes = rng.uniform(0.2, 1.2, (rows, seats, 3)) * mean.mean()
    mix = float(rng.uniform(0.2, 0.8))
    people = (mix * mean + (1 - mix) * clothes) * light
    bright = rng.random((rows, seats)) < rng.uniform(0.01, 0.12)
    people[bright] = np.array((225, 230, 235)) * rng.uniform(0.5, 1.0)
    if rng.random() < 0.25:
        people[:] = mean * rng.uniform(0.6, 1.2) * (0.85 + 0.15 * (np.arange(rows) % 2))[:, None, None]
    seat = np.array(mean * rng.uniform(0.3, 0.9))
    empty = cv2.resize(rng.random((4, 16)).astype(np.float32), (seats, rows)) < rng.uniform(0.0, 0.4)
    people[empty] = seat
    people[:, :: int(rng.integers(24, 40))] = rng.uniform(40, 150)
    fine = cv2.resize(people.astype(np.float32), (seats * 4, rows * 4), interpolation=cv2.INTER_CUBIC)
    # A head above darker shoulders in every seat, and a gap between neighbours.
    fine *= np.tile(np.array([0.55, 0.85, 1.1, 1.3], dtype=np.float32), rows)[:, None, None]
    fine *= np.tile(np.array([0.7, 1.1, 1.2, 1.0], dtype=np.float32), seats)[None, :, None]
    return np.asarray(fine)

"""The static background, painted once per match as one wide picture from the position of the camera."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from e2espot.synthetic.camera import View, aim
from e2espot.synthetic.look import Look

_LINE_M = 0.13
_STAND_Y = 76.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Panorama:
    """A wide picture and the camera that took it."""

    picture: np.ndarray
    """uint8 BGR."""
    view: View
    """The camera of the wide picture."""

    def seen_from(self, view: View) -> np.ndarray:
        """Background for ``view``, uint8 [H, W, 3]."""
        to_view_33 = view.matrix() @ np.linalg.inv(self.view.matrix())
        return np.asarray(
            cv2.warpPerspective(
                self.picture, to_view_33, view.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        )


def paint_panorama(rng: np.random.Generator, look: Look, focal: float) -> Panorama:
    """Ground, lines, boards and crowd, sharp enough for pictures of focal length ``focal``."""
    x, y, height = look.camera_m
    steep = math.atan2(height, -y - 6)
    tilt = steep / 2 - 0.03
    pan = math.atan2(62.0, -y + 8)
    pan = min(pan, 1.0)
    over = 1.8 * min(1.0, 3600 / (2 * focal * math.tan(pan)))
    size = (int(2 * over * focal * math.tan(pan)), int(2 * over * focal * math.tan(steep / 2 + 0.08)))
    view = View(
        centre_3=np.array(look.camera_m), axes_33=aim((52.5 - x) / (34 - y), tilt), focal=over * focal, size=size
    )
    picture = np.zeros((size[1], size[0], 3), dtype=np.float32)
    picture[:] = [0.72 * shade for shade in look.grass[1]]
    _stripes(picture, view, look)
    grain(rng, picture)
    pitch_lines(picture, view)
    _goals(picture, view)
    _stand(rng, picture, view)
    slope = np.linspace(1 + look.light, 1 - look.light, size[0], dtype=np.float32)
    picture *= slope[None, :, None]
    half = (int(size[0] / over), int(size[1] / over))
    small = cv2.resize(np.clip(picture, 0, 255).astype(np.uint8), half, interpolation=cv2.INTER_AREA)
    return Panorama(picture=small, view=View(centre_3=view.centre_3, axes_33=view.axes_33, focal=focal, size=half))


def _fill(picture: np.ndarray, view: View, corners_m: list[tuple[float, float, float]], colour: object) -> None:
    """Fill one polygon given in metres, unless all of it is behind the camera."""
    local = (np.array(corners_m) - view.centre_3) @ view.axes_33.T
    if (local[:, 2] < 1.0).all():
        return
    points, _ = view.project(np.array(corners_m))
    cv2.fillPoly(picture, [np.round(np.clip(points, -30000, 30000) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def _stripes(picture: np.ndarray, view: View, look: Look) -> None:
    edges = np.arange(-6.0, 111.0, look.stripe_m)
    for index, left in enumerate(edges):
        right = min(left + look.stripe_m, 111.0)
        corners = [(left, -5.0, 0.0), (right, -5.0, 0.0), (right, 73.0, 0.0), (left, 73.0, 0.0)]
        _fill(picture, view, corners, look.grass[index % 2])


def grain(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Worn patches and blades: slow and fast brightness over the grass."""
    height, width = picture.shape[:2]
    for cell, strength in ((3, 0.035), (40, 0.03), (160, 0.05)):
        coarse = rng.normal(1.0, strength, (height // cell + 2, width // cell + 2)).astype(np.float32)
        picture *= cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]


def _segments() -> list[np.ndarray]:
    """Every marking of the pitch as polylines in metres, [N, 2] each."""
    lines = [np.array([(0, 0), (105, 0), (105, 68), (0, 68), (0, 0)], float), np.array([(52.5, 0), (52.5, 68)], float)]
    turn = np.linspace(0, 2 * math.pi, 73)
    lines.append(np.stack([52.5 + 9.15 * np.cos(turn), 34 + 9.15 * np.sin(turn)], axis=1))
    for goal, sign in ((0.0, 1.0), (105.0, -1.0)):
        for deep, half in ((16.5, 20.16), (5.5, 9.16)):
            depth = goal + sign * deep
            lines.append(np.array([(goal, 34 - half), (depth, 34 - half), (depth, 34 + half), (goal, 34 + half)]))
        arc = np.linspace(-0.925, 0.925, 25)
        lines.append(np.stack([goal + sign * (11 + 9.15 * np.cos(arc)), 34 + 9.15 * np.sin(arc)], axis=1))
        lines.append(np.array([(goal + sign * 10.9, 34), (goal + sign * 11.1, 34)]))
    lines.append(np.array([(52.4, 34), (52.6, 34)]))
    return lines


def pitch_lines(
    picture: np.ndarray, view: View, shade: tuple[float, float, float] = (215, 228, 222), wide_m: float = _LINE_M
) -> None:
    """Paint every marking of the pitch in the colour ``shade``, ``wide_m`` metres wide."""
    for line in _segments():
        for start, end in itertools.pairwise(line):
            way = (end - start) / np.linalg.norm(end - start)
            side = np.array([-way[1], way[0]]) * wide_m / 2
            # Fine steps keep a long line straight where one end passes the camera.
            steps = max(1, int(np.linalg.norm(end - start) / 4))
            for share in range(steps):
                near = start + (end - start) * share / steps - way * 0.03
                far = start + (end - start) * (share + 1) / steps + way * 0.03
                ring = [near - side, near + side, far + side, far - side]
                _fill(picture, view, [(float(px), float(py), 0.0) for px, py in ring], shade)


def _goals(picture: np.ndarray, view: View) -> None:
    """Paint both goals."""
    for goal in (0.0, 105.0):
        out = -1.8 if goal == 0 else 1.8
        _fill(
            picture,
            view,
            [(goal + out, 30.3, 0), (goal + out, 30.3, 2), (goal + out, 37.7, 2), (goal + out, 37.7, 0)],
            (150, 165, 160),
        )
        for bar_y in (30.3, 37.7):
            _fill(
                picture,
                view,
                [
                    (goal - 0.08, bar_y, 0),
                    (goal + 0.08, bar_y, 0),
                    (goal + 0.08, bar_y, 2.5),
                    (goal - 0.08, bar_y, 2.5),
                ],
                (240, 240, 240),
            )
        _fill(
            picture,
            view,
            [(goal, 30.3, 2.36), (goal, 37.7, 2.36), (goal, 37.7, 2.52), (goal, 30.3, 2.52)],
            (240, 240, 240),
        )


def _stand(rng: np.random.Generator, picture: np.ndarray, view: View) -> None:
    """Boards behind the far touch line and both goals, and a speckled crowd above."""
    _fill(
        picture,
        view,
        [(-60, _STAND_Y, 1.0), (165, _STAND_Y, 1.0), (165, _STAND_Y, 22.0), (-60, _STAND_Y, 22.0)],
        (50, 46, 44),
    )
    count = 9000
    spots = np.stack(
        [rng.uniform(-45, 150, count), np.full(count, _STAND_Y), 1.6 + np.floor(rng.uniform(0, 22, count)) * 0.8],
        axis=1,
    )
    points, scale = view.project(spots)
    shades = rng.uniform(25, 190, (count, 1)) * rng.uniform(0.6, 1.0, (count, 3))
    for (px, py), radius, shade in zip(points, np.maximum(0.24 * scale, 1.0), shades, strict=True):
        if 0 <= px < picture.shape[1] and 0 <= py < picture.shape[0]:
            cv2.circle(picture, (int(px), int(py)), int(radius), shade.tolist(), -1)
    base = rng.uniform(20, 220, (6, 3))
    for left in np.arange(-40.0, 145.0, 9.0):
        colour = base[int(rng.integers(6))].tolist()
        _fill(picture, view, [(left, 73.5, 0), (left + 9, 73.5, 0), (left + 9, 73.5, 1.0), (left, 73.5, 1.0)], colour)
        ink = [255 - shade for shade in colour]
        for offset in np.arange(0.8, 7.8, 0.7)[: int(rng.integers(4, 10))]:
            at = left + float(offset)
            _fill(
                picture, view, [(at, 73.5, 0.3), (at + 0.4, 73.5, 0.3), (at + 0.4, 73.5, 0.75), (at, 73.5, 0.75)], ink
            )

"""Advertising boards whose text moves, goals with nets, and people behind the lines: painted in every picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from e2espot.synthetic.camera import View
from e2espot.synthetic.colours import colour
from e2espot.synthetic.stadium import plane_matrix

_TEXEL = 22
"""Texture pixels per metre."""
_LETTERS = "AEIOUBCDFGKLMNPRSTVXZ"


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """What stands around the pitch of one match."""

    walls: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]
    """Corner on the ground and extent of each row of boards, in metres."""
    height_m: float
    """Height of the boards."""
    strips: tuple[np.ndarray, ...]
    """What they show in turn: uint8 BGR textures that repeat along the wall."""
    turn_s: float
    """Time after which they show the next one."""
    speed_m_s: float
    """How fast the text moves."""
    people_M2: np.ndarray
    """Positions of people who stand or sit, metres."""
    heights_M: np.ndarray
    """Their heights, metres."""
    clothes_M3: np.ndarray
    """Their colours."""
    net: float
    """Opacity of the nets."""
    box_m: float
    """Depth of the goals."""


def sample_surroundings(rng: np.random.Generator) -> Surroundings:
    """Sample boards and bystanders from ``rng``."""
    near = float(rng.uniform(3.0, 7.0))
    walls = (
        ((-near, -4.0, 0.0), (0.0, 72.0 + near, 0.0)),
        ((105 + near, -4.0, 0.0), (0.0, 72.0 + near, 0.0)),
        ((-near, 68 + near, 0.0), (105 + 2 * near, 0.0, 0.0)),
    )
    count = int(rng.integers(6, 40))
    side = rng.integers(0, 3, count)
    along = rng.random(count)
    off = near + rng.choice([-0.6, 0.5], count)
    x = np.where(side == 2, 105 * along, np.where(side == 0, -off, 105 + off))
    y = np.where(side == 2, 68 + off, 68 * along)
    bib = np.array(colour(float(rng.choice([0.08, 0.16, 0.25, 0.6])), 0.8, 0.9))
    clothes = np.where(rng.random((count, 1)) < 0.5, bib, rng.uniform(15, 120, (count, 1)) * np.ones(3))
    return Surroundings(
        walls=walls,
        height_m=float(rng.uniform(0.8, 1.3)),
        strips=tuple(_strip(rng) for _ in range(int(rng.integers(1, 4)))),
        turn_s=float(rng.uniform(6, 30)),
        speed_m_s=float(rng.choice([0.0, 0.0, 0.6, 1.5, 4.0])),
        people_M2=np.column_stack([x, y]),
        heights_M=rng.choice([1.0, 1.3, 1.8], count),
        clothes_M3=clothes,
        net=float(rng.uniform(0.15, 0.6)),
        box_m=float(rng.uniform(1.4, 2.4)),
    )


def _strip(rng: np.random.Generator) -> np.ndarray:
    """A few advertisements side by side."""
    parts = []
    same = rng.random() < 0.5
    for _ in range(1 if same else int(rng.integers(2, 5))):
        wide = int(rng.uniform(4, 11) * _TEXEL)
        dark = rng.random() < 0.5
        back = colour(float(rng.random()), float(rng.uniform(0, 1)), float(rng.uniform(0.05, 0.5) if dark else 0.95))
        ink = colour(float(rng.random()), float(rng.choice([0.0, 0.0, 0.8])), 1.0 if sum(back) < 420 else 0.15)
        part = np.full((_TEXEL, wide, 3), back, dtype=np.uint8)
        text = "".join(_LETTERS[int(i)] for i in rng.integers(0, len(_LETTERS), int(rng.integers(3, 11))))
        scale, thick = float(rng.uniform(0.45, 0.75)), int(rng.integers(1, 3))
        (text_wide, text_high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        origin = (max(2, (wide - text_wide) // 2), (_TEXEL + text_high) // 2)
        cv2.putText(part, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thick, cv2.LINE_AA)
        if rng.random() < 0.3:
            cv2.circle(part, (12, _TEXEL // 2), 7, ink, -1, cv2.LINE_AA)
        parts.append(part)
    return np.concatenate(parts, axis=1)


def draw_surroundings(frame: np.ndarray, view: View, around: Surroundings, second: float) -> None:
    """Paint boards, bystanders and goals into ``frame`` in place."""
    strip = around.strips[int(second / around.turn_s) % len(around.strips)]
    for corner, along in around.walls:
        _wall(frame, view, around, strip, corner, along, second)
    for at_2, height, clothes in zip(around.people_M2, around.heights_M, around.clothes_M3, strict=True):
        _person(frame, view, at_2, float(height), clothes)
    for goal in (0.0, 105.0):
        _goal(frame, view, around, goal)


def _wall(
    frame: np.ndarray,
    view: View,
    around: Surroundings,
    strip: np.ndarray,
    corner: tuple[float, float, float],
    along: tuple[float, float, float],
    second: float,
) -> None:
    """Warp the texture onto the rows of the picture that the wall covers."""
    length_m = float(np.hypot(along[0], along[1]))
    ends = np.array([corner, np.add(corner, along)], float)
    depth = (ends - view.centre_3) @ view.axes_33[2]
    if (depth < 2.0).any():
        return
    top = ends + np.array([0.0, 0.0, around.height_m])
    pixels = view.project(np.vstack([ends, top]))[0]
    x0, x1 = max(0, int(pixels[:, 0].min())), min(view.size[0], int(pixels[:, 0].max()) + 2)
    if x0 >= x1:
        return
    # Only the stretch of the wall that is in the picture: its rows follow from where it enters and leaves.
    share = np.linspace(0, 1, 65)[:, None]
    points = ends[0] + share * (ends[1] - ends[0])
    low, scale = view.project(points)
    seen = (low[:, 0] > -60) & (low[:, 0] < view.size[0] + 60)
    if not seen.any():
        return
    y0 = max(0, int((low[seen, 1] - 1.2 * around.height_m * scale[seen]).min()) - 3)
    y1 = min(view.size[1], int(low[seen, 1].max()) + 4)
    if y0 >= y1:
        return
    wide = int(length_m * _TEXEL)
    texture = _unrolled(strip, wide, int(second * around.speed_m_s * _TEXEL))
    lifted = (corner[0], corner[1], around.height_m)
    matrix = plane_matrix(view, (wide, _TEXEL), lifted, along, (0.0, 0.0, -around.height_m))
    shift = np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0], [0.0, 0.0, 1.0]])
    cv2.warpPerspective(
        texture,
        shift @ matrix,
        (x1 - x0, y1 - y0),
        dst=frame[y0:y1, x0:x1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def _unrolled(strip: np.ndarray, wide: int, start: int) -> np.ndarray:
    """``wide`` columns of the endlessly repeated strip from ``start`` on."""
    return np.ascontiguousarray(np.take(strip, np.arange(start, start + wide), axis=1, mode="wrap"))


def _person(frame: np.ndarray, view: View, at_2: np.ndarray, height: float, clothes: np.ndarray) -> None:
    (feet, neck), scale = view.project(np.array([[*at_2, 0.0], [*at_2, height * 0.85]]))
    wide = 0.25 * scale[0]
    if not (-9 < feet[0] < view.size[0] + 9 and -9 < neck[1] < view.size[1] and scale[0] < 200):
        return
    corners = np.array(
        [(feet[0] - wide, feet[1]), (feet[0] + wide, feet[1]), (neck[0] + wide, neck[1]), (neck[0] - wide, neck[1])]
    )
    cv2.fillConvexPoly(frame, np.round(corners * 16).astype(np.int32), clothes.tolist(), cv2.LINE_AA, 4)
    head = np.round(np.array([neck[0], neck[1] - 0.1 * scale[0]]) * 16).astype(int)
    cv2.circle(frame, head.tolist(), max(8, int(0.11 * scale[0] * 16)), (110, 140, 180), -1, cv2.LINE_AA, 4)


def _goal(frame: np.ndarray, view: View, around: Surroundings, goal: float) -> None:
    """Posts, bar and a net of thin lines."""
    back = goal + (-around.box_m if goal == 0 else around.box_m)
    frame_3 = np.array([(goal, 30.3, 0), (goal, 30.3, 2.5), (goal, 37.7, 2.5), (goal, 37.7, 0)], float)
    pixels, scale = view.project(frame_3)
    depth = (frame_3 - view.centre_3) @ view.axes_33[2]
    size = np.array(view.size)
    reach = 3.0 * scale[0]
    if (depth < 2).any() or (pixels.max(axis=0) < -reach).any() or (pixels.min(axis=0) > size + reach).any():
        return
    across, up = np.arange(30.3, 37.75, 0.62), np.arange(0.0, 2.5, 0.62)
    lines = [((back, y, 0.0), (back, y, 1.9)) for y in across]
    lines += [((back, y, 1.9), (goal, y, 2.45)) for y in across]
    lines += [((back, 30.3, z), (back, 37.7, z)) for z in up]
    lines += [((goal, y, z), (back, y, 0.8 * z)) for y in (30.3, 37.7) for z in up]
    ends = np.round(view.project(np.array(lines, float).reshape(-1, 3))[0] * 16).astype(np.int32)
    x0, y0 = np.clip(ends.min(axis=0) // 16 - 2, 0, size)
    x1, y1 = np.clip(ends.max(axis=0) // 16 + 3, 0, size)
    if x0 < x1 and y0 < y1:
        patch = frame[y0:y1, x0:x1]
        meshed = patch.copy()
        moved = (ends - np.array([x0, y0]) * 16).reshape(-1, 2, 2)
        for start, end in moved.tolist():
            cv2.line(meshed, start, end, (225, 225, 225), 1, cv2.LINE_AA, 4)
        patch[:] = cv2.addWeighted(meshed, around.net, patch, 1 - around.net, 0)
    bars = np.round(pixels * 16).astype(np.int32)
    cv2.polylines(frame, [bars], False, (240, 240, 240), max(1, round(0.12 * float(scale[0]))), cv2.LINE_AA, 4)

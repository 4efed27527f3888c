"""How a foot, a body and a ball get from one place to another, frame by frame.

Shapes: N frames, 2 or 3 pitch coordinates in metres (x along the touchline, y away from
the main camera, z up, origin at the centre spot). Paths hold the frames after the current
one: row 0 is the next frame and the last row is the frame of arrival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FRAME_RATE = 25
"""Frames a second of every rendered match."""
HALF_LENGTH_M = 52.5
"""Distance from the centre spot to a goal line."""
HALF_WIDTH_M = 34.0
"""Distance from the centre spot to a touchline."""
FOOT_REACH_M = 0.38
"""How far before the body's centre the ball lies when it is touched."""
GRAVITY_MPS2 = 9.81


def hermite(
    start_2: np.ndarray, velocity_2: np.ndarray, end_2: np.ndarray, end_velocity_2: np.ndarray, num: int
) -> np.ndarray:
    """Cubic path from a place and velocity (m/s) to another in ``num`` frames: float64 [num, 2]."""
    u = (np.arange(1, num + 1) / num)[:, None]
    duration_s = num / FRAME_RATE
    return (
        (2 * u**3 - 3 * u**2 + 1) * start_2
        + (u**3 - 2 * u**2 + u) * duration_s * velocity_2
        + (3 * u**2 - 2 * u**3) * end_2
        + (u**3 - u**2) * duration_s * end_velocity_2
    )


def unit(vector_2: np.ndarray) -> np.ndarray:
    """The vector at length one; a vector of no length stays as it is."""
    length = math.hypot(float(vector_2[0]), float(vector_2[1]))
    return vector_2 / length if length > 1e-9 else vector_2


def rolling(start_2: np.ndarray, end_2: np.ndarray, num: int, curl_m: float = 0.0) -> np.ndarray:
    """Pass along the grass: quick off the foot, slowed by rolling friction; float64 [num, 3]."""
    duration_s = num / FRAME_RATE
    distance_m = math.dist(start_2, end_2)
    friction = float(np.clip(2 * (distance_m / duration_s - 1.5) / duration_s, 0.0, 3.2))
    time_s = np.arange(1, num + 1) / FRAME_RATE
    travelled_m = (distance_m / duration_s + friction * duration_s / 2) * time_s - friction * time_s**2 / 2
    share = travelled_m / max(distance_m, 1e-6)
    return _along(start_2, end_2, share, np.zeros(num), curl_m)


def lofted(
    start_2: np.ndarray, end_2: np.ndarray, num: int, *, bounce: bool, curl_m: float, lift_m: float
) -> np.ndarray:
    """Ball through the air, landing at a foot or bouncing once before it; float64 [num, 3].

    Args:
        start_2: Place of the kick or throw, metres.
        end_2: Place of the reception, metres.
        num: Frames until the reception.
        bounce: Whether it touches the grass on the way.
        curl_m: Largest sideways departure from the straight line.
        lift_m: Height it leaves from: 0 for a kick, about 2 for a throw.
    """
    u = np.arange(1, num + 1) / num
    land = 0.78 if bounce else 1.0
    peak_m = min(GRAVITY_MPS2 * (land * num / FRAME_RATE) ** 2 / 8, 9.0)
    first = np.clip(u / land, 0, 1)
    second = np.clip((u - land) / max(1 - land, 1e-6), 0, 1)
    height_m = 4 * peak_m * first * (1 - first) + lift_m * (1 - first) + 0.25 * peak_m * second * (1 - second)
    return _along(start_2, end_2, u + 0.06 * u * (1 - u), height_m, curl_m)


def _along(
    start_2: np.ndarray, end_2: np.ndarray, share_N: np.ndarray, height_N: np.ndarray, curl_m: float
) -> np.ndarray:
    forward = end_2 - start_2
    sideways = np.array([-forward[1], forward[0]]) / max(float(np.hypot(*forward)), 1e-6)
    ground_N2 = start_2 + share_N[:, None] * forward + (curl_m * np.sin(np.pi * share_N))[:, None] * sideways
    return np.column_stack([ground_N2, height_N])


@dataclass(frozen=True, kw_only=True)
class Carry:
    """One player taking the ball along."""

    body_N2: np.ndarray
    """Where he is, metres."""
    ball_N3: np.ndarray
    """Where the ball is; it leads the feet between touches."""
    touches: tuple[int, ...]
    """Rows at which a foot meets the ball, the last row included."""


def carry(
    rng: np.random.Generator, body_2: np.ndarray, velocity_2: np.ndarray, ball_2: np.ndarray, *, num: int, toward: float
) -> Carry:
    """Dribble for ``num`` frames, starting with the first touch now, heading ``toward`` (radians).

    Args:
        rng: Source of all choices.
        body_2: Where the player is, metres.
        velocity_2: His velocity, m/s.
        ball_2: Where the ball is, metres.
        num: Frames until the last touch.
        toward: Heading he turns to.
    """
    pace = float(rng.choice([rng.uniform(1.8, 3.2), rng.uniform(3.0, 4.8), rng.uniform(4.5, 6.5)], p=[0.4, 0.4, 0.2]))
    turns = {int(row): float(rng.normal(0, 1.1)) for row in rng.integers(8, 120, size=2) if row < num - 6}
    body_N2, heading_N = _run(body_2, velocity_2, num, toward, pace, turns)
    touches = _touch_rows(rng, num)
    foot_N2 = body_N2 + FOOT_REACH_M * np.column_stack([np.cos(heading_N), np.sin(heading_N)])
    ball_N3 = np.zeros((num, 3))
    start_2, start = ball_2, -1
    for touch in touches:
        u = np.arange(1, touch - start + 1) / (touch - start)
        lead = float(rng.uniform(0.3, 0.95))
        ball_N3[start + 1 : touch + 1, :2] = start_2 + (u + lead * u * (1 - u))[:, None] * (foot_N2[touch] - start_2)
        start_2, start = foot_N2[touch], touch
    return Carry(body_N2=body_N2, ball_N3=ball_N3, touches=tuple(touches))


def _touch_rows(rng: np.random.Generator, num: int) -> list[int]:
    """Rows of the touches after the first one, 0.4 to 0.8 s apart, the last at ``num - 1``."""
    count = max(1, round(num / (FRAME_RATE * float(rng.uniform(0.45, 0.75)))))
    share = np.cumsum(rng.uniform(0.7, 1.3, size=count))
    rows = np.round(share / share[-1] * num).astype(int) - 1
    return sorted({int(row) for row in rows})


def _run(
    body_2: np.ndarray, velocity_2: np.ndarray, num: int, toward: float, pace: float, turns: dict[int, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Body and heading of a run whose turns cost speed and which bends away from the lines."""
    x, y = float(body_2[0]), float(body_2[1])
    speed = min(math.hypot(float(velocity_2[0]), float(velocity_2[1])), 7.0)
    heading = math.atan2(float(velocity_2[1]), float(velocity_2[0])) if speed > 0.8 else toward
    body_N2, heading_N = np.zeros((num, 2)), np.zeros(num)
    for row in range(num):
        toward += turns.get(row, 0.0)
        if abs(x) > HALF_LENGTH_M - 5 and x * math.cos(toward) > 0:
            toward = math.pi - toward
        if abs(y) > HALF_WIDTH_M - 2.5 and y * math.sin(toward) > 0:
            toward = -toward
        error = math.remainder(toward - heading, 2 * math.pi)
        heading += max(-0.26, min(0.26, 0.35 * error))
        wanted = pace * (1 - 0.6 * min(abs(error) / math.pi, 1))
        speed += max(-0.35, min(0.22, wanted - speed))
        x += speed * math.cos(heading) / FRAME_RATE
        y += speed * math.sin(heading) / FRAME_RATE
        body_N2[row] = x, y
        heading_N[row] = heading
    return body_N2, heading_N

"""The main camera: a fixed position that pans, tilts and zooms after the ball, and cuts to other shots."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from e2espot.synthetic.actions import Play
from e2espot.synthetic.look import Look

LIVE, CUT_AWAY, REPLAY = 0, 1, 2
PLAYER_M = 1.82
"""Height of a figure."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Pinhole camera of one picture."""

    centre_3: np.ndarray
    """Position in metres."""
    axes_33: np.ndarray
    """Unit vectors right, down and forward, one per row."""
    focal: float
    """Focal length in pixels."""
    size: tuple[int, int]
    """Width and height of the picture."""

    def project(self, points_N3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [N, 2] (pixel centres at whole numbers) and pixels per metre [N] of points in metres."""
        local_N3 = (points_N3 - self.centre_3) @ self.axes_33.T
        scale_N = self.focal / np.maximum(local_N3[:, 2], 0.5)
        middle = (np.array(self.size) - 1) / 2
        return local_N3[:, :2] * scale_N[:, None] + middle, scale_N

    def matrix(self) -> np.ndarray:
        """Directions to pixels, [3, 3]."""
        width, height = self.size
        lens = np.array([[self.focal, 0, (width - 1) / 2], [0, self.focal, (height - 1) / 2], [0, 0, 1]])
        return np.asarray(lens @ self.axes_33)


def aim(pan: float, tilt: float) -> np.ndarray:
    """Axes [3, 3] of a level camera turned ``pan`` to the right and ``tilt`` down, radians."""
    forward = np.array([np.sin(pan) * np.cos(tilt), np.cos(pan) * np.cos(tilt), -np.sin(tilt)])
    right = np.array([np.cos(pan), -np.sin(pan), 0.0])
    return np.stack([right, np.cross(forward, right), forward])


def smooth(signal_TK: np.ndarray, sigma: float, lag: int = 0) -> np.ndarray:
    """Gaussian low-pass over the first axis, delayed by ``lag`` frames; the ends are repeated."""
    reach = int(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(signal_TK, ((reach + lag, reach), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel, mode="valid")[: len(signal_TK)] for column in padded.T]
    return np.stack(columns, axis=1)


def noise(rng: np.random.Generator, frames: int, sigma: float, columns: int) -> np.ndarray:
    """Smooth noise of unit variance, [T, columns]."""
    drift = smooth(rng.normal(0, 1, (frames, columns)), sigma)
    return np.asarray(drift * np.sqrt(2 * sigma * np.sqrt(np.pi)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Shots:
    """Which frame of play each picture shows, and the camera's direction; T pictures."""

    kind_T: np.ndarray
    """uint8: LIVE, CUT_AWAY or REPLAY."""
    moment_T: np.ndarray
    """float: frame of play shown; in a live shot the number of the picture."""
    pan_T: np.ndarray
    """Radians to the right."""
    tilt_T: np.ndarray
    """Radians down."""
    focal_T: np.ndarray
    """Focal length in pixels."""

    def repeated(self, every: int) -> Shots:
        """The shots as a broken conversion of frame rates shows them: every so many-th picture repeats the last.

        # every 3: pictures 0 1 2 3 4 5 6 -> 0 1 1 3 4 4 6; every 0: unchanged
        """
        if not every:
            return self
        source_T = np.arange(len(self.kind_T))
        source_T[every - 1 :: every] -= 1
        return self.showing(source_T)

    def showing(self, source_T: np.ndarray) -> Shots:
        """The shots in which picture t is picture ``source_T[t]`` of these."""
        return Shots(**{field.name: getattr(self, field.name)[source_T] for field in dataclasses.fields(self)})

    def view(self, picture: int, look: Look, size: tuple[int, int]) -> View:
        """The camera of one picture."""
        return View(
            centre_3=np.array(look.camera_m),
            axes_33=aim(float(self.pan_T[picture]), float(self.tilt_T[picture])),
            focal=float(self.focal_T[picture]),
            size=size,
        )


def _angles(target_T2: np.ndarray, look: Look, height_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pan, tilt and distance [T] from the camera to points on the pitch."""
    away_T2 = target_T2 - np.array(look.camera_m[:2])
    ground_T = np.linalg.norm(away_T2, axis=1)
    drop = look.camera_m[2] - height_m
    return np.arctan2(away_T2[:, 0], away_T2[:, 1]), np.arctan2(drop, ground_T), np.hypot(ground_T, drop)


def follow(rng: np.random.Generator, play: Play, look: Look, size: tuple[int, int]) -> Shots:
    """Point the camera at the low-passed ball with an operator's lag and noise, then cut to other shots.

    The low-pass is wide (a second) and the noise independent of play, so that the path of
    the camera does not reveal when the ball is kicked.
    """
    frames = len(play.ball_T3)
    unit = size[1] / 224
    target_T2 = smooth(np.clip(play.ball_T3[:, :2], (2, -1), (103, 69)).astype(float), 9.0, lag=27)
    view_m = size[0] / unit / (look.player_px / PLAYER_M)
    target_T2 += noise(rng, frames, 30.0, 2) * np.array([0.05, 0.02]) * view_m
    # Wide pictures need not follow the ball across the pitch; close ones must.
    hold = float(np.clip(view_m / 90, 0.15, 0.6))
    if look.camera_m[0] < 0:
        # From behind a goal the length of the pitch is the depth of the picture.
        target_T2[:, 0] = 40 * hold + target_T2[:, 0] * (1 - hold)
    else:
        target_T2[:, 1] = 34 * hold + target_T2[:, 1] * (1 - hold) + 2.0
        reach = max(6.0, 0.36 * view_m)
        target_T2[:, 0] = np.clip(target_T2[:, 0], min(reach, 52.5), max(105 - reach, 52.5))
    pan_T, tilt_T, depth_T = _angles(target_T2, look, 0.0)
    focal_T = look.player_px * unit / PLAYER_M * depth_T
    focal_T *= np.exp(0.09 * noise(rng, frames, 70.0, 1)[:, 0])
    shots = Shots(
        kind_T=np.zeros(frames, dtype=np.uint8),
        moment_T=np.arange(frames, dtype=float),
        pan_T=pan_T,
        tilt_T=tilt_T,
        focal_T=focal_T,
    )
    starts = np.flatnonzero(np.diff(play.dead_T.astype(int), prepend=0) == 1)
    ends = np.flatnonzero(np.diff(play.dead_T.astype(int), append=0) == -1)
    for start, end in zip(starts, ends, strict=False):
        _cut(rng, play, look, unit, shots, int(start), int(end))
    return shots


def _cut(rng: np.random.Generator, play: Play, look: Look, unit: float, shots: Shots, start: int, end: int) -> None:
    """Fill part of one pause with other shots; now and then the live shot resumes late."""
    frames = len(play.ball_T3)
    back = end + int(rng.integers(5, 60)) if rng.random() < 0.15 else end - int(rng.integers(15, 80))
    at = start + int(rng.integers(20, 60))
    while at + 50 < min(back, frames) and rng.random() < 0.75:
        stop = min(at + int(rng.integers(50, 160)), back, frames)
        span = slice(at, stop)
        length = stop - at
        if rng.random() < 0.45 and start > 160:
            shots.kind_T[span] = REPLAY
            pace = float(rng.choice([0.5, 0.7, 1.0]))
            begin = max(0.0, start - pace * length + float(rng.integers(0, 15)))
            shots.moment_T[span] = np.minimum(begin + pace * np.arange(length), frames - 1.001)
            points_T2 = play.ball_T3[shots.moment_T[span].astype(int), :2].astype(float)
            aim_T2, closer = smooth(points_T2, min(12.0, length / 4)), float(rng.uniform(1.5, 2.2))
        else:
            shots.kind_T[span] = CUT_AWAY
            player = int(rng.integers(22))
            points_T2 = play.players_TP2[span, player].astype(float)
            aim_T2, closer = smooth(points_T2, 10.0), float(rng.uniform(2.5, 4.0))
            if rng.random() < 0.25:
                aim_T2, closer = np.tile([rng.uniform(20, 85), 76.0], (length, 1)), 1.6
        pan_T, tilt_T, depth_T = _angles(aim_T2, look, 1.0)
        shots.pan_T[span], shots.tilt_T[span] = pan_T, tilt_T
        shots.focal_T[span] = closer * look.player_px * unit / PLAYER_M * depth_T
        at = stop

"""Statistics of a rendered dataset, next to those of real matches and of a game engine."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import cv2
import numpy as np

from e2espot.core.label_sets import LABEL_SETS
from e2espot.core.timeline import DEFAULT_FPS
from e2espot.formats.filenames import BALL_LABEL_FILE
from e2espot.formats.soccernet import read_labels
from e2espot.synthetic.actions import Action

QUANTILES = (5, 10, 25, 50, 75, 90, 95)
"""Per cent, for intervals."""
REFERENCE = {
    "events per minute": "12.8",
    "PASS share": "0.56",
    "DRIVE after PASS": "0.70",
    "PASS after PASS": "0.20",
    "interval, s": "0.56 0.72 1.00 1.48 2.28 4.08 7.76",
    "PASS to DRIVE, s": "0.68 0.80 1.00 1.36 1.80 2.36 2.88",
    "DRIVE to PASS, s": "0.56 0.72 1.00 1.56 2.68 4.44 6.16",
}
"""Counted from 96 real half-matches; shares among the two classes."""


def _row(values: np.ndarray, percents: tuple[int, ...], digits: int) -> str:
    return " ".join(f"{value:.{digits}f}" for value in np.percentile(values, percents)) if len(values) else "-"


def event_statistics(games: list[tuple[list[Action], int]]) -> dict[str, str]:
    """Pace, shares and interval quantiles over games of (actions in order, frames)."""
    minutes = sum(frames for _, frames in games) / 1500
    passes = sum(action.label == "PASS" for actions, _ in games for action in actions)
    count = sum(len(actions) for actions, _ in games)
    steps = [(a, b) for actions, _ in games for a, b in itertools.pairwise(actions)]
    gap = {
        pair: np.array([(b.frame - a.frame) / 25 for a, b in steps if (a.label, b.label) == pair]) for pair in _PAIRS
    }
    after_pass = max(1, len(gap["PASS", "DRIVE"]) + len(gap["PASS", "PASS"]))
    return {
        "events per minute": f"{count / minutes:.1f}",
        "PASS share": f"{passes / max(1, count):.2f}",
        "DRIVE after PASS": f"{len(gap['PASS', 'DRIVE']) / after_pass:.2f}",
        "PASS after PASS": f"{len(gap['PASS', 'PASS']) / after_pass:.2f}",
        "interval, s": _row(np.concatenate(list(gap.values())), QUANTILES, 2),
        "PASS to DRIVE, s": _row(gap["PASS", "DRIVE"], QUANTILES, 2),
        "DRIVE to PASS, s": _row(gap["DRIVE", "PASS"], QUANTILES, 2),
    }


_PAIRS = [(first, second) for first in ("PASS", "DRIVE") for second in ("PASS", "DRIVE")]


def ball_statistics(
    video: Path, ball_xy_T2: np.ndarray, flight_T: np.ndarray | None = None, stride: int = 5
) -> dict[str, np.ndarray]:
    """Width at half height (px), luma above the surroundings and speed (px/frame) of the ball in decoded pictures.

    Args:
        video: the file.
        ball_xy_T2: its ``ball_xy``, float [T, 2].
        flight_T: bool [T], frames whose step to the next counts for the speed; all when None.
        stride: every how many pictures to look at for width and luma; counted where the ball is alone on grass.
    """
    sizes, contrasts = [], []
    shape = np.ones(2)
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            shape = np.array([frame.width, frame.height])
            if index % stride or np.isnan(ball_xy_T2[index, 0]):
                continue
            luma = cv2.cvtColor(frame.to_ndarray(format="bgr24"), cv2.COLOR_BGR2GRAY).astype(np.float32)
            x, y = (int(v) for v in ball_xy_T2[index] * shape)
            patch = luma[max(y - 7, 0) : y + 8, max(x - 7, 0) : x + 8]
            rise = patch - np.median(patch)
            rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
            away = np.hypot(rows - min(y, 7), columns - min(x, 7))
            if np.abs(rise[away > 4]).max(initial=0) > _ALONE:
                continue
            near = rise[max(0, min(y, 7) - 2) : min(y, 7) + 3, max(0, min(x, 7) - 2) : min(x, 7) + 3]
            contrasts.append(near.max())
            sizes.append(2 * np.sqrt(((rise > near.max() / 2) & (away < 5)).sum() / np.pi))
    speed = np.linalg.norm(np.diff(ball_xy_T2 * shape, axis=0), axis=1)
    if flight_T is not None:
        speed = speed[flight_T[:-1]]
    return {"size, px": np.array(sizes), "contrast": np.array(contrasts), "speed, px/frame": speed[~np.isnan(speed)]}


def picture_statistics(video: Path, stride: int = 25) -> dict[str, np.ndarray]:
    """Brightness, contrast, colour and detail of every ``stride``-th decoded picture, at 224 lines.

    Brightness and contrast are mean and standard deviation of luma, saturation is that of HSV (all 0 to 255), detail is
    the mean size of luma's Laplacian, and grass is the share of green pixels in per cent.
    """
    rows = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % stride:
                continue
            size = (round(frame.width * 224 / frame.height), 224)
            picture = cv2.resize(frame.to_ndarray(format="bgr24"), size, interpolation=cv2.INTER_AREA)
            luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            hue, saturation, _ = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2HSV))
            grass = (hue > 25) & (hue < 90) & (saturation > 40)
            detail = np.abs(cv2.Laplacian(luma, cv2.CV_32F)).mean()
            rows.append((luma.mean(), luma.std(), saturation.mean(), detail, 100 * grass.mean()))
    return dict(zip(PICTURE_REFERENCE, np.array(rows).reshape(-1, 5).T, strict=True))


def in_flight(actions: list[Action], num_frames: int) -> np.ndarray:
    """Frames from a PASS to the next action, at most two seconds, bool [num_frames]."""
    flight_T = np.zeros(num_frames, dtype=bool)
    for action, following in itertools.zip_longest(actions, actions[1:]):
        if action.label == "PASS":
            flight_T[action.frame + 1 : min(action.frame + 50, following.frame if following else num_frames)] = True
    return flight_T


def report(out: Path) -> str:
    """Table of all statistics of the dataset under ``out``, as text."""
    games, balls, pictures = [], [], []
    for labels in sorted(out.glob(f"rendered/*/*/{BALL_LABEL_FILE}")):
        tracks = np.load(labels.parent / "tracks.npz")
        events = read_labels(labels, LABEL_SETS["ball-2"], fps=DEFAULT_FPS).events
        actions = [Action(frame=event.frame, label=event.label, player=-1) for event in events]
        games.append((actions, len(tracks["ball_xy"])))
        flight_T = in_flight(actions, len(tracks["ball_xy"]))
        video = next(labels.parent.glob("*.mp4"))
        balls.append(ball_statistics(video, tracks["ball_xy"], flight_T))
        pictures.append(picture_statistics(video))
    lines = [f"{'':24}{'rendered':44}real matches"]
    for key, value in event_statistics(games).items():
        lines.append(f"{key:24}{value:44}{REFERENCE[key]}")
    lines.append(f"{'ball (10 50 90 %)':24}{'rendered':44}engine and real clips at 224 lines")
    for key, reference in BALL_REFERENCE.items():
        values = np.concatenate([ball[key] for ball in balls])
        lines.append(f"{key:24}{_row(values, (10, 50, 90), 1):44}{reference}")
    lines.append(f"{'picture (10 50 90 %)':24}{'rendered':44}real clips at 224 lines")
    for key, reference in PICTURE_REFERENCE.items():
        values = np.concatenate([picture[key] for picture in pictures])
        lines.append(f"{key:24}{_row(values, (10, 50, 90), 1):44}{reference}")
    return "\n".join(lines)


BALL_REFERENCE = {"size, px": "2.0 2.5 3.6", "contrast": "120 140 170", "speed, px/frame": "1.0 3.2 8"}
"""Measured where the ball is alone on grass; speed while it is passed."""
PICTURE_REFERENCE = {
    "brightness": "88 107 125",
    "contrast": "21 29 45",
    "saturation": "90 130 156",
    "detail": "7.4 11.3 17.1",
    "grass, %": "59 76 96",
}
"""Measured on 30 real clips of televised and filmed matches."""
_ALONE = 40
"""A ball is alone on grass if no pixel around it, up to 7 pixels away, differs by more luma steps."""

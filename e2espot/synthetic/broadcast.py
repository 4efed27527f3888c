"""The look of a televised match: camera, kits, referees, ball, light and signal, sampled once per match."""

from __future__ import annotations

import math

import numpy as np

from e2espot.synthetic.colours import Colour, colour
from e2espot.synthetic.look import Look, sample_look
from e2espot.synthetic.television import FIGURES, PATCHES, Television

_BRIGHT: Colour = (238.0, 240.0, 238.0)
_BLACK: Colour = (24.0, 22.0, 22.0)


def sample_television(rng: np.random.Generator) -> Look:
    """Sample the look of a televised match from ``rng``."""
    look = _scene(rng)
    kits, sleeves, seconds = _kits(rng)
    patches_N, patch_colours_N = _patches(rng, kits, seconds)
    night = rng.random() < 0.5
    television = Television(
        oversampling=float(rng.choice([1.25, 1.5, 1.75, 2.0], p=[0.3, 0.3, 0.3, 0.1])),
        scaler=int(rng.choice([1, 2, 3, 3, 4])),
        halo=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.6 else 0.0,
        halo_early=bool(rng.random() < 0.5),
        colours_34=_colour_matrix(rng),
        curve_256=_curve(float(math.exp(rng.normal(0, 0.18)))),
        quality=int(rng.integers(35, 85)) if rng.random() < 0.25 else 0,
        repeat_every=int(rng.choice([5, 6, 12, 25])) if rng.random() < 0.1 else 0,
        least_ball_px=float(rng.uniform(1.2, 2.2)),
        ball_dark=_ball_dark(rng, look.ball),
        lamps=4 if night and rng.random() < 0.6 else 1,
        boots_N3=np.stack([_boot(rng) for _ in range(FIGURES)]),
        patches_N=patches_N,
        patch_colours_N=patch_colours_N,
        sleeves=sleeves,
        pattern=str(rng.choice(["stripes", "stripes", "hoops", "checks", "diagonals", "circles", "none"])),
        wear=float(rng.uniform(0.0, 0.35)),
        shade=float(rng.uniform(0.35, 0.75)) if not night and rng.random() < 0.45 else 1.0,
        line=float(rng.uniform(0.5, 1.0)),
        line_m=float(rng.uniform(0.1, 0.14)),
        crowd=colour(float(rng.random()), float(rng.uniform(0.05, 0.7)), float(rng.uniform(0.12, 0.55))),
        crowd_contrast=float(rng.uniform(0.15, 0.55)),
    )
    return look.replace(kits=kits, television=television)


def _scene(rng: np.random.Generator) -> Look:
    """Camera, grass, ball, light and coding; the kits follow."""
    look = sample_look(rng)
    hue, value = float(rng.uniform(0.2, 0.36)), float(rng.uniform(0.36, 0.7))
    saturation = float(rng.uniform(0.3, 0.85))
    contrast = float(rng.uniform(0.74, 0.97))
    return look.replace(
        camera_m=_camera(rng),
        player_px=_player_px(rng),
        grass=(colour(hue, saturation, value), colour(hue + 0.01, saturation * 0.95, value * contrast)),
        stripe_m=float(rng.uniform(4.0, 11.0)),
        skin=np.array([140.0, 170.0, 215.0]) * rng.uniform(0.3, 1.0, (FIGURES, 1)),
        ball=_ball(rng),
        ball_scale=float(rng.uniform(0.95, 1.35)),
        light=float(rng.uniform(-0.25, 0.25)),
        shadow=float(rng.uniform(0.1, 0.55)),
        sun=(float(rng.uniform(-1.6, 1.6)), float(rng.uniform(-0.6, 1.0))),
        blur=float(rng.choice([0.0, 0.25, 0.4, 0.55, 0.7])),
        grain=float(rng.uniform(0.3, 2.2)),
        shutter=float(rng.uniform(0.2, 0.9)),
        bitrate=int(math.exp(rng.uniform(math.log(220_000), math.log(2_000_000)))),
    )


def _camera(rng: np.random.Generator) -> tuple[float, float, float]:
    """Main camera, high or low; sometimes from the side of a half, now and then behind a goal."""
    kind = rng.random()
    if kind < 0.06:
        return (-float(rng.uniform(18, 40)), 34 + float(rng.normal(0, 4)), float(rng.uniform(12, 28)))
    slant = float(rng.normal(0, 16)) if kind < 0.2 else float(rng.normal(0, 3))
    away = float(rng.uniform(24, 62))
    return (52.5 + slant, -away, away * float(rng.uniform(0.28, 0.62)))


def _player_px(rng: np.random.Generator) -> float:
    """Height of a player: mostly that of a main camera, at times tactical (8) or tele (40)."""
    low, high = ((13.0, 24.0), (8.0, 13.0), (24.0, 40.0))[int(rng.choice(3, p=[0.66, 0.17, 0.17]))]
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _ball(rng: np.random.Generator) -> Colour:
    """White, yellow, orange, pink or worn."""
    kind = rng.random()
    if kind < 0.56:
        return (float(rng.uniform(215, 255)), float(rng.uniform(230, 255)), float(rng.uniform(225, 255)))
    if kind < 0.76:
        return colour(float(rng.uniform(0.13, 0.2)), float(rng.uniform(0.55, 1.0)), float(rng.uniform(0.85, 1.0)))
    if kind < 0.86:
        return colour(float(rng.uniform(0.02, 0.08)), float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.85, 1.0)))
    if kind < 0.91:
        return colour(float(rng.uniform(0.88, 0.95)), float(rng.uniform(0.35, 0.7)), float(rng.uniform(0.85, 1.0)))
    grey = float(rng.uniform(165, 215))
    return (grey * 0.95, grey, grey)


def _ball_dark(rng: np.random.Generator, ball: Colour) -> Colour:
    """Panels in another colour, or the ball's shaded side."""
    if rng.random() < 0.3:
        return colour(float(rng.random()), float(rng.uniform(0, 1)), float(rng.uniform(0.1, 0.8)))
    share = float(rng.uniform(0.5, 0.95))
    return (ball[0] * share, ball[1] * share, ball[2] * share)


def _boot(rng: np.random.Generator) -> np.ndarray:
    """Black, white, or one of the bright colours that a ball may have as well."""
    kind = rng.random()
    if kind < 0.35:
        return np.array(_BLACK)
    if kind < 0.6:
        return np.array(_BRIGHT)
    return np.array(colour(float(rng.choice([0.02, 0.07, 0.16, 0.25, 0.5, 0.6, 0.92])), 0.85, 0.95))


def _shirt(rng: np.random.Generator, kind: str) -> Colour:
    """A shirt of a light, dark or strong colour."""
    if kind == "light":
        return colour(float(rng.random()), float(rng.uniform(0.0, 0.12)), float(rng.uniform(0.85, 1.0)))
    if kind == "dark":
        return colour(float(rng.uniform(0.55, 1.1)), float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.08, 0.35)))
    hue = float(rng.choice([0.0, 0.04, 0.13, 0.36, 0.52, 0.58, 0.63, 0.76, 0.95])) + float(rng.normal(0, 0.015))
    return colour(hue, float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.5, 1.0)))


def _kits(
    rng: np.random.Generator,
) -> tuple[tuple[tuple[Colour, Colour, Colour], ...], tuple[Colour, ...], tuple[Colour, ...]]:
    """Kits of both teams, both keepers and the referees; their sleeves; their second colours."""
    kinds = rng.permutation(["light", "dark", "strong", "strong"])[:2]
    kits, sleeves, seconds = [], [], []
    for kind in kinds:
        shirt, second = _shirt(rng, str(kind)), _shirt(rng, str(rng.choice(["light", "dark", "strong"])))
        shorts = (shirt, second, _BRIGHT, _BLACK)[int(rng.integers(4))]
        socks = (shirt, second, shorts, _BRIGHT)[int(rng.integers(4))]
        kits.append((shirt, shorts, socks))
        sleeves.append(shirt if rng.random() < 0.7 else second)
        seconds.append(second)
    for hue in rng.permutation([0.07, 0.15, 0.3, 0.5, 0.85])[:2]:
        keeper = colour(float(hue), float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.5, 1.0)))
        kits.append((keeper, keeper if rng.random() < 0.7 else _BLACK, keeper))
        sleeves.append(keeper)
        seconds.append(keeper)
    referee = (
        colour(float(rng.uniform(0.14, 0.19)), 0.9, 0.97),
        colour(float(rng.uniform(0.48, 0.56)), 0.8, 0.9),
        colour(float(rng.uniform(-0.02, 0.03)), 0.85, 0.85),
        _BLACK,
        colour(float(rng.uniform(0.85, 0.95)), 0.6, 0.95),
    )[int(rng.choice(5, p=[0.32, 0.22, 0.13, 0.28, 0.05]))]
    kits.append((referee, _BLACK, _BLACK))
    return tuple(kits), (*sleeves, referee), (*seconds, _BLACK)


_PATTERNS = (
    ((0.0, 0.0, 0.0, 0.0),) * 2,
    ((0.3, 0.7, 0.0, 1.0), (0.0, 0.0, 0.0, 0.0)),
    ((0.14, 0.36, 0.0, 1.0), (0.64, 0.86, 0.0, 1.0)),
    ((0.0, 1.0, 0.15, 0.4), (0.0, 1.0, 0.65, 0.9)),
    ((0.0, 0.5, 0.0, 1.0), (0.0, 0.0, 0.0, 0.0)),
    ((0.0, 1.0, 0.72, 1.0), (0.0, 0.0, 0.0, 0.0)),
)
"""Plain, one band, stripes, hoops, halves, yoke: two patches of the second colour."""


def _patches(
    rng: np.random.Generator, kits: tuple[tuple[Colour, Colour, Colour], ...], seconds: tuple[Colour, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Pattern and number on the shirt and hair on the head of every figure, and their colours."""
    patches_N = np.zeros((FIGURES, PATCHES, 4))
    colours_N = np.zeros((FIGURES, PATCHES, 3))
    patterns = [int(rng.choice(6, p=[0.4, 0.1, 0.2, 0.1, 0.1, 0.1])) for _ in range(2)]
    for figure in range(FIGURES):
        team = figure // 11
        if figure < 22 and figure % 11:
            patches_N[figure, :2] = _PATTERNS[patterns[team]]
            colours_N[figure, :2] = seconds[team]
            dark = sum(kits[team][0]) < 380
            patches_N[figure, 2] = (0.34, 0.66, 0.48, 0.78)
            colours_N[figure, 2] = np.array(_BRIGHT if dark else _BLACK) * 0.7 + 0.3 * np.array(kits[team][0])
        patches_N[figure, 3] = (0.0, 1.0, 0.45, 1.0) if rng.random() < 0.85 else 0.0
        colours_N[figure, 3] = np.array([20.0, 28.0, 38.0]) * rng.choice([0.6, 1.0, 2.0, 4.0], p=[0.4, 0.35, 0.15, 0.1])
    return patches_N, colours_N


def _colour_matrix(rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness, saturation, white balance and haze as one affine map of BGR."""
    grey = np.tile(np.array([0.114, 0.587, 0.299]), (3, 1))
    saturation = float(rng.uniform(0.65, 1.3))
    matrix = saturation * np.eye(3) + (1 - saturation) * grey
    matrix = np.diag(rng.normal(1.0, 0.035, 3)) @ matrix * float(rng.uniform(0.88, 1.2))
    offset = np.full(3, float(rng.normal(0, 6)))
    haze = float(rng.uniform(0.1, 0.35)) if rng.random() < 0.12 else 0.0
    return np.asarray(np.column_stack([(1 - haze) * matrix, (1 - haze) * offset + haze * 175]))


def _curve(gamma: float) -> np.ndarray:
    return np.asarray(np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8))

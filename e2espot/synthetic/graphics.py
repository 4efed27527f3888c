"""Graphics over a televised picture: score bug with its clock, logos, lower thirds, letterbox bars."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from e2espot.synthetic.colours import Colour, colour

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_PLAIN)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sticker:
    """A small picture at a fixed position."""

    x: int
    """Left column."""
    y: int
    """Top row."""
    picture: np.ndarray
    """uint8 BGR [h, w, 3]."""
    opacity: float
    """0 to 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Graphics:
    """Everything that is laid over the pictures of a match."""

    bug: Sticker | None
    """Names and score."""
    clock_xy: tuple[int, int]
    """Where the clock's text begins."""
    clock_ink: Colour
    """Colour of the clock."""
    clock_start_s: int
    """What it shows in the first picture."""
    logos: tuple[Sticker, ...]
    """Channel and sponsor, always there."""
    banner: Sticker
    """A lower third."""
    banner_times_s: np.ndarray
    """[n, 2]: from and to, in seconds, the banner is shown."""
    bars: int
    """Black lines at the top and the bottom."""


def sample_graphics(rng: np.random.Generator, size: tuple[int, int], seconds: float) -> Graphics:
    """Sample graphics for pictures of ``size`` (width, height) and a match of ``seconds``."""
    unit = size[1] / 224
    bars = int(rng.uniform(6, 22) * unit) if rng.random() < 0.06 else 0
    bug, clock, ink = _bug(rng, size, unit, bars)
    starts = rng.uniform(0, seconds, int(rng.integers(1, 4)) if rng.random() < 0.3 else 0)
    logos = tuple(_logo(rng, size, unit, bars) for _ in range(int(rng.choice([0, 1, 2], p=[0.25, 0.5, 0.25]))))
    return Graphics(
        bug=bug if rng.random() < 0.88 else None,
        clock_xy=clock,
        clock_ink=ink,
        clock_start_s=int(rng.integers(0, 5400)),
        logos=logos,
        banner=_banner(rng, size, unit),
        banner_times_s=np.column_stack([starts, starts + rng.uniform(3, 9, len(starts))]),
        bars=bars,
    )


def _ink(back: Colour) -> Colour:
    return (30.0, 25.0, 25.0) if sum(back) > 400 else (240.0, 240.0, 240.0)


def _box_colour(rng: np.random.Generator) -> Colour:
    kind = rng.random()
    if kind < 0.3:
        return (245.0, 245.0, 245.0)
    if kind < 0.55:
        return (45.0, 30.0, 25.0)
    return colour(float(rng.random()), float(rng.uniform(0.5, 1)), float(rng.uniform(0.3, 0.95)))


def _word(rng: np.random.Generator, letters: int) -> str:
    return "".join("ABCDEFGHIKLMNOPRSTUVZ"[int(i)] for i in rng.integers(0, 21, letters))


def _bug(
    rng: np.random.Generator, size: tuple[int, int], unit: float, bars: int
) -> tuple[Sticker, tuple[int, int], Colour]:
    """A row of boxes: clock, name, score, score, name; where the clock is, and its colour."""
    high = int(rng.uniform(8, 13) * unit)
    backs = [_box_colour(rng) for _ in range(3)]
    texts = [("     ", 0), (_word(rng, 3), 1), (f"{rng.integers(5)} {rng.integers(5)}", 2), (_word(rng, 3), 1)]
    if rng.random() < 0.4:
        texts = [*texts[1:], texts[0]]
    scale, font = 0.033 * high * float(rng.uniform(0.8, 1.0)), _FONTS[int(rng.integers(2))]
    parts, left, clock_at, clock_back = [], 0, 0, backs[0]
    for text, kind in texts:
        wide = int(high * (1.6 if kind == 2 else 2.3) * rng.uniform(0.9, 1.2))
        part = np.full((high, wide, 3), backs[kind], dtype=np.uint8)
        if kind == 0:
            clock_at = left
        else:
            cv2.putText(part, text, (int(wide * 0.12), int(high * 0.8)), font, scale, _ink(backs[kind]), 1, cv2.LINE_AA)
        left += wide
        parts.append(part)
    picture = np.concatenate(parts, axis=1)[:, : size[0] - 8]
    if rng.random() < 0.4:
        strip = np.full((max(2, high // int(rng.integers(2, 5))), picture.shape[1], 3), _box_colour(rng), np.uint8)
        picture = np.concatenate([picture, strip] if rng.random() < 0.5 else [strip, picture])
        top = 0 if picture[0, 0].tolist() == parts[0][0, 0].tolist() else len(strip)
    else:
        top = 0
    corner = rng.random()
    x = int(rng.uniform(6, 34) * unit)
    y = int(rng.uniform(5, 22) * unit) + bars
    if corner > 0.92:
        y = size[1] - picture.shape[0] - y
    elif corner > 0.82:
        x = max(4, (size[0] - picture.shape[1]) // 2)
    elif corner > 0.74:
        x = max(4, size[0] - picture.shape[1] - x)
    sticker = Sticker(x=x, y=y, picture=picture, opacity=float(rng.choice([1.0, 1.0, 0.85])))
    return sticker, (x + clock_at + int(high * 0.15), y + top + int(high * 0.8)), _ink(clock_back)


def _logo(rng: np.random.Generator, size: tuple[int, int], unit: float, bars: int) -> Sticker:
    """A word in a box or a disc, in a corner."""
    high, wide = int(rng.uniform(8, 22) * unit), int(rng.uniform(16, 60) * unit)
    back, word = _box_colour(rng), _word(rng, int(rng.integers(2, 6)))
    picture = np.full((high, wide, 3), back, dtype=np.uint8)
    if rng.random() < 0.3:
        cv2.circle(picture, (high // 2, high // 2), high // 2 - 1, _ink(back), -1, cv2.LINE_AA)
    scale = min(0.03 * high, 0.045 * wide / len(word) * 1.1)
    cv2.putText(picture, word, (2, int(high * 0.75)), _FONTS[int(rng.integers(3))], scale, _ink(back), 1, cv2.LINE_AA)
    x = size[0] - wide - int(rng.uniform(4, 24) * unit) if rng.random() < 0.85 else int(rng.uniform(4, 24) * unit)
    y = int(rng.uniform(4, 20) * unit) + bars
    if rng.random() < 0.25:
        y = size[1] - high - y
    return Sticker(x=max(0, x), y=y, picture=picture, opacity=float(rng.uniform(0.3, 1.0)))


def _banner(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Sticker:
    """A bar along the bottom with two lines of text, at times as wide as the picture."""
    wide = size[0] if rng.random() < 0.4 else int(rng.uniform(150, 320) * unit)
    high = int(rng.uniform(18, 50) * unit)
    picture = np.full((high, wide, 3), _box_colour(rng), dtype=np.uint8)
    for row in (0.4, 0.8):
        shade = _ink(tuple(picture[0, 0].tolist()))
        text, at = _word(rng, int(rng.integers(8, 22))), (int(wide * 0.08), int(high * row))
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_DUPLEX, 0.012 * high, shade, 1, cv2.LINE_AA)
    lift = 0 if wide == size[0] else int(rng.uniform(6, 24) * unit)
    return Sticker(x=(size[0] - wide) // 2, y=size[1] - high - lift, picture=picture, opacity=1.0)


def draw_graphics(frame: np.ndarray, graphics: Graphics, second: float, *, live: bool) -> None:
    """Lay the graphics of this moment over ``frame`` in place; the score bug over live pictures only."""
    for logo in graphics.logos:
        _stick(frame, logo)
    if ((graphics.banner_times_s[:, 0] <= second) & (second < graphics.banner_times_s[:, 1])).any():
        _stick(frame, graphics.banner)
    if graphics.bug is not None and live:
        _stick(frame, graphics.bug)
        time = graphics.clock_start_s + int(second)
        scale = frame.shape[0] / 224 * 0.27
        text = f"{time // 60:02d}:{time % 60:02d}"
        cv2.putText(frame, text, graphics.clock_xy, cv2.FONT_HERSHEY_SIMPLEX, scale, graphics.clock_ink, 1, cv2.LINE_AA)
    if graphics.bars:
        frame[: graphics.bars] = frame[-graphics.bars :] = 0


def _stick(frame: np.ndarray, sticker: Sticker) -> None:
    high, wide = sticker.picture.shape[:2]
    patch = frame[sticker.y : sticker.y + high, sticker.x : sticker.x + wide]
    picture = sticker.picture[: patch.shape[0], : patch.shape[1]]
    if patch.size:
        patch[:] = cv2.addWeighted(picture, sticker.opacity, patch, 1 - sticker.opacity, 0)

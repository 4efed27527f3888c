"""Black bars around the picture, which would cost the network a part of its resolution.

A bar is cropped only where all of this holds, since a dark picture that is cut costs more than a bar that stays:

- its lines are black in every picture looked at, over the whole file;
- there are bars on both opposite sides, of the same width;
- next to both, most of the line is not black, in at least half of the pictures with content. So a night sky, a dark
  stand and a spot of light on black are no bars: they end at no straight edge.

Shapes: H lines and W columns of a picture, P pictures, N lines or columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BLACK_MARGIN = 8
"""Levels above black, of 255, up to which a pixel counts as black; compression noise in bars is below."""
_MAX_LIT_IN_BAR, _MIN_LIT_AT_EDGE = 0.01, 0.5
"""Shares of a line's pixels that are not black."""
_MIN_CONTENT = 0.2
"""Share of a picture's pixels that are not black; with fewer it is a fade or a title, and proves nothing."""
_MIN_PICTURES = 6
_MIN_BAR, _MAX_BARS = 0.015, 0.75
"""Shares of a side: the narrowest bar, and both bars together. Portrait video in a 16:9 picture has bars of 0.68."""
_MAX_ASYMMETRY = 0.02
_STEP = 4
"""Every so many pixels of a line are looked at."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """A rectangle of a picture, in pixels."""

    left: int
    """First column."""
    top: int
    """First line."""
    width: int
    """Columns."""
    height: int
    """Lines."""

    def turned(self, quarter_turns: int, size: tuple[int, int]) -> Area:
        """The same area after a picture of ``size`` = (width, height) is turned counter-clockwise, as by ``np.rot90``.

        ::

            picture 6 x 4, area 2 x 1 at (0, 3), the lower left corner; one turn -> 4 x 6, area 1 x 2 at (3, 4)
        """
        if quarter_turns % 4 == 0:
            return self
        width, height = size
        once = Area(left=self.top, top=width - self.left - self.width, width=self.height, height=self.width)
        return once.turned(quarter_turns % 4 - 1, (height, width))

    def flipped(self, height: int) -> Area:
        """The same area after a picture of ``height`` lines is turned upside down, as by ``picture[::-1]``."""
        return dataclasses.replace(self, top=height - self.top - self.height)


@dataclass(frozen=True, kw_only=True, eq=False)
class LitShares:
    """How much of each line and column of one picture is not black."""

    lines_H: np.ndarray
    """float, share of the pixels of each line."""
    columns_W: np.ndarray
    """float, share of the pixels of each column."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return len(self.columns_W), len(self.lines_H)


def lit_shares(luma_HW: np.ndarray, black: int) -> LitShares:
    """Measure one picture.

    Args:
        luma_HW: uint8 luma.
        black: Luma of black: 16, or 0 in full range.
    """
    lit_HW = luma_HW > black + _BLACK_MARGIN
    return LitShares(lines_H=lit_HW[:, ::_STEP].mean(axis=1), columns_W=lit_HW[::_STEP].mean(axis=0))


def may_have_bars(pictures_P: Sequence[LitShares]) -> bool:
    """Whether the pictures so far leave room for bars; for most files the first one does not."""
    return any(
        _common_bars(np.stack(lines_PN)) is not None
        for lines_PN in ([p.lines_H for p in pictures_P], [p.columns_W for p in pictures_P])
    )


def area_without_bars(pictures_P: Sequence[LitShares]) -> Area | None:
    """The area inside the bars; None if there are none, or too few pictures to judge.

    ::

        lines of a 640x480 picture    0 .. 59 black | 60 .. 419 lit | 420 .. 479 black   -> 640x360 at (0, 60)
    """
    with_content = [picture for picture in pictures_P if picture.lines_H.mean() >= _MIN_CONTENT]
    if len(with_content) < _MIN_PICTURES:
        return None
    top, bottom = _bars([p.lines_H for p in pictures_P], [p.lines_H for p in with_content])
    left, right = _bars([p.columns_W for p in pictures_P], [p.columns_W for p in with_content])
    if top == left == 0:
        return None
    width, height = pictures_P[0].size
    return Area(left=left, top=top, width=width - left - right, height=height - top - bottom)


def _bars(all_PN: list[np.ndarray], content_PN: list[np.ndarray]) -> tuple[int, int]:
    """Widths of the bars at the start and the end of one side, (0, 0) if they are none."""
    bars = _common_bars(np.stack(all_PN))
    if bars is None:
        return 0, 0
    first, last = bars
    num_lines = len(all_PN[0])
    reach = max(2, num_lines // 100)
    lit_PN = np.stack(content_PN)
    has_edges_P = (lit_PN[:, first : first + reach].max(axis=1) >= _MIN_LIT_AT_EDGE) & (
        lit_PN[:, num_lines - last - reach : num_lines - last].max(axis=1) >= _MIN_LIT_AT_EDGE
    )
    if has_edges_P.mean() < 0.5:
        return 0, 0
    # Inwards to even numbers, since chroma is stored for every second line and column: 59 -> 60.
    return first + first % 2, last + last % 2


def _common_bars(lit_PN: np.ndarray) -> tuple[int, int] | None:
    """Lines at the start and at the end that are black in every picture; None if they cannot be bars."""
    is_lit_N = np.asarray((lit_PN > _MAX_LIT_IN_BAR).any(axis=0))
    if not is_lit_N.any():
        return (0, 0) if len(lit_PN) < _MIN_PICTURES else None  # black pictures so far: nothing is known
    num_lines = len(is_lit_N)
    first, last = int(np.argmax(is_lit_N)), int(np.argmax(is_lit_N[::-1]))
    is_wide = min(first, last) >= max(2, _MIN_BAR * num_lines) and first + last <= _MAX_BARS * num_lines
    is_even = abs(first - last) <= max(2, _MAX_ASYMMETRY * num_lines)
    return (first, last) if is_wide and is_even else None

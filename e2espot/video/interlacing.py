"""Interlaced pictures: recognising them, and making one full picture of one point in time out of each.

An interlaced picture holds two fields, its even and its odd lines, taken half a picture apart. On anything that moves
they form a comb. What files declare may be wrong either way: progressive pictures are often sent as interlaced ones. So
the combs decide.

Shapes: H lines and W columns of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

_Time = TypeVar("_Time")

FieldOrder = Literal["top", "bottom"]
"""Which field of a picture was taken first: the even lines (``top``) or the odd ones."""

_STRIP, _MAX_COLUMNS = 32, 512
"""Of pictures wider than this, strips of so many columns are measured."""
_BLOCK_LINES = 16
_MIN_STEP, _MIN_RATIO = 6.0, 1.25
"""Levels between neighbouring lines of a combed block, and their ratio to those between lines two apart."""
_MIN_COMBED_BLOCKS = 0.004
"""Share of the blocks of a combed picture; a single player who runs covers more."""
_CLEAR_ORDER = 0.95
"""Ratio of the differences below which two pictures show the order of their fields."""


def is_combed(luma_HW: np.ndarray) -> bool:
    """Whether neighbouring lines of a picture differ more than lines two apart, somewhere.

    In a progressive picture the line two below is less similar than the next one, whatever it shows; in an interlaced
    one it belongs to the same point in time. A bright edge that moves to the right, two columns per field::

        line 0   . . # # # #     top
        line 1   . . . . # #     bottom, taken later     next lines differ by 2 pixels, lines two apart by none
        line 2   . . # # # #

    Args:
        luma_HW: uint8 luma.
    """
    combed_BS, _ = _combed_blocks(luma_HW)
    return bool(combed_BS.sum() >= max(1, _MIN_COMBED_BLOCKS * combed_BS.size))


def _combed_blocks(luma_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks of a picture are combed, bool ``(blocks, strips)``, and the first column of each strip."""
    height, width = luma_HW.shape
    num_strips = max(1, min(width, _MAX_COLUMNS) // _STRIP)
    start_S = np.linspace(0, max(0, width - _STRIP), num_strips).astype(int)
    num_blocks = max(0, (height - 2) // _BLOCK_LINES)
    combed_BS = np.zeros((num_blocks, num_strips), dtype=bool)
    for strip, start in enumerate(start_S if num_blocks else ()):
        strip_HW = luma_HW[: num_blocks * _BLOCK_LINES + 2, start : start + _STRIP].astype(np.int16)
        next_N = np.abs(strip_HW[1:-1] - strip_HW[:-2]).mean(axis=1)
        second_N = np.abs(strip_HW[2:] - strip_HW[:-2]).mean(axis=1)
        next_B, second_B = (steps_N.reshape(num_blocks, _BLOCK_LINES).mean(axis=1) for steps_N in (next_N, second_N))
        combed_BS[:, strip] = (next_B > _MIN_STEP) & (next_B > _MIN_RATIO * second_B)
    return combed_BS, start_S


def measured_order(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> FieldOrder | None:
    """Order of the fields, measured on pairs of consecutive pictures; None unless at least half of them show the same.

    Args:
        pairs: uint8 luma HW of each two pictures; the second one is combed.
    """
    shown = [_order_of_pair(first_HW, second_HW) for first_HW, second_HW in pairs]
    num_top, num_bottom = shown.count("top"), shown.count("bottom")
    if num_top == num_bottom or 2 * max(num_top, num_bottom) < len(pairs):
        return None
    return "top" if num_top > num_bottom else "bottom"


def _order_of_pair(first_HW: np.ndarray, second_HW: np.ndarray) -> FieldOrder | None:
    """Order of the fields by the combed blocks of the second picture; None if they do not show it.

    Fields that are nearer in time are more alike::

        time            0     1     2     3
        top first      A.top A.bot B.top B.bot       A.bot and B.top are neighbours
        bottom first   A.bot A.top B.bot B.top       A.top and B.bot are neighbours

    Where combs come from motion, fields of the same lines, such as A.top and B.top, are two steps apart. So they differ
    more than neighbours do. Fine lines of a progressive picture, such as a grille, look like combs and may move too.
    But there the same lines of two pictures differ less than neighbouring lines.
    """
    combed_BS, start_S = _combed_blocks(second_HW)
    top_first = bottom_first = same_lines = 0.0
    for block, strip in np.argwhere(combed_BS):
        line, column = block * _BLOCK_LINES, start_S[strip]
        a_HW, b_HW = (
            picture_HW[line : line + _BLOCK_LINES, column : column + _STRIP].astype(np.int16)
            for picture_HW in (first_HW, second_HW)
        )
        top_first += float(np.abs(a_HW[1::2] - b_HW[::2]).mean())
        bottom_first += float(np.abs(a_HW[::2] - b_HW[1::2]).mean())
        same_lines += float(np.abs(a_HW - b_HW).mean())
    if same_lines < min(top_first, bottom_first):
        return None
    if top_first < _CLEAR_ORDER * bottom_first:
        return "top"
    return "bottom" if bottom_first < _CLEAR_ORDER * top_first else None


class Deinterlacer:
    """FFmpeg's ``bwdif``, one picture out for each one in, at the time of its first field.

    The filter fills in the missing lines from the picture and its two neighbours, and from nothing else. So a picture
    is the same whether the file is read in order or at random, as long as its neighbours are given.
    """

    def __init__(self, order: FieldOrder) -> None:
        """Prepare for pictures whose fields are in ``order``."""
        self._options = f"mode=send_frame:parity={'tff' if order == 'top' else 'bff'}:deint=all"
        self._graph: Any = None
        self._format: tuple[int, int, str] | None = None
        self._last: tuple[Any, ...] = ()  # the two pictures that were given to the filter last

    def picture(self, before: Any, current: Any, after: Any) -> Any:
        """The full picture of ``current``; the neighbours of the first and the last picture are themselves.

        The filter puts out a picture when it gets the next one::

            wanted 5: in 4 5 6, out 5    wanted 6: in 7, out 6    wanted 8: in 8 9, out 8
        """
        layout = current.width, current.height, current.format.name
        if layout != self._format:
            self._format, self._graph, self._last = layout, filter_graph(current, [("bwdif", self._options)]), ()
        neighbours = [near if _layout(near) == layout else current for near in (before, after)]
        triple = (neighbours[0], current, neighbours[1])
        num_known = next((n for n in (2, 1) if _same(self._last[2 - n :], triple[:n]) and len(self._last) == 2), 0)
        picture = None
        for given in triple[num_known:]:
            self._graph.push(given)
            picture = self._pulled() or picture
        self._last = triple[1:]
        if picture is None:
            raise AssertionError("bwdif gave no picture for the third one")
        return picture

    def _pulled(self) -> Any:
        """What the filter puts out now; None if it waits for the next picture."""
        import av

        try:
            return self._graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return None


def deinterlaced(pictures: Iterator[tuple[Any, _Time]], order: FieldOrder) -> Iterator[tuple[Any, _Time]]:
    """Pictures in order at the same times, without combs; each waits for the next one.

    ::

        in 0 1 2 3    out 0 (of 0 0 1), 1 (of 0 1 2), 2 (of 1 2 3), 3 (of 2 3 3)
    """
    deinterlacer = Deinterlacer(order)
    before: tuple[Any, _Time] | None = None
    current: tuple[Any, _Time] | None = None
    for following in pictures:
        if current is not None:
            yield deinterlacer.picture((before or current)[0], current[0], following[0]), current[1]
        before, current = current, following
    if current is not None:
        yield deinterlacer.picture((before or current)[0], current[0], current[0]), current[1]


def filter_graph(picture: Any, filters: Sequence[tuple[str, str]]) -> Any:
    """A chain of FFmpeg's filters, as (name, options), for pictures like ``picture``; one thread."""
    import av

    graph = av.filter.Graph()
    graph.threads = 1
    last = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
    )
    for name, options in (*filters, ("buffersink", "")):
        node = graph.add(name, options or None)
        last.link_to(node)
        last = node
    graph.configure()
    return graph


def _layout(picture: Any) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


def _same(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))

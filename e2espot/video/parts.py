"""A match in several files, such as the chapters of a camera: one clock and one grid run over all of them.

The clock of each file begins where the last picture of the one before ends, so that frame i of the match is frame i,
whatever file it is in::

    a.MP4, 0.3 s     b.MP4, 0.5 s            a.MP4+b.MP4
    0   .1   .2   | .3   .4   .5  .6  .7     seconds of the match
      0    1    2    3    4    5   6   7     frames at 10 fps

Cameras and disc recorders that cut one recording by its size let the clock run on, and cut between two keyframes. What
follows the cut does not decode up to the next keyframe, so the last picture before the cut is held until then::

    VTS_01_1.VOB, to 4.0 s     VTS_01_2.VOB, decodable from 4.3 s on     last picture of the first: shown until 4.3 s
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Unpack

from e2espot.core.errors import VideoError
from e2espot.core.open_arguments import OpenArguments
from e2espot.core.timeline import MAX_DURATION_S
from e2espot.video.index import VideoIndex
from e2espot.video.indexing import index_of, one_index

SEPARATOR = "+"
"""Between the names of the files of one match."""
_LONGEST_CUT_S = 20
"""Longest time between a cut and the keyframe after it: twice the distance of keyframes that encoders choose."""


def parts_of(path: Path | str) -> tuple[Path, ...]:
    """The files that a path names: itself, or the parts of ``a.MP4+b.MP4``.

    A part without a folder of its own is in the folder of the first one. A ``+`` within the name of an existing file
    or folder belongs to that name.

    Raises:
        VideoError: some of the parts exist and others do not.
    """
    text = os.fspath(path)
    if SEPARATOR not in text or Path(text).exists():
        return (Path(text),)
    words = text.split(SEPARATOR)
    for count in range(len(words), 0, -1):
        first = Path(SEPARATOR.join(words[:count]))
        if words[0] and first.is_file():
            return (first, *_later_parts(words[count:], first.parent, text))
    return (Path(text),)  # none exists, which is reported as for any other path


def _later_parts(words: list[str], folder: Path, text: str) -> list[Path]:
    """The parts after the first one; each takes as many words as make the name of a file."""
    parts: list[Path] = []
    while words:
        for count in range(len(words), 0, -1):
            name = SEPARATOR.join(words[:count])
            part = Path(name) if "/" in name else folder / name
            if name and part.is_file():
                parts.append(part)
                words = words[count:]
                break
        else:
            missing = Path(words[0]) if "/" in words[0] else folder / words[0]
            raise VideoError(f"{text}: there is no file {missing}; name every file of the match, joined with +")
    return parts


def stem_of(path: Path | str) -> str:
    """Name of a match by its files, without suffixes: ``day/GX01.MP4+day/GX02.MP4`` -> ``GX01+GX02``."""
    return SEPARATOR.join(part.stem for part in parts_of(path))


def indexes_of(path: Path | str, **opening: Unpack[OpenArguments]) -> tuple[VideoIndex, ...]:
    """Indexes of the files that a path names, each with the time in the match at which it begins.

    Args:
        path: A file, or several joined by ``+``.
        **opening: How each file is opened; see ``OpenArguments``.

    Raises:
        VideoError: see ``index_video``; or a file breaks off, and others follow it.
    """
    parts = parts_of(path)
    indexes: list[VideoIndex] = []
    start_s = Fraction(0)
    for part in parts:
        if indexes and indexes[-1].truncated:
            raise VideoError(
                f"{indexes[-1].path}: breaks off, so it is not known when {part.name} goes on; copy it again, or read "
                "the files one by one"
            )
        index = index_of(part, **opening)
        if indexes:
            indexes[-1] = _held_until(indexes[-1], index)
            start_s = indexes[-1].starts_at_s + indexes[-1].duration_s
        indexes.append(index if start_s == 0 else dataclasses.replace(index, starts_at_s=start_s))
    end_s = indexes[-1].starts_at_s + indexes[-1].duration_s
    if end_s > MAX_DURATION_S:
        raise VideoError(f"{path}: lasts {float(end_s):.0f} s in all, longer than any match; read the files one by one")
    return tuple(indexes)


def _held_until(index: VideoIndex, following: VideoIndex) -> VideoIndex:
    """The index of a file whose last picture is shown until the clock of the next one begins, if that goes on."""
    # Of recordings with clocks of their own the next begins earlier, most at 0, or anywhere within a day.
    gap_s = following.first_picture_s - (index.first_picture_s + index.duration_s)
    if not 0 < gap_s <= _LONGEST_CUT_S:
        return index
    return dataclasses.replace(index, last_duration=index.last_duration + gap_s / index.time_base)


@contextmanager
def one_state(path: Path | str, **opening: Unpack[OpenArguments]) -> Iterator[tuple[VideoIndex, ...]]:
    """Let ``indexes_of`` and ``index_of`` give the same indexes throughout a job; see ``indexing.one_index``."""
    with ExitStack() as stack:
        for part in parts_of(path):
            stack.enter_context(one_index(part, **opening))
        yield indexes_of(path, **opening)

"""The views of a video, as it is and mirrored, from frames to scores: the same for tensors and for arrays.

Shapes: t frames of a chunk, H height, W width, C colours, D features, K columns of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

F = TypeVar("F", bound=Any)
"""Tensor or array."""


_Given = TypeVar("_Given", bound=Any, contravariant=True)


class Features(Protocol[F]):
    """A backbone to which frames are pushed."""

    def add(self, chunk_THWC: F, /) -> Iterator[F]:
        """Push the next frames and yield the features ``(t, D)`` that are ready."""

    def finish(self) -> Iterator[F]:
        """Yield the remaining features."""


class Head(Protocol[_Given]):
    """A head to which features are pushed."""

    def add(self, features_TD: _Given, /) -> np.ndarray:
        """Append the next features; the rows that became final."""

    def finish(self) -> np.ndarray:
        """The remaining rows."""

    def no_rows(self) -> np.ndarray:
        """An array of rows without any."""


class View(Generic[F]):
    """One view of the video, as it is or mirrored, from pixels to scores.

    Args:
        features: Backbone of this view.
        head: Head of this view.
        mirror: Mirrors a chunk; None for the video as it is.
        has_team: Whether the last column is the probability that the right team acts.
    """

    def __init__(self, features: Features[F], head: Head[F], mirror: Callable[[F], F] | None, has_team: bool) -> None:
        self._features, self._head, self._mirror, self._has_team = features, head, mirror, has_team
        self.done = 0

    def add(self, chunk_THWC: F) -> np.ndarray:
        """Process the next frames; rows that became final."""
        seen_THWC = chunk_THWC if self._mirror is None else self._mirror(chunk_THWC)
        return self._rows([*self._feed_head(self._features.add(seen_THWC))])

    def finish(self) -> np.ndarray:
        """The remaining rows; columns as in ``Spotter.scores``."""
        return self._rows([*self._feed_head(self._features.finish()), self._head.finish()])

    def _feed_head(self, pieces: Iterator[F]) -> Iterator[np.ndarray]:
        for features_TD in pieces:
            self.done += len(features_TD)
            yield self._head.add(features_TD)

    def _rows(self, parts: list[np.ndarray]) -> np.ndarray:
        rows_TK = np.concatenate(parts) if parts else self._head.no_rows()
        if self._mirror is not None and self._has_team:
            # The last column is the probability that the right team acts; in the mirror, right is left.
            rows_TK[:, -1] = 1 - rows_TK[:, -1]
        return rows_TK


class ScoreViews(Generic[F]):
    """The mean of one or two views, which share the frames but not the state: each has a backbone and a head."""

    def __init__(self, views: Iterable[View[F]]) -> None:
        self._views = list(views)

    @property
    def done(self) -> int:
        """Frames whose features are computed."""
        return self._views[0].done

    def add(self, frames_THWC: F) -> np.ndarray:
        """Process the next frames, uint8 RGB; returns float32 rows as in ``Spotter.scores``, perhaps none."""
        return self._mean([view.add(frames_THWC) for view in self._views])

    def finish(self) -> np.ndarray:
        """The remaining rows, at the end of the video."""
        return self._mean([view.finish() for view in self._views])

    def drop_mirror(self) -> bool:
        """Go on without the mirrored view, to save time; whether there was one."""
        had_mirror = len(self._views) > 1
        del self._views[1:]
        return had_mirror

    @staticmethod
    def _mean(rows: list[np.ndarray]) -> np.ndarray:
        return np.asarray(np.mean(rows, axis=0, dtype=np.float32))


def score_chunks(
    stream: ScoreViews[F],
    chunks_THWC: Iterable[F],
    num_frames: int,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Scores of all frames of a video, float32.

    Args:
        stream: Before its first frame.
        chunks_THWC: uint8 RGB, in order; together they hold ``num_frames`` frames.
        num_frames: Frames of the whole video.
        progress: Called with (frames done, frames in all).
    """
    rows: list[np.ndarray] = []
    for chunk_THWC in chunks_THWC:
        rows.append(stream.add(chunk_THWC))
        if progress is not None:
            progress(stream.done, num_frames)
    rows.append(stream.finish())
    if stream.done != num_frames:
        raise AssertionError(f"{stream.done} features for {num_frames} frames")
    if progress is not None:
        progress(num_frames, num_frames)
    return np.concatenate(rows)

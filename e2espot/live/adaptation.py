"""Adapts a spotter to a stream: a look at its first minute, then the adapted network takes over without a seam.

    stream     |--[]--[]--[]-- ... --[]--|·········|----------------|------------------------>
                16 short clips            measuring  both networks    the adapted network
    scores     those of the network as it was trained ------------->| those of the adapted one

The statistics are those of a file (:mod:`e2espot.inference.adapt`), from clips of the first minute in place of the
whole file. They are measured in a thread of low priority. Then the adapted network starts as at the start of a video,
next to the other one. After a window of the head none of its scores depends on anything before its start, and it takes
over. What was printed before stays.

Shapes: T frames, H height, W width, C colours, K columns of the scores.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

import numpy as np
from torch import Tensor

from e2espot.core.adaptation import Adaptation
from e2espot.inference.adapt import AdaptMode, adapt_to_clips
from e2espot.inference.sampled_clips import SampleOptions, clip_len_of, interleave
from e2espot.models.spotter import Spotter

_LOG = logging.getLogger(__name__)

LOOK_S = 60.0
"""Seconds of the stream over which the clips are spread."""
_LOW_PRIORITY = 19


class StreamAdapter:
    """Collects clips of frames that were seen, and measures the statistics of the batch norms on them.

    Args:
        spotter: In evaluation mode, with batch norms; stays as it is.
        adapt: How far the measured statistics are mixed in.
        look_s: Seconds of frames that were seen, over which the clips are spread.
        in_background: Whether a thread measures, while the stream goes on.
    """

    def __init__(
        self, spotter: Spotter, adapt: AdaptMode, *, look_s: float = LOOK_S, in_background: bool = True
    ) -> None:
        sampling = SampleOptions()
        self._spotter, self._adapt, self._per_batch = spotter, adapt, sampling.clips_per_batch
        self._clip_len = clip_len_of((spotter.spec.width, spotter.spec.height), sampling)
        num_frames = max(self._clip_len, round(look_s * float(spotter.fps)))
        num_clips = max(1, min(sampling.num_clips, num_frames // self._clip_len))
        last = num_frames - self._clip_len
        self._starts = [last * number // max(1, num_clips - 1) for number in range(num_clips)]
        self._clips: list[np.ndarray] = []
        self._clip: list[np.ndarray] = []
        self._num_seen = 0
        self._stopped = threading.Event()
        self._measured = threading.Event()
        self._result: tuple[Spotter, Adaptation] | None = None
        self._thread = threading.Thread(target=self._measure, name="adaptation", daemon=True) if in_background else None

    def add(self, frames_THWC: np.ndarray) -> None:
        """The next frames, uint8 RGB, that were seen; without a gap to those before unless ``interrupt`` was called."""
        for frame_HWC in frames_THWC:
            number = len(self._clips)
            if number == len(self._starts):
                return
            if self._num_seen >= self._starts[number]:
                self._clip.append(frame_HWC)
                if len(self._clip) == self._clip_len:
                    self._clips.append(np.stack(self._clip))
                    self._clip = []
                    self._begin_if_complete()
            self._num_seen += 1

    def interrupt(self) -> None:
        """Frames are missing: a clip that has begun is begun again."""
        self._clip = []

    def take(self) -> tuple[Spotter, Adaptation] | None:
        """The adapted spotter and what was done, as soon as they are known; None before that, and if it failed."""
        return self._result if self._measured.is_set() else None

    def close(self) -> None:
        """Stop measuring, and wait for the thread."""
        self._stopped.set()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is measured; whether it is."""
        return self._measured.wait(timeout_s)

    def _begin_if_complete(self) -> None:
        if len(self._clips) < len(self._starts):
            return
        if self._thread is None:
            self._measure()
        else:
            self._thread.start()

    def _measure(self) -> None:
        if self._thread is not None:
            # On Linux a thread has a priority of its own, which the threads that torch starts for it inherit.
            with suppress(OSError, AttributeError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
        try:
            spotter, adaptation = adapt_to_clips(self._spotter, list(self._batches()), self._adapt)
            if adaptation is not None and not self._stopped.is_set():
                self._result = spotter, adaptation
        except Exception as error:
            _LOG.warning("not adapted to the stream: %s", error)
        finally:
            self._measured.set()
            self._clips = [np.empty(0)] * len(self._starts)  # frees the frames, and no more are collected

    def _batches(self) -> Iterator[np.ndarray]:
        for batch in interleave(self._clips, self._per_batch):
            if self._stopped.is_set():
                return
            yield np.stack(batch)


class Scorer(Protocol):
    """What turns frames into rows of scores."""

    def add(self, frames_THWC: Tensor, /) -> np.ndarray:
        """Process the next frames; rows that became final."""

    def finish(self) -> np.ndarray:
        """The remaining rows."""

    def drop_mirror(self) -> bool:
        """Go on without the mirrored view."""


class Handover:
    """Two scorers of one stream, of which the second takes over: rows of the first up to a row, then the second's.

    Args:
        first: Has been given all frames up to now.
        second: Has been given none.
        num_rows: Rows of frames up to now that the first has not returned.
        overlap: Rows of frames from now on that are still the first's.
    """

    def __init__(self, first: Scorer, second: Scorer, *, num_rows: int, overlap: int) -> None:
        self._first: Scorer | None = first
        self._second = second
        self._left = num_rows + overlap
        """Rows that the first scorer still has to return."""
        self._skipped = overlap
        """Rows of the second one that are still to be left out."""
        self._early: list[np.ndarray] = []
        """Rows of the second one that wait for rows of the first."""

    @property
    def is_over(self) -> bool:
        """Whether the second scorer has taken over."""
        return self._first is None

    def add(self, frames_THWC: Tensor, /) -> np.ndarray:
        """Process the next frames, uint8 RGB; rows that became final."""
        rows_TK = None if self._first is None else self._first.add(frames_THWC)
        return self._joined(rows_TK, self._second.add(frames_THWC))

    def finish(self) -> np.ndarray:
        """The remaining rows. If the stream ends before the second has taken over, all are of the first."""
        rows_TK = None if self._first is None else self._first.finish()
        return self._joined(rows_TK, self._second.finish())

    def drop_mirror(self) -> bool:
        """Go on without the mirrored views."""
        if self._first is not None:
            self._first.drop_mirror()
        return self._second.drop_mirror()

    def _joined(self, first_TK: np.ndarray | None, second_TK: np.ndarray) -> np.ndarray:
        skipped = min(self._skipped, len(second_TK))
        self._skipped, second_TK = self._skipped - skipped, second_TK[skipped:]
        if first_TK is None:
            return second_TK
        self._early.append(second_TK)
        first_TK = first_TK[: self._left]
        self._left -= len(first_TK)
        if self._left:
            return first_TK
        self._first, early, self._early = None, self._early, []
        return np.concatenate([first_TK, *early])

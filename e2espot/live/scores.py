"""Frames of a stream in, rows of final scores out, whatever is missing in between.

    frames -> sections without a long gap -> ScoreStream -> rows that are final, and which of their frames were seen

Frames that were not seen are black for the network. After a longer gap the network starts again, as at the start of a
video: that costs nothing, however long the gap is.

Shapes: T frames, H height, W width, C colours, K columns of the scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from e2espot.core.coverage import ReadCoverage
from e2espot.core.errors import CheckpointError
from e2espot.inference.options import InferenceOptions
from e2espot.inference.score_stream import ScoreStream
from e2espot.live.latency import look_ahead_within
from e2espot.live.section import Section
from e2espot.live.seen_frames import SeenFrames
from e2espot.models.spotter import Spotter

_PIECE = 1000
"""Most frames of a long gap whose rows are passed on together."""


@dataclass(frozen=True, kw_only=True)
class FinalRows:
    """Scores that became final, those of consecutive frames of the output grid."""

    rows_TK: np.ndarray
    """float32, columns as in ``Spotter.scores``; 0 for frames that were not seen."""
    seen_T: np.ndarray
    """bool; whether each frame was seen."""


class LiveScores:
    """Takes the frames of a stream in order and returns scores as soon as they are final.

    Args:
        spotter: In evaluation mode.
        options: How frames are processed; ``look_ahead`` is the most that the head may see, which weights may shorten.
        fed_gap: Longest gap, in frames, that the network sees as black frames.
    """

    def __init__(self, spotter: Spotter, options: InferenceOptions, fed_gap: int) -> None:
        self.spotter = spotter
        """The network of the sections to come."""
        self._networks = [spotter]
        self._options, self._fed_gap = options, fed_gap
        self._stride = 1
        self._section: Section | None = None
        self._seen = SeenFrames()
        self._num_rows = 0
        """Rows that were returned."""

    @property
    def num_frames(self) -> int:
        """Frames up to now, those that were not seen included."""
        return self._seen.num_frames

    @property
    def num_scored(self) -> int:
        """Frames whose scores are final."""
        return self._seen.num_scored

    @property
    def num_held(self) -> int:
        """Frames without a final score: bounded, however long the stream."""
        return self._seen.num_waiting

    @property
    def coverage(self) -> ReadCoverage | None:
        """What was seen, on the output grid; None for everything."""
        return self._seen.coverage(self.spotter.grid_factor)

    def warm_up(self, piece: int) -> None:
        """Run the network once on empty frames: its first run takes seconds, in which a stream would not wait.

        Args:
            piece: Frames that will be processed at a time.
        """
        height, width = self.spotter.spec.height, self.spotter.spec.width
        stream = ScoreStream(self.spotter, self._options)
        with torch.inference_mode():
            for length in (piece, 16, piece):
                stream.add(torch.zeros(length, height, width, 3, dtype=torch.uint8))

    def add(self, frames_THWC: np.ndarray, *, is_seen: bool = True) -> list[FinalRows]:
        """Process the next frames, uint8 RGB; black ones stand for those that were not seen."""
        if self._section is None:
            self._section = Section(self._new_stream(), self._stride)
        self._seen.add(len(frames_THWC), is_seen=is_seen)
        rows_TK = self._section.add(frames_THWC)
        return [] if rows_TK is None else [self._scored(rows_TK)]

    def skip(self, length: int, shape_HWC: tuple[int, ...]) -> list[FinalRows]:
        """The next frames were not seen.

        Args:
            length: Number of frames.
            shape_HWC: Shape of a frame.
        """
        if length <= self._fed_gap and self._section is not None:
            return self.add(np.zeros((length, *shape_HWC), dtype=np.uint8), is_seen=False)
        rows = self.end_section()
        self._seen.skip(length)
        self._num_rows += length * self.spotter.grid_factor
        whole, rest = divmod(length, _PIECE)
        # The same arrays again and again: a gap of hours takes no memory.
        return [*rows, *[self._unseen(_PIECE)] * whole, *[self._unseen(rest)] * (rest > 0)]

    def settle(self, stop: int) -> list[FinalRows]:
        """Scores of the frames before ``stop``, made final by the frames up to now; see :mod:`e2espot.live.section`."""
        count = min(stop, self.num_frames) - self.num_scored
        if self._section is None or count < self._section.stride:
            return []
        num_rows = count // self._section.stride * self.spotter.grid_factor
        return [self._scored(self._section.settle(num_rows, self._networks))]

    def end_section(self, stop: int | None = None) -> list[FinalRows]:
        """The remaining scores of the frames up to now; the network starts again with the next ones.

        Args:
            stop: Rows of the whole stream, whose last one is repeated or cut; None for as many as there are.
        """
        if self._section is None:
            return []
        rows_TK, self._section = self._section.finish(), None
        seen_T = np.repeat(self._seen.score(self.num_held), self.spotter.grid_factor).astype(bool)
        rows_TK = rows_TK[: len(seen_T)]
        if stop is not None and len(rows_TK):
            rows_TK = rows_TK[np.minimum(np.arange(max(0, stop - self._num_rows)), len(rows_TK) - 1)]
        if len(seen_T):
            seen_T = seen_T[np.minimum(np.arange(len(rows_TK)), len(seen_T) - 1)]
        return [self._final(rows_TK, seen_T)]

    def hand_over(self, spotter: Spotter) -> int:
        """Let another network take over, after a window of the head in which both run; after how many frames it does.

        Args:
            spotter: Of the same shape, in evaluation mode.
        """
        self.spotter = spotter
        self._networks = [self._networks[0], spotter]
        if self._section is None:
            return 0
        overlap, factor = spotter.spec.clip_len, spotter.grid_factor
        self._section.hand_over(self._new_stream(), num_rows=self.num_held * factor, overlap=overlap * factor)
        return overlap

    @property
    def is_handing_over(self) -> bool:
        """Whether two networks run, of which the second has not taken over."""
        return self._section is not None and self._section.is_handing_over

    def drop_mirror(self) -> bool:
        """Go on without the mirrored view, to save time; whether there was one."""
        if not self._options.flip:
            return False
        self._options = dataclasses.replace(self._options, flip=False)
        if self._section is not None:
            self._section.drop_mirror()
        return True

    def drop_every_second_frame(self) -> list[FinalRows] | None:
        """End the section, and show the network half of the frames from now on; None if it sees only half of them."""
        if self._stride > 1:
            return None
        self._stride = 2
        return self.end_section()

    def _new_stream(self) -> ScoreStream:
        look_ahead_s = look_ahead_within(self.spotter, self._options.look_ahead)
        causal = self._options.is_ball_causal()  # as far as the latency says; weights may shorten what the head sees
        options = dataclasses.replace(self._options, look_ahead=look_ahead_s, causal_ball=causal)
        return ScoreStream(self.spotter, options)

    def _unseen(self, num_frames: int) -> FinalRows:
        num_rows, columns = num_frames * self.spotter.grid_factor, len(self.spotter.label_set) + self.spotter.spec.team
        return FinalRows(rows_TK=np.zeros((num_rows, columns), np.float32), seen_T=np.zeros(num_rows, dtype=bool))

    def _scored(self, rows_TK: np.ndarray) -> FinalRows:
        factor = self.spotter.grid_factor
        seen = self._seen.score(len(rows_TK) // factor)
        return self._final(rows_TK[: len(seen) * factor], np.repeat(np.asarray(seen, dtype=bool), factor))

    def _final(self, rows_TK: np.ndarray, seen_T: np.ndarray) -> FinalRows:
        if not np.isfinite(rows_TK).all():
            raise CheckpointError("these weights give scores that are not finite; they are damaged")
        self._num_rows += len(rows_TK)
        return FinalRows(rows_TK=np.where(seen_T[:, None], rows_TK, 0), seen_T=seen_T)


def contiguous_runs(numbers: Sequence[int]) -> list[slice]:
    """Slices of ascending numbers without a gap: ``[3, 4, 5, 9, 10] -> [0:3, 3:5]``."""
    starts = [0, *(at for at in range(1, len(numbers)) if numbers[at] != numbers[at - 1] + 1)] if numbers else []
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True)]

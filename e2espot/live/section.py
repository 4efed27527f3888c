"""A stretch of a stream that the network sees without a break, and the scores of it that cannot wait.

::

    frames given   0 ... 95 96 97 98 99                 then no picture comes for a while
    settle(2)            95 96                          scores of a video that ends with frame 99
    frames given                        100 101 ...     the network goes on as if nothing had been settled:
    rows returned              97 98 99 100 101 ...     those of the whole video, without 95 and 96

Shapes: T frames, H height, W width, C colours, K columns of the scores.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch

from e2espot.live.adaptation import Handover, Scorer
from e2espot.models.spotter import Spotter


class Section:
    """Frames in, rows of the output grid out.

    Args:
        stream: Before its first frame.
        stride: Every how many frames the network sees one; its rows are those of the frames after it, too.
    """

    def __init__(self, stream: Scorer, stride: int) -> None:
        self._stream = stream
        self.stride = stride
        self._num_frames = 0
        self._settled_TK: np.ndarray | None = None
        """Rows of the frames that are not scored yet, if nothing came after them; None until they are needed."""
        self._ahead = 0
        """Rows of the network that were settled and that the stream is still to give."""

    @property
    def is_handing_over(self) -> bool:
        """Whether two networks run, of which the second has not taken over."""
        return isinstance(self._stream, Handover) and not self._stream.is_over

    def add(self, frames_THWC: np.ndarray) -> np.ndarray | None:
        """Process the next frames, uint8 RGB.

        Returns:
            Rows that became final, perhaps without any; None if the network sees none of these frames.
        """
        self._settled_TK = None
        shown_THWC = frames_THWC[-self._num_frames % self.stride :: self.stride]
        self._num_frames += len(frames_THWC)
        if not len(shown_THWC):
            return None
        with torch.inference_mode():
            rows_TK = self._stream.add(torch.from_numpy(shown_THWC))
        settled = min(self._ahead, len(rows_TK))
        self._ahead -= settled
        return rows_TK[settled:].repeat(self.stride, axis=0)

    def settle(self, num_rows: int, networks: Sequence[Spotter]) -> np.ndarray:
        """Rows that no frame to come will change.

        Args:
            num_rows: How many the network gives for the frames to settle.
            networks: Those of the stream, whose weights need no copy.
        """
        if self._settled_TK is None:
            # A copy of the stream is finished; the stream itself goes on. Both share the weights.
            ending = copy.deepcopy(self._stream, {id(network): network for network in networks})
            with torch.inference_mode():
                self._settled_TK = ending.finish()[self._ahead :]
        rows_TK, self._settled_TK = self._settled_TK[:num_rows], self._settled_TK[num_rows:]
        self._ahead += len(rows_TK)
        return rows_TK.repeat(self.stride, axis=0)

    def finish(self) -> np.ndarray:
        """The remaining rows."""
        with torch.inference_mode():
            return self._stream.finish()[self._ahead :].repeat(self.stride, axis=0)

    def hand_over(self, stream: Scorer, *, num_rows: int, overlap: int) -> None:
        """Let another network take over from the frames to come.

        Args:
            stream: Before its first frame.
            num_rows: Rows of frames up to now that are not final.
            overlap: Rows of frames from now on that are still those of the present network.
        """
        self._stream = Handover(self._stream, stream, num_rows=num_rows + self._ahead, overlap=overlap)

    def drop_mirror(self) -> None:
        """Go on without the mirrored views."""
        self._settled_TK = None
        self._stream.drop_mirror()

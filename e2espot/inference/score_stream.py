"""From decoded frames to final scores, in the form in which frames are pushed: the same for a file and a live stream.

    frames -> pieces -> backbone, once per frame -> features -> head over windows -> rows

Shapes: T frames, H height, W width, C colours, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from e2espot.core.device import compute_dtype
from e2espot.core.errors import ConfigurationError
from e2espot.inference.options import InferenceOptions
from e2espot.inference.streaming_head import streaming_head
from e2espot.models.spotter import Spotter, centre_crop, mean_pixel
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.streaming.cuda_graph import CudaGraphBackbone


class ScoreStream:
    """Takes frames and returns the scores that are final, ``halo`` frames and the look-ahead of the head later.

    Args:
        spotter: In evaluation mode.
        options: How the frames are processed; ``flip`` averages with the mirrored view.
    """

    def __init__(self, spotter: Spotter, options: InferenceOptions) -> None:
        # The views share the decoded frames but not the state: each has a backbone stream and a head of its own.
        self._views = [
            _View(spotter, options, mirror=mirror) for mirror in ((False, True) if options.flip else (False,))
        ]

    @property
    def done(self) -> int:
        """Frames whose features are computed."""
        return self._views[0].done

    def add(self, frames_THWC: Tensor) -> np.ndarray:
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


class _View:
    """One view of the video, as it is or mirrored, from pixels to scores."""

    def __init__(self, spotter: Spotter, options: InferenceOptions, *, mirror: bool) -> None:
        self._features = FeatureStream(spotter, options)
        self._head = streaming_head(spotter, options.look_ahead_frames(spotter.fps))
        self._mirror, self._has_team = mirror, spotter.spec.team
        self.done = 0

    def add(self, chunk_THWC: Tensor) -> np.ndarray:
        """Process the next frames; rows that became final."""
        return self._rows([*self._feed_head(self._features.add(chunk_THWC.flip(2) if self._mirror else chunk_THWC))])

    def finish(self) -> np.ndarray:
        """The remaining rows; columns as in ``Spotter.scores``."""
        return self._rows([*self._feed_head(self._features.finish()), self._head.finish()])

    def _feed_head(self, pieces: Iterator[Tensor]) -> Iterator[np.ndarray]:
        for features_TD in pieces:
            self.done += len(features_TD)
            yield self._head.add(features_TD)

    def _rows(self, parts: list[np.ndarray]) -> np.ndarray:
        rows_TK = np.concatenate(parts) if parts else self._head.no_rows()
        if self._mirror and self._has_team:
            # The last column is the probability that the right team acts; in the mirror, right is left.
            rows_TK[:, -1] = 1 - rows_TK[:, -1]
        return rows_TK


class FeatureStream:
    """Backbone features of frames that are pushed: those of the whole video at once, ``halo`` frames late."""

    def __init__(self, spotter: Spotter, options: InferenceOptions) -> None:
        self._device = next(spotter.parameters()).device
        self._backbone_stream = BackboneStream(spotter.backbone, compute_dtype(self._device, options.precision))
        self._halo = spotter.halo
        graphs = options.cuda_graphs and self._device.type == "cuda"
        self._stream = CudaGraphBackbone(self._backbone_stream) if graphs else self._backbone_stream
        self._piece_len = options.piece_len or _piece_len(self._device)
        self._crop_dim = spotter.spec.crop_dim
        self._shape_HWC: tuple[int, ...] | None = None

    def add(self, chunk_THWC: Tensor) -> Iterator[Tensor]:
        """Push the next frames and yield the features that are ready."""
        chunk_THWC = centre_crop(chunk_THWC, self._crop_dim)
        if self._shape_HWC is None:
            # The stream emits a frame once `halo` frames on both sides of it are in, so pad both ends:
            # halo x padding, T frames, halo x padding -> T features
            self._shape_HWC = tuple(chunk_THWC.shape[1:])
            yield from self._push(self._padding())
        yield from self._push(chunk_THWC.to(self._device, non_blocking=True))

    def finish(self) -> Iterator[Tensor]:
        """Yield the remaining features, those of the last ``halo`` frames."""
        if self._shape_HWC is not None:
            yield from self._push(self._padding())

    @property
    def heat_THW(self) -> Tensor:  # noqa: N802
        """Heat map of the ball for the features yielded last; without CUDA graphs."""
        if self._backbone_stream.heat_THW is None:
            raise ConfigurationError("this backbone has no heat map of the ball; only the small ones have")
        return self._backbone_stream.heat_THW

    def _push(self, frames_THWC: Tensor) -> Iterator[Tensor]:
        for piece_THWC in frames_THWC.split(self._piece_len) if len(frames_THWC) else ():
            features_TD = self._stream.forward_chunk(piece_THWC)
            if len(features_TD):
                yield features_TD

    def _padding(self) -> Tensor:
        """``halo`` frames of the mean colour, which normalisation turns into zeros."""
        assert self._shape_HWC is not None
        return mean_pixel(self._device).expand(self._halo, *self._shape_HWC)


def _piece_len(device: torch.device) -> int:
    """Frames the backbone processes at a time: a short piece stays in a CPU's caches, a GPU takes a whole chunk."""
    return 16 if device.type == "cpu" else 64

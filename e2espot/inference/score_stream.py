"""From decoded frames to final scores, in the form in which frames are pushed: the same for a file and a live stream.

    frames -> pieces -> backbone, once per frame -> features -> head over windows -> rows

Shapes: T frames, H height, W width, C colours, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from e2espot.core.device import compute_dtype
from e2espot.core.errors import ConfigurationError
from e2espot.inference.options import InferenceOptions
from e2espot.inference.streaming_head import streaming_head
from e2espot.inference.views import ScoreViews, View
from e2espot.models.ball_smoothing import BLOCK_S, BallSmoother
from e2espot.models.spotter import Spotter, centre_crop, mean_pixel
from e2espot.models.streaming.backbone_stream import BackboneStream
from e2espot.models.streaming.cuda_graph import CudaGraphBackbone


class ScoreStream(ScoreViews[Tensor]):
    """Takes frames and returns the scores that are final, ``halo`` frames and the look-ahead of the head later.

    Args:
        spotter: In evaluation mode.
        options: How the frames are processed; ``flip`` averages with the mirrored view.
    """

    def __init__(self, spotter: Spotter, options: InferenceOptions) -> None:
        mirrors: tuple[Callable[[Tensor], Tensor] | None, ...] = (None, lambda chunk_THWC: chunk_THWC.flip(2))
        look_ahead = options.look_ahead_frames(spotter.fps, spotter.spec.look_ahead_s)
        super().__init__(
            View(FeatureStream(spotter, options), streaming_head(spotter, look_ahead), mirror, spotter.spec.team)
            for mirror in mirrors[: 2 if options.flip else 1]
        )


class FeatureStream:
    """Backbone features of frames that are pushed: those of the whole video at once, ``halo`` frames late."""

    def __init__(self, spotter: Spotter, options: InferenceOptions) -> None:
        self._device = next(spotter.parameters()).device
        smoother = _smoother(spotter, options)
        dtype = compute_dtype(self._device, options.precision)
        self._backbone_stream = BackboneStream(spotter.backbone, dtype, smoother)
        self._halo = spotter.halo
        # Smoothing goes from frame to frame and waits, so its work is not the same for every chunk.
        graphs = options.cuda_graphs and self._device.type == "cuda" and smoother is None
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
        """Yield the remaining features: those of the last ``halo`` frames, and those that wait for later maps."""
        if self._shape_HWC is not None:
            yield from self._push(self._padding())
            features_TD = self._backbone_stream.finish()
            if len(features_TD):
                yield features_TD

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


def _smoother(spotter: Spotter, options: InferenceOptions) -> BallSmoother | None:
    if not spotter.spec.smooth_ball:
        return None
    fps = float(spotter.fps)
    return BallSmoother(fps, 0 if options.is_ball_causal() else round(BLOCK_S * fps))


def _piece_len(device: torch.device) -> int:
    """Frames the backbone processes at a time: a short piece stays in a CPU's caches, a GPU takes a whole chunk."""
    return 16 if device.type == "cpu" else 64

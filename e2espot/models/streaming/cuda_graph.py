"""The steady state of a streaming backbone as one CUDA graph.

A chunk is some three hundred small kernels, and at 224p a fast GPU finishes one before the CPU has launched the
next. Once every cache is full, each chunk runs the same kernels on the same shapes: they are recorded once and
launched together from then on.

A graph reads and writes fixed memory, while a cache replaces its buffer with every chunk. So each cache gets a fixed
buffer, and the graph ends by copying the new contents into it:

    chunk k        fixed input ----+                        +--> fixed output
                                   +--> kernels of a chunk -+
                   fixed buffers --+                        +--> new buffers --copy--> fixed buffers
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from e2espot.models.streaming.backbone_stream import BackboneStream


class Recording(Protocol):
    """Recorded work."""

    def replay(self) -> None:
        """Run it again on the same memory."""


Record = Callable[[Callable[[], None], torch.device], Recording]
"""Runs a function once and records what it does on a device."""


def record_on_cuda(work: Callable[[], None], device: torch.device) -> Recording:
    """A CUDA graph of ``work``, which must have run before with the same shapes; other threads may go on meanwhile."""
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with (
        torch.cuda.device(device),
        torch.cuda.graph(graph, stream=torch.cuda.Stream(device), capture_error_mode="thread_local"),
    ):
        work()
    recording: Any = graph
    return recording  # type: ignore[no-any-return]


class CudaGraphBackbone:
    """A ``BackboneStream`` that replays its steady state; chunks of another length run without the graph.

    Args:
        stream: Fresh or in use.
        record: How work is recorded.
    """

    def __init__(self, stream: BackboneStream, record: Record = record_on_cuda) -> None:
        self._stream, self._record = stream, record
        self._recording: Recording | None = None
        self._steady_chunks = 0
        self._fixed_buffers: list[Tensor] = []

    def forward_chunk(self, levels_THWC: Tensor) -> Tensor:
        """See ``BackboneStream.forward_chunk``."""
        phase = self._stream.phase
        if self._recording is not None and phase == self._phase and _same_layout(levels_THWC, self._input):
            self._rebind_buffers()
            self._input.copy_(levels_THWC)
            self._recording.replay()
            # The next replay overwrites the output, so the caller gets a copy.
            return self._output.clone()
        features_TD = self._stream.forward_chunk(levels_THWC)
        # As many frames out as in, twice in a row: no cache grows any more, and the kernels have been chosen.
        self._steady_chunks = self._steady_chunks + 1 if len(features_TD) == len(levels_THWC) else 0
        # A chunk that leaves another phase behind is followed by other work.
        if self._recording is None and self._steady_chunks >= 2 and self._stream.phase == phase:
            self._capture(levels_THWC)
        return features_TD

    def _capture(self, levels_THWC: Tensor) -> None:
        """Record one chunk, then restore the caches, because recording may run the chunk a second time."""
        self._input, self._phase = levels_THWC.clone(), self._stream.phase
        # A cache with halo 0 never has a buffer.
        caches = [cache for cache in self._stream.caches if cache.buffer is not None]
        before = [cache.buffer.clone() for cache in caches if cache.buffer is not None]
        self._fixed_buffers = [buffer.clone() for buffer in before]
        for cache, fixed in zip(caches, self._fixed_buffers, strict=True):
            cache.buffer = fixed

        def forward_fixed() -> None:
            self._output = self._stream.forward_chunk(self._input)
            # The stream has put a new tensor into each cache. The next replay reads the fixed one, so copy it back.
            for cache, fixed in zip(caches, self._fixed_buffers, strict=True):
                assert cache.buffer is not None
                fixed.copy_(cache.buffer)
                cache.buffer = fixed

        self._caches = caches
        self._recording = self._record(forward_fixed, levels_THWC.device)
        for fixed, buffer in zip(self._fixed_buffers, before, strict=True):
            fixed.copy_(buffer)

    def _rebind_buffers(self) -> None:
        """Move what a chunk without the graph left in other memory into the buffers that the graph reads."""
        for cache, fixed in zip(self._caches, self._fixed_buffers, strict=True):
            if cache.buffer is not fixed and cache.buffer is not None:
                fixed.copy_(cache.buffer)
                cache.buffer = fixed


def _same_layout(chunk: Tensor, other: Tensor) -> bool:
    return chunk.shape == other.shape and chunk.dtype == other.dtype

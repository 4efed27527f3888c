"""A trunk's steady state as one CUDA graph.

A piece of a match is some three hundred small kernels, and at 224p a fast GPU is done with one before the CPU
has asked for the next. Once every place keeps as many frames as it ever will, a piece is always the same
kernels on the same shapes: they are recorded once and asked for together from then on.

A graph reads and writes fixed memory. So what is kept from piece to piece lies in memory of its own, and the
graph's last act is to copy what it kept there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from e2espot.models.streaming.trunk_stream import TrunkStream


class Replay(Protocol):
    """Recorded work."""

    def replay(self) -> None:
        """Do it again, on the same memory."""


Record = Callable[[Callable[[], None], torch.device], Replay]
"""Runs a function once, recording what it does on a device."""


def record_on_cuda(work: Callable[[], None], device: torch.device) -> Replay:
    """A CUDA graph of ``work``, which has run before with the same shapes; other threads may go on meanwhile."""
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with (
        torch.cuda.device(device),
        torch.cuda.graph(graph, stream=torch.cuda.Stream(device), capture_error_mode="thread_local"),
    ):
        work()
    recorded: Any = graph
    return recorded  # type: ignore[no-any-return]


class GraphedTrunk:
    """A ``TrunkStream`` that replays its steady state; pieces of another length take the plain road.

    Args:
        stream: Fresh or in use.
        record: How work is recorded.
    """

    def __init__(self, stream: TrunkStream, record: Record = record_on_cuda) -> None:
        self._stream, self._record = stream, record
        self._replay: Replay | None = None
        self._steady = 0
        self._own: list[Tensor] = []

    def push(self, levels_THWC: Tensor) -> Tensor:
        """See ``TrunkStream.push``."""
        if self._replay is not None and _is_like(levels_THWC, self._input):
            self._at_home()
            self._input.copy_(levels_THWC)
            self._replay.replay()
            return self._output.clone()
        features_TD = self._stream.push(levels_THWC)
        # As many out as in, twice: nothing grows any more, and the library has chosen its kernels.
        self._steady = self._steady + 1 if len(features_TD) == len(levels_THWC) else 0
        if self._replay is None and self._steady >= 2:
            self._learn(levels_THWC)
        return features_TD

    def _learn(self, levels_THWC: Tensor) -> None:
        """Record a push; what is kept afterwards is what was kept before."""
        self._input = levels_THWC.clone()
        places = [place for place in self._stream.places if place.kept is not None]
        before = [place.kept.clone() for place in places if place.kept is not None]
        self._own = [kept.clone() for kept in before]
        for place, own in zip(places, self._own, strict=True):
            place.kept = own

        def piece() -> None:
            self._output = self._stream.push(self._input)
            for place, own in zip(places, self._own, strict=True):
                assert place.kept is not None
                own.copy_(place.kept)
                place.kept = own

        self._places = places
        self._replay = self._record(piece, levels_THWC.device)
        for own, kept in zip(self._own, before, strict=True):
            own.copy_(kept)

    def _at_home(self) -> None:
        """A plain push has left what it kept elsewhere: bring it to where the graph reads it."""
        for place, own in zip(self._places, self._own, strict=True):
            if place.kept is not own and place.kept is not None:
                own.copy_(place.kept)
                place.kept = own


def _is_like(piece: Tensor, other: Tensor) -> bool:
    return piece.shape == other.shape and piece.dtype == other.dtype

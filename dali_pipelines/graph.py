"""A DALI pipeline that is fed batch by batch, gives torch tensors, and survives a bad sample.

A run-time error kills a DALI pipeline for good, and all that is under way in it. So the
builder is kept, and whoever feeds the graph keeps what is under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from e2espot.core.errors import ConfigurationError
from e2espot.video.backend import NO_DALI


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """Bounds of a graph; nothing in it grows beyond them."""

    device: torch.device
    """Where pictures are decoded, processed and handed over."""
    batch_size: int
    """Most samples of a run."""
    num_threads: int = 4
    """CPU threads of a graph; on a GPU also how many samples are fed to the decoders side by side."""
    prefetch: int = 2
    """Runs under way at most."""


def dali() -> Any:
    """The ``nvidia.dali`` module.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import nvidia.dali.fn
        import nvidia.dali.types
    except ImportError as error:
        raise ConfigurationError(f"{NO_DALI} ({error})") from None
    return nvidia.dali


def new_pipeline(options: GraphOptions) -> Any:
    """An empty pipeline on the device, to be defined in a ``with`` block."""
    on_gpu = options.device.type == "cuda"
    return dali().Pipeline(
        batch_size=options.batch_size,
        num_threads=options.num_threads,
        device_id=(options.device.index or 0) if on_gpu else None,
        prefetch_queue_depth=1,
        exec_async=False,
        exec_pipelined=False,
    )


def decoded(options: GraphOptions) -> Any:
    """Node: pictures ``places`` of the container ``encoded``, uint8 FHWC; place -1 gives black."""
    fn, types = dali().fn, dali().types
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    places = fn.external_source(name="places", dtype=types.INT32, ndim=1)
    return fn.decoders.video(
        encoded,
        device="mixed" if options.device.type == "cuda" else "cpu",
        frames=places,
        pad_mode="constant",
        fill_value=0,
    )


def from_host(options: GraphOptions) -> Any:
    """Node: pictures that were decoded elsewhere, uint8 FHWC."""
    frames = dali().fn.external_source(name="frames", dtype=dali().types.UINT8, ndim=4, layout="FHWC")
    return frames.gpu() if options.device.type == "cuda" else frames


class Graph:
    """Runs a pipeline in a thread of its own; results come in the order of the feeds.

    DALI can work ahead by itself only when it is fed ahead, an epoch's end included. A thread
    works ahead just as well, and an error comes out where its result would have.
    """

    def __init__(self, options: GraphOptions, build: Callable[[], Any]) -> None:
        """``build`` makes the pipeline; it is called for the first run, and for the first after a reset."""
        self.options = options
        self._build = build
        self._pipeline: Any = None
        self._copies: torch.cuda.Stream | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._runs: deque[Future[list[Tensor]]] = deque()

    def feed(self, samples: dict[str, list[np.ndarray]]) -> None:
        """Start a run on the inputs by name, one array a sample."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="dali")
        self._runs.append(self._thread.submit(self._run, samples))

    def take(self) -> list[Tensor]:
        """Result of the earliest run not yet taken, one tensor a sample; the tensors are the caller's own.

        Raises:
            RuntimeError: DALI could not do it; ``reset`` before anything else.
        """
        return self._runs.popleft().result()

    def reset(self) -> None:
        """Drop the pipeline with all that is under way in it."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._thread = self._pipeline = None
        self._runs.clear()

    def _run(self, samples: dict[str, list[np.ndarray]]) -> list[Tensor]:
        if self._pipeline is None:
            self._pipeline = self._build()
            self._pipeline.build()
        for name, arrays in samples.items():
            self._pipeline.feed_input(name, arrays)
        (batch,) = self._pipeline.run()
        # DALI uses its buffers again in the next run, so every sample is copied out of them.
        if self.options.device.type == "cuda":
            return self._copied_on_gpu(batch)
        return [torch.from_numpy(np.array(sample)) for sample in batch]

    def _copied_on_gpu(self, batch: Any) -> list[Tensor]:
        """Copies made on a stream of their own, finished before DALI goes on, and fit for the default stream.

        On the default stream they would stand behind the training step; unfinished, the next run would
        overwrite what they read; unrecorded, their memory could be given out again too early.
        """
        device = self.options.device
        if self._copies is None:
            self._copies = torch.cuda.Stream(device)
        with torch.cuda.stream(self._copies):
            owned = [torch.utils.dlpack.from_dlpack(sample).clone() for sample in batch]
        self._copies.synchronize()
        for tensor in owned:
            tensor.record_stream(torch.cuda.default_stream(device))
        return owned


def brief(error: RuntimeError) -> str:
    """The telling line of DALI's many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "rror" in line and "Traceback" not in line]
    return (told or lines or ["no reason given"])[-1][:200]

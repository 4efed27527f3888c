"""A DALI pipeline that is fed batch by batch, returns torch tensors, and can be rebuilt after a bad sample.

A run-time error ruins a DALI pipeline for good, together with all batches in flight. So the function that builds it
is kept, and the caller keeps the inputs in flight to submit them again.
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
from e2espot.video.backend import DALI_NOT_INSTALLED

_MAX_MESSAGE = 200


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """Bounds of a graph; nothing in it grows beyond them."""

    device: torch.device
    """Where pictures are decoded and processed, and where the results are."""
    batch_size: int
    """Most samples of a batch."""
    num_threads: int = 4
    """CPU threads of a graph; on a GPU also the samples that are fed to the decoders at the same time."""
    prefetch: int = 2
    """Most batches in flight."""


def dali() -> Any:
    """The ``nvidia.dali`` module.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import nvidia.dali.fn
        import nvidia.dali.types
    except ImportError as error:
        raise ConfigurationError(f"{DALI_NOT_INSTALLED} ({error})", option="reader") from None
    return nvidia.dali


def new_pipeline(options: GraphOptions) -> Any:
    """An empty pipeline on the device, to be defined in a ``with`` block."""
    on_gpu = options.device.type == "cuda"
    return dali().Pipeline(
        batch_size=options.batch_size,
        num_threads=options.num_threads,
        device_id=(options.device.index or 0) if on_gpu else None,
        # ``Graph`` prefetches by itself, in its own thread.
        prefetch_queue_depth=1,
        exec_async=False,
        exec_pipelined=False,
    )


def video_node(options: GraphOptions) -> Any:
    """Node that decodes the pictures at ``positions`` of the container ``encoded``: uint8 FHWC, black for -1."""
    fn, types = dali().fn, dali().types
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    positions = fn.external_source(name="positions", dtype=types.INT32, ndim=1)
    return fn.decoders.video(
        encoded,
        device="mixed" if options.device.type == "cuda" else "cpu",
        frames=positions,
        pad_mode="constant",
        fill_value=0,
    )


def host_frames_node(options: GraphOptions) -> Any:
    """Node for ``frames`` that were decoded elsewhere: uint8 FHWC."""
    frames = dali().fn.external_source(name="frames", dtype=dali().types.UINT8, ndim=4, layout="FHWC")
    return frames.gpu() if options.device.type == "cuda" else frames


class Graph:
    """Runs a pipeline in a thread of its own; results come in the order of submission.

    DALI prefetches by itself only if it is fed ahead, beyond the end of an epoch. A thread prefetches just as well,
    and an error is raised where its result would have been returned.
    """

    def __init__(self, options: GraphOptions, build: Callable[[], Any]) -> None:
        """``build`` defines the pipeline; it is called for the first batch, and for the first after a reset."""
        self.options = options
        self._build = build
        self._pipeline: Any = None
        self._copy_stream: torch.cuda.Stream | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._results: deque[Future[list[Tensor]]] = deque()

    def submit(self, inputs: dict[str, list[np.ndarray]]) -> None:
        """Start a batch on ``inputs``: input name -> one array a sample."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="dali")
        self._results.append(self._thread.submit(self._run, inputs))

    def next_result(self) -> list[Tensor]:
        """Wait for the earliest batch not yet returned; one tensor a sample, owned by the caller.

        Raises:
            RuntimeError: DALI failed; ``reset`` before anything else.
        """
        return self._results.popleft().result()

    def reset(self) -> None:
        """Drop the pipeline and all batches in flight."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._thread = self._pipeline = None
        self._results.clear()

    def _run(self, inputs: dict[str, list[np.ndarray]]) -> list[Tensor]:
        if self._pipeline is None:
            self._pipeline = self._build()
            self._pipeline.build()
        for name, arrays in inputs.items():
            self._pipeline.feed_input(name, arrays)
        (batch,) = self._pipeline.run()
        # DALI reuses its buffers in the next run, so every sample is copied out of them.
        if self.options.device.type == "cuda":
            return self._copy_on_gpu(batch)
        return [torch.from_numpy(np.array(sample)) for sample in batch]

    def _copy_on_gpu(self, batch: Any) -> list[Tensor]:
        """Copy samples on a stream of its own, finished before DALI goes on, and ready for the default stream.

        On the default stream the copies would wait for the training step. Unfinished, the next run would overwrite
        what they read. Unrecorded, their memory could be allocated again too early.
        """
        device = self.options.device
        if self._copy_stream is None:
            self._copy_stream = torch.cuda.Stream(device)
        with torch.cuda.stream(self._copy_stream):
            copies = [torch.utils.dlpack.from_dlpack(sample).clone() for sample in batch]
        self._copy_stream.synchronize()
        for tensor in copies:
            tensor.record_stream(torch.cuda.default_stream(device))
        return copies


def last_error_line(error: Exception) -> str:
    """The last line of a DALI error that names an error, since DALI's messages have dozens of lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    error_lines = [line for line in lines if "rror" in line and "Traceback" not in line]
    return (error_lines or lines or ["no reason given"])[-1][:_MAX_MESSAGE]

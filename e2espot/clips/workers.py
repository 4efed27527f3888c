"""Worker processes that decode ahead of the training step: torch's loader, with errors of one line.

Workers are forked from a server that has imported what they need, so each starts in a fraction of a second. A problem
in a worker arrives in the training process as one error that names the video.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch.utils.data import DataLoader, Dataset, get_worker_info

from e2espot.core.errors import E2ESpotError, VideoError, first_line

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from e2espot.video.preparation import Preparation

_POLL_S, _MAX_POLLS = 5, 120
"""A worker that has delivered nothing for ten minutes hangs."""
_IMPORTED_ONCE = ["__main__", "torch.utils.data", "e2espot.clips.dataset", "e2espot.video"]
"""Modules that the fork server imports; a worker would take seconds to import torch, again in each epoch."""


class Clips(Protocol):
    """What workers load: clips by (epoch, index)."""

    prepared: dict[Path, Preparation]
    """How pictures were prepared, of each video that was read and is not plain."""

    def __len__(self) -> int:
        """Clips per epoch."""

    def __getitem__(self, key: tuple[int, int]) -> Any:
        """The clip ``index`` of an epoch."""

    def path_of(self, key: tuple[int, int]) -> Path:
        """The video that a clip is cut from."""


def load_batches(
    dataset: Clips,
    *,
    epoch: int,
    batch_size: int,
    first_step: int,
    num_workers: int,
    slots: range | None,
    collate: Callable[[list[Any]], Any],
) -> Iterator[Any]:
    """What ``collate`` returns for the clips of each batch; see :func:`load_clips`."""
    num_steps = len(dataset) // batch_size
    # batch_size 4, slots (1, 3): step 0 reads clips (1, 3), step 1 reads clips (5, 7).
    local_slots = range(batch_size) if slots is None else slots
    batches = [[(epoch, step * batch_size + slot) for slot in local_slots] for step in range(first_step, num_steps)]
    loader: DataLoader[Any] = DataLoader(
        _ErrorsAsValues(dataset),
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=_CollateOrFail(collate),
        num_workers=num_workers,
        # Bounds the memory: at most two batches per worker are decoded ahead.
        prefetch_factor=2 if num_workers else None,
        # A forked child would inherit locks that threads of torch or of a decoder hold at that moment.
        multiprocessing_context="forkserver" if num_workers else None,
        worker_init_fn=_exit_with_parent,
        # torch notices a dead worker only when a wait times out.
        timeout=_POLL_S if num_workers else 0,
    )
    multiprocessing.set_forkserver_preload(_IMPORTED_ONCE)  # before the server starts; later it changes nothing
    # The loader keeps its processes to itself, but they are children of this one.
    others = set(multiprocessing.active_children())
    loaded = iter(loader)  # starts the workers
    workers = [process for process in multiprocessing.active_children() if process not in others]
    return _checked(loaded, workers, dataset, batches)


@dataclass(frozen=True)
class _Failure:
    """An exception that travels from a worker to the training process as a value."""

    error: Exception
    """What was raised for a clip."""


class _ErrorsAsValues(Dataset[Any]):
    """A dataset that returns exceptions.

    torch would raise them again with the worker's traceback in the message, and a ``RuntimeError`` of a worker
    could not be distinguished from torch's own.
    """

    def __init__(self, dataset: Clips) -> None:
        self._dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> Any:  # type: ignore[override]
        try:
            return self._dataset[key]
        except E2ESpotError as error:
            return _Failure(error)
        except RuntimeError as error:
            if get_worker_info() is None:
                raise
            return _Failure(RuntimeError(str(error)))  # which certainly can be pickled


@dataclass(frozen=True)
class _Loaded:
    """A batch as it travels from a worker to the training process, which alone writes the log."""

    batch: Any
    """What ``collate`` returned."""
    prepared: dict[Path, Preparation]
    """How pictures of its videos were prepared, for those that are not plain."""


class _CollateOrFail:
    """Collates a batch, or returns the first failure in it."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, clips: list[Any]) -> Any:
        failure = next((clip for clip in clips if isinstance(clip, _Failure)), None)
        if failure is not None:
            return failure
        samples = [clip for clip in clips if not isinstance(clip, _Failure)]
        prepared = {path: preparation for sample in samples for path, preparation in sample.prepared.items()}
        return _Loaded(self._collate(samples), prepared)


def _checked(
    loaded: Iterator[Any], workers: Sequence[BaseProcess], dataset: Clips, batches: list[list[tuple[int, int]]]
) -> Iterator[Any]:
    """The loaded batches; any problem becomes one line that names the videos of the batch."""
    from e2espot.video.preparation import log_preparation

    try:
        for batch in batches:
            try:
                result = _next_batch(loaded, workers)
            except (RuntimeError, OSError, EOFError) as error:  # torch's own, or of the pipe to a worker that dies
                if not workers:
                    raise
                raise _broken_batch(dataset, batch, "died or hung", error) from None
            if isinstance(result, _Failure):
                if isinstance(result.error, E2ESpotError):
                    raise result.error
                raise _broken_batch(dataset, batch, "failed", result.error) from None
            for path, preparation in result.prepared.items():
                log_preparation(path, preparation)
                dataset.prepared[path] = preparation
            yield result.batch
    finally:
        # The workers end with the loader. An error refers to this frame, and the garbage collector, which would find
        # both together, closes the loader's queues first: it then waits five seconds for each worker.
        del loaded


def _next_batch(loaded: Iterator[Any], workers: Sequence[BaseProcess]) -> Any:
    """The next batch, polling torch's loader while all workers live.

    The loader raises a ``RuntimeError`` both when nothing arrives in time and when a worker has died. Errors of
    the clips are values, so the state of the processes distinguishes the two.

    Raises:
        RuntimeError: a worker died, or nothing arrived for ten minutes.
    """
    for _ in range(_MAX_POLLS - 1):
        try:
            return next(loaded)
        except RuntimeError:
            if not workers or not all(worker.is_alive() for worker in workers):
                raise
    return next(loaded)


def _broken_batch(dataset: Clips, batch: list[tuple[int, int]], what: str, error: Exception) -> VideoError:
    paths = sorted({str(dataset.path_of(key)) for key in batch})
    return VideoError(
        f"{', '.join(paths)}: a process that decodes them {what} ({first_line(error)}); try each with e2espot infer, "
        "leave the bad one out or convert it with e2espot transcode, then resume the run",
        option="resume",
    )


def _exit_with_parent(_worker: int) -> None:
    """Let a worker exit when the run is killed; torch's own watchdog waits for the fork server, which lives on."""

    def watch(parent: Any) -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()

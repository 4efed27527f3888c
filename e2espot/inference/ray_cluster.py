"""Many videos as tasks of a Ray cluster, a running one or one that is started on this machine for the run.

A worker may die, be killed for its memory or lose its machine: Ray then runs its video again on
another worker. Results return to this process and are written here, so the workers need only
e2espot and the videos::

    this process                         workers
    job, videos  ----- ray.put ------->  predict_video
    BatchResults <---- VideoResult ----      |  frames, bytes, starts
    _ProgressBar <---- totals ---------  ProgressActor
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any, Protocol, Self, TypeVar

from tqdm import tqdm

from e2espot.core.errors import ConfigurationError, E2ESpotError, VideoError, first_line, shortened
from e2espot.formats.game import Video
from e2espot.inference.job import Job, VideoFailure, VideoResult, predict_video, unexpected_failure
from e2espot.sources.remote import redact

_POLL_S = 0.5
"""Seconds between two updates of the bar, and between two reports of a task."""
_TIMEOUT_S = 10
"""Seconds to wait for an answer of the cluster or of the actor."""
_OBJECT_STORE_BYTES = 512 << 20
"""Shared memory of a cluster started here: the spotters once, and the scores of a few videos."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster that tasks run on, and the resources of each task."""

    address: str | None = None
    """Address of a running cluster, or ``auto`` for the one of this machine. None takes ``RAY_ADDRESS``, or else starts
    a cluster that ends with the run."""
    task_cpus: int = 1
    """CPU cores of a task."""
    task_gpus: float = 0.0
    """GPUs of a task; 0.5 lets two tasks share one, 0 computes on the CPU."""
    retries: int = 3
    """How often a video is run again after its worker died."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Progress of all videos that were started, summed."""

    frames_done: int
    """Frames predicted."""
    frames: int
    """Frames in all of these videos."""
    bytes_copied: int
    """Bytes copied from object stores, of copies under way."""
    bytes_to_copy: int
    """Size of these copies."""
    starts: dict[int, int]
    """Index of the video -> how often a worker started it."""


def run_on_ray(job: Job, videos: Sequence[Video], cluster: Cluster) -> Iterator[VideoResult | VideoFailure]:
    """Predict videos on a cluster; see :func:`run_work_on_ray`."""
    return run_work_on_ray(predict_video, job, videos, cluster)


class Portable(Protocol):
    """What tasks share: it is sent to each machine once."""

    def to(self, device: str) -> Self:
        """The same with its networks on ``device``."""


_Job = TypeVar("_Job", bound=Portable)
_Result = TypeVar("_Result")
Work = Callable[[_Job, Video, Callable[[int, int], None], Callable[[int, int], None]], _Result]
"""Called with the job, a video, and what reports frames and copied bytes."""


def run_work_on_ray(
    work: Work[_Job, _Result], job: _Job, videos: Sequence[Video], cluster: Cluster
) -> Iterator[_Result | VideoFailure]:
    """Process videos on a cluster and yield results as they finish; one bar counts the frames of all.

    Raises:
        ConfigurationError: Ray is not installed, no such cluster, or no machine of it is large enough for a task.
    """
    previous_handler = signal.getsignal(signal.SIGTERM)
    ray = _connect(cluster)
    try:
        # Schedulers end a job with SIGTERM. Ray's own handler prints a stack and aborts, which leaves the
        # processes of its cluster running; SystemExit runs the shutdown below.
        _on_sigterm(lambda *_: sys.exit(128 + signal.SIGTERM))
        _check_resources(ray, cluster)
        yield from _run_all(ray, work, job, videos, cluster)
    finally:
        ray.shutdown()
        _on_sigterm(previous_handler)


def _on_sigterm(handler: Callable[[int, FrameType | None], Any] | int | None) -> None:
    if threading.current_thread() is threading.main_thread():  # Python forbids it in other threads
        signal.signal(signal.SIGTERM, handler)


def _connect(cluster: Cluster) -> Any:
    """Connect to the cluster, or start one on this machine; returns the module ``ray``, which has no types."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigurationError('Ray is not installed; pip install "e2espot[ray]"', option="engine") from None
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    if address:
        _check_reachable(address)
    local: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **local)
    except Exception as error:  # of a start that takes too long Ray raises this very class
        reason = shortened(first_line(error))
        if address:
            raise ConfigurationError(f"no Ray cluster at {address} ({reason})", option="ray_address") from None
        raise ConfigurationError(
            f"Ray did not start on this machine ({reason}); run this again when it is less busy, name a cluster "
            "that is running (ray_address), or choose the engine 'local'",
            option="engine",
        ) from None
    return ray


def _check_reachable(address: str) -> None:
    """Fail early: Ray itself retries an address without a server for a quarter of an hour."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise ConfigurationError(
                f"no Ray cluster answers at {address} ({error}); check that it is running", option="ray_address"
            ) from None


def _check_resources(ray: ModuleType, cluster: Cluster) -> None:
    """Fail early: a task that fits no machine would wait forever."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = any(
        machine.get("CPU", 0) >= cluster.task_cpus and machine.get("GPU", 0) >= cluster.task_gpus
        for machine in machines
    )
    if not fits:
        available = "; ".join(
            f"{machine.get('CPU', 0):g} CPUs and {machine.get('GPU', 0):g} GPUs" for machine in machines
        )
        enough_cpus = any(machine.get("CPU", 0) >= cluster.task_cpus for machine in machines)
        raise ConfigurationError(
            f"a task asks for {cluster.task_cpus} CPUs and {cluster.task_gpus:g} GPUs, and no machine of the cluster "
            f"has that many (they have {available})",
            option="task_gpus" if enough_cpus else "task_cpus",
        )


def _run_all(
    ray: ModuleType, work: Work[_Job, _Result], job: _Job, videos: Sequence[Video], cluster: Cluster
) -> Iterator[_Result | VideoFailure]:
    # Without CPUs of its own: on a machine with one core it would leave none for the tasks.
    actor = ray.remote(num_cpus=0)(ProgressActor).remote()
    task = ray.remote(_work).options(
        num_cpus=cluster.task_cpus, num_gpus=cluster.task_gpus, max_retries=cluster.retries, name="spot_video"
    )
    job_ref = ray.put(job)  # the spotters are serialized once, not once for each video
    waiting = {
        task.remote(work, job_ref, video, index, actor, cuda=cluster.task_gpus > 0): video
        for index, video in enumerate(videos)
    }
    with _ProgressBar(ray, actor, videos) as bar:
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=_POLL_S)
            for reference in ready:
                yield _result(ray, reference, waiting.pop(reference), cluster)
            bar.update(done=len(videos) - len(waiting))
        bar.update(done=len(videos), within_s=_TIMEOUT_S)


def _result(ray: ModuleType, reference: Any, video: Video, cluster: Cluster) -> Any:
    """Result of a finished task.

    An exception in a task is not retried: it would be raised again. Ray retries the task only after
    its worker died, and raises another ``RayError`` when the last worker has died too.
    """
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, VideoError):
            return VideoFailure(video=video, error=error.cause)
        if isinstance(error.cause, E2ESpotError):
            raise error.cause from None
        return unexpected_failure(video, error.cause or error, str(error))
    except ray.exceptions.RayError as error:
        attempts, name = 1 + cluster.retries, redact(video.url) if video.url else video.path
        return VideoFailure(
            video=video,
            error=VideoError(f"{name}: {attempts} workers died while processing it ({type(error).__name__})"),
        )


class _ProgressBar:
    """One bar for the frames of all videos, and a line for every video that is started again."""

    def __init__(self, ray: ModuleType, actor: Any, videos: Sequence[Video]) -> None:
        self._ray, self._actor, self._videos = ray, actor, videos
        self._bar = tqdm(desc=f"0 of {len(videos)} videos", unit="frame", disable=None)
        self._starts: dict[int, int] = {}

    def __enter__(self) -> _ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, done: int, within_s: float = _POLL_S) -> None:
        """Show the progress of the tasks.

        Args:
            done: Videos that are finished.
            within_s: Seconds to wait for the actor; without an answer the bar stays as it is.
        """
        try:
            totals: Totals = self._ray.get(self._actor.read.remote(), timeout=within_s)
        except self._ray.exceptions.RayError:  # the actor may have died with its machine; the work goes on
            return
        for index, starts in totals.starts.items():
            # The first start is not a retry; later ones are reported once each, at the poll that first sees them.
            if starts > max(1, self._starts.get(index, 1)):
                video = self._videos[index]
                tqdm.write(f"{video.game} ({video.path.name}): its worker died; started again", file=sys.stderr)
        self._starts = totals.starts
        self._bar.total = totals.frames
        self._bar.update(totals.frames_done - self._bar.n)
        self._bar.set_description(f"{done} of {len(self._videos)} videos", refresh=False)
        copying = f"copying {totals.bytes_copied / 1e9:.1f} of {totals.bytes_to_copy / 1e9:.1f} GB"
        self._bar.set_postfix_str(copying if totals.bytes_to_copy else "")


class ProgressActor:
    """Sums the progress of all tasks; a Ray actor that every worker can call."""

    def __init__(self) -> None:
        self._frames: dict[int, tuple[int, int]] = {}
        self._copies: dict[int, tuple[int, int]] = {}
        self._starts: Counter[int] = Counter()

    def start(self, index: int) -> None:
        """Count that a worker starts a video, for the first time or after another worker died."""
        self._starts[index] += 1

    def set_frames(self, index: int, done: int, total: int) -> None:
        """Record the progress of a video."""
        # Set, not added: a video that is started again begins at 0 again.
        self._frames[index] = (done, total)

    def set_copied(self, index: int, done: int, total: int) -> None:
        """Record the progress of the copy of a video; a finished copy is forgotten."""
        if done < total:
            self._copies[index] = (done, total)
        else:
            self._copies.pop(index, None)

    def read(self) -> Totals:
        """Totals of all videos."""
        frames_done, frames = (sum(column) for column in zip((0, 0), *self._frames.values(), strict=True))
        copied, to_copy = (sum(column) for column in zip((0, 0), *self._copies.values(), strict=True))
        return Totals(
            frames_done=frames_done,
            frames=frames,
            bytes_copied=copied,
            bytes_to_copy=to_copy,
            starts=dict(self._starts),
        )


def _work(work: Work[Any, Any], job: Any, video: Video, index: int, actor: Any, *, cuda: bool) -> Any:
    """Body of a task: process one video and report its progress to the actor."""
    import ray

    from e2espot.core.device import reuse_freed_memory

    # Wait until the start is counted. A worker that died before would leave no trace, and its retry would
    # look like a first start.
    with suppress(ray.exceptions.RayError):
        ray.get(actor.start.remote(index), timeout=_TIMEOUT_S)
    reuse_freed_memory()
    if cuda:  # Ray shows each task only its own GPU
        job = job.to("cuda")
    return work(
        job,
        video,
        _throttled(lambda done, total: actor.set_frames.remote(index, done, total)),
        _throttled(lambda done, total: actor.set_copied.remote(index, done, total)),
    )


def _throttled(report: Callable[[int, int], object]) -> Callable[[int, int], None]:
    """``report`` at most once in ``_POLL_S`` seconds, but always at the end."""
    last_s = 0.0

    def throttled(done: int, total: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s > _POLL_S or done == total:
            last_s = now_s
            report(done, total)

    return throttled

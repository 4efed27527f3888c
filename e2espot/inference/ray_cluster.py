"""One task a video on a Ray cluster, a running one or one of this machine's own.

A worker may die, be killed for its memory or lose its machine: its video is done again by another.
What was found comes back here to be written, so only the videos must be readable everywhere.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from e2espot.core.errors import ConfigurationError, E2ESpotError, VideoError
from e2espot.formats.games import Video
from e2espot.inference.job import VideoFailure, VideoResult, Job, predict_video

_POLL_S = 0.5
_ANSWER_S = 10
_OWN_STORE_BYTES = 512 << 20
"""Room for what travels between processes: the spotters, and the scores of a few videos."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where tasks run, and what one of them gets."""

    address: str | None = None
    """Address of a running cluster, or auto for the one of this machine; without it (and without RAY_ADDRESS) one is
    started that ends with the run."""
    task_cpus: int = 1
    """CPU cores a video."""
    task_gpus: float = 0.0
    """GPUs a video; half a one lets two videos share it. 0 computes on the CPU."""
    retries: int = 3
    """How often a video is done again whose worker died."""


def run_on_ray(job: Job, videos: Sequence[Video], cluster: Cluster) -> Iterator[VideoResult | VideoFailure]:
    """Spot videos as their turn comes, whichever ends first; one bar counts the frames of all.

    Raises:
        ConfigurationError: Ray is not installed, no such cluster, or none of its machines is large enough for a task.
    """
    before = signal.getsignal(signal.SIGTERM)
    ray = _connected(cluster)
    try:
        # Ray answers SIGTERM, a scheduler's polite end, with a stack and an abort that leaves its processes behind.
        _on_sigterm(lambda *_: sys.exit(128 + signal.SIGTERM))
        _check_size(ray, cluster)
        yield from _spot_all(ray, job, videos, cluster)
    finally:
        ray.shutdown()
        _on_sigterm(before)


def _on_sigterm(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():  # no other thread may say so
        signal.signal(signal.SIGTERM, handler)


def _connected(cluster: Cluster) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigurationError("--engine ray needs Ray; pip install 'e2espot[ray]'") from None
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    if address:
        _check_reachable(address)
    own: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": _OWN_STORE_BYTES}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        told = str(error).strip().splitlines()[0]
        raise ConfigurationError(f"no Ray cluster at {address or 'this machine'} ({told}); see --ray_address") from None
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself tries an address where nobody answers for a quarter of an hour."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise ConfigurationError(
                f"--ray_address {address}: nobody answers there ({error}); is it running?"
            ) from None


def _check_size(ray: Any, cluster: Cluster) -> None:
    """A task that fits no machine would wait for ever."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = any(
        machine.get("CPU", 0) >= cluster.task_cpus and machine.get("GPU", 0) >= cluster.task_gpus
        for machine in machines
    )
    if not fits:
        largest = "; ".join(
            f"{machine.get('CPU', 0):g} CPUs and {machine.get('GPU', 0):g} GPUs" for machine in machines
        )
        raise ConfigurationError(
            f"--task_cpus {cluster.task_cpus} --task_gpus {cluster.task_gpus:g}: no machine of the cluster has so much "
            f"(they have {largest})"
        )


def _spot_all(ray: Any, job: Job, videos: Sequence[Video], cluster: Cluster) -> Iterator[VideoResult | VideoFailure]:
    tally = ray.remote(num_cpus=0)(ProgressActor).remote()
    task = ray.remote(_work).options(
        num_cpus=cluster.task_cpus, num_gpus=cluster.task_gpus, max_retries=cluster.retries, name="spot_video"
    )
    sent = ray.put(job)
    waiting = {
        task.remote(sent, video, number, tally, cuda=cluster.task_gpus > 0): video
        for number, video in enumerate(videos)
    }
    with _ProgressBar(ray, tally, videos) as shown:
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=_POLL_S)
            for reference in ready:
                yield _result(ray, reference, waiting.pop(reference), cluster)
            shown.update(done=len(videos) - len(waiting))
        shown.update(done=len(videos), within_s=_ANSWER_S)


def _result(ray: Any, reference: Any, video: Video, cluster: Cluster) -> VideoResult | VideoFailure:
    try:
        found: VideoResult = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, VideoError):
            return VideoFailure(video=video, error=error.cause)
        if isinstance(error.cause, E2ESpotError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        what = type(error).__name__
        return VideoFailure(
            video=video,
            error=VideoError(f"{video.url or video.path}: {1 + cluster.retries} workers died over it ({what})"),
        )
    return found


class _ProgressBar:
    """The bar of all frames, and a line for every video that is begun again."""

    def __init__(self, ray: Any, tally: Any, videos: Sequence[Video]) -> None:
        self._ray, self._tally, self._videos = ray, tally, videos
        self._bar = tqdm(desc=f"0 of {len(videos)} videos", unit="frame", disable=None)
        self._begun: dict[int, int] = {}

    def __enter__(self) -> _ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, done: int, within_s: float = _POLL_S) -> None:
        """Show how far the tasks are; ``done`` videos are finished."""
        try:
            frames, total, begun = self._ray.get(self._tally.read.remote(), timeout=within_s)
        except self._ray.exceptions.RayError:  # who counts may have died with its machine; the work goes on
            return
        for number, times in begun.items():
            if times > max(1, self._begun.get(number, 1)):
                video = self._videos[number]
                tqdm.write(f"{video.game} ({video.path.name}): its worker died; begun again", file=sys.stderr)
        self._begun = begun
        self._bar.total = total
        self._bar.update(frames - self._bar.n)
        self._bar.set_description(f"{done} of {len(self._videos)} videos")


class ProgressActor:
    """Counts frames where all tasks can reach it."""

    def __init__(self) -> None:
        self._frames: dict[int, tuple[int, int]] = {}
        self._begun: Counter[int] = Counter()

    def begin(self, number: int) -> None:
        """A worker takes up a video, perhaps after another one died over it."""
        self._begun[number] += 1

    def note(self, number: int, done: int, total: int) -> None:
        """A video is so far."""
        self._frames[number] = (done, total)

    def read(self) -> tuple[int, int, dict[int, int]]:
        """Frames done, frames in all of the videos begun, and how often each was begun."""
        done, total = (sum(column) for column in zip((0, 0), *self._frames.values(), strict=True))
        return done, total, dict(self._begun)


def _work(job: Job, video: Video, number: int, tally: Any, *, cuda: bool) -> VideoResult:
    """What a worker does."""
    import ray

    from e2espot.core.device import keep_freed_memory

    with suppress(ray.exceptions.RayError):  # heard before the work begins, so that a death in it is counted
        ray.get(tally.begin.remote(number), timeout=_ANSWER_S)
    keep_freed_memory()
    if cuda:
        job = replace(job, spotters=tuple(spotter.to("cuda") for spotter in job.spotters))
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _POLL_S or done == total:
            last = now
            tally.note.remote(number, done, total)

    return predict_video(job, video, show)

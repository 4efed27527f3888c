"""Options of commands that go through many games: which part of them, on which machines, and where copies are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    from e2espot.inference.ray_cluster import Cluster
    from e2espot.sources.remote import VideoCache


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """How the work on many games is shared out."""

    shard: str = "1/1"
    """Process only this part of the games, such as 2/8: for job arrays with one part per job."""
    ray_address: str | None = None
    """Address of a running Ray cluster, or auto for that of this machine; by default the command starts one."""
    task_cpus: int = 1
    """CPU cores per task on Ray."""
    task_gpus: float = 0.0
    """GPUs per task on Ray: 1, or 0.5 for two tasks per GPU; with 0 tasks compute on the CPU."""
    cache: Path | None = None
    """Folder for copies of videos from object stores; by default ~/.cache/e2espot/videos."""
    cache_gb: float = 50.0
    """Largest total size of these copies in GB; the least recently used are deleted first."""

    def check(self) -> None:
        """Refuse values that are out of range.

        Raises:
            ConfigurationError: resources of a task, or the size of the cache.
        """
        if self.task_cpus < 1 or not 0 <= self.task_gpus < 1000:
            raise ConfigurationError(
                f"--task_cpus {self.task_cpus} --task_gpus {self.task_gpus}: give at least 1 CPU, and 0 GPUs or more"
            )
        if not 0 < self.cache_gb < 1e9:
            raise ConfigurationError(f"--cache_gb is {self.cache_gb}; give a number of gigabytes above 0")

    def cluster(self) -> Cluster:
        """The Ray cluster that is named, and the resources of each task."""
        from e2espot.inference.ray_cluster import Cluster

        return Cluster(address=self.ray_address, task_cpus=self.task_cpus, task_gpus=self.task_gpus)

    def video_cache(self) -> VideoCache:
        """Copies of videos from object stores."""
        from e2espot.sources.remote import VideoCache, default_cache_dir

        return VideoCache(folder=self.cache or default_cache_dir(), limit_bytes=int(self.cache_gb * 1e9))

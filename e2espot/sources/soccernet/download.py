"""Completes a dataset folder, in as many runs as it takes; complete files are not touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.files.lock import ProcessLock
from e2espot.formats.filenames import SPLITS_FILE
from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.catalog import Source, list_remote_paths
from e2espot.sources.soccernet.fetch import UNPACKING, Fetcher, ProgressCallbacks
from e2espot.sources.soccernet.manifest import FOLDER, Manifest
from e2espot.sources.soccernet.partial_file import RetryPolicy, new_session
from e2espot.sources.soccernet.tasks import Task, files_of, games_of


@dataclass(frozen=True, kw_only=True)
class DownloadRequest:
    """Which files to download."""

    task: Task
    """The task."""
    splits: tuple[str, ...]
    """Any of train, valid, test, challenge."""
    resolutions: tuple[str, ...] = ("224p",)
    """Any of 224p, 720p; of ``v2-features`` the names of features."""
    labels_only: bool = False
    """Whether to leave out the videos."""
    source: Source = "huggingface"
    """The server."""

    def file_names(self, split: str) -> tuple[str, ...]:
        """File names of one game of a split."""
        return files_of(self.task, split, self.resolutions, labels_only=self.labels_only)

    def files(self, split: str) -> list[str]:
        """All files of a split, ``league/season/game/file``."""
        return [f"{game}/{name}" for game in games_of(self.task, split) for name in self.file_names(split)]


def download(
    root: Path,
    request: DownloadRequest,
    password: Callable[[], bytes],
    progress: ProgressCallbacks | None = None,
    retry_policy: RetryPolicy | None = None,
) -> list[str]:
    """Download and verify the files of a request that are missing.

    Nothing is sent over the network if no file is missing.

    Args:
        root: The dataset folder; created if needed.
        request: Which files.
        password: Returns the NDA password; called only when a server or an archive asks for one.
        progress: Progress reports; silent without it.
        retry_policy: When to repeat requests; the default policy without it.

    Returns:
        Names of the files that the server does not have.

    Raises:
        DownloadError: A server or an archive cannot be used, the disk is full, or a file is in the way. Complete
            files stay, and the bytes received of others wait below ``.download`` for the next run.
        ConfigurationError: The folder holds another task, or another download is running in it.
    """
    progress, retry_policy = progress or ProgressCallbacks(), retry_policy or RetryPolicy()
    task = request.task
    if task.folder == "v2":
        _refuse_ball_games(root)
    with _lock(root):
        manifest = Manifest(root, task.folder)
        for split in request.splits:
            names = request.files(split)
            if all(manifest.is_complete(name) for name in names):
                progress.message(f"{task.name} {split}: complete, nothing to download")
                continue
            _download_split(request, split, manifest, password, progress, retry_policy)
            num_complete = sum(manifest.is_complete(name) for name in names)
            progress.message(f"{task.name} {split}: {num_complete} of {len(names)} files complete")
        if task.folder == "v2":
            write_splits(root, {split: games_of(task, split) for split in request.splits})
        return [name for split in request.splits for name in request.files(split) if not manifest.is_complete(name)]


def _download_split(
    request: DownloadRequest,
    split: str,
    manifest: Manifest,
    password: Callable[[], bytes],
    progress: ProgressCallbacks,
    retry_policy: RetryPolicy,
) -> None:
    file_names = request.file_names(split)
    missing = {name for name in request.files(split) if not manifest.is_complete(name)}
    with new_session() as session:
        fetcher = Fetcher(
            root=manifest.root,
            manifest=manifest,
            session=session,
            password=password,
            progress=progress,
            retry_policy=retry_policy,
        )
        sources = list_remote_paths(request.task, split, file_names, request.source, retry_policy)
        if request.task.zipped:
            for archive in sources:
                fetcher.fetch_archive(archive, file_names)
        else:
            fetcher.fetch_files([source for source in sources if source.name in missing])


def _refuse_ball_games(root: Path) -> None:
    """v2 needs a ``splits.json``, which would take precedence over SoccerNet's own lists of ball games."""
    if any((root / game).is_dir() for games in BALL_SPLITS.values() for game in games):
        raise ConfigurationError(f"{root} holds ball games; give v2 a folder of its own")


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Keep other downloads out of the folder."""
    with ProcessLock(root / FOLDER / "lock", f"{root}: another download is running here; wait until it ends"):
        (root / FOLDER / UNPACKING).unlink(missing_ok=True)  # left by a run that was killed
        yield


def write_splits(root: Path, splits: dict[str, Sequence[str]]) -> None:
    """Write the games that exist into ``splits.json``.

    Args:
        root: The dataset folder.
        splits: Split -> games. A list on disk that has other games was written by the user and stays.

    Raises:
        AnnotationError: The existing file cannot be read.
    """
    path = root / SPLITS_FILE
    try:
        lists: Any = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not readable JSON ({error}); fix it or move it away") from None
    if not isinstance(lists, dict) or not all(isinstance(lists.get(split, []), list) for split in splits):
        raise AnnotationError(f"{path}: it must be an object with one list per split; fix it or move it away")
    for split, games in splits.items():
        if all(game in games for game in lists.get(split, ())):
            lists[split] = [game for game in games if (root / game).is_dir()]
    write_atomically(path, json.dumps(lists, indent=1, ensure_ascii=False).encode())

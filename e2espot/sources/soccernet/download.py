"""From an empty folder to complete games, in as many runs as it takes; what is there already is not touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2espot.core.errors import AnnotationError, ConfigurationError
from e2espot.files.atomic import write_atomically
from e2espot.formats.splits import BALL_SPLITS
from e2espot.sources.soccernet.catalog import Source, addresses_of
from e2espot.sources.soccernet.fetch import UNPACKING, Delivery, Telling
from e2espot.sources.soccernet.manifest import FOLDER, Record
from e2espot.sources.soccernet.partial_file import new_session
from e2espot.sources.soccernet.tasks import Task, files_of, games_of


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to have complete at the end."""

    task: Task
    """The task."""
    splits: tuple[str, ...]
    """train, valid, test, challenge."""
    resolutions: tuple[str, ...] = ("224p",)
    """224p, 720p."""
    labels_only: bool = False
    """No videos."""
    source: Source = "huggingface"
    """Which server."""

    def file_names(self, split: str) -> tuple[str, ...]:
        """Files of one game."""
        return files_of(self.task, split, self.resolutions, labels_only=self.labels_only)

    def files(self, split: str) -> list[str]:
        """Files of a split, ``league/season/game/file``."""
        return [f"{game}/{name}" for game in games_of(self.task, split) for name in self.file_names(split)]


def download(root: Path, wish: Wish, password: Callable[[], bytes], telling: Telling | None = None) -> list[str]:
    """Fetch, test and put in place what is missing; returns what is missing still.

    Nothing goes over the network when nothing is missing.

    Args:
        root: The dataset folder; made where there is none.
        wish: What to have.
        password: Gives the NDA password; called only when a server or an archive wants it.
        telling: Who to tell.

    Raises:
        DownloadError: a server or an archive that cannot be used, a full disk, a file in the way. Complete files
            stay, and what has come of others waits below ``.download`` for the next run.
        ConfigurationError: the folder holds another task, or another download runs in it.
    """
    telling = telling or Telling()
    if wish.task.name == "v2":
        _refuse_ball(root)
    with _alone(root):
        record = Record(root, wish.task.name)
        for split in wish.splits:
            wanted = wish.files(split)
            lacking = [name for name in wanted if not record.holds(name)]
            if not lacking:
                telling.say(f"{wish.task.name} {split}: complete, nothing to fetch")
                continue
            with new_session() as session:
                delivery = Delivery(root=root, record=record, session=session, password=password, telling=telling)
                addresses = addresses_of(wish.task, split, wish.file_names(split), wish.source, telling.patience)
                if wish.task.zipped:
                    for address in addresses:
                        delivery.bring_archive(address, wish.file_names(split))
                else:
                    delivery.bring_files([address for address in addresses if address.name in set(lacking)])
            num_missing = sum(not record.holds(name) for name in wanted)
            telling.say(f"{wish.task.name} {split}: {len(wanted) - num_missing} of {len(wanted)} files complete")
        if wish.task.name == "v2":
            write_splits(root, {split: games_of(wish.task, split) for split in wish.splits})
        return [name for split in wish.splits for name in wish.files(split) if not record.holds(name)]


def _refuse_ball(root: Path) -> None:
    """The games of v2 need a ``splits.json``, which would hide SoccerNet's own lists of ball games."""
    if any((root / game).is_dir() for games in BALL_SPLITS.values() for game in games):
        raise ConfigurationError(f"{root} holds ball games; give v2 a folder of its own")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep a second download out of the folder."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    with (root / FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(f"{root}: another download is at work here; wait for its end") from None
        (root / FOLDER / UNPACKING).unlink(missing_ok=True)  # of a run that was killed
        yield


def write_splits(root: Path, splits: dict[str, Sequence[str]]) -> None:
    """Write the games that are here into ``splits.json``; a list with other games is the user's and stays.

    Raises:
        AnnotationError: what is there cannot be read.
    """
    path = root / "splits.json"
    try:
        known: Any = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not readable JSON ({error}); mend it or move it away") from None
    if not isinstance(known, dict) or not all(isinstance(known.get(split, []), list) for split in splits):
        raise AnnotationError(f"{path}: it must be an object of lists, one a split; mend it or move it away")
    for split, games in splits.items():
        if all(game in games for game in known.get(split, ())):
            known[split] = [game for game in games if (root / game).is_dir()]
    write_atomically(path, json.dumps(known, indent=1, ensure_ascii=False).encode())

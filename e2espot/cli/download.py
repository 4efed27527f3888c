"""Fetch SoccerNet's games: e2espot download ROOT --task ball-2025 --split train valid."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from e2espot.core.errors import ConfigurationError, DownloadError

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass(frozen=True, kw_only=True)
class Download:
    """Fetch SoccerNet's games; run it again to go on, or to add a split or a resolution.

    The NDA password is asked for when a server or an archive wants it, or taken from SOCCERNET_PASSWORD.
    """

    root: tyro.conf.Positional[Path]
    """Dataset folder."""
    task: Literal["ball-2023", "ball-2024", "ball-2025", "v2"]
    """Which of SoccerNet's datasets: a folder holds one."""
    split: tuple[Literal["train", "valid", "val", "test", "challenge"], ...] = ("train", "valid", "test", "challenge")
    """Which games; all without it."""
    resolution: tuple[Literal["224p", "720p"], ...] = ("224p",)
    """Which videos; of an archive that holds both, only these are fetched."""
    labels_only: bool = False
    """Only labels, no videos."""
    source: Literal["huggingface", "owncloud"] = "huggingface"
    """The server: ball-2023 and v2 need an approved account on the hub, or the NDA password on the older ownCloud."""


@lru_cache(maxsize=1)
def _password() -> bytes:
    """The NDA password; it is never printed, stored or part of an error."""
    import getpass

    given = os.environ.get("SOCCERNET_PASSWORD", "")
    if not given and sys.stdin.isatty():
        given = getpass.getpass("SoccerNet NDA password: ")
    if not given:
        raise ConfigurationError(
            "the NDA password is needed: put it into the environment as SOCCERNET_PASSWORD, or run this in a terminal "
            "to be asked (it comes with the NDA form on soccer-net.org)"
        )
    return given.encode()


class _Bar:
    """One progress bar a file."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def expect(self, name: str, count: int) -> None:
        """Begin with a file."""
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(total=count, unit="B", unit_scale=True, desc=name, leave=False, disable=None)

    def advance(self, count: int) -> None:
        """Show bytes that came."""
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()


def main(arguments: list[str]) -> None:
    """Fetch, then say what is missing."""
    args = tyro.cli(Download, args=arguments, prog="e2espot download")
    from e2espot.sources.soccernet.download import Wish, download
    from e2espot.sources.soccernet.fetch import Telling
    from e2espot.sources.soccernet.tasks import TASKS, split_named

    if not args.split or not (args.resolution or args.labels_only):
        raise ConfigurationError("--split and --resolution need a word each, or leave them away")
    wish = Wish(
        task=TASKS[args.task],
        splits=tuple(dict.fromkeys(split_named(split) for split in args.split)),
        resolutions=tuple(dict.fromkeys(args.resolution)),
        labels_only=args.labels_only,
        source=args.source,
    )
    bar = _Bar()

    def password() -> bytes:
        bar.close()
        return _password()

    try:
        missing = download(args.root, wish, password, Telling(say=print, expect=bar.expect, advance=bar.advance))
    finally:
        bar.close()
    for name in missing:
        print(f"missing: {name}")
    if missing:
        raise DownloadError(f"{len(missing)} files are missing, listed above: the server does not hold them")
    print(f"{args.root}: {', '.join(wish.splits)} of {args.task} complete")

"""Download SoccerNet's games: e2espot download ROOT --task ball-2025 --split train valid."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from e2espot.cli.parsing import parse
from e2espot.core.errors import ConfigurationError, DownloadError
from e2espot.core.wording import counted

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass(frozen=True, kw_only=True)
class Download:
    """Download SoccerNet's games; run it again to continue, or to add a split or a resolution.

    The NDA password is taken from SOCCERNET_PASSWORD, or asked for when a server or an archive needs it.

    Example: e2espot download DATA --task ball-2024 --split train valid
    """

    root: tyro.conf.Positional[Path]
    """Dataset folder."""
    task: Literal["ball-2023", "ball-2024", "ball-2025", "v2", "v2-features"]
    """SoccerNet's task; a folder holds the games of one task, or videos and features of v2. v2-features is public:
    labels and features of all games, without a password."""
    split: tuple[Literal["train", "valid", "val", "test", "challenge"], ...] = ("train", "valid", "test", "challenge")
    """Splits to download; by default all."""
    resolution: tuple[Literal["224p", "720p"], ...] = ("224p",)
    """Sizes of the videos to download."""
    features: tuple[str, ...] = ("ResNET_TF2_PCA512",)
    """Features to download with v2-features: ResNET_TF2_PCA512 (11 MB a half), ResNET_TF2 (45 MB),
    baidu_soccer_embeddings (95 MB); others such as ResNET_5fps_TF2 are on ownCloud only."""
    labels_only: bool = False
    """Download labels only, no videos."""
    source: Literal["huggingface", "owncloud"] = "huggingface"
    """Server; ball-2023 and v2 need an account with access on Hugging Face, or the NDA password on ownCloud."""


@lru_cache(maxsize=1)
def _password() -> bytes:
    """The NDA password; it is never printed, stored or part of an error message."""
    import getpass

    password = os.environ.get("SOCCERNET_PASSWORD", "")
    if not password and sys.stdin.isatty():
        password = getpass.getpass("SoccerNet NDA password: ")
    if not password:
        raise ConfigurationError(
            "the NDA password is needed: set the environment variable SOCCERNET_PASSWORD, or run this in a terminal "
            "to be asked for it (it comes with the NDA form on soccer-net.org)"
        )
    return password.encode()


class _ProgressBar:
    """One progress bar at a time, for the file that is being downloaded."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def start(self, name: str, num_bytes: int) -> None:
        """Begin with a file."""
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(total=num_bytes, unit="B", unit_scale=True, desc=name, leave=False, disable=None)

    def advance(self, num_bytes: int) -> None:
        """Show received bytes."""
        if self._bar is not None:
            self._bar.update(num_bytes)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def main(arguments: list[str]) -> None:
    """Download, then list what the server does not have."""
    args = parse(Download, arguments, "e2espot download")
    from e2espot.formats.feature_files import KNOWN_FEATURES
    from e2espot.formats.splits import canonical_split
    from e2espot.sources.soccernet.download import DownloadRequest, download
    from e2espot.sources.soccernet.fetch import ProgressCallbacks
    from e2espot.sources.soccernet.tasks import TASKS

    if not args.split or not (args.resolution or args.labels_only):
        raise ConfigurationError(
            "--split and --resolution need at least one value each; leave them out for the default"
        )
    of_features = args.task == "v2-features"
    unknown = [name for name in args.features if name not in KNOWN_FEATURES]
    if of_features and (unknown or not args.features):
        raise ConfigurationError(
            f"features are {', '.join(map(repr, unknown)) or 'not named'}; choose from {', '.join(KNOWN_FEATURES)}",
            option="features",
        )
    request = DownloadRequest(
        task=TASKS[args.task],
        splits=tuple(dict.fromkeys(canonical_split(split) for split in args.split)),
        resolutions=tuple(dict.fromkeys(args.features if of_features else args.resolution)),
        labels_only=args.labels_only,
        source=args.source,
    )
    bar = _ProgressBar()

    def password() -> bytes:
        bar.close()  # it would redraw itself over the prompt
        return _password()

    try:
        progress = ProgressCallbacks(message=print, start=bar.start, advance=bar.advance)
        missing = download(args.root, request, password, progress)
    finally:
        bar.close()
    for name in missing:
        print(f"missing: {name}")
    if missing:
        raise DownloadError(f"{counted(len(missing), 'file')} missing, listed above: the server does not have them")
    print(f"{args.root}: {', '.join(request.splits)} of {args.task} complete")

"""Asks the SoccerNet package what it would download, without letting it download anything.

The package is the only complete list of addresses. Its own transport does not resume downloads from
ownCloud, checks no sizes, and reports each download to an analytics service. So its download functions
run here with both transports replaced by recorders.

They run in a private copy of the module ``SoccerNet.Downloader`` that is not in ``sys.modules``. Nothing
of the module that other code imports is changed, not even for a moment.
"""

from __future__ import annotations

import importlib.util
import io
import re
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from e2espot.core.errors import ConfigurationError
from e2espot.sources.soccernet.tasks import Task

NDA_PLACEHOLDER = "\N{BULLET}"
"""Passed to the package as the NDA password; the real one never reaches it."""


@dataclass(frozen=True, kw_only=True)
class HubRequest:
    """A snapshot of a Hugging Face dataset that the package would download."""

    repo: str
    """Dataset, such as ``SoccerNet/SN-BAS-2025``."""
    revision: str
    """Branch."""
    patterns: tuple[str, ...]
    """Shell patterns of the files wanted."""


@dataclass(frozen=True, kw_only=True)
class OwnCloudRequest:
    """A file that the package would download from ownCloud."""

    name: str
    """Path below the dataset folder."""
    url: str
    """Address."""
    user: str
    """Token of the share, which ownCloud takes as the user name."""
    password: str
    """Password of the share, or ``NDA_PLACEHOLDER``."""


@dataclass(eq=False)
class RecordedRequests:
    """Replaces the package's two transports and records their calls."""

    folder: Path
    """Folder that the package believes it downloads to."""
    hub: list[HubRequest] = field(default_factory=list)
    """Calls of ``snapshot_download``, in order."""
    owncloud: list[OwnCloudRequest] = field(default_factory=list)
    """Calls of ``downloadFile``, in order."""

    def snapshot_download(self, repo_id: str, *, revision: str, allow_patterns: Sequence[str], **_: Any) -> None:
        """Record a call in place of ``huggingface_hub.snapshot_download``."""
        self.hub.append(HubRequest(repo=repo_id, revision=revision, patterns=tuple(allow_patterns)))

    def download_file(
        self, path_local: str, path_owncloud: str, user: Any = None, password: Any = None, **_: Any
    ) -> int:
        """Record a call in place of ``SoccerNetDownloader.downloadFile``; returns 0, which means success."""
        name = Path(path_local).relative_to(self.folder).as_posix()
        self.owncloud.append(OwnCloudRequest(name=name, url=path_owncloud, user=str(user), password=str(password)))
        return 0


def record_requests(
    task: Task, split: str, files: Sequence[str], *, source: Literal["huggingface", "owncloud"], owncloud_server: str
) -> RecordedRequests:
    """Record what the package would download for one split.

    Args:
        task: The task.
        split: train, valid, test or challenge.
        files: File names of a game; used only for tasks without archives.
        source: The Hugging Face hub, or ownCloud.
        owncloud_server: Address of the ownCloud server.

    Raises:
        ConfigurationError: The package is missing or of an unknown version.
    """
    package_source = {"huggingface": "HuggingFace", "owncloud": "EXRCSDrive"}[source]
    package = _private_copy()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        requests = RecordedRequests(Path(folder))
        package.snapshot_download = requests.snapshot_download  # type: ignore[attr-defined]
        downloader = package.SoccerNetDownloader(folder, OwnCloudServer=owncloud_server)
        downloader.downloadFile = requests.download_file
        downloader.password = NDA_PLACEHOLDER
        # The package iterates over the split, so a string would be read letter by letter.
        if task.zipped:
            password = {"password": NDA_PLACEHOLDER} if task.name == "ball-2023" else {}
            downloader.downloadDataTask(
                task=task.package_name, split=[split], source=package_source, verbose=False, **password
            )
        else:
            downloader.downloadGames(
                files=list(files), split=[split], task="spotting", source=package_source, verbose=False
            )
    return requests


def _private_copy() -> ModuleType:
    """A new module object of ``SoccerNet.Downloader`` that no other code can import."""
    try:
        spec = importlib.util.find_spec("SoccerNet.Downloader")
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError("No module named 'SoccerNet'", name="SoccerNet")
        package = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)
    except ImportError as error:
        raise ConfigurationError(
            f'downloading needs the SoccerNet package (missing: {error.name}); pip install "e2espot[soccernet]"'
        ) from None
    installed = version("SoccerNet")
    if tuple(map(int, re.findall(r"\d+", installed)[:2])) < (0, 2) or not hasattr(package, "snapshot_download"):
        raise ConfigurationError(
            f'SoccerNet {installed} does not know where the files are as 0.2 does; pip install "SoccerNet>=0.2"'
        )
    return package

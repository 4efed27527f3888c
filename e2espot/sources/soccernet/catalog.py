"""Where SoccerNet keeps what: asked of the SoccerNet package, which is never let near the network.

The package knows every address. Its own transport resumes nothing on one road, keeps no promise
about sizes on either, and reports each download to an analytics service. So its calls are made
here with both roads blocked, what they ask for is written down, and :mod:`transfer` fetches it.
"""

from __future__ import annotations

import io
import logging
import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from fnmatch import fnmatchcase as fnmatch
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from e2espot.core.errors import ConfigurationError, DownloadError
from e2espot.sources.soccernet.partial_file import Patience, Remote
from e2espot.sources.soccernet.tasks import Task

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests")
Source = Literal["huggingface", "owncloud"]
_OWNCLOUD = "https://exrcsdrive.kaust.edu.sa/public.php/webdav/"
_NDA = "\N{BULLET}"
"""Stands for the NDA password in what the package is told; the real one is filled in when it is needed."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A file on a server."""

    name: str
    """Path below the dataset: ``train.zip``, or ``league/season/game/1_224p.mkv``."""
    remote: Remote
    """Where it is."""
    needs_password: bool = False
    """Whether the NDA password must be filled in as the login's."""


def addresses_of(task: Task, split: str, files: Sequence[str], source: Source, patience: Patience) -> list[Address]:
    """What the package would fetch for one split.

    Args:
        task: The task.
        split: train, valid, test or challenge.
        files: Names of a game's files; of use only where files come one by one.
        source: The Hugging Face hub, or KAUST's older ownCloud.
        patience: How long to bear with the hub.

    Raises:
        ConfigurationError: no usable SoccerNet package, or this source does not have this task.
        DownloadError: the hub cannot be asked, or refuses.
    """
    asked = _ask_package(task, split, files, source)
    if not asked:
        raise ConfigurationError(f"{task.name} is not on {source}; choose the other --source")
    if source == "owncloud":
        return [_on_owncloud(task, request) for request in asked]
    return [address for request in asked for address in _on_hub(**request, patience=patience)]


def _package() -> ModuleType:
    try:
        import SoccerNet.Downloader
    except ImportError as error:
        raise ConfigurationError(
            f"downloading needs the SoccerNet package (missing: {error.name}); pip install 'e2espot[soccernet]'"
        ) from None
    module: ModuleType = SoccerNet.Downloader
    installed = version("SoccerNet")
    if tuple(map(int, re.findall(r"\d+", installed)[:2])) < (0, 2) or not hasattr(module, "snapshot_download"):
        raise ConfigurationError(
            f"SoccerNet {installed} does not tell where the files are as 0.2 does; pip install 'SoccerNet>=0.2'"
        )
    return module


def _ask_package(task: Task, split: str, files: Sequence[str], source: Source) -> list[dict[str, Any]]:
    """Requests the package would make, in its order."""
    package = _package()
    asked: list[dict[str, Any]] = []

    class Recorder(package.SoccerNetDownloader):  # type: ignore[misc, name-defined]
        def downloadFile(self, path_local: str, path_owncloud: str, user: Any = None, **more: Any) -> int:  # noqa: N802
            name = Path(path_local).relative_to(self.LocalDirectory).as_posix()
            asked.append({"name": name, "url": path_owncloud, "user": user, "password": more.get("password")})
            return 0

    road = {"huggingface": "HuggingFace", "owncloud": "EXRCSDrive"}[source]
    silence = redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory() as nowhere, _recorded(package, asked), warnings.catch_warnings(), silence:
        warnings.simplefilter("ignore")
        downloader = Recorder(nowhere, OwnCloudServer=os.environ.get("E2ESPOT_OWNCLOUD", _OWNCLOUD))
        downloader.password = _NDA
        # A split is always given as a list: the package iterates over a string letter by letter.
        if task.zipped:
            secret = {"password": _NDA} if task.name == "ball-2023" else {}
            downloader.downloadDataTask(task=task.package_name, split=[split], source=road, verbose=False, **secret)
        else:
            downloader.downloadGames(files=list(files), split=[split], task="spotting", source=road, verbose=False)
    for request in asked:
        if source == "owncloud" and task.zipped:
            request["name"] = Path(request["name"]).name
    return asked


@contextmanager
def _recorded(package: Any, asked: list[dict[str, Any]]) -> Iterator[None]:
    """Let the package's road to the hub write down what it is asked for."""

    def record(repo_id: str, *, revision: str, allow_patterns: list[str], **_: Any) -> None:
        asked.append({"repo": repo_id, "revision": revision, "patterns": allow_patterns})

    real = package.snapshot_download
    package.snapshot_download = record
    try:
        yield
    finally:
        package.snapshot_download = real


def _on_owncloud(task: Task, request: dict[str, Any]) -> Address:
    needs_password = request["password"] == _NDA
    remedy = (
        "check the NDA password" if needs_password else "the share may have closed; try --source huggingface instead"
    )
    return Address(
        name=request["name"],
        remote=Remote(
            url=request["url"],
            name=request["name"],
            login=(str(request["user"]).encode(), b"" if needs_password else str(request["password"]).encode()),
            if_refused=remedy,
        ),
        needs_password=needs_password,
    )


def _on_hub(repo: str, revision: str, patterns: Sequence[str], patience: Patience) -> list[Address]:
    """Files of a dataset on the hub that match, at the commit its branch is at now."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the library is imported
    for library in _HTTP_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)  # they log every request
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.hf_api import RepoFile

    api = HfApi()
    remedy = (
        f"ask for access at {api.endpoint}/datasets/{repo} and log in with `hf auth login` or HF_TOKEN"
        f"{'' if repo.endswith(('2024', '2025')) else '; or take --source owncloud, which wants the NDA password'}"
    )

    def listing() -> tuple[str | None, list[RepoFile]]:
        commit = api.repo_info(repo, repo_type="dataset", revision=revision).sha
        tree = api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True)
        return commit, [entry for entry in tree if isinstance(entry, RepoFile)]

    commit, entries = _patiently(listing, repo, remedy, patience)
    found = [entry for entry in entries if any(fnmatch(entry.path, pattern) for pattern in patterns)]
    return [
        Address(
            name=entry.path,
            remote=Remote(
                url=f"{api.endpoint}/datasets/{repo}/resolve/{commit}/{quote(entry.path)}",
                name=entry.path,
                token=get_token(),
                size=entry.size,
                sha256=entry.lfs.sha256 if entry.lfs is not None else None,
                if_refused=remedy,
            ),
        )
        for entry in found
    ]


def _patiently(listing: Callable[[], _T], repo: str, remedy: str, patience: Patience) -> _T:
    """What the hub answers, tried again where a fault may pass."""
    for vain in range(1, patience.tries + 1):
        try:
            return listing()
        except Exception as error:
            what, may_pass = _fault(error, remedy)
            if not may_pass or vain == patience.tries:
                times = f", {vain} times in a row; check the connection, run this again later" if may_pass else ""
                raise DownloadError(f"{repo}: {what}{times}") from None
            pause_s = min(60.0, patience.wait_s * 2 ** (vain - 1))
            _LOG.info("%s: %s; trying again in %.0f s", repo, what, pause_s)
            time.sleep(pause_s)
    raise AssertionError("no tries")


def _fault(error: Exception, remedy: str) -> tuple[str, bool]:
    """What an error of the hub's library means, and whether it may pass; others are raised again."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    outdated = "the SoccerNet package may be outdated"
    if isinstance(error, RevisionNotFoundError):
        return f"its branch is gone; {outdated}", False
    if isinstance(error, RepositoryNotFoundError):  # the hub also says so of a private one, to whom may not see it
        return f"not on the hub, or not for you; {remedy}", False
    if isinstance(error, HfHubHTTPError):
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status in (401, 403):
            return f"the hub refused it ({status}); {remedy}", False
        may_pass = status >= 500 or status in (408, 429)
        return f"the hub answered {status}" + ("" if may_pass else f"; {outdated}"), may_pass
    # Its HTTP library differs from version to version, and so do its errors.
    if type(error).__module__.split(".")[0] in _HTTP_LIBRARIES or isinstance(error, OSError):
        return "the hub cannot be reached", True
    if isinstance(error, (KeyError, TypeError, ValueError)):
        return f"the hub's answer is not understood ({type(error).__name__})", False
    raise error

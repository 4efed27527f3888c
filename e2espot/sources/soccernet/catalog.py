"""Lists SoccerNet's files on the servers: the SoccerNet package names the repositories, the hub their files.

A repository is a branch of a Hugging Face dataset or a share of KAUST's older ownCloud; see
:mod:`soccernet_package`. Files of the hub are listed with size and SHA-256 at the commit the branch is
at now. :mod:`partial_file` downloads them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

from e2espot.core.errors import ConfigurationError, DownloadError
from e2espot.sources.soccernet.partial_file import RemoteFile, RetryPolicy
from e2espot.sources.soccernet.soccernet_package import (
    NDA_PLACEHOLDER,
    HubRequest,
    OwnCloudRequest,
    record_requests,
)
from e2espot.sources.soccernet.tasks import Task

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests")
"""Libraries that versions of huggingface_hub use for HTTP."""
Source = Literal["huggingface", "owncloud"]
_OWNCLOUD = "https://exrcsdrive.kaust.edu.sa/public.php/webdav/"


@dataclass(frozen=True, kw_only=True)
class RemotePath:
    """A file of a dataset on a server."""

    name: str
    """Path below the dataset folder: ``train.zip``, or ``league/season/game/1_224p.mkv``."""
    remote: RemoteFile
    """Its address and how to access it."""
    needs_password: bool = False
    """Whether the NDA password must be filled in as the password of the login."""


def list_remote_paths(
    task: Task, split: str, files: Sequence[str], source: Source, retry_policy: RetryPolicy
) -> list[RemotePath]:
    """List the files of one split on a server.

    Args:
        task: The task.
        split: train, valid, test or challenge.
        files: File names of a game; used only for tasks without archives.
        source: The Hugging Face hub, or KAUST's older ownCloud.
        retry_policy: When to repeat requests to the hub.

    Raises:
        ConfigurationError: There is no usable SoccerNet package, or this source does not have the task.
        DownloadError: The hub cannot be reached, or refuses.
    """
    server = os.environ.get("E2ESPOT_OWNCLOUD", _OWNCLOUD)
    requests = record_requests(task, split, files, source=source, owncloud_server=server)
    if not requests.hub and not requests.owncloud:
        raise ConfigurationError(f"{task.name} is not on {source}; choose the other source", option="source")
    return [
        *(_owncloud_path(task, request) for request in requests.owncloud),
        *(path for request in requests.hub for path in _list_hub(request, retry_policy)),
    ]


def _owncloud_path(task: Task, request: OwnCloudRequest) -> RemotePath:
    needs_password = request.password == NDA_PLACEHOLDER
    name = Path(request.name).name if task.zipped else request.name
    return RemotePath(
        name=name,
        remote=RemoteFile(
            url=request.url,
            name=name,
            login=(request.user.encode(), b"" if needs_password else request.password.encode()),
            if_refused=(
                "check the NDA password" if needs_password else "the share may be closed; use the hub as the source"
            ),
        ),
        needs_password=needs_password,
    )


def _list_hub(request: HubRequest, retry_policy: RetryPolicy) -> list[RemotePath]:
    """Files of a dataset on the hub that match, at the commit its branch is at now."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # must be set before the import below
    for library in _HTTP_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)  # they log every request at INFO
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.hf_api import RepoFile

    api, repo = HfApi(), request.repo
    remedy = (
        f"ask for access at {api.endpoint}/datasets/{repo} and log in with `hf auth login` or HF_TOKEN"
        f"{'' if repo.endswith(('2024', '2025')) else '; or use the source owncloud with the NDA password'}"
    )

    def list_files() -> tuple[str | None, list[RepoFile]]:
        commit = api.repo_info(repo, repo_type="dataset", revision=request.revision).sha
        tree = api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True)
        return commit, [entry for entry in tree if isinstance(entry, RepoFile)]

    commit, entries = _retry(list_files, repo, remedy, retry_policy)
    return [
        RemotePath(
            name=entry.path,
            remote=RemoteFile(
                url=f"{api.endpoint}/datasets/{repo}/resolve/{commit}/{quote(entry.path)}",
                name=entry.path,
                token=get_token(),
                size=entry.size,
                sha256=entry.lfs.sha256 if entry.lfs is not None else None,
                if_refused=remedy,
            ),
        )
        for entry in entries
        if any(fnmatchcase(entry.path, pattern) for pattern in request.patterns)
    ]


def _retry(list_files: Callable[[], _T], repo: str, remedy: str, retry_policy: RetryPolicy) -> _T:
    """Call ``list_files`` until it succeeds or fails for good."""
    for attempt in range(1, retry_policy.max_attempts + 1):
        try:
            return list_files()
        except Exception as error:
            message, transient = _classify_hub_error(error, remedy)
            if not transient or attempt == retry_policy.max_attempts:
                hint = f", {attempt} times in a row; check the connection and run this again later" if transient else ""
                raise DownloadError(f"{repo}: {message}{hint}") from None
            pause_s = min(60.0, retry_policy.initial_wait_s * 2 ** (attempt - 1))
            _LOG.info("%s: %s; trying again in %.0f s", repo, message, pause_s)
            time.sleep(pause_s)
    raise AssertionError("max_attempts is less than 1")


def _classify_hub_error(error: Exception, remedy: str) -> tuple[str, bool]:
    """Message of an error raised by huggingface_hub, and whether it may go away; other errors are raised again."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    outdated = "the SoccerNet package may be outdated"
    if isinstance(error, RevisionNotFoundError):
        return f"its branch no longer exists; {outdated}", False
    if isinstance(error, RepositoryNotFoundError):  # also raised for a private dataset that the user may not see
        return f"not on the hub, or not visible to this account; {remedy}", False
    if isinstance(error, HfHubHTTPError):
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status in (401, 403):
            return f"the hub refused it ({status}); {remedy}", False
        transient = status >= 500 or status in (408, 429)
        return f"the hub answered {status}" + ("" if transient else f"; {outdated}"), transient
    # The HTTP library and its errors differ between versions of huggingface_hub; their module is what they share.
    if type(error).__module__.split(".")[0] in _HTTP_LIBRARIES or isinstance(error, OSError):
        return "the hub cannot be reached", True
    if isinstance(error, (KeyError, TypeError, ValueError)):
        return f"the hub's answer is not understood ({type(error).__name__})", False
    raise error

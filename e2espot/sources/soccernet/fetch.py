"""Downloads files into a dataset folder: each is verified first and then moved into place whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from e2espot.core.errors import DownloadError
from e2espot.sources.soccernet.catalog import RemotePath
from e2espot.sources.soccernet.manifest import FOLDER, Manifest
from e2espot.sources.soccernet.partial_file import MAX_VERSIONS, PartialFile, RetryPolicy
from e2espot.sources.soccernet.zip_members import (
    DamagedMemberError,
    InvalidArchiveError,
    Member,
    check_password,
    extract,
    list_members,
    same_content,
)

if TYPE_CHECKING:
    import requests

UNPACKING = "unpacking"
"""Temporary name of the member that is being extracted, in the folder of the manifest."""
_SIGNATURES = {".mkv": (0, b"\x1a\x45\xdf\xa3"), ".mp4": (4, b"ftyp"), ".npy": (0, b"\x93NUMPY")}
"""Suffix -> offset and content of the bytes that identify the file type."""


@dataclass(frozen=True, kw_only=True)
class ProgressCallbacks:
    """How a download reports its progress; the defaults are silent."""

    message: Callable[[str], object] = lambda line: None
    """Called with lines for the user."""
    start: Callable[[str, int], object] = lambda name, num_bytes: None
    """Called with a file's name and the bytes to download, 0 where they are not known yet."""
    advance: Callable[[int], object] = lambda num_bytes: None
    """Called with the size of every chunk received."""


@dataclass(frozen=True, kw_only=True)
class _ExtractionTask:
    """A member of an archive that is to be extracted."""

    member: Member
    """The member."""
    name: str
    """Path below the dataset folder."""
    target: Path
    """Full path."""


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Downloads files into one dataset folder."""

    root: Path
    """The dataset folder."""
    manifest: Manifest
    """Its verified files."""
    session: requests.Session
    """HTTP session; see :func:`partial_file.new_session`."""
    password: Callable[[], bytes]
    """Returns the NDA password; called only when a server or an archive asks for one."""
    progress: ProgressCallbacks
    """Progress reports."""
    retry_policy: RetryPolicy
    """When to repeat requests."""

    def fetch_archive(self, source: RemotePath, file_names: Collection[str]) -> None:
        """Download the members of an archive that have one of ``file_names``, and only those, and extract them.

        Args:
            source: The archive.
            file_names: File names without folders.

        Raises:
            DownloadError: As in :mod:`partial_file` and :mod:`zip_members`. Extracted files and received bytes stay.
        """
        self.progress.start(source.name, 0)
        with self._open_partial(source) as partial:
            while True:
                num_restarts = partial.num_restarts
                try:
                    self._unpack(source.name, partial, file_names)
                    break
                except DownloadError:
                    # The archive changed on the server: its directory is outdated, so begin with the new one.
                    if partial.num_restarts in (num_restarts, MAX_VERSIONS):
                        raise
                    self.progress.message(f"{source.name}: the file on the server has changed, starting again")
            partial.discard()

    def _unpack(self, archive_name: str, partial: PartialFile, file_names: Collection[str]) -> None:
        try:
            listed = [(member, PurePosixPath(member.path)) for member in list_members(partial, archive_name)]
        except InvalidArchiveError:
            partial.invalidate(0, partial.size)  # the next run downloads it again
            raise
        members = [member for member, path in listed if path.name in file_names and len(path.parts) > 1]
        tasks = self._extraction_tasks(archive_name, members)
        # A wrong password shows in the first bytes of any member, so it is tried before gigabytes are downloaded.
        first_encrypted = next((task.member for task in tasks if task.member.encrypted), None)
        if first_encrypted is not None:
            check_password(partial, first_encrypted, archive_name, self.password)
        num_bytes = sum(partial.num_missing(*task.member.span) for task in tasks)
        self._check_free_space(archive_name, num_bytes + sum(task.member.size for task in tasks))
        self.progress.start(archive_name, num_bytes)
        for task in tasks:
            self._extract(archive_name, partial, task)
            self.manifest.add(task.name, task.member.size)

    def _extract(self, archive_name: str, partial: PartialFile, task: _ExtractionTask) -> None:
        """Download and extract one member; damaged bytes are downloaded a second time."""
        for last_attempt in (False, True):
            partial.ensure(*task.member.span)
            try:
                extract(
                    partial,
                    task.member,
                    task.target,
                    archive_name=archive_name,
                    temporary=self.root / FOLDER / UNPACKING,
                    password=self.password,
                )
                return
            except DamagedMemberError:
                partial.invalidate(*task.member.span)
                if last_attempt:
                    raise

    def _extraction_tasks(self, archive_name: str, members: Iterable[Member]) -> list[_ExtractionTask]:
        """Members that are not in the folder yet, small ones first."""
        tasks: dict[str, _ExtractionTask] = {}
        for member in sorted(members, key=lambda member: (member.size, member.path)):
            name = _strip_outer_folder(member.path)
            if name in tasks:
                raise DownloadError(f"{archive_name}: refused, it holds {name!r} twice, in different folders")
            target = self._target(name, archive_name)
            if self.manifest.is_complete(name) and target.stat().st_size == member.size:
                continue
            if target.exists() and same_content(target, member):
                self.manifest.add(name, member.size)
                continue
            self._refuse_to_replace(name, target)
            tasks[name] = _ExtractionTask(member=member, name=name, target=target)
        return list(tasks.values())

    def fetch_files(self, sources: Sequence[RemotePath]) -> None:
        """Download files that the server keeps one by one.

        Args:
            sources: The files.

        Raises:
            DownloadError: As for :meth:`fetch_archive`.
        """
        for source in sources:
            target = self._target(source.name, source.name)
            if source.remote.sha256 is not None and target.exists() and _sha256(target) == source.remote.sha256:
                self.manifest.add(source.name, target.stat().st_size)
            else:
                self.manifest.add(source.name, self._fetch_file(source, target))

    def _fetch_file(self, source: RemotePath, target: Path) -> int:
        """Download and verify one file; returns its size in bytes."""
        sha256 = source.remote.sha256
        with self._open_partial(source) as partial:
            if sha256 is None and target.exists() and target.stat().st_size == partial.size:
                partial.discard()  # without a checksum the size is all there is to compare
                return target.stat().st_size
            self._refuse_to_replace(source.name, target)
            num_bytes = partial.num_missing(0, partial.size)
            self._check_free_space(source.name, num_bytes)
            self.progress.start(source.name, num_bytes)
            partial.ensure(0)
            if sha256 not in (None, _sha256(partial.path)):
                partial.discard()
                raise DownloadError(f"{source.name}: arrived damaged (its SHA-256 differs); run this again")
            if sha256 is None and not _has_content_of(partial.path, target.suffix):
                partial.discard()
                raise DownloadError(f"{source.name}: the server sent something else, not a {target.suffix} file")
            size = partial.size
            partial.move_to(target)
            return size

    def _open_partial(self, source: RemotePath) -> PartialFile:
        """A remote file and what earlier runs received of it."""
        remote = source.remote
        if source.needs_password:
            assert remote.login is not None
            remote = replace(remote, login=(remote.login[0], self.password()))
        path = self.root / FOLDER / (source.name.replace("/", "__") + ".part")
        return PartialFile(remote, path, self.session, self.retry_policy, self.progress.advance)

    def _target(self, name: str, source_name: str) -> Path:
        """Path of a file; refused if a symbolic link would lead it out of the dataset folder."""
        target = self.root / name
        if not target.resolve().is_relative_to(self.root.resolve()):
            raise DownloadError(f"{source_name}: {name} would leave {self.root} through a link; remove the link")
        if target.is_dir():
            raise DownloadError(f"{target} is a folder where a file should be; move it away")
        return target

    def _refuse_to_replace(self, name: str, target: Path) -> None:
        """Protect the user's files: those from elsewhere, and downloaded labels that were edited since."""
        replaceable = self.manifest.is_complete(name) or (self.manifest.downloaded(name) and target.suffix != ".json")
        if target.exists() and not replaceable:
            raise DownloadError(
                f"{target} exists already and differs from the server's; move it away, or choose another folder"
            )

    def _check_free_space(self, name: str, num_bytes: int) -> None:
        free = shutil.disk_usage(self.root).free
        if num_bytes > free:
            raise DownloadError(
                f"{name}: needs {num_bytes / 1e9:.2f} GB on the disk of {self.root} for the download and its "
                f"extracted files, and {free / 1e9:.2f} GB are free; make room and run this again"
            )


def _strip_outer_folder(path: str) -> str:
    """Path of a member below the dataset folder; some archives have a folder of their own around the league's."""
    # "valid/england_efl/2019-2020/..." -> "england_efl/2019-2020/..."
    start = path.find("england_efl/")
    return path[start:] if start > 0 and path[start - 1] == "/" else path


def _has_content_of(path: Path, suffix: str) -> bool:
    """Whether a file's content fits its suffix; servers without checksums may send an HTML page instead."""
    if suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return False
    offset, signature = _SIGNATURES.get(suffix, (0, b""))
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(signature)) == signature


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

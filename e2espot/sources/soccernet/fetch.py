"""Files from a server into a dataset folder: fetched, tested, and put in place one by one, each whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from e2espot.core.errors import DownloadError
from e2espot.sources.soccernet.catalog import Address
from e2espot.sources.soccernet.manifest import FOLDER, Record
from e2espot.sources.soccernet.partial_file import MAX_GENERATIONS, PartialFile, Patience
from e2espot.sources.soccernet.zip_members import (
    DamagedMemberError,
    Member,
    UnfitArchiveError,
    check_password,
    extract,
    members_of,
    same_content,
)

if TYPE_CHECKING:
    import requests

UNPACKING = "unpacking"
"""Name of the file that is being taken out of an archive."""
_BEGINNINGS = {".mkv": (0, b"\x1a\x45\xdf\xa3"), ".mp4": (4, b"ftyp")}
"""Place and content of the bytes that mark a kind of file."""


@dataclass(kw_only=True)
class Telling:
    """How a download talks while it works; the defaults are silent."""

    say: Callable[[str], object] = lambda line: None
    """A line."""
    expect: Callable[[str, int], object] = lambda name, count: None
    """A file under way and how many bytes of it are to come, 0 where that is not known yet."""
    advance: Callable[[int], object] = lambda count: None
    """Bytes that came."""
    patience: Patience = field(default_factory=Patience)
    """How long to bear with a server."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Brings files into one dataset folder."""

    root: Path
    """The folder."""
    record: Record
    """What it is known to hold."""
    session: requests.Session
    """The connection."""
    password: Callable[[], bytes]
    """Gives the NDA password."""
    telling: Telling
    """Who to tell."""

    def bring_archive(self, address: Address, file_names: Collection[str]) -> None:
        """Fetch the members of an archive that have one of these names, and no others, and take them out.

        Raises:
            DownloadError: as the module's parts do; what is in place already stays, and what has come of the archive.
        """
        self.telling.expect(address.name, 0)
        with self._partial(address) as partial:
            while True:
                generation = partial.generation
                try:
                    self._unpack(address.name, partial, file_names)
                    break
                except DownloadError:
                    if partial.generation in (generation, MAX_GENERATIONS):
                        raise
                    self.telling.say(f"{address.name}: another file on the server now, starting it again")
            partial.discard()

    def _unpack(self, where: str, partial: PartialFile, file_names: Collection[str]) -> None:
        try:
            listed = [(member, PurePosixPath(member.path)) for member in members_of(partial, where)]
            members = [member for member, path in listed if path.name in file_names and len(path.parts) > 1]
        except UnfitArchiveError:
            partial.forget(0, partial.size)  # whatever this is, the next run asks for it anew
            raise
        work = self._to_take_out(where, members)
        for member in [member for member, _, _ in work if member.encrypted][:1]:
            check_password(partial, member, where, self.password)
        to_come = sum(partial.missing_in(*member.span) for member, _, _ in work)
        self._check_room(where, to_come + sum(member.size for member, _, _ in work))
        self.telling.expect(where, to_come)
        for member, name, target in work:
            for last_try in (False, True):
                partial.ensure(*member.span)
                try:
                    temporary = self.root / FOLDER / UNPACKING
                    extract(partial, member, target, where=where, temporary=temporary, password=self.password)
                    break
                except DamagedMemberError:
                    partial.forget(*member.span)
                    if last_try:
                        raise
            self.record.add(name, member.size)

    def _to_take_out(self, where: str, members: Iterable[Member]) -> list[tuple[Member, str, Path]]:
        """Members that are not in place yet, with their names below the folder; small ones first."""
        work: dict[str, tuple[Member, str, Path]] = {}
        for member in sorted(members, key=lambda member: (member.size, member.path)):
            name = _place_of(member.path)
            if name in work:
                raise DownloadError(f"{where}: refused, it holds {name!r} twice, in different folders")
            target = self._target(name, where)
            if self.record.holds(name) and target.stat().st_size == member.size:
                continue
            if target.exists() and same_content(target, member):
                self.record.add(name, member.size)
                continue
            self._refuse_to_replace(name, target)
            work[name] = (member, name, target)
        return list(work.values())

    def bring_files(self, addresses: Sequence[Address]) -> None:
        """Fetch files that the server keeps one by one.

        Raises:
            DownloadError: as for archives.
        """
        for address in addresses:
            target, sha256 = self._target(address.name, address.name), address.remote.sha256
            if target.exists() and sha256 is not None and _sha256(target) == sha256:
                self.record.add(address.name, target.stat().st_size)
                continue
            with self._partial(address) as partial:
                size = partial.size
                if target.exists() and sha256 is None and target.stat().st_size == size:
                    partial.discard()  # this server tells no more of a file than its length
                    self.record.add(address.name, size)
                    continue
                self._refuse_to_replace(address.name, target)
                to_come = partial.missing_in(0, size)
                self._check_room(address.name, to_come)
                self.telling.expect(address.name, to_come)
                partial.ensure(0)
                if sha256 not in (None, _sha256(partial.path)):
                    partial.discard()
                    raise DownloadError(f"{address.name}: arrived damaged (its SHA-256 differs); run this again")
                if sha256 is None and not _is_what_it_says(partial.path, target.suffix):
                    partial.discard()
                    raise DownloadError(f"{address.name}: the server sent something else, no {target.suffix} file")
                size = partial.size
                partial.keep_as(target)
            self.record.add(address.name, size)

    def _partial(self, address: Address) -> PartialFile:
        """The file at an address and what is here of it."""
        remote = address.remote
        if address.needs_password:
            assert remote.login is not None
            remote = replace(remote, login=(remote.login[0], self.password()))
        path = self.root / FOLDER / (address.name.replace("/", "__") + ".part")
        return PartialFile(remote, path, self.session, self.telling.patience, self.telling.advance)

    def _target(self, name: str, where: str) -> Path:
        """Where a file goes, which is below the folder even where that holds links."""
        target = self.root / name
        if not target.resolve().is_relative_to(self.root.resolve()):
            raise DownloadError(f"{where}: {name} would leave {self.root} through a link; remove the link")
        if target.is_dir():
            raise DownloadError(f"{target} is a folder where a file should be; move it away")
        return target

    def _refuse_to_replace(self, name: str, target: Path) -> None:
        """Nothing of the user's own is lost: neither a file from elsewhere nor labels that were worked on."""
        ours = self.record.holds(name) or (self.record.wrote(name) and target.suffix != ".json")
        if target.exists() and not ours:
            raise DownloadError(
                f"{target} is there already and differs from the server's; move it away, or choose another folder"
            )

    def _check_room(self, where: str, needed: int) -> None:
        free = shutil.disk_usage(self.root).free
        if needed > free:
            raise DownloadError(
                f"{where}: needs {needed / 1e9:.2f} GB on the disk of {self.root}, for what is to come and what it "
                f"unpacks to, and {free / 1e9:.2f} GB are free; make room and run this again"
            )


def _place_of(path: str) -> str:
    """Where a member goes: archives begin with the league, or have it below a folder of their own."""
    start = path.find("england_efl/")
    return path[start:] if start > 0 and path[start - 1] == "/" else path


def _is_what_it_says(path: Path, suffix: str) -> bool:
    """A server without check sums may send a page that says why it sends no file."""
    if suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return False
    place, mark = _BEGINNINGS.get(suffix, (0, b""))
    with path.open("rb") as file:
        file.seek(place)
        return file.read(len(mark)) == mark


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Zip archives of strangers: what may be taken out of one, and taking it out whole or not at all."""

from __future__ import annotations

import io
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast

from e2espot.core.errors import ConfigurationError, DownloadError, E2ESpotError

ZipSource = IO[bytes] | io.RawIOBase
"""What an archive is read from; it must be able to seek."""

_CHUNK = 1 << 20
_MAX_MEMBERS = 100_000
_MAX_TOTAL = 400 << 30
_BOMB_FROM = 64 << 20
_BOMB_RATIO = 100
_AES = 99
_HEADER = 30 + 2 * 65535
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')


class UnfitArchiveError(DownloadError):
    """No archive, or a hostile one."""


class WrongPasswordError(DownloadError):
    """The password does not open the archive."""


class DamagedMemberError(DownloadError):
    """A member whose bytes fail their test."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive that may be taken out."""

    path: str
    """Below the folder it goes to, with forward slashes."""
    size: int
    """Bytes unpacked."""
    crc: int | None
    """CRC-32 of the content; None where the encryption has a test of its own and the CRC is left out."""
    encrypted: bool
    """Whether it needs the password."""
    span: tuple[int, int]
    """Bytes of the archive that hold it, header included; the end may be generous."""
    info: zipfile.ZipInfo
    """As the archive's directory has it."""


def members_of(file: ZipSource, where: str) -> list[Member]:
    """Files of an archive, from its directory alone.

    Raises:
        UnfitArchiveError: no archive, or one with a member that would leave its folder, is a link, stands for
            another one, or unpacks to far more than it is.
    """
    try:
        with zipfile.ZipFile(cast(IO[bytes], file)) as archive:
            infos = archive.infolist()
            end = archive.start_dir
    except DownloadError:
        raise
    except Exception as error:  # over bytes of a stranger zipfile may raise nearly anything
        raise UnfitArchiveError(f"{where}: not a whole zip archive ({_words(error)})") from None
    if len(infos) > _MAX_MEMBERS:
        raise UnfitArchiveError(f"{where}: refused, it holds {len(infos)} members")
    for info in infos:
        if (fault := _fault_of(info)) is not None:
            raise UnfitArchiveError(f"{where}: refused, member {info.orig_filename!r} {fault}")
    files = [info for info in infos if not info.is_dir()]
    _check_names(files, where)
    _check_sizes(files, where)
    starts = sorted(info.header_offset for info in infos)
    following = dict(pairwise([*starts, end]))
    members = [_member(info, following[info.header_offset]) for info in files]
    _check_overlap(members, where)
    return members


def _fault_of(info: zipfile.ZipInfo) -> str | None:
    """What is wrong with a member by itself."""
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in parts:
        return "leaves its folder"
    if _FORBIDDEN.search(name) or any(part in ("", ".") or part != part.strip() for part in parts):
        return "has a name that not every system can hold"
    if len(name) > 1000 or any(len(part.encode()) > 240 for part in parts):
        return "has too long a name"
    return None


def _check_names(files: Sequence[zipfile.ZipInfo], where: str) -> None:
    """Refuse two members that are one file on some system, and a file that is another one's folder."""
    seen: dict[str, str] = {}
    for info in files:
        key = _folded(info.filename)
        if key in seen:
            same = "twice" if seen[key] == info.filename else f"beside {seen[key]!r}, which some systems cannot tell"
            raise UnfitArchiveError(f"{where}: refused, it holds {info.filename!r} {same}")
        seen[key] = info.filename
    for key, name in seen.items():
        folders = key.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            above = seen.get("/".join(folders[:depth]))
            if above is not None:
                raise UnfitArchiveError(f"{where}: refused, {above!r} is a file and the folder of {name!r}")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_sizes(files: Sequence[zipfile.ZipInfo], where: str) -> None:
    """Refuse what unpacks to far more than it is; video hardly packs at all."""
    total, packed = sum(info.file_size for info in files), sum(info.compress_size for info in files)
    if total > _MAX_TOTAL:
        raise UnfitArchiveError(f"{where}: refused, it would unpack to {total} bytes")
    for info in files:
        if info.file_size > max(_BOMB_FROM, _BOMB_RATIO * info.compress_size):
            raise UnfitArchiveError(
                f"{where}: refused, member {info.filename!r} packs {info.file_size} bytes into {info.compress_size}"
            )
    if total > max(_BOMB_FROM, _BOMB_RATIO * packed):
        raise UnfitArchiveError(f"{where}: refused, it packs {total} bytes into {packed}")


def _member(info: zipfile.ZipInfo, following: int) -> Member:
    # The header in the file itself may be longer than the directory's, by up to two fields of 64 KiB;
    # it ends before the next member's all the same.
    stop = min(following, info.header_offset + _HEADER + info.compress_size)
    hmac_only = info.compress_type == _AES and _aes_version(info) == 2
    return Member(
        path=info.filename,
        size=info.file_size,
        crc=None if hmac_only else info.CRC,
        encrypted=bool(info.flag_bits & 1),
        span=(info.header_offset, stop),
        info=info,
    )


def _aes_version(info: zipfile.ZipInfo) -> int:
    extra = info.extra
    while len(extra) >= 4:
        kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == 0x9901 and length >= 7:
            return int.from_bytes(extra[4:6], "little")
        extra = extra[4 + length :]
    return 1


def _check_overlap(members: Sequence[Member], where: str) -> None:
    """Refuse members that share bytes, as bombs do."""
    ordered = sorted(members, key=lambda member: member.span)
    for one in ordered:
        if one.span[0] + 30 + len(one.info.orig_filename) + one.info.compress_size > one.span[1]:
            raise UnfitArchiveError(f"{where}: refused, member {one.path!r} reaches into the next one")


def extract(
    file: ZipSource,
    member: Member,
    target: Path,
    *,
    where: str,
    temporary: Path,
    password: Callable[[], bytes],
    progress: Callable[[int], object] = lambda count: None,
) -> None:
    """Take one member out under a temporary name, test it, and rename it to ``target``.

    Args:
        file: The archive.
        member: One of :func:`members_of` of the same archive.
        target: Where it goes; what is there is replaced.
        where: What messages call the archive.
        temporary: A name on the same disk as ``target``.
        password: Asked only for an encrypted member.
        progress: Told of every piece of unpacked bytes.

    Raises:
        WrongPasswordError: for an encrypted member.
        DamagedMemberError: its bytes fail their test; nothing is left.
        DownloadError: the disk is full; nothing is left.
    """
    secret = password() if member.encrypted else None
    try:
        with _judged(member, where), _opened(file, member, where, secret) as source:
            _copy(source, temporary, member, progress)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written ({error.strerror}); make room and run this again") from None
    finally:
        temporary.unlink(missing_ok=True)


def check_password(file: ZipSource, member: Member, where: str, password: Callable[[], bytes]) -> None:
    """Try the password on the first bytes of an encrypted member, long before all of it is here.

    Raises:
        WrongPasswordError: it does not open the archive. A wrong one passes once in 65,536 times, or in 256
            with zip's own weak encryption; :func:`extract` finds those.
    """
    if not member.encrypted:
        return
    with suppress(DamagedMemberError), _judged(member, where), _opened(file, member, where, password()) as source:
        source.read(1)


@contextmanager
def _judged(member: Member, where: str) -> Iterator[None]:
    """What the libraries raise over bytes of a stranger, which is nearly anything, in one line."""
    try:
        yield
    except (E2ESpotError, OSError):
        raise
    except NotImplementedError as error:
        raise DownloadError(
            f"{where}: member {member.path!r} is packed in a way Python does not know ({_words(error)}); "
            "unpack the archive with 7z, and run this again to have it checked"
        ) from None
    except Exception as error:
        if isinstance(error, RuntimeError) and "password" in str(error):  # what both raise for a wrong one
            raise WrongPasswordError(f"{where}: the password does not open it; check it and run this again") from None
        hint = ", or the password is wrong" if member.encrypted else ""
        raise DamagedMemberError(f"{where}: member {member.path!r} is damaged{hint} ({_words(error)})") from None


def _words(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _opened(file: ZipSource, member: Member, where: str, secret: bytes | None) -> Iterator[IO[bytes]]:
    """A member to read from, by zipfile or, where AES is met, by pyzipper."""
    archive: Any
    if member.info.compress_type != _AES:
        archive = zipfile.ZipFile(cast(IO[bytes], file))
    else:
        try:
            import pyzipper
        except ImportError:
            raise ConfigurationError(
                f"{where} is AES-encrypted and pyzipper is not installed; pip install 'e2espot[soccernet]'"
            ) from None
        archive = pyzipper.AESZipFile(file)
    with archive, archive.open(member.info.filename, pwd=secret) as source:
        yield source


def _copy(source: IO[bytes], temporary: Path, member: Member, progress: Callable[[int], object]) -> None:
    done = 0
    with temporary.open("wb") as out:
        while chunk := source.read(_CHUNK):
            done += len(chunk)
            if done > member.size:
                raise zipfile.BadZipFile(f"unpacks to more than the {member.size} bytes it claims")
            out.write(chunk)
            progress(len(chunk))
        out.flush()
        os.fsync(out.fileno())
    if done != member.size:
        raise zipfile.BadZipFile(f"unpacks to {done} of the {member.size} bytes it claims")


def same_content(path: Path, member: Member) -> bool:
    """Whether a file has the member's size and, where the archive tells it, its CRC."""
    if path.stat().st_size != member.size:
        return False
    if member.crc is None:
        return True
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc == member.crc

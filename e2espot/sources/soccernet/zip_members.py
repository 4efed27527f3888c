"""Members of untrusted zip archives: which are safe to extract, and extracting each whole or not at all.

An archive may come from anyone. :func:`list_members` refuses it from its directory alone if a member
would leave the folder, is a link, collides with another one on some file system, or unpacks to far more
than it occupies. :func:`extract` checks every byte before a file gets its final name.
"""

from __future__ import annotations

import io
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast

from e2espot.core.errors import ConfigurationError, DownloadError, E2ESpotError, one_line

ZipSource = IO[bytes] | io.RawIOBase
"""A seekable binary file that holds an archive."""

_CHUNK_BYTES = 1 << 20
_MAX_MEMBERS = 100_000
_MAX_TOTAL_BYTES = 400 << 30
_BOMB_MIN_BYTES = 64 << 20
"""Smaller members are never taken for bombs, whatever their ratio."""
_BOMB_RATIO = 100
"""Extracted bytes per packed byte above which a member counts as a bomb."""
_AES = 99
"""Compression method that the directory lists for members with AES encryption (WinZip AE-1 and AE-2)."""
_LOCAL_HEADER_BYTES = 30
"""Fixed part of the header in front of a member's content."""
_MAX_HEADER_BYTES = _LOCAL_HEADER_BYTES + 2 * 65535
"""The fixed part, then a name and an extra field of less than 64 KiB each."""
_FORBIDDEN_CHARACTERS = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')


class InvalidArchiveError(DownloadError):
    """A file that is not a zip archive, or one that is refused as hostile."""


class WrongPasswordError(DownloadError):
    """The password does not open the archive."""


class DamagedMemberError(DownloadError):
    """A member whose content fails its checksum or cannot be decompressed."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive that is safe to extract."""

    path: str
    """Path below the target folder, with forward slashes."""
    size: int
    """Extracted size in bytes."""
    crc: int | None
    """CRC-32 of the content; None for AE-2 encryption, which stores an HMAC instead."""
    encrypted: bool
    """Whether it needs the password."""
    span: tuple[int, int]
    """Bytes ``[start, stop)`` of the archive that hold it, local header included; ``stop`` may be too large."""
    info: zipfile.ZipInfo
    """Entry of the archive's directory."""


def list_members(file: ZipSource, archive_name: str) -> list[Member]:
    """List the files of an archive, reading only its directory.

    Args:
        file: The archive.
        archive_name: Name used in messages.

    Raises:
        InvalidArchiveError: It is not an archive, or it has a member that would leave its folder, is a link,
            collides with another one, or unpacks to far more than it occupies.
    """
    try:
        with zipfile.ZipFile(cast(IO[bytes], file)) as archive:
            infos = archive.infolist()
            directory_start = archive.start_dir
    except DownloadError:
        raise
    except Exception as error:  # zipfile raises nearly anything on damaged archives
        raise InvalidArchiveError(f"{archive_name}: not a whole zip archive ({one_line(error)})") from None
    if len(infos) > _MAX_MEMBERS:
        raise InvalidArchiveError(f"{archive_name}: refused, it holds {len(infos)} members")
    for info in infos:
        if (reason := _refusal_reason(info)) is not None:
            raise InvalidArchiveError(f"{archive_name}: refused, member {info.orig_filename!r} {reason}")
    files = [info for info in infos if not info.is_dir()]
    _check_names(files, archive_name)
    _check_sizes(files, archive_name)
    # A member ends at the latest where the next one starts; the last one, where the directory starts.
    # | header a | content a | header b | content b | directory |    offsets 0, 700, directory at 1500
    # starts [0, 700] -> next_start {0: 700, 700: 1500}
    starts = sorted(info.header_offset for info in infos)
    next_start = dict(pairwise([*starts, directory_start]))
    members = [_member(info, next_start[info.header_offset]) for info in files]
    _check_overlap(members, archive_name)
    return members


def _refusal_reason(info: zipfile.ZipInfo) -> str | None:
    """Why a member is refused on its own; None if it is not."""
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in parts:
        return "leaves its folder"
    if _FORBIDDEN_CHARACTERS.search(name) or any(part in ("", ".") or part != part.strip() for part in parts):
        return "has a name that is not valid on every system"
    if len(name) > 1000 or any(len(part.encode()) > 240 for part in parts):
        return "has a name that is too long"
    return None


def _check_names(files: Sequence[zipfile.ZipInfo], archive_name: str) -> None:
    """Refuse members that are the same file on some system, and a file that is another one's folder."""
    names: dict[str, str] = {}
    for info in files:
        key = _case_folded(info.filename)
        if key in names:
            raise InvalidArchiveError(
                f"{archive_name}: refused, it holds {info.filename!r} "
                + ("twice" if names[key] == info.filename else f"and {names[key]!r}, the same name on some systems")
            )
        names[key] = info.filename
    for key, name in names.items():
        # "a/b/c.mp4" -> "a", "a/b"
        folders = key.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            parent = names.get("/".join(folders[:depth]))
            if parent is not None:
                raise InvalidArchiveError(f"{archive_name}: refused, {parent!r} is a file and the folder of {name!r}")


def _case_folded(name: str) -> str:
    """A name as file systems that ignore case and Unicode normalisation compare it."""
    # "Größe", with "ö" as one character or as "o" and a combining mark -> "grösse". Folding may undo the
    # normalisation, so it is applied before and after.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_sizes(files: Sequence[zipfile.ZipInfo], archive_name: str) -> None:
    """Refuse what unpacks to far more than it occupies; video hardly compresses at all."""
    total, packed = sum(info.file_size for info in files), sum(info.compress_size for info in files)
    if total > _MAX_TOTAL_BYTES:
        raise InvalidArchiveError(f"{archive_name}: refused, it would unpack to {total} bytes")
    for info in files:
        if info.file_size > max(_BOMB_MIN_BYTES, _BOMB_RATIO * info.compress_size):
            raise InvalidArchiveError(
                f"{archive_name}: refused, member {info.filename!r} "
                f"packs {info.file_size} bytes into {info.compress_size}"
            )
    if total > max(_BOMB_MIN_BYTES, _BOMB_RATIO * packed):
        raise InvalidArchiveError(f"{archive_name}: refused, it packs {total} bytes into {packed}")


def _member(info: zipfile.ZipInfo, next_start: int) -> Member:
    # The length of the local header is not in the directory: its name and extra field may be longer there.
    stop = min(next_start, info.header_offset + _MAX_HEADER_BYTES + info.compress_size)
    without_crc = info.compress_type == _AES and _aes_version(info) == 2
    return Member(
        path=info.filename,
        size=info.file_size,
        crc=None if without_crc else info.CRC,
        encrypted=bool(info.flag_bits & 1),
        span=(info.header_offset, stop),
        info=info,
    )


def _aes_version(info: zipfile.ZipInfo) -> int:
    """1 for AE-1 (CRC and HMAC), 2 for AE-2 (HMAC only)."""
    # The extra field is a list of records: kind (2 bytes), length (2 bytes), payload. AES has kind 0x9901.
    extra = info.extra
    while len(extra) >= 4:
        kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == 0x9901 and length >= 7:
            return int.from_bytes(extra[4:6], "little")
        extra = extra[4 + length :]
    return 1


def _check_overlap(members: Sequence[Member], archive_name: str) -> None:
    """Refuse members that share bytes, as zip bombs do."""
    for member in sorted(members, key=lambda member: member.span):
        start, stop = member.span
        # A member needs at least its local header, its name and its content; bombs let many members share one content.
        if start + _LOCAL_HEADER_BYTES + len(member.info.orig_filename) + member.info.compress_size > stop:
            raise InvalidArchiveError(f"{archive_name}: refused, member {member.path!r} reaches into the next one")


def extract(
    file: ZipSource,
    member: Member,
    target: Path,
    *,
    archive_name: str,
    temporary: Path,
    password: Callable[[], bytes],
) -> None:
    """Extract one member under a temporary name, verify it, and rename it to ``target``.

    Args:
        file: The archive.
        member: A member that :func:`list_members` returned for this archive.
        target: Path of the extracted file; an existing file is replaced.
        archive_name: Name used in messages.
        temporary: A path on the same file system as ``target``.
        password: Returns the password; called only for an encrypted member.

    Raises:
        WrongPasswordError: The password does not open the member.
        DamagedMemberError: The content fails its checksum; nothing is left behind.
        DownloadError: The disk is full; nothing is left behind.
    """
    try:
        with _open(file, member, archive_name, password) as content, _translate_errors(member, archive_name):
            _copy(content, temporary, member)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written ({error.strerror}); make room and run this again") from None
    finally:
        temporary.unlink(missing_ok=True)


def check_password(file: ZipSource, member: Member, archive_name: str, password: Callable[[], bytes]) -> None:
    """Try the password on the first bytes of an encrypted member, before the rest is downloaded.

    Args:
        file: The archive.
        member: A member of it; nothing happens if it is not encrypted.
        archive_name: Name used in messages.
        password: Returns the password.

    Raises:
        WrongPasswordError: It does not open the archive. One wrong password in 65,536 passes, or in 256 with
            zip's own weak encryption; :func:`extract` detects those.
    """
    if not member.encrypted:
        return
    with (
        suppress(DamagedMemberError),
        _open(file, member, archive_name, password) as content,
        _translate_errors(member, archive_name),
    ):
        content.read(1)


@contextmanager
def _open(file: ZipSource, member: Member, archive_name: str, password: Callable[[], bytes]) -> Iterator[IO[bytes]]:
    """Open a member for reading, with zipfile or, for AES, with pyzipper.

    Both raise a bare RuntimeError for a wrong password, when the member is opened and before its content is
    read. Neither has an error class for it. Nothing else about an encrypted member raises one at that point
    (its subclass NotImplementedError apart), so the class and the moment identify it, not the text.
    """
    secret = password() if member.encrypted else None
    with ExitStack() as stack:
        with _translate_errors(member, archive_name):
            archive = stack.enter_context(_open_archive(file, member, archive_name))
            try:
                content = stack.enter_context(archive.open(member.info.filename, pwd=secret))
            except RuntimeError as error:
                if member.encrypted and not isinstance(error, NotImplementedError):
                    raise WrongPasswordError(
                        f"{archive_name}: the password does not open it; check it and run this again"
                    ) from None
                raise
        yield content


def _open_archive(file: ZipSource, member: Member, archive_name: str) -> Any:
    if member.info.compress_type != _AES:
        return zipfile.ZipFile(cast(IO[bytes], file))
    try:
        import pyzipper
    except ImportError:
        raise ConfigurationError(
            f'{archive_name} is AES-encrypted and pyzipper is not installed; pip install "e2espot[soccernet]"'
        ) from None
    return pyzipper.AESZipFile(file)


@contextmanager
def _translate_errors(member: Member, archive_name: str) -> Iterator[None]:
    """Turn the errors that damaged bytes cause in the zip libraries, of almost any class, into DownloadErrors."""
    try:
        yield
    except (E2ESpotError, OSError):
        raise
    except NotImplementedError as error:
        raise DownloadError(
            f"{archive_name}: member {member.path!r} is compressed in a way Python does not support "
            f"({one_line(error)}); unpack the archive with 7z, and run this again to have it checked"
        ) from None
    except Exception as error:
        hint = ", or the password is wrong" if member.encrypted else ""
        raise DamagedMemberError(
            f"{archive_name}: member {member.path!r} is damaged{hint} ({one_line(error)})"
        ) from None


def _copy(content: IO[bytes], temporary: Path, member: Member) -> None:
    """Write a member to ``temporary`` and flush it to disk; never more bytes than the directory announced."""
    num_bytes = 0
    with temporary.open("wb") as out:
        while chunk := content.read(_CHUNK_BYTES):
            num_bytes += len(chunk)
            if num_bytes > member.size:
                raise zipfile.BadZipFile(f"unpacks to more than the {member.size} bytes it claims")
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if num_bytes != member.size:
        raise zipfile.BadZipFile(f"unpacks to {num_bytes} of the {member.size} bytes it claims")


def same_content(path: Path, member: Member) -> bool:
    """Whether a file has the member's size and, if the archive stores one, its CRC."""
    if path.stat().st_size != member.size:
        return False
    if member.crc is None:
        return True
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc == member.crc

"""Untrusted archives can only put whole, verified files into their folder."""

import base64
import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from e2espot.core.errors import DownloadError
from e2espot.sources.soccernet.zip_members import (
    DamagedMemberError,
    Member,
    WrongPasswordError,
    check_password,
    extract,
    list_members,
    same_content,
)

pyzipper = pytest.importorskip("pyzipper")


def plain(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)
    return bytearray(buffer.getvalue())


def encrypted(name: str, content: bytes, password: bytes, version: int = 2) -> bytearray:
    buffer = io.BytesIO()
    with pyzipper.AESZipFile(buffer, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.setpassword(password)
        archive.setencryption(pyzipper.WZ_AES, nbits=256, force_wz_aes_version=version)
        archive.writestr(name, content)
    return bytearray(buffer.getvalue())


def linked() -> bytearray:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("g/224p.mp4")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return bytearray(buffer.getvalue())


def overlapping() -> bytearray:
    """Two directory entries for the same bytes, as in zip bombs."""
    data = plain(("g/a.mp4", b"x" * 100), ("g/b.mp4", b"y" * 100), method=zipfile.ZIP_STORED)
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 10)
    return data


HOSTILE = {
    "absolute": (plain(("/etc/224p.mp4", b"x")), "absolute path"),
    "drive": (plain(("C:/224p.mp4", b"x")), "absolute path"),
    "upwards": (plain(("a/../../224p.mp4", b"x")), "leaves its folder"),
    "upwards as a folder": (plain(("../", b"")), "leaves its folder"),
    "backslash": (plain(("..\\224p.mp4", b"x")), "name that is not valid on every system"),
    "control": (plain(("g/224p\n.mp4", b"x")), "name that is not valid on every system"),
    "dot": (plain(("g/./224p.mp4", b"x")), "name that is not valid on every system"),
    "long": (plain(("g" * 300 + "/224p.mp4", b"x")), "too long"),
    "link": (linked(), "link or a device"),
    "case": (plain(("g/224p.mp4", b"x"), ("G/224P.mp4", b"y")), "the same name on some systems"),
    "unicode": (plain(("g/caf\u00e9.mp4", b"x"), ("g/cafe\u0301.mp4", b"y")), "the same name on some systems"),
    "file and folder": (plain(("g", b"x"), ("g/224p.mp4", b"y")), "is a file and the folder of"),
    "bomb": (plain(("g/224p.mp4", bytes(70 << 20))), "packs 73400320 bytes into"),
    "bomb of many": (plain(*((f"g/{k}.mp4", bytes(9 << 20)) for k in range(8))), "packs 75497472 bytes into"),
    "overlap": (overlapping(), "reaches into the next one|not a whole zip"),
    "text": (bytearray(b"<html>not found</html>"), "not a whole zip archive"),
    "empty": (bytearray(), "not a whole zip archive"),
    "truncated": (plain(("g/224p.mp4", b"x" * 5000))[:-30], "not a whole zip archive"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("data", "line"), HOSTILE.values(), ids=HOSTILE)
def test_list_members_refuses_hostile_archives(data: bytearray, line: str) -> None:
    with pytest.raises(DownloadError, match=line) as caught:
        list_members(io.BytesIO(data), "train.zip")
    assert str(caught.value).startswith("train.zip: ")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_list_members_refuses_a_duplicate_name() -> None:
    data = plain(("g/224p.mp4", b"x"), ("g/224p.mp4", b"y"))
    with pytest.raises(DownloadError, match=r"holds 'g/224p\.mp4' twice"):
        list_members(io.BytesIO(data), "train.zip")


def test_list_members_accepts_an_empty_archive() -> None:
    assert list_members(io.BytesIO(plain()), "train.zip") == []
    assert list_members(io.BytesIO(plain(("league/", b""))), "train.zip") == []


def test_list_members_refuses_a_null_byte_in_a_name() -> None:
    data = plain(("g/224p.mp4#/../x", b"x"))
    with pytest.raises(DownloadError, match=r"refused|not a whole"):
        list_members(io.BytesIO(data.replace(b"#", b"\x00")), "train.zip")


def extract_member(data: bytes, folder: Path, password: bytes = b"", number: int = 0) -> Member:
    file = io.BytesIO(data)
    member = list_members(file, "train.zip")[number]
    extract(
        file,
        member,
        folder / member.path,
        archive_name="train.zip",
        temporary=folder / "unpacking",
        password=lambda: password,
    )
    return member


@pytest.mark.parametrize("version", [1, 2])
def test_extract_decrypts_aes(tmp_path: Path, version: int) -> None:
    content = bytes(range(256)) * 5000
    data = encrypted("league/season/game/224p.mp4", content, "nda \N{SNOWMAN}".encode(), version)
    member = extract_member(data, tmp_path, "nda \N{SNOWMAN}".encode())
    path = tmp_path / "league/season/game/224p.mp4"
    assert path.read_bytes() == content
    assert (member.crc is None) == (version == 2)
    assert same_content(path, member)
    path.write_bytes(content[:-1])
    assert not same_content(path, member)
    assert not (tmp_path / "unpacking").exists()


BY_7_ZIP = """
UEsDBDMAAQBjAAAAIQAAAAAANgAAABoAAAAKAAsAZy8yMjRwLm1wNAGZBwACAEFFAwAASeikoIrKc3nAd/sWWq5E9wh+2T+uXR6s26FpZgd9
8mPF/y/cXene3I/Y/4BxTMG9PhapFiokUEsBAj8DMwABAGMAAAAhAAAAAAA2AAAAGgAAAAoACwAAAAAAAAAggKSBAAAAAGcvMjI0cC5tcDQB
mQcAAgBBRQMAAFBLBQYAAAAAAQABAEMAAABpAAAAAAA=
"""
"""Written by 7-Zip 26.02: ``7zz a -tzip -mem=AES256 -pnda``."""


def test_extract_decrypts_aes_of_7_zip(tmp_path: Path) -> None:
    extract_member(base64.b64decode(BY_7_ZIP), tmp_path, b"nda")
    assert (tmp_path / "g/224p.mp4").read_bytes() == b"hello from another writer\n"


def test_extract_with_unsupported_compression_suggests_7z(tmp_path: Path) -> None:
    data = plain(("g/224p.mp4", b"x" * 100))
    for header, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = data.index(header) + offset
        data[start : start + 2] = struct.pack("<H", 9)  # Deflate64, which Windows writes
    with pytest.raises(DownloadError, match="unpack the archive with 7z"):
        extract_member(data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_aes_password_is_detected_and_leaves_no_file(tmp_path: Path) -> None:
    data = encrypted("g/224p.mp4", b"secret" * 1000, b"right")
    file = io.BytesIO(data)
    (member,) = list_members(file, "train.zip")
    check_password(file, member, "train.zip", lambda: b"right")
    for attempt in (
        lambda: check_password(file, member, "train.zip", lambda: b"wrong"),
        lambda: extract_member(data, tmp_path, b"wrong"),
    ):
        with pytest.raises(WrongPasswordError, match="does not open it") as caught:
            attempt()
        assert "wrong" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_wrong_password_is_recognised_whatever_the_library_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error's class and moment count, not its text, which another version may word differently."""
    data = encrypted("g/224p.mp4", b"secret" * 1000, b"right")
    file = io.BytesIO(data)
    (member,) = list_members(file, "train.zip")

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("anything")

    monkeypatch.setattr(pyzipper.AESZipFile, "open", refuse)
    with pytest.raises(WrongPasswordError, match="does not open it"):
        check_password(file, member, "train.zip", lambda: b"right")


def test_runtime_error_in_a_member_without_encryption_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = plain(("g/224p.mp4", b"x"))

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Bad password for file")

    monkeypatch.setattr(zipfile.ZipFile, "open", refuse)
    with pytest.raises(DamagedMemberError, match="is damaged"):
        extract_member(data, tmp_path)


@pytest.mark.parametrize("password", [None, b"right"], ids=["plain", "AES"])
def test_extract_detects_a_flipped_bit_and_leaves_no_file(tmp_path: Path, password: bytes | None) -> None:
    content = bytes(i * i % 251 for i in range(40_000))
    good = encrypted("g/224p.mp4", content, password) if password else plain(("g/224p.mp4", content))
    start = good.index(b"224p.mp4") + 60
    for position in (start, start + len(good) // 3):
        data = bytearray(good)
        data[position] ^= 1
        with pytest.raises(DamagedMemberError, match=r"member 'g/224p\.mp4' is damaged"):
            extract_member(data, tmp_path, password or b"")
        assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_extract_refuses_a_member_larger_than_announced(tmp_path: Path) -> None:
    data = plain(("g/224p.mp4", bytes(1 << 20)))
    claimed = struct.pack("<I", 1 << 20)
    with pytest.raises(DamagedMemberError):
        extract_member(data.replace(claimed, struct.pack("<I", 1000)), tmp_path)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_member_can_be_extracted_from_its_span_and_the_directory_alone(tmp_path: Path) -> None:
    """All other bytes of the archive are zero."""
    data = plain(("g/a.mp4", b"a" * 500), ("g/b.mp4", bytes(range(256)) * 20), ("g/c.mp4", b"c" * 500))
    file = io.BytesIO(data)
    members = list_members(file, "train.zip")
    directory = data.index(b"PK\x01\x02")
    start, stop = members[1].span
    wiped = bytearray(len(data))
    wiped[start:stop] = data[start:stop]
    wiped[directory:] = data[directory:]
    extract_member(wiped, tmp_path, number=1)
    assert (tmp_path / "g/b.mp4").read_bytes() == bytes(range(256)) * 20


@pytest.mark.parametrize("value", [0x00, 0xFF, 0x5C, 0x2F])
@pytest.mark.parametrize("password", [None, b"right"], ids=["plain", "AES"])
def test_any_changed_byte_gives_a_file_or_a_one_line_error(tmp_path: Path, password: bytes | None, value: int) -> None:
    content = b"text of a game " * 3
    name = "league/game/224p.mp4"
    good = encrypted(name, content, password) if password else plain((name, content), ("league/b.mp4", b"b"))
    root = tmp_path / "root"
    root.mkdir()
    for position in range(len(good)):
        data = bytearray(good)
        data[position] = value
        try:
            for number in range(len(list_members(io.BytesIO(data), "train.zip"))):
                extract_member(data, root, password or b"", number)
        except DownloadError as error:
            assert "\n" not in str(error)
            assert not (root / "unpacking").exists()
    assert list(tmp_path.iterdir()) == [root]

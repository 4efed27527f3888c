"""A folder and a zip have the same content, and a bad zip is refused in one line."""

import zipfile
from pathlib import Path

import pytest

from e2espot.core.errors import AnnotationError, ConfigurationError, E2ESpotError
from e2espot.files.bundle import Bundle


def test_bundle_reads_a_folder_and_its_zip_alike(tmp_path: Path) -> None:
    (tmp_path / "f" / "a").mkdir(parents=True)
    (tmp_path / "f" / "a" / "x.json").write_text("\N{SNOWMAN}", encoding="utf-8")
    (tmp_path / "f" / "a" / "x.txt").write_text("no")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.write(tmp_path / "f" / "a" / "x.json", "a/x.json")
    for bundle in (Bundle(tmp_path / "f"), Bundle(tmp_path / "f.zip")):
        assert bundle.names == {"a/x.json"}
        assert bundle.text("a/x.json") == "\N{SNOWMAN}"
        with pytest.raises(AnnotationError, match=r"a/y\.json: cannot be read"):
            bundle.text("a/y.json")


@pytest.mark.parametrize(("data", "encoding"), [(b"\xff", "UTF-8"), (b"\xff\xfe\x00", "UTF-16")])
def test_text_refuses_bytes_that_do_not_decode(tmp_path: Path, data: bytes, encoding: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(AnnotationError, match=rf"x\.json: not {encoding} text"):
        Bundle(tmp_path).text("x.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_text_decodes_every_encoding_of_json(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.json").write_bytes('{"name": "\N{SNOWMAN}"}'.encode(encoding))
    assert Bundle(tmp_path).text("x.json") == '{"name": "\N{SNOWMAN}"}'


def test_data_refuses_an_encrypted_member(tmp_path: Path) -> None:
    pyzipper = pytest.importorskip("pyzipper")
    with pyzipper.AESZipFile(tmp_path / "f.zip", "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"x")
        archive.writestr("x.json", "{}")
    with pytest.raises(AnnotationError, match=r"x\.json: cannot be read"):
        Bundle(tmp_path / "f.zip").data("x.json")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_bundle_refuses_a_zip_with_a_repeated_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("x.json", "1")
        archive.writestr("x.json", "2")
    with pytest.raises(ConfigurationError, match=r"'x\.json' twice"):
        Bundle(tmp_path / "f.zip")


def test_bundle_reads_or_refuses_in_one_line_any_flipped_byte(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.json", '{"predictions": []}' * 5)
    good = (tmp_path / "f.zip").read_bytes()
    for position in range(len(good)):
        data = bytearray(good)
        data[position] ^= 0x55
        (tmp_path / "bad.zip").write_bytes(data)
        try:
            bundle = Bundle(tmp_path / "bad.zip")
            for name in bundle.names:
                bundle.text(name)
        except E2ESpotError as error:
            assert str(error).startswith(str(tmp_path / "bad.zip"))

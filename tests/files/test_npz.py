"""Arrays of an npz file are read whole; nothing in the file is executed."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2espot.files import npz
from e2espot.files.npz import read_arrays


def test_read_arrays_returns_every_array_with_its_type(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.array("25"), "c": np.zeros((0, 2), np.float32)}
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    stored = read_arrays(tmp_path / "x.npz")
    assert list(stored) == ["a", "b", "c"]
    for name, array in arrays.items():
        assert stored[name].dtype == array.dtype
        assert np.array_equal(stored[name], array)


def test_read_arrays_of_a_missing_file_raises_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "missing.npz")
    with pytest.raises(IsADirectoryError):
        read_arrays(tmp_path)


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_read_arrays_refuses_pickles_without_running_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", a=np.array([Touch(tmp_path / "executed")], dtype=object))
    with zipfile.ZipFile(tmp_path / "plain.npz", "w") as archive:
        archive.writestr("a.npy", pickle.dumps(Touch(tmp_path / "executed")))
    for name in ("objects.npz", "plain.npz"):
        try:
            stored = read_arrays(tmp_path / name)
        except ValueError as error:
            assert "not a readable npz file" in str(error)
        else:
            assert stored["a"].dtype.kind in "SV"  # the bytes as they are
    assert not (tmp_path / "executed").exists()


def test_read_arrays_refuses_what_unpacks_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(10_000))
    monkeypatch.setattr(npz, "_MAX_UNPACKED_BYTES", 80_128)  # the array and the 128 bytes of its header
    assert read_arrays(tmp_path / "bomb.npz")["a"].size == 10_000
    monkeypatch.setattr(npz, "_MAX_UNPACKED_BYTES", 80_127)
    with pytest.raises(ValueError, match="unpacks to 80128 bytes"):
        read_arrays(tmp_path / "bomb.npz")


def whole() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, scores=np.linspace(0, 1, 50, dtype=np.float32))
    return buffer.getvalue()


def test_read_arrays_refuses_an_archive_whose_members_begin_before_the_file(tmp_path: Path) -> None:
    content = bytearray(whole())
    content[-4] = 1  # the position of the list of members, 65536 bytes too large: the system refuses to seek
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match="not a readable npz file"):
        read_arrays(tmp_path / "x.npz")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_read_arrays_of_damaged_bytes_raises_value_error_or_reads(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(whole())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "x.npz").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_arrays(tmp_path / "x.npz")
    except ValueError as error:
        assert len(str(error).splitlines()) == 1

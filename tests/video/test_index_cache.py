"""Cached indexes equal fresh ones, as long as the video does not change."""

import dataclasses
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import index_cache, index_of, index_video
from e2espot.video.indexing import clear_index_cache
from tests.support.numbered_video import constant, remux, write


@pytest.fixture
def long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("E2ESPOT_INDEX_CACHE", str(tmp_path / "cache"))
    return write(tmp_path / "long", constant(Fraction(25), 1200, size=(64, 48), options={"g": "50", "bf": "2"}))


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the file was read again")

    monkeypatch.setattr("e2espot.video.indexing.index_video", refuse)


def test_index_of_loads_from_disk_without_reading_the_video(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = index_of(long_file)
    clear_index_cache()
    forbid_reading(monkeypatch)
    cached = index_of(long_file)
    for field in dataclasses.fields(fresh):
        one, other = getattr(fresh, field.name), getattr(cached, field.name)
        assert type(one) is type(other)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype


def test_index_of_reads_a_replaced_video_again(long_file: Path) -> None:
    assert index_of(long_file).first_picture_s == 0
    moved = remux(long_file, long_file.with_name("moved.mp4"), shift=512 * 10)
    moved.replace(long_file)
    assert index_of(long_file) is not None
    fresh = index_video(long_file)
    assert np.array_equal(index_of(long_file).pts_P, fresh.pts_P)


@pytest.mark.parametrize("corrupt", [b"", b"PK\x03\x04 not an archive", b"\x93NUMPY"])
def test_index_of_ignores_a_corrupt_entry(long_file: Path, tmp_path: Path, corrupt: bytes) -> None:
    index_of(long_file)
    (entry,) = (tmp_path / "cache").glob("*.npz")
    entry.write_bytes(corrupt)
    clear_index_cache()
    assert index_of(long_file).num_pictures == 1200
    clear_index_cache()
    assert entry.stat().st_size > 100


def test_index_of_works_without_a_writable_cache(
    long_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("E2ESPOT_INDEX_CACHE", str(tmp_path / "file" / "below"))
    assert index_of(long_file).num_pictures == 1200


def test_index_of_refuses_a_truncated_video_that_is_cached(long_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    whole = remux(long_file, tmp_path / "whole.mkv")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 9 // 10])
    assert index_of(cut, allow_truncated=True).truncated
    clear_index_cache()
    with pytest.raises(VideoError, match="breaks off"):
        index_of(cut)


def test_store_removes_the_oldest_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_file: Path) -> None:
    monkeypatch.setattr(index_cache, "_MAX_FILES", 3)
    base = tmp_path / "cache"
    base.mkdir(exist_ok=True)
    for age in range(5):
        (base / f"old{age}.npz").write_bytes(b"")
        os.utime(base / f"old{age}.npz", (age, age))
    index_of(long_file)
    assert sorted(file.name for file in base.glob("old*")) == ["old3.npz", "old4.npz"]


def test_index_of_ignores_an_altered_entry(long_file: Path, tmp_path: Path) -> None:
    """One wrong time stamp would show wrong pictures without any error."""
    fresh = index_of(long_file)
    (entry,) = (tmp_path / "cache").glob("*.npz")
    with np.load(entry) as stored:
        arrays = dict(stored)
    arrays["pts_P"] = arrays["pts_P"] + 512
    np.savez_compressed(entry, **arrays)
    clear_index_cache()
    assert np.array_equal(index_of(long_file).pts_P, fresh.pts_P)

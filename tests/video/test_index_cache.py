"""An index kept on disk is the index, until the file is another."""

import dataclasses
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from e2espot.core.errors import VideoError
from e2espot.video import index_cache, index_of, index_video
from e2espot.video.indexing import forget_indexes
from tests.support.numbered_video import constant, recopied, write


@pytest.fixture
def long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("E2ESPOT_INDEX_CACHE", str(tmp_path / "kept"))
    return write(tmp_path / "long", constant(Fraction(25), 1200, size=(64, 48), options={"g": "50", "bf": "2"}))


def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the file was read again")

    monkeypatch.setattr("e2espot.video.indexing.index_video", refuse)


def test_the_second_process_reads_nothing(long_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = index_of(long_file)
    forget_indexes()
    no_reading(monkeypatch)
    kept = index_of(long_file)
    for field in dataclasses.fields(made):
        one, other = getattr(made, field.name), getattr(kept, field.name)
        assert type(one) is type(other)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype


def test_another_file_in_its_place_is_read(long_file: Path) -> None:
    assert index_of(long_file).first_picture_s == 0
    moved = recopied(long_file, long_file.with_name("moved.mp4"), shift=512 * 10)
    moved.replace(long_file)
    assert index_of(long_file) is not None
    fresh = index_video(long_file)
    assert np.array_equal(index_of(long_file).pts_P, fresh.pts_P)


@pytest.mark.parametrize("spoilt", [b"", b"PK\x03\x04 not an archive", b"\x93NUMPY"])
def test_a_spoilt_store_is_made_anew(long_file: Path, tmp_path: Path, spoilt: bytes) -> None:
    index_of(long_file)
    (kept,) = (tmp_path / "kept").glob("*.npz")
    kept.write_bytes(spoilt)
    forget_indexes()
    assert index_of(long_file).num_pictures == 1200
    forget_indexes()
    assert kept.stat().st_size > 100


def test_a_store_that_cannot_be_written_is_done_without(
    long_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("E2ESPOT_INDEX_CACHE", str(tmp_path / "file" / "below"))
    assert index_of(long_file).num_pictures == 1200


def test_a_kept_index_of_a_broken_file_is_still_refused(long_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    whole = recopied(long_file, tmp_path / "whole.mkv")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 9 // 10])
    assert index_of(cut, allow_truncated=True).truncated
    forget_indexes()
    with pytest.raises(VideoError, match="breaks off"):
        index_of(cut)


def test_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_file: Path) -> None:
    monkeypatch.setattr(index_cache, "_MOST_FILES", 3)
    base = tmp_path / "kept"
    base.mkdir(exist_ok=True)
    for age in range(5):
        (base / f"old{age}.npz").write_bytes(b"")
        os.utime(base / f"old{age}.npz", (age, age))
    index_of(long_file)
    assert sorted(file.name for file in base.glob("old*")) == ["old3.npz", "old4.npz"]


def test_an_altered_index_is_made_anew(long_file: Path, tmp_path: Path) -> None:
    """One wrong time would show wrong pictures, and nobody would know."""
    fresh = index_of(long_file)
    (kept,) = (tmp_path / "kept").glob("*.npz")
    with np.load(kept) as stored:
        arrays = dict(stored)
    arrays["pts_P"] = arrays["pts_P"] + 512
    np.savez_compressed(kept, **arrays)
    forget_indexes()
    assert np.array_equal(index_of(long_file).pts_P, fresh.pts_P)

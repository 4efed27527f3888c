"""A walk visits every folder once, whatever links lead where."""

import logging
from pathlib import Path

import pytest

from e2espot.files.walk import folders_below


def names(root: Path) -> list[str]:
    return [folder.relative_to(root).as_posix() for folder, _ in folders_below(root)]


def test_folders_below_gives_root_first_and_folders_in_order(tmp_path: Path) -> None:
    for name in ("b/z", "b/a", "a"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "file").write_bytes(b"")
    assert names(tmp_path) == [".", "a", "b", "b/a", "b/z"]
    assert [files for _, files in folders_below(tmp_path)] == [[], [], ["file"], [], []]


def test_folders_below_follows_links_once_and_ends_where_they_lead_back(tmp_path: Path) -> None:
    (tmp_path / "root" / "games").mkdir(parents=True)
    (tmp_path / "disk" / "match").mkdir(parents=True)
    (tmp_path / "disk" / "match" / "1_224p.mkv").write_bytes(b"")
    (tmp_path / "root" / "games" / "again").symlink_to(tmp_path / "root")  # a loop
    (tmp_path / "root" / "one").symlink_to(tmp_path / "disk")
    (tmp_path / "root" / "two").symlink_to(tmp_path / "disk")  # the same folder by another name
    assert names(tmp_path / "root") == [".", "games", "one", "one/match"]
    assert dict(folders_below(tmp_path / "root"))[tmp_path / "root" / "one" / "match"] == ["1_224p.mkv"]


def test_folders_below_leaves_out_a_folder_that_cannot_be_read_and_logs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert list(folders_below(tmp_path / "missing")) == []
    assert "missing: cannot be read (No such file or directory); left out" in caplog.text

"""Files that can be made again are where the system wants them."""

from pathlib import Path

import pytest

from e2espot.files.cache import cache_dir


def test_cache_dir_is_below_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir("videos") == tmp_path / "e2espot" / "videos"
    assert not cache_dir("videos").exists()  # naming a folder does not create it


@pytest.mark.parametrize("value", [None, ""])
def test_cache_dir_is_below_home_where_xdg_cache_home_is_unset_or_empty(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir("indexes") == tmp_path / ".cache" / "e2espot" / "indexes"

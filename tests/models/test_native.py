"""Kernels are compiled once, and layers do without them where they cannot be compiled."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from e2espot.models.kernels import native

CPU = torch.device("cpu")


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of compiled kernels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native._library.cache_clear()
    yield tmp_path / "e2espot" / "kernels"
    native._library.cache_clear()


def test_damaged_library_in_the_cache_is_compiled_again_and_then_used(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = native._compiler()
    if compiler is None:
        pytest.skip("this machine has no C++ compiler")
    library = native._target(compiler)
    library.parent.mkdir(parents=True)
    library.write_bytes(b"no library")
    assert native.kernel("scale", CPU, torch.float32) is not None
    assert [*fresh_cache.glob("*")] == [library], "nothing else is left in the cache"
    monkeypatch.setattr(native.subprocess, "run", lambda *_args, **_kwargs: pytest.fail("compiled again"))
    native._library.cache_clear()
    assert native.kernel("scale", CPU, torch.bfloat16) is not None


@pytest.mark.parametrize("situation", ["absent", "fails", "read-only"])
def test_layers_do_without_kernels_and_report_it_in_one_line(
    situation: str, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compiler = fresh_cache.parents[1] / "compiler"
    if situation == "fails":
        compiler.write_text("#!/bin/sh\necho 'no room left' >&2\nexit 1\n")
    elif situation == "read-only":
        compiler.write_text("#!/bin/sh\nexit 0\n")
        fresh_cache.parent.write_text("a file in the position of the folder")
    if compiler.exists():
        compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(compiler))
    with caplog.at_level(logging.INFO):
        assert native.kernel("scale", CPU, torch.float32) is None
        assert native.kernel("scale", CPU, torch.bfloat16) is None
    (record,) = caplog.records
    assert "torch's operations" in record.message and len(record.message.splitlines()) == 1
    assert situation != "fails" or "no room left" in record.message


def test_kernels_turned_off_by_the_environment_are_not_compiled(
    monkeypatch: pytest.MonkeyPatch, fresh_cache: Path
) -> None:
    monkeypatch.setenv(native.SWITCH, "0")
    assert native.kernel("scale", CPU, torch.float32) is None
    assert not fresh_cache.exists()


@pytest.mark.parametrize(("device", "dtype"), [("cpu", torch.float64), ("cpu", torch.float16), ("meta", torch.float32)])
def test_other_devices_and_formats_have_no_kernel(device: str, dtype: torch.dtype) -> None:
    assert native.kernel("scale", torch.device(device), dtype) is None


def test_in_threads_gives_every_entry_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for threads in (1, 3, 8):
        monkeypatch.setattr(native.torch, "get_num_threads", lambda threads=threads: threads)
        parts: list[tuple[int, int]] = []
        native.in_threads(lambda first, last, parts=parts: parts.append((first, last)), 5)  # type: ignore[misc]
        assert len(parts) == min(threads, 5)
        assert sorted(i for first, last in parts for i in range(first, last)) == list(range(5))


def test_in_threads_raises_what_a_thread_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.torch, "get_num_threads", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        native.in_threads(lambda first, last: 1 // 0, 4)  # type: ignore[arg-type,return-value]

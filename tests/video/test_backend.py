"""The decoding backend: what was asked for, or the best that device and machine have."""

import logging
from importlib.util import find_spec

import pytest

from e2espot.core.errors import ConfigurationError
from e2espot.video import backend as backend_module
from e2espot.video.backend import choose_backend, has_dali


@pytest.fixture(autouse=True)
def forget_choices():
    choose_backend.cache_clear()
    yield
    choose_backend.cache_clear()


@pytest.mark.parametrize(
    ("option", "device_type", "installed", "chosen"),
    [
        ("auto", "cpu", True, "pyav"),
        ("auto", "cpu", False, "pyav"),
        ("auto", "cuda", True, "dali"),
        ("auto", "cuda", False, "pyav"),
        ("decord", "cuda", True, "decord"),
        ("decord", "cpu", False, "decord"),
        ("dali", "cpu", True, "dali"),
        ("pyav", "cuda", True, "pyav"),
    ],
)
def test_choose_backend_by_option_device_and_installation(
    option, device_type: str, installed: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_module, "has_dali", lambda: installed)
    assert choose_backend(option, device_type) == chosen
    assert choose_backend(chosen, device_type) == chosen  # a resolved one stays


def test_choose_backend_refuses_dali_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "has_dali", lambda: False)
    with pytest.raises(ConfigurationError, match=r"pip install \"e2espot\[dali-cuda13\]\"") as caught:
        choose_backend("dali", "cuda")
    assert caught.value.option == "reader"


def test_choose_backend_logs_the_choice_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            choose_backend("auto", "cpu")
            choose_backend("pyav", "cpu")
    assert caplog.messages == ["reader pyav: no CUDA device; frames are decoded by the CPU"]


def test_has_dali_is_false_without_the_parent_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(backend_module, "find_spec", missing)
    assert has_dali() is False
    monkeypatch.setattr(backend_module, "find_spec", lambda name: find_spec("json"))
    assert has_dali() is True
